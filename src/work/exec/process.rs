//! A started program and its process group: signals to both, and the reaping.
//!
//! The leader's number is also its group's. As long as the leader is not reaped, neither can belong to anybody else;
//! so every signal is sent before the reaping, and the reaping is always the last thing. A value that is dropped
//! before that (because what the caller does with a line panicked) kills and reaps as well.

use rustix::io::Errno;
use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, PidfdFlags, Signal, getpgid, kill_process_group, pidfd_open, pidfd_send_signal};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, ExitStatus};

/// A child that leads a process group, and is not yet reaped.
pub(super) struct Process {
    child: Child,
    group: Pid,
    pidfd: OwnedFd,
    reaped: bool,
}

impl Process {
    /// Takes charge of `child`. If it cannot be watched, which passes, it is killed and reaped.
    pub(super) fn new(mut child: Child) -> Result<Process, Errno> {
        let group = Pid::from_child(&child);
        match pidfd_open(group, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Process { child, group, pidfd, reaped: false }),
            Err(e) => {
                let _ = kill_process_group(group, Signal::KILL);
                let _ = child.wait();
                Err(e)
            }
        }
    }

    /// Becomes readable when the program has ended.
    pub(super) fn ended(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Asks the group to end. One that is stopped is let go on, since it could not answer otherwise.
    pub(super) fn ask(&self) {
        self.signal(Signal::TERM);
        self.signal(Signal::CONT);
    }

    /// Kills the group.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// The processor time that the program has used, in milliseconds, without that of its children. Good until it is
    /// reaped.
    pub(super) fn cpu_ms(&self) -> Option<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.group.as_raw_nonzero())).ok()?;
        // The name in brackets may contain anything; utime and stime are the fields 14 and 15 (proc(5)).
        let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
        let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
        Some(ticks.saturating_mul(1_000) / clock_ticks_per_second().max(1))
    }

    /// How much memory the program has resident, in pages; good until it is reaped.
    pub(super) fn resident_pages(&self) -> Option<u64> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.group.as_raw_nonzero())).ok()?;
        statm.split(' ').nth(1)?.parse().ok()
    }

    /// Kills what is left of the group and reaps the leader; waits for its end.
    pub(super) fn reap(mut self) -> io::Result<ExitStatus> {
        self.end()
    }

    /// Errors are of no use here: either nobody is left, or it is somebody whom this user may not signal.
    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.group, signal);
        // A program can leave the group that it was to lead.
        if getpgid(Some(self.group)) != Ok(self.group) {
            let _ = pidfd_send_signal(&self.pidfd, signal);
        }
    }

    fn end(&mut self) -> io::Result<ExitStatus> {
        self.kill();
        self.reaped = true;
        self.child.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = self.end();
        }
    }
}
