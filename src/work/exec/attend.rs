//! The one loop that waits while a program runs.
//!
//! It sleeps in `poll` on everything that can happen: the program takes more of its param, writes, ends; the run is to
//! be abandoned; a deadline passes. Nothing in it blocks, so no order of reading and writing on the other side can
//! bring it to a halt, and each turn does a bounded amount of work before it looks at the deadlines again.

use super::lines::Lines;
use super::process::Process;
use super::start::Started;
use crate::clock::Watch;
use crate::task::Policy;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, write};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitStatus;
use std::time::Duration;

/// How long the output may stay open after the program's end, before it is left to whoever holds it.
const STRAY: Duration = Duration::from_millis(200);

/// How much is read after that: more than the program itself can have left in its two pipes.
const LEFT_IN_PIPES: usize = 4 * 1024 * 1024;

/// How much is read or written at once.
const CHUNK: usize = 64 * 1024;

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
    let Started { process, stdin, stdout, stderr } = started;
    let mut pipes = Pipes { stdin, unsent: param, stdout, stderr, chunk: vec![0; CHUNK] };
    let mut course = Course { process: &process, policy, stage: Stage::Running(Watch::start()), reason: None };
    let watched = until_ended(&mut course, &mut pipes, abandon, lines);
    let mut reason = course.reason;
    // Before the rest of the output is read: whoever is left in the group could keep it open.
    process.kill();
    pipes.read_the_rest(lines);
    let status = process.reap();
    let failed = !status.as_ref().is_ok_and(ExitStatus::success);
    if reason.is_none() && failed && is_readable(abandon) {
        // A shutdown of the machine signals the program and its worker at the same time.
        reason = Some(Reason::Abandoned);
    }
    Finished { status: watched.map_err(io::Error::from).and(status), reason }
}

fn until_ended(
    course: &mut Course<'_>,
    pipes: &mut Pipes<'_>,
    abandon: BorrowedFd<'_>,
    lines: &mut Lines<'_>,
) -> Result<(), Errno> {
    loop {
        course.keep_deadlines();
        // Only the first reason counts; a descriptor that stays readable would wake us without end.
        let listening = matches!(course.stage, Stage::Running(_)).then_some(abandon);
        let ready = pipes.wait(Some(course.process.ended()), listening, course.left())?;
        pipes.serve(&ready, lines);
        if ready.ended {
            return Ok(());
        }
        if ready.abandoned {
            course.end(Reason::Abandoned);
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
struct Course<'a> {
    process: &'a Process,
    policy: &'a Policy,
    stage: Stage,
    reason: Option<Reason>,
}

impl Course<'_> {
    /// Until the next deadline; `None` if there is none.
    fn left(&self) -> Option<Duration> {
        match &self.stage {
            Stage::Running(watch) => self.policy.timeout_ms.map(|ms| watch.left_of(Duration::from_millis(ms))),
            Stage::Asked(watch) => Some(watch.left_of(Duration::from_millis(self.policy.grace_ms))),
            Stage::Killed => None,
        }
    }

    fn keep_deadlines(&mut self) {
        if self.left() != Some(Duration::ZERO) {
            return;
        }
        match self.stage {
            Stage::Running(_) => self.end(Reason::Timeout),
            Stage::Asked(_) => {
                self.process.kill();
                self.stage = Stage::Killed;
            }
            Stage::Killed => {}
        }
    }

    /// Asks a program that runs to end, unless it has ended while its output was being dealt with.
    fn end(&mut self, reason: Reason) {
        if !is_readable(self.process.ended()) {
            self.process.ask();
            self.stage = Stage::Asked(Watch::start());
            self.reason = Some(reason);
        }
    }
}

/// What a wait has found.
#[derive(Default)]
struct Ready {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    ended: bool,
    abandoned: bool,
}

/// Our ends of the program's pipes; one that is done with is closed at once.
struct Pipes<'a> {
    stdin: Option<OwnedFd>,
    unsent: &'a [u8],
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    chunk: Vec<u8>,
}

impl Pipes<'_> {
    /// Sleeps until something is ready or the time is over; a signal to this process wakes it with nothing.
    fn wait(
        &mut self,
        ended: Option<BorrowedFd<'_>>,
        abandon: Option<BorrowedFd<'_>>,
        left: Option<Duration>,
    ) -> Result<Ready, Errno> {
        if self.unsent.is_empty() {
            self.stdin = None;
        }
        let mut ready = Ready::default();
        let watched = [
            (self.stdin.as_ref().map(AsFd::as_fd), PollFlags::OUT, &mut ready.stdin),
            (self.stdout.as_ref().map(AsFd::as_fd), PollFlags::IN, &mut ready.stdout),
            (self.stderr.as_ref().map(AsFd::as_fd), PollFlags::IN, &mut ready.stderr),
            (ended, PollFlags::IN, &mut ready.ended),
            (abandon, PollFlags::IN, &mut ready.abandoned),
        ];
        let (mut fds, mut answers) = (Vec::with_capacity(watched.len()), Vec::with_capacity(watched.len()));
        for (fd, flags, answer) in watched {
            if let Some(fd) = fd {
                fds.push(PollFd::from_borrowed_fd(fd, flags));
                answers.push(answer);
            }
        }
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Ready::default()),
            Err(e) => return Err(e),
        }
        for (fd, answer) in fds.iter().zip(answers) {
            *answer = !fd.revents().is_empty();
        }
        Ok(ready)
    }

    /// Moves one chunk through each pipe that is ready, and says how many bytes it read.
    fn serve(&mut self, ready: &Ready, lines: &mut Lines<'_>) -> usize {
        if ready.stdin {
            self.feed();
        }
        let mut count = 0;
        if ready.stdout {
            count += read_chunk(&mut self.stdout, &mut self.chunk, |bytes| lines.take(false, bytes));
        }
        if ready.stderr {
            count += read_chunk(&mut self.stderr, &mut self.chunk, |bytes| lines.take(true, bytes));
        }
        count
    }

    fn feed(&mut self) {
        let Some(stdin) = &self.stdin else { return };
        match write(stdin, &self.unsent[..self.unsent.len().min(CHUNK)]) {
            Ok(count) => self.unsent = &self.unsent[count..],
            Err(Errno::AGAIN | Errno::INTR) => {}
            // It has closed its stdin, or ended: that it did not want all of its param is its own affair.
            Err(_) => self.stdin = None,
        }
    }

    /// After the program's end: all that is in the pipes, and until nobody holds them, but only for [`STRAY`].
    fn read_the_rest(&mut self, lines: &mut Lines<'_>) {
        self.stdin = None;
        let watch = Watch::start();
        let mut count = 0;
        while self.stdout.is_some() || self.stderr.is_some() {
            let left = watch.left_of(STRAY);
            let Ok(ready) = self.wait(None, None, Some(left)) else { return };
            count += self.serve(&ready, lines);
            // However long the lines took to deliver, what the program itself wrote is not lost.
            let nothing = !ready.stdout && !ready.stderr;
            if left.is_zero() && (nothing || count >= LEFT_IN_PIPES) {
                return;
            }
        }
    }
}

/// Reads once from a pipe that is ready, closes it at its end, and says how many bytes came.
fn read_chunk(pipe: &mut Option<OwnedFd>, chunk: &mut [u8], mut take: impl FnMut(&[u8])) -> usize {
    let Some(fd) = pipe else { return 0 };
    match read(fd, &mut *chunk) {
        Ok(count) if count > 0 => {
            take(&chunk[..count]);
            count
        }
        Err(Errno::AGAIN | Errno::INTR) => 0,
        Ok(_) | Err(_) => {
            *pipe = None;
            0
        }
    }
}

/// Whether `fd` is readable now.
fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    matches!(poll(&mut fds, Some(&Timespec::default())), Ok(count) if count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_that_never_stops_does_not_hold_up_the_end() {
        let endless = std::fs::File::open("/dev/zero").unwrap();
        let mut pipes =
            Pipes { stdin: None, unsent: b"", stdout: Some(endless.into()), stderr: None, chunk: vec![0; CHUNK] };
        let mut output = |_| {};
        pipes.read_the_rest(&mut Lines::new(&mut output));
        assert!(pipes.stdout.is_some(), "it was left, not ended");
    }
}
