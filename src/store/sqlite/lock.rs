//! Kernel locks on files of the run folder.
//!
//! They belong to the open file, so the kernel gives them back the instant the process dies, however it dies. Every
//! descriptor is close-on-exec: no child keeps a lock alive. (Bodies are the exception: that is what they are for.) No
//! other lock file is ever deleted by us; where somebody else replaced it, the path is looked at again after locking, and
//! whoever has a lock also writes down in the database on which file: a lock on another one proves nothing until that
//! process is gone.

use crate::error::{Error, Result};
use rustix::fs::{FlockOperation, Mode, OFlags, Timestamps, UTIME_NOW, flock, fstat, futimens, open, stat};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

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
        let pause = rustix::event::Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        let _ = rustix::event::poll(&mut [], Some(&pause));
    }
    Ok(None)
}

/// Whether somebody has the lock `name`. Looks by taking it for an instant, so that whoever takes a lock for good
/// tries more than once.
pub(crate) fn is_locked(run: &Path, name: &str) -> Result<bool> {
    let path = run.join(name);
    match open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
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

pub(super) fn open_lock(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o600);
    match open(path, flags, mode) {
        Err(Errno::NOENT) => {
            if let Some(folder) = path.parent() {
                make_folder(folder)?;
            }
            open(path, flags, mode).map_err(|e| wrong(path, e))
        }
        other => other.map_err(|e| wrong(path, e)),
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

/// Takes away a file of the run folder that nobody needs any more. One that stays is found and cleared next time.
pub(crate) fn clear(path: &Path) {
    let _ = std::fs::remove_file(path);
}

/// Makes the run folder; one that is there already is fine.
pub(crate) fn make_folder(folder: &Path) -> Result<()> {
    match rustix::fs::mkdir(folder, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(e) => Err(wrong(folder, e)),
    }
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
