//! Kernel locks on files of the run folder.
//!
//! They belong to the open file, so the kernel gives them back the instant the process dies, however it dies. Every
//! descriptor is close-on-exec: no child keeps a lock alive. (Bodies are the exception: that is what they are for.) No
//! other lock file is ever deleted by us; where somebody else replaced it, the path is looked at again after locking, and
//! whoever has a lock also writes down in the database on which file: a lock on another one proves nothing until that
//! process is gone.

use crate::clock::{Millis, world};
use crate::error::{Error, Result};
use crate::share::{self, Want};
use rustix::fs::{FlockOperation, Mode, OFlags, Stat, Timestamps, UTIME_NOW, flock, fstat, futimens, open, stat};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// What the run folder's name has after the database's.
pub(super) const RUN_SUFFIX: &str = "-run";

/// Takes the lock `name` in the folder `run`, or answers `None` when somebody has it.
pub(crate) fn try_lock(run: &Path, name: &str) -> Result<Option<File>> {
    lock_at(&run.join(name), FlockOperation::NonBlockingLockExclusive)
}

/// Like [`try_lock`], for a lock that others look at with [`is_locked`]: looks again for a while.
pub(crate) fn try_lock_patiently(run: &Path, name: &str) -> Result<Option<File>> {
    for _ in 0..10 {
        if let Some(file) = try_lock(run, name)? {
            return Ok(Some(file));
        }
        if !world::wait("lock", Duration::from_millis(5)) {
            let pause = rustix::event::Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
            let _ = rustix::event::poll(&mut [], Some(&pause));
        }
    }
    Ok(None)
}

/// Whether somebody has the lock `name`. Looks by taking it for an instant, so that whoever takes a lock for good
/// tries more than once.
pub(crate) fn is_locked(run: &Path, name: &str) -> Result<bool> {
    let path = run.join(name);
    match open(&path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty()) {
        Ok(file) => match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(e) => Err(wrong(&path, e)),
        },
        Err(Errno::NOENT) => Ok(false),
        Err(e) => Err(wrong(&path, e)),
    }
}

fn lock_at(path: &Path, how: FlockOperation) -> Result<Option<File>> {
    loop {
        let file = open_lock(path)?;
        loop {
            match flock(&file, how) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(e) => return Err(wrong(path, e)),
            }
        }
        if is_at(&file, path) {
            return Ok(Some(File::from(file)));
        }
    }
}

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inode {
    pub(super) device: i64,
    pub(super) number: i64,
}

impl Inode {
    pub(super) fn of(file: impl AsFd) -> Result<Inode> {
        let found = fstat(file)?;
        Ok(Inode { device: found.st_dev.cast_signed(), number: found.st_ino.cast_signed() })
    }

    /// Of the file at a path; `None` when there is none.
    pub(super) fn at(path: &Path) -> Option<Inode> {
        let found = stat(path).ok()?;
        Some(Inode { device: found.st_dev.cast_signed(), number: found.st_ino.cast_signed() })
    }
}

/// For how long a lock file has been there, made now if there is none; `None` when the file system does not tell.
pub(super) fn age(path: &Path) -> Result<Option<Duration>> {
    let file = File::from(open_lock(path)?);
    Ok(file.metadata()?.created().ok().and_then(|made| made.elapsed().ok()))
}

/// Whether the open file is the one that its path names.
pub(super) fn is_at(file: &OwnedFd, path: &Path) -> bool {
    match (fstat(file), stat(path)) {
        (Ok(a), Ok(b)) => (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino),
        _ => false,
    }
}

/// Opens a file of the run folder for reading and writing, making it and the folder when they are missing. It belongs to
/// whom the folder belongs.
pub(crate) fn open_lock(path: &Path) -> Result<OwnedFd> {
    match open_in_place(path) {
        Err(Errno::NOENT) => {
            if let Some(folder) = path.parent() {
                make_folder(folder)?;
            }
            open_in_place(path).map_err(|e| wrong(path, e))
        }
        other => other.map_err(|e| wrong(path, e)),
    }
}

fn open_in_place(path: &Path) -> std::result::Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    match open(path, flags, Mode::empty()) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    match share::inherited(path.parent().unwrap_or(path), share::FILE, 0o600)? {
        Some(want) => share::open_or_make(path, flags, want),
        None => open(path, flags | OFlags::CREATE, Mode::from_raw_mode(0o600)),
    }
}

/// Notes in a lock file that what it is for was done now. Only a hint for [`since_touched`].
pub(crate) fn touch(file: &File) {
    let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let _ = futimens(file, &Timestamps { last_access: now, last_modification: now });
}

/// How long ago a lock file was touched; `None` when never, or when the clock was set back since.
pub(crate) fn since_touched(run: &Path, name: &str) -> Option<Duration> {
    let file = stat(run.join(name)).ok()?;
    // The precise clock: the coarse one may lag behind what the file system has just written.
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    let past = nanos(now.tv_sec, now.tv_nsec) - nanos(file.st_mtime, file.st_mtime_nsec as i64);
    u64::try_from(past).ok().map(Duration::from_nanos)
}

/// When a lock file was touched, by the clock of then; `None` when there is none.
pub(crate) fn touched_at(run: &Path, name: &str) -> Option<Millis> {
    let file = stat(run.join(name)).ok()?;
    Some(file.st_mtime.saturating_mul(1_000).saturating_add(file.st_mtime_nsec as i64 / 1_000_000))
}

/// Takes away a file of the run folder that nobody needs any more. One that stays is found and cleared next time.
pub(crate) fn clear(path: &Path) {
    let _ = std::fs::remove_file(path);
}

/// Makes the run folder; one that is there already is fine. It is shared with those who may write the database, and
/// belongs to the database's owner when root makes it, as SQLite's own files do.
pub(super) fn make_folder(folder: &Path) -> Result<()> {
    let database = folder.as_os_str().as_bytes().strip_suffix(RUN_SUFFIX.as_bytes()).unwrap_or_default();
    let made = match stat(Path::new(OsStr::from_bytes(database))).map(|found| run_folder(&found)) {
        Ok(Some(want)) => share::make_folder(folder, want),
        _ => match rustix::fs::mkdir(folder, Mode::from_raw_mode(0o700)) {
            Err(Errno::EXIST) => Ok(()),
            other => other,
        },
    };
    made.map_err(|e| wrong(folder, e))
}

/// What the run folder of a database is to be; `None` when it is this user's alone.
fn run_folder(database: &Stat) -> Option<Want> {
    let shared = database.st_mode & 0o060 == 0o060;
    let owner = geteuid().is_root().then_some(database.st_uid).filter(|owner| *owner != 0);
    let mode = if shared { share::FOLDER } else { 0o700 };
    (shared || owner.is_some()).then_some(Want { owner, group: Some(database.st_gid), mode })
}

pub(super) fn wrong(path: &Path, e: Errno) -> Error {
    let text = format!("{}: {}", path.display(), std::io::Error::from(e));
    match e {
        Errno::NOSPC | Errno::DQUOT | Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::IO | Errno::NOENT => {
            Error::try_again(text).hint("it goes on when the cause is gone")
        }
        _ => Error::failed(text).hint("locks lie beside the database: this user must be able to write there"),
    }
}
