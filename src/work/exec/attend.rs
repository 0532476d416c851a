//! The one loop that waits while a program runs.
//!
//! It sleeps in `poll` on everything that can happen: the program takes more of its param, writes, ends; the run is to
//! be abandoned; a deadline passes. Nothing in it blocks, so no order of reading and writing on the other side can
//! bring it to a halt, and each turn does a bounded amount of work before it looks at the deadlines again.

use super::lines::Lines;
use super::pipes::{Pipes, Written};
use super::process::Process;
use super::start::Started;
use crate::clock::Watch;
use crate::task::Policy;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::BorrowedFd;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a program did not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// It ran longer than it may.
    Timeout,
    /// Its worker could wait no longer.
    Abandoned,
}

/// A program that has ended and is reaped.
pub(super) struct Finished {
    /// Its exit; an error if it could not be learned.
    pub(super) status: io::Result<ExitStatus>,
    /// `None` if it ended by itself.
    pub(super) reason: Option<Reason>,
    /// What it wrote to descriptor 3.
    pub(super) written: Written,
    /// The processor time that it used, in milliseconds; only learned if that is limited.
    pub(super) cpu_ms: Option<u64>,
}

/// Feeds `param` to the program, gives its output to `lines`, and sees it to its end. When it returns, the program is
/// reaped and its group is killed.
pub(super) fn attend(
    started: Started,
    param: &[u8],
    policy: &Policy,
    abandon: BorrowedFd<'_>,
    lines: &mut Lines<'_>,
) -> Finished {
    let Started { process, ends, cpu_limited, .. } = started;
    let mut pipes = Pipes::new(ends, param);
    let mut course = Course::begin(policy.timeout_ms, policy.grace_ms);
    let watched = until_ended(&mut course, &process, &mut pipes, abandon, lines);
    let mut reason = course.reason;
    // Before the rest of the output is read: whoever is left in the group could keep it open.
    process.kill();
    let written = pipes.read_the_rest(lines);
    let cpu_ms = if cpu_limited { process.cpu_ms() } else { None };
    let status = process.reap();
    let failed = !status.as_ref().is_ok_and(ExitStatus::success);
    if reason.is_none() && failed && is_readable(abandon) {
        // A shutdown of the machine signals the program and its worker at the same time.
        reason = Some(Reason::Abandoned);
    }
    Finished { status: watched.map_err(io::Error::from).and(status), reason, written, cpu_ms }
}

fn until_ended(
    course: &mut Course,
    process: &Process,
    pipes: &mut Pipes<'_>,
    abandon: BorrowedFd<'_>,
    lines: &mut Lines<'_>,
) -> Result<(), Errno> {
    loop {
        course.keep_deadlines(process);
        // Only the first reason counts; a descriptor that stays readable would wake us without end.
        let listening = course.is_running().then_some(abandon);
        let ready = pipes.wait(Some(process.ended()), listening, course.left())?;
        pipes.serve(&ready, lines);
        if ready.ended {
            return Ok(());
        }
        if ready.abandoned {
            course.end(process, Reason::Abandoned);
        }
    }
}

/// How far the end of a program has been brought on: forward only, each stage once.
enum Stage {
    /// It may run until its timeout, counted from here.
    Running(Watch),
    /// It was asked to end; the grace counts from here.
    Asked(Watch),
    /// It was killed: there is nothing to do but wait.
    Killed,
}

/// The stages of one program, and who moved them on.
pub(super) struct Course {
    timeout_ms: Option<u64>,
    grace_ms: u64,
    stage: Stage,
    pub(super) reason: Option<Reason>,
}

impl Course {
    /// It may run from now on until its timeout.
    pub(super) fn begin(timeout_ms: Option<u64>, grace_ms: u64) -> Course {
        Course { timeout_ms, grace_ms, stage: Stage::Running(Watch::start()), reason: None }
    }

    /// Whether nobody has brought its end on.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Running(_))
    }

    /// Until the next deadline; `None` if there is none.
    pub(super) fn left(&self) -> Option<Duration> {
        match &self.stage {
            Stage::Running(watch) => self.timeout_ms.map(|ms| watch.left_of(Duration::from_millis(ms))),
            Stage::Asked(watch) => Some(watch.left_of(Duration::from_millis(self.grace_ms))),
            Stage::Killed => None,
        }
    }

    pub(super) fn keep_deadlines(&mut self, process: &Process) {
        if self.left() != Some(Duration::ZERO) {
            return;
        }
        match self.stage {
            Stage::Running(_) => self.end(process, Reason::Timeout),
            Stage::Asked(_) => {
                process.kill();
                self.stage = Stage::Killed;
            }
            Stage::Killed => {}
        }
    }

    /// Asks a program that runs to end, unless it has ended while its output was being dealt with.
    pub(super) fn end(&mut self, process: &Process, reason: Reason) {
        if !is_readable(process.ended()) {
            process.ask();
            self.stage = Stage::Asked(Watch::start());
            self.reason = Some(reason);
        }
    }
}

/// Whether `fd` is readable now.
pub(super) fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    matches!(poll(&mut fds, Some(&Timespec::default())), Ok(count) if count > 0)
}
