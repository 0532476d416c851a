//! How worker processes are started, and told to end: what the decisions of a resident scheduler come to.

use super::Launch;
use crate::error::Result;
use crate::log::Journal;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::process::ExitStatus;

/// How a process ended; asked once it has.
pub type Ending = Box<dyn FnOnce() -> Option<ExitStatus>>;

/// A worker process that was just started.
pub struct Begun {
    /// Its number.
    pub pid: i32,
    /// Becomes readable when it ends.
    pub process: OwnedFd,
    /// See [`Ending`].
    pub ending: Ending,
}

/// Whoever starts worker processes and can tell them something.
pub trait Reach {
    /// Starts worker `index`, and does not wait for it.
    fn start(&self, index: u32) -> Result<Begun>;
    /// Tells a process to end. `false` when it belongs to somebody else, who or root may do that; one that has ended just
    /// now was told.
    fn tell(&self, pid: i32, process: BorrowedFd<'_>) -> bool;
}

/// The processes of this machine.
pub struct Machine<'a> {
    /// How they are started.
    pub launch: &'a Launch,
    /// Where their raw output goes.
    pub journal: &'a Journal,
}

impl Reach for Machine<'_> {
    fn start(&self, index: u32) -> Result<Begun> {
        let mut child = self.launch.start(index, self.journal)?;
        let pid = Pid::from_child(&child);
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => {
                let ending = Box::new(move || child.wait().ok());
                Ok(Begun { pid: pid.as_raw_nonzero().get(), process, ending })
            }
            Err(e) => {
                // Without a descriptor it cannot be watched; the next look finds it as one that somebody started.
                let wait = move || drop(child.wait());
                std::thread::Builder::new().name("wait".to_string()).spawn(wait)?;
                Err(e.into())
            }
        }
    }

    fn tell(&self, _pid: i32, process: BorrowedFd<'_>) -> bool {
        // It can fail otherwise only because the process has just ended.
        pidfd_send_signal(process, Signal::TERM) != Err(Errno::PERM)
    }
}
