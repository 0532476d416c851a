//! The write gate: our writers take turns through a kernel lock that queues, so that they never poll for SQLite's own.
//!
//! Applications know only SQLite's lock, and poll for it. Writers that follow each other without a gap would leave them
//! to luck; so when one of ours finds the database locked, which only an application can have done, all keep a moment
//! free before each transaction for a while.

use super::lock::{is_at, open_lock, wrong};
use super::mapped::Mapped;
use super::pulse::{self, At};
use crate::error::Result;
use rustix::event::{Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// The moment that is kept free before each transaction.
const ROOM: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
/// For how long, since an application was last seen to write, in milliseconds.
const ROOM_FOR_MS: i64 = 1_000;
/// A log that grows is reported this often, in milliseconds.
const REPORT_EVERY_MS: i64 = 60_000;

/// The write gate: our writers take turns through it, in the order in which they came.
#[derive(Debug)]
pub(super) struct Gate {
    path: PathBuf,
    file: OwnedFd,
    /// The gate's file, mapped: until when room is kept; when the next report on the log may be made.
    shared: Mapped,
}

/// A turn at the gate; over when it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a>(&'a Gate);

impl Gate {
    pub(super) fn open(run: &Path) -> Result<Gate> {
        let path = run.join("gate");
        let file = open_lock(&path)?;
        let shared = map(&file)?;
        Ok(Gate { path, file, shared })
    }

    /// Waits for a turn. The kernel wakes waiters in order; a dead holder's turn is over at once.
    pub(super) fn take(&mut self) -> Result<Turn<'_>> {
        pulse::at(At::GateQueue);
        loop {
            match flock(&self.file, FlockOperation::LockExclusive) {
                Ok(()) if is_at(&self.file, &self.path) => break,
                Ok(()) => {
                    self.file = open_lock(&self.path)?;
                    self.shared = map(&self.file)?;
                }
                Err(Errno::INTR) => {}
                Err(e) => return Err(wrong(&self.path, e)),
            }
        }
        pulse::at(At::Gate);
        if pulse::now_ms() < self.shared.words()[0].load(Ordering::Acquire) {
            // An interruption only makes the pause shorter.
            let _ = poll(&mut [], Some(&ROOM));
        }
        Ok(Turn(self))
    }
}

/// Maps the gate's file by an opening of its own, so that no mapping keeps a turn.
fn map(file: &OwnedFd) -> Result<Mapped> {
    let again = format!("/proc/self/fd/{}", file.as_raw_fd());
    Mapped::new(&File::options().read(true).write(true).open(again)?)
}

impl Turn<'_> {
    /// Has all our writers keep room for a while: an application was seen to write.
    pub(super) fn keep_room(&self) {
        self.0.shared.words()[0].store(pulse::now_ms() + ROOM_FOR_MS, Ordering::Release);
    }

    /// Whether this is the one of our writers that reports the log's growth this minute. After another boot, whose clock
    /// it was, the file may ask for more patience than that: none of it counts.
    pub(super) fn may_report(&self) -> bool {
        let (next, now_ms) = (&self.0.shared.words()[1], pulse::now_ms());
        let wait_ms = next.load(Ordering::Acquire) - now_ms;
        let may = !(1..=REPORT_EVERY_MS).contains(&wait_ms);
        if may {
            next.store(now_ms + REPORT_EVERY_MS, Ordering::Release);
        }
        may
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Cannot fail on an open file that is locked; if it did, the next `take` of this process would end it.
        let _ = flock(&self.0.file, FlockOperation::Unlock);
        pulse::at(At::Work);
    }
}
