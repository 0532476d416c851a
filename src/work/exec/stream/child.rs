//! A stream's process, our ends of its pipes, and the tokens in one of them.
//!
//! Nothing here waits. What does not fit into the pipe to its standard input is kept until it does.

use super::parts::Parts;
use super::{Duty, Stream};
use crate::clock::Watch;
use crate::error::Error;
use crate::work::exec::attend::is_readable;
use crate::work::exec::launch::Ours;
use crate::work::exec::memory;
use crate::work::exec::process::Process;
use crate::work::exec::refusal::Refusal;
use crate::work::exec::start::{Occasion, Started, start};
use rustix::fs::OFlags;
use rustix::io::{Errno, ioctl_fionread, read, write};
use rustix::param::page_size;
use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

/// Tokens are bytes: so many lines at most are with the child that it may not have read yet, with room to spare.
const AHEAD: u64 = 192;

/// A stream that runs.
pub(super) struct Child {
    pub(super) process: Process,
    stdin: Option<OwnedFd>,
    /// It has closed its standard input. Ours stays open: what it has not read is counted there.
    deaf: bool,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
    tokens: Option<Tokens>,
    /// What is to be written to its standard input, and how much of that was.
    unsent: Vec<u8>,
    sent: usize,
    /// What it has written to its standard output, as far as that is not understood yet.
    pub(super) said: Parts,
    /// Lines that it was given, and of these, those that it has read for sure.
    given: u64,
    read: u64,
    /// Tasks that it has answered; those that it has answered last.
    pub(super) served: u64,
    pub(super) answered: VecDeque<i64>,
    since: Watch,
    /// It has more memory than it may.
    heavy: bool,
    pub(super) kills_before: Option<u64>,
    pub(super) cpu_limited: bool,
}

/// The pipe of the tokens: we write into it, and may take out again what the child has not taken.
struct Tokens {
    write: OwnedFd,
    /// An opening of its own, which does not block; the child's goes on blocking.
    read: File,
}

impl Tokens {
    fn of(ours: Ours) -> std::io::Result<Option<Tokens>> {
        let Some(write) = ours.write else { return Ok(None) };
        let again = format!("/proc/self/fd/{}", ours.read.as_raw_fd());
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
        Ok(Some(Tokens { write, read: File::options().read(true).custom_flags(flags).open(again)? }))
    }
}

impl Child {
    /// Starts one. It inherits the worker's body.
    pub(super) fn start(duty: &Duty<'_>) -> Result<Child, Refusal> {
        let passing = |e: Error| Refusal::Passing(format!("the file that its processes share cannot be made: {e}"));
        let body = duty.tools.body.open().map_err(passing)?;
        let occasion = Occasion::Stream { job: duty.job, worker: duty.tools.worker, tokens: duty.tokens() };
        let kills_before = memory::kernel_kills();
        let Started { process, ends, tokens, cpu_limited } = start(duty.command, occasion, duty.policy, body)?;
        let unwatched = |e| Refusal::Passing(format!("it was started, and its tokens cannot be had back ({e})"));
        let tokens = tokens.filter(|_| duty.tokens()).map(Tokens::of).transpose().map_err(unwatched)?.flatten();
        Ok(Child {
            process,
            stdin: ends.stdin,
            deaf: false,
            stdout: ends.stdout,
            stderr: ends.stderr,
            tokens,
            unsent: Vec::new(),
            sent: 0,
            said: Parts::default(),
            given: 0,
            read: 0,
            served: 0,
            answered: VecDeque::new(),
            since: Watch::start(),
            heavy: false,
            kills_before,
            cpu_limited,
        })
    }

    pub(super) fn has_ended(&self) -> bool {
        is_readable(self.process.ended())
    }

    /// Looks at its memory.
    pub(super) fn weigh(&mut self, stream: &Stream) {
        let Some(most) = stream.max_rss_bytes else { return };
        let resident = self.process.resident_pages().unwrap_or(0).saturating_mul(page_size() as u64);
        self.heavy = resident > most;
    }

    /// Whether it is to be replaced once it has answered what it has in hand. Each does one task at least.
    pub(super) fn is_spent(&self, stream: &Stream, in_hand: u64) -> bool {
        if self.served + in_hand == 0 {
            return false;
        }
        let too_old = |ms| self.since.left_of(Duration::from_millis(ms)).is_zero();
        self.heavy
            || stream.max_tasks.is_some_and(|most| self.served + in_hand >= most)
            || stream.max_age_ms.is_some_and(too_old)
    }

    /// Whether it can be given another line now. One that has nothing to do always can: it may be waiting for a token, with
    /// lines before it that were called back.
    pub(super) fn takes_more(&self, in_hand: usize) -> bool {
        in_hand == 0 || (self.unsent.is_empty() && self.given - self.read < AHEAD)
    }

    /// The token of the next line, where it takes tokens.
    pub(super) fn token(&self) -> Option<u8> {
        self.tokens.as_ref().map(|_| (self.given % 256) as u8)
    }

    /// Says that the next line is given, and gives it the number by which [`read_up_to`](Self::read_up_to) knows it.
    pub(super) fn give(&mut self) -> u64 {
        self.given += 1;
        self.given
    }

    /// It has read all lines up to this one.
    pub(super) fn read_up_to(&mut self, number: u64) {
        self.read = number;
    }

    /// Gives it lines and their tokens.
    pub(super) fn send(&mut self, lines: &[u8], tokens: &[u8]) -> Result<(), Errno> {
        self.unsent.extend_from_slice(lines);
        let fed = self.feed();
        if let Some(pipe) = self.tokens.as_ref().filter(|_| !tokens.is_empty()) {
            // Also where it has ended: the tokens that are left tell what it had not begun. There is always room, since the
            // pipe holds more than it may be given.
            write(&pipe.write, tokens)?;
        }
        fed
    }

    /// Its standard input, while there is something to be written to it.
    pub(super) fn hungry(&self) -> Option<BorrowedFd<'_>> {
        self.stdin.as_ref().filter(|_| !self.deaf && !self.unsent.is_empty()).map(AsFd::as_fd)
    }

    /// Writes what its standard input takes. An error says that it takes no more.
    pub(super) fn feed(&mut self) -> Result<(), Errno> {
        let Some(stdin) = &self.stdin else { return Err(Errno::PIPE) };
        while self.sent < self.unsent.len() {
            match write(stdin, &self.unsent[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(e) => {
                    self.deaf = true;
                    return Err(e);
                }
            }
        }
        self.unsent.clear();
        self.sent = 0;
        Ok(())
    }

    /// How many bytes of what it was given it has not read.
    pub(super) fn unread(&self) -> u64 {
        let in_pipe = self.stdin.as_ref().and_then(|stdin| ioctl_fionread(stdin).ok()).unwrap_or(0);
        in_pipe + (self.unsent.len() - self.sent) as u64
    }

    /// How many tokens it has not taken.
    pub(super) fn untaken(&self) -> usize {
        let count = self.tokens.as_ref().and_then(|pipe| ioctl_fionread(&pipe.read).ok()).unwrap_or(0);
        usize::try_from(count).unwrap_or(0)
    }

    /// Takes back the tokens that it has not taken; how many. The first of them is left to it with `keep`, if it would have
    /// none else.
    pub(super) fn take_back(&mut self, all: usize, keep: bool) -> usize {
        let Some(pipe) = &self.tokens else { return 0 };
        let mut bytes = [0; 256];
        let mut count = loop {
            match read(&pipe.read, &mut bytes) {
                Ok(count) => break count,
                Err(Errno::INTR) => {}
                Err(_) => break 0,
            }
        };
        if keep && count == all && write(&pipe.write, &bytes[..count.min(1)]) == Ok(1) {
            count -= 1;
        }
        count
    }

    /// Tells it that there is no more.
    pub(super) fn close(&mut self) {
        self.stdin = None;
        self.tokens = None;
    }

    /// Whether it was told that there is no more.
    pub(super) fn is_closed(&self) -> bool {
        self.stdin.is_none()
    }
}
