//! The write gate: our writers take turns through a kernel lock that queues, so that they never poll for SQLite's own.
//!
//! Applications know only SQLite's lock, and poll for it. Writers that follow each other without a gap would leave them to
//! luck: [`super::room`] says when a turn begins with leaving the database free.

use super::lock::{is_at, open_lock, wrong};
use super::mapped::Mapped;
use super::pulse::{self, At};
use super::room::Room;
use crate::clock::world;
use crate::error::Result;
use rustix::event::{Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// A log that grows is reported this often, in milliseconds.
const REPORT_EVERY_MS: i64 = 60_000;

/// The write gate: our writers take turns through it, in the order in which they came.
#[derive(Debug)]
pub(super) struct Gate {
    path: PathBuf,
    file: OwnedFd,
    /// The gate's file, mapped: what is known of room; in its second word, when the next report on the log may be made.
    shared: Mapped,
}

/// A turn at the gate; over when it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    gate: &'a Gate,
    /// When it began, after its room.
    began_us: i64,
}

impl Gate {
    pub(super) fn open(run: &Path) -> Result<Gate> {
        let path = run.join("gate");
        let file = open_lock(&path)?;
        let shared = Mapped::apart_from(&file)?;
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
                    self.shared = Mapped::apart_from(&self.file)?;
                }
                Err(Errno::INTR) => {}
                Err(e) => return Err(wrong(&self.path, e)),
            }
        }
        pulse::at(At::Gate);
        let room = Room::of(self.shared.words()).due(pulse::now_us());
        // In a simulated world nobody polls, and nobody has time to lose.
        if !room.is_zero() && !world::is_there() {
            // An interruption only makes the pause shorter.
            let _ = poll(&mut [], Timespec::try_from(room).ok().as_ref());
        }
        Ok(Turn { gate: self, began_us: pulse::now_us() })
    }
}

impl Turn<'_> {
    /// What our writers know of the room that they left.
    pub(super) fn room(&self) -> Room<'_> {
        Room::of(self.gate.shared.words())
    }

    /// Whether this is the one of our writers that reports the log's growth this minute. After another boot, whose clock
    /// it was, the file may ask for more patience than that: none of it counts.
    pub(super) fn may_report(&self) -> bool {
        let (next, now_ms) = (&self.gate.shared.words()[1], pulse::now_ms());
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
        self.room().over(self.began_us, pulse::now_us());
        // Cannot fail on an open file that is locked; if it did, the next `take` of this process would end it.
        let _ = flock(&self.gate.file, FlockOperation::Unlock);
        pulse::at(At::Work);
    }
}
