//! Bodies: how the processes of an executable are found after their worker died.
//!
//! Every executable inherits an open file that its worker made, locked, as do its descendants. While any of them lives
//! the lock is taken, however the worker ended; so "the lock is free" is proof that nothing of it runs. Who still has the
//! file open is found in /proc, and killed with its process group. (No group is noted beforehand: a descendant can leave
//! its group, but takes the file along.) One that closes every descriptor is not seen, and one of another user is neither
//! found nor killed: what must not begin beside it waits, and nothing else.

use crate::clock::{Watch, world};
use crate::error::{Error, Kind, Result};
use crate::store::sqlite::lock::{self, Inode};
use crate::store::sqlite::pulse;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock, fstat, stat};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long killed processes are waited for. The kernel may hold one in a system call for a while.
const GONE_WITHIN: Duration = Duration::from_secs(1);
/// The same where nobody is found who could be killed: one that is just ending cannot be looked into either.
const SEEN_WITHIN: Duration = Duration::from_millis(100);
/// Between two looks at such.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
/// What did not end is tried again after this, and then not waited for.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The body file of a worker's incarnation.
pub(super) fn path(run: &Path, incarnation: i64) -> PathBuf {
    run.join(format!("body-{incarnation}"))
}

/// The dead workers whose processes did not end when this process last tried.
#[derive(Debug, Default)]
pub(super) struct Stubborn {
    /// When that was.
    tried: BTreeMap<i64, Watch>,
    /// Whether claims of such are to be recovered, which no commit will tell of.
    pub(super) hold_up: bool,
}

impl Stubborn {
    /// Ends the body of a dead worker, wherever it lies; whether it has ended. What does not let itself be killed is
    /// waited for once, then only looked for again, at most once a second: nobody stands still before it.
    pub(super) fn end(&mut self, run: &Path, incarnation: i64) -> Result<bool> {
        let patience = match self.tried.get(&incarnation) {
            Some(since) if !since.left_of(AGAIN_AFTER).is_zero() => return Ok(false),
            Some(_) => Duration::ZERO,
            None => GONE_WITHIN,
        };
        match end_strays(run, incarnation, patience) {
            Ok(()) => {
                self.tried.remove(&incarnation);
                Ok(true)
            }
            Err(e) if e.kind() == Kind::TryAgain => {
                if self.tried.insert(incarnation, Watch::start()).is_none() {
                    log::warn!("the tasks of a dead worker wait: {e}");
                }
                Ok(false)
            }
            Err(e) => Err(e),
        }
    }

    /// How long to sleep at most before it is tried again.
    pub(super) fn until_next(&self) -> Option<Duration> {
        self.hold_up.then_some(AGAIN_AFTER)
    }
}

/// Kills whatever is left of the executables of a worker that ends, and waits until it is gone. An error of kind
/// [`TryAgain`](crate::error::Kind::TryAgain) when something is still there.
pub(super) fn end(run: &Path, incarnation: i64) -> Result<()> {
    end_at_place(run, incarnation, GONE_WITHIN)
}

fn end_at_place(run: &Path, incarnation: i64, patience: Duration) -> Result<()> {
    let path = path(run, incarnation);
    match File::open(&path) {
        Ok(file) => end_in(&file, incarnation, patience).map(|()| lock::clear(&path)),
        // No executable was ever started, all is cleared away, or the run folder was deleted or replaced since.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// The same where the run folder was deleted or replaced while the worker lived: a body bears its name in it, and is found
/// by that wherever it was moved.
fn end_strays(run: &Path, incarnation: i64, patience: Duration) -> Result<()> {
    let path = path(run, incarnation);
    while let Some(file) = stray(&path)? {
        end_in(&file, incarnation, patience)?;
    }
    end_at_place(run, incarnation, patience)
}

/// A body file of this name that a process has open, but this one, and that is not the one at its path.
fn stray(path: &Path) -> Result<Option<File>> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let there = Inode::at(path);
    if world::is_there() {
        // Processes of a world start no programs.
        return Ok(None);
    }
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        if pid.is_none_or(|pid| pid == std::process::id()) {
            continue;
        }
        let Ok(fds) = std::fs::read_dir(entry.path().join("fd")) else { continue };
        for fd in fds.flatten().map(|fd| fd.path()) {
            let link = std::fs::read_link(&fd).unwrap_or_default();
            let last = link.file_name().map(|last| last.to_string_lossy().into_owned()).unwrap_or_default();
            if last.trim_end_matches(" (deleted)") != name || Inode::at(&fd) == there {
                continue;
            }
            let bears = |bytes: Vec<u8>| bytes == path.as_os_str().as_bytes();
            if std::fs::read(&fd).is_ok_and(bears) {
                return Ok(File::open(&fd).ok());
            }
        }
    }
    Ok(None)
}

fn end_in(file: &File, incarnation: i64, patience: Duration) -> Result<()> {
    let watch = Watch::start();
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        pulse::beat();
        let found = holders(file)?;
        for pid in &found {
            kill(*pid, watch.left_of(patience));
        }
        let limit = if found.is_empty() { SEEN_WITHIN.min(patience) } else { patience };
        if watch.left_of(limit).is_zero() {
            return Err(Error::try_again(format!("processes of worker process {incarnation} do not end")));
        }
        if found.is_empty() {
            // An interruption only makes the pause shorter.
            let _ = poll(&mut [], Some(&LOOK));
        }
    }
}

/// The processes that have inherited the file with its lock.
fn holders(file: &File) -> Result<Vec<Pid>> {
    let own = fstat(file)?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()).and_then(Pid::from_raw);
        let Some(pid) = pid.filter(|pid| *pid != rustix::process::getpid()) else { continue };
        // Processes of others, and such as end meanwhile, cannot be looked into.
        let Ok(fds) = std::fs::read_dir(entry.path().join("fd")) else { continue };
        // Another worker that waits for the same end has the file open too; an executable has the lock that it inherited.
        let inherited = |fd: &std::fs::DirEntry| {
            let info = std::fs::read_to_string(entry.path().join("fdinfo").join(fd.file_name())).unwrap_or_default();
            info.lines().any(|line| line.contains("FLOCK") && line.contains(" READ "))
        };
        let has = |fd: std::fs::DirEntry| {
            stat(fd.path()).is_ok_and(|s| (s.st_dev, s.st_ino) == (own.st_dev, own.st_ino)) && inherited(&fd)
        };
        if fds.flatten().any(has) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Kills a process and its group, and waits until it is gone.
fn kill(pid: Pid, span: Duration) {
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let group = rustix::process::getpgid(Some(pid)).ok().filter(|group| *group != rustix::process::getpgrp());
    // Each of these can only fail because the process has ended, which is what is wanted.
    let _ = pidfd_send_signal(&process, Signal::KILL);
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let mut fds = [PollFd::new(&process, PollFlags::IN)];
    let _ = poll(&mut fds, Timespec::try_from(span).ok().as_ref());
}
