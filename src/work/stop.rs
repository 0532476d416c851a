//! Being told to stop: once to finish what runs, twice to break it off.
//!
//! The library handles no signal: whoever does calls [`Stop::request`] from any thread. Sleepers wait on the descriptor.

use crate::error::Result;
use rustix::event::{EventfdFlags, eventfd};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// A stop that can be asked for from any thread. Clones share it.
#[derive(Debug, Clone)]
pub struct Stop(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// How often it was asked for.
    requests: AtomicU8,
    /// An order to stop was read.
    ordered: AtomicBool,
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
        Ok(Stop(Arc::new(Shared { requests: AtomicU8::new(0), ordered: AtomicBool::new(false), event })))
    }

    /// Asks for one level more; the third time and later change nothing.
    pub fn request(&self) {
        let next = |level: u8| Some((level + 1).min(2));
        // The closure never refuses, so there is no other case than the update.
        let _ = self.0.requests.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        ring(&self.0.event);
    }

    /// Asks to finish, as an order that stands in the database does. Whoever gives it also sends a signal: together they are
    /// one request.
    pub fn order(&self) {
        self.0.ordered.store(true, Ordering::Release);
        ring(&self.0.event);
    }

    /// How far it has been asked for.
    pub fn level(&self) -> Level {
        match self.0.requests.load(Ordering::Acquire) {
            0 if !self.0.ordered.load(Ordering::Acquire) => Level::GoOn,
            0 | 1 => Level::Finish,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_and_the_signal_that_comes_with_it_break_nothing_off() {
        for signal_first in [true, false] {
            let stop = Stop::new().unwrap();
            if signal_first {
                stop.request();
            }
            stop.order();
            assert_eq!(stop.level(), Level::Finish);
            if !signal_first {
                stop.request();
            }
            assert_eq!(stop.level(), Level::Finish);
            stop.request();
            assert_eq!(stop.level(), Level::BreakOff);
        }
    }
}
