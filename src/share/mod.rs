//! Whose the files are that we make: their owner's alone, or also a group's that shares the installation.
//!
//! A folder says it: what is made in one that has the set-group-ID bit, and that its group may enter, is its group's too,
//! and what root makes belongs to whom its folder belongs. So every process does the same, whatever its umask, and
//! whether it has read the configuration or not. A file has its owner and mode before it has its name, so that
//! nobody finds it closed. Nothing here follows a symbolic link: in a shared folder, anybody may have put one there.

mod accounts;

pub(crate) use accounts::{GROUP, PASSWD, groups_of, line_of, number, read};
pub use accounts::{Group, group_name, user_name};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Uid};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Mode of shared folders in which every member works: the database's, the run folder.
pub const FOLDER: u32 = 0o2770;
/// Mode of shared files that every member works with.
pub const FILE: u32 = 0o660;
/// Mode of a shared log folder: its owner writes, members read.
pub const LOG_FOLDER: u32 = 0o2750;
/// Mode of the log's files.
pub const LOG_FILE: u32 = 0o640;

/// What a file or folder is to be; `None` leaves that as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// The user that it belongs to. Only root can give a file away.
    pub owner: Option<u32>,
    /// The group that it belongs to.
    pub group: Option<u32>,
    /// All twelve bits of its mode.
    pub mode: u32,
}

/// What became of a file that was to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// It was so already, or is now.
    Right,
    /// It belongs to another user: left as it is.
    NotOurs,
    /// It is a link, or has more than one name: left as it is, since nobody can tell what else it is.
    Odd,
    /// There is nothing of that name.
    Missing,
}

/// What a new file in this folder is to be: `shared` where the folder is shared; `None` where nothing is to be done about
/// it. Errors: the folder cannot be looked at.
pub fn inherited(folder: &Path, shared: u32, alone: u32) -> Result<Option<Want>, Errno> {
    let found = rustix::fs::stat(folder)?;
    let is_shared = found.st_mode & 0o2050 == 0o2050;
    let owner = heir_by(&found);
    if !is_shared && owner.is_none() {
        return Ok(None);
    }
    let mode = if is_shared { shared } else { alone };
    Ok(Some(Want { owner, group: Some(found.st_gid), mode }))
}

/// To whom belongs what this process makes in that folder, if it is root's and the folder is another user's.
pub fn heir(folder: &Path) -> Option<u32> {
    rustix::fs::stat(folder).ok().and_then(|found| heir_by(&found))
}

fn heir_by(folder: &Stat) -> Option<u32> {
    (rustix::process::geteuid().is_root() && folder.st_uid != 0).then_some(folder.st_uid)
}

/// Opens a file with `flags`, or makes it as it is to be. Safe to call by many at once: all get the same file.
pub fn open_or_make(path: &Path, flags: OFlags, want: Want) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    loop {
        match rustix::fs::open(path, flags, Mode::empty()) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        match make(path, flags, want) {
            Err(Errno::EXIST) => {}
            other => return other,
        }
    }
}

/// Makes a file; [`Errno::EXIST`] when there is one. A crash within it leaves at most an empty file of another name.
pub fn make(path: &Path, flags: OFlags, want: Want) -> Result<OwnedFd, Errno> {
    let fresh = beside(path);
    let new = flags | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(&fresh, new, Mode::from_raw_mode(0o600))?;
    let named = settle(&file, want).and_then(|()| name(&fresh, path));
    if named.is_err() {
        // One that stays is empty, and in nobody's way.
        let _ = rustix::fs::unlink(&fresh);
    }
    named.map(|()| file)
}

/// Gives a file its name, if nothing has it.
fn name(fresh: &Path, path: &Path) -> Result<(), Errno> {
    match rustix::fs::renameat_with(CWD, fresh, CWD, path, RenameFlags::NOREPLACE) {
        // Some file systems cannot; there it has two names for an instant.
        Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::link(fresh, path).and_then(|()| rustix::fs::unlink(fresh)),
        other => other,
    }
}

/// Makes a folder; one that is there already is fine, and left as it is.
pub fn make_folder(path: &Path, want: Want) -> Result<(), Errno> {
    if rustix::fs::stat(path).is_ok_and(|found| FileType::from_raw_mode(found.st_mode).is_dir()) {
        return Ok(());
    }
    let fresh = beside(path);
    rustix::fs::mkdir(&fresh, Mode::from_raw_mode(0o700))?;
    // Replaces another one only as long as that is empty: whoever made it then works in this one.
    let named = give(&fresh, want).and_then(|_| rustix::fs::rename(&fresh, path));
    if named.is_err() {
        let _ = rustix::fs::rmdir(&fresh);
    }
    match named {
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// How names begin of what has not got its own yet.
const FRESH: &str = ".new-";

/// A name beside it that no other process or thread uses.
fn beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!("{FRESH}{}-{count}", std::process::id()))
}

/// Whether this is being made at this instant, or was when its process died.
pub(crate) fn is_fresh(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_bytes().starts_with(FRESH.as_bytes()))
}

fn settle(file: &OwnedFd, want: Want) -> Result<(), Errno> {
    let found = rustix::fs::fstat(file)?;
    if differs(&found, Want { mode: found.st_mode & 0o7777, ..want }) {
        rustix::fs::fchown(file, want.owner.map(Uid::from_raw), want.group.map(Gid::from_raw))?;
    }
    rustix::fs::fchmod(file, Mode::from_raw_mode(want.mode))
}

fn differs(found: &Stat, want: Want) -> bool {
    want.owner.is_some_and(|owner| owner != found.st_uid)
        || want.group.is_some_and(|group| group != found.st_gid)
        || want.mode != found.st_mode & 0o7777
}

/// Gives a file, a socket or a folder the owner, group and mode that it is to have, if it is ours to change: this user's, or
/// this is root. It is never opened, so that SQLite's locks on it stay; and what was looked at is what is changed.
///
/// Safe to repeat: yes, because what is right is not touched.
pub fn give(path: &Path, want: Want) -> Result<Given, Errno> {
    let file = match rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(Given::Missing),
        other => other?,
    };
    let found = rustix::fs::fstat(&file)?;
    let kind = FileType::from_raw_mode(found.st_mode);
    if !(kind.is_dir() || (kind.is_file() || kind == FileType::Socket) && found.st_nlink == 1) {
        return Ok(Given::Odd);
    }
    let own = rustix::process::geteuid();
    // What is somebody's stays his; only root's is handed on to whom it should belong.
    let want = Want { owner: want.owner.filter(|_| own.is_root() && found.st_uid == 0), ..want };
    if !differs(&found, want) {
        return Ok(Given::Right);
    }
    if !own.is_root() && own.as_raw() != found.st_uid {
        return Ok(Given::NotOurs);
    }
    let (owner, group) = (want.owner.map(Uid::from_raw), want.group.map(Gid::from_raw));
    if differs(&found, Want { mode: found.st_mode & 0o7777, ..want }) {
        rustix::fs::chownat(&file, "", owner, group, AtFlags::EMPTY_PATH)?;
    }
    rustix::fs::chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), Mode::from_raw_mode(want.mode))?;
    Ok(Given::Right)
}

#[cfg(test)]
mod tests;
