//! The signals of a resident scheduler: TERM and INT ask it to stop, HUP to read its configuration anew.

use crate::error::Result;
use crate::work::Stop;
use rustix::event::{EventfdFlags, eventfd};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// What was asked for.
#[derive(Debug)]
pub(super) struct Signals {
    /// Asked for by TERM or INT; twice to break off.
    pub(super) stop: Stop,
    hung_up: Arc<OwnedFd>,
}

impl Signals {
    /// Listens from now on until the process ends.
    pub(super) fn listen() -> Result<Signals> {
        let stop = Stop::new()?;
        let hung_up = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (asked, rung) = (stop.clone(), Arc::clone(&hung_up));
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let listen = move || {
            for signal in signals.forever() {
                match signal {
                    // It can only fail when the counter is full, and then it is readable already.
                    SIGHUP => drop(rustix::io::write(&*rung, &1u64.to_ne_bytes())),
                    _ => asked.request(),
                }
            }
        };
        std::thread::Builder::new().name("signals".to_string()).spawn(listen)?;
        Ok(Signals { stop, hung_up })
    }

    /// What becomes readable when something is asked for.
    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.stop.descriptor(), self.hung_up.as_fd()]
    }

    /// Whether the configuration is to be read anew; several HUPs since the last call are one.
    pub(super) fn hung_up(&self) -> bool {
        rustix::io::read(&*self.hung_up, &mut [0u8; 8]).is_ok()
    }
}
