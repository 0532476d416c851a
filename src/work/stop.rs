//! Being told to stop: once to finish what runs, twice to break it off.
//!
//! The library handles no signal: whoever does calls [`Stop::request`] from any thread. Sleepers wait on the descriptor.

use crate::error::Result;
use rustix::event::{EventfdFlags, eventfd};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// A stop that can be asked for from any thread. Clones share it.
#[derive(Debug, Clone)]
pub struct Stop(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    level: AtomicU8,
    event: OwnedFd,
}

/// How far stopping has been asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Not at all.
    GoOn,
    /// Finish what runs, begin nothing.
    Finish,
    /// Break off what runs.
    BreakOff,
}

impl Stop {
    /// A stop that nobody has asked for yet. Errors: no descriptor left.
    pub fn new() -> Result<Stop> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Stop(Arc::new(Shared { level: AtomicU8::new(0), event })))
    }

    /// Asks for one level more; the third time and later change nothing.
    pub fn request(&self) {
        let next = |level: u8| Some((level + 1).min(2));
        // The closure never refuses, so there is no other case than the update.
        let _ = self.0.level.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        ring(&self.0.event);
    }

    /// How far it has been asked for.
    pub fn level(&self) -> Level {
        match self.0.level.load(Ordering::Acquire) {
            0 => Level::GoOn,
            1 => Level::Finish,
            _ => Level::BreakOff,
        }
    }

    /// Readable from the first request on.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }
}

/// Makes an event descriptor readable. It can only fail when the counter is full, and then it is readable already.
pub(super) fn ring(event: &OwnedFd) {
    let _ = rustix::io::write(event, &1u64.to_ne_bytes());
}

/// Makes an event descriptor silent again.
pub(super) fn silence(event: &OwnedFd) {
    let _ = rustix::io::read(event, &mut [0u8; 8]);
}
