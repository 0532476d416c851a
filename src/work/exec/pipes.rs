//! Our ends of a program's pipes, and the one call that sleeps on them.
//!
//! Each turn moves one chunk through each pipe that is ready, so that nobody who writes without end keeps the others, or
//! the deadlines, waiting. What comes through descriptor 3 is the result: kept up to [`RESULT`], read and counted beyond
//! it, so that a program that writes too much is not held up and cannot fill the memory.

use super::lines::Lines;
use crate::clock::Watch;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// How long the output may stay open after the program's end, before it is left to whoever holds it.
const STRAY: Duration = Duration::from_millis(200);

/// How much is read after that: more than the program itself can have left in its pipes.
const LEFT_IN_PIPES: usize = 4 * 1024 * 1024;

/// How much is read or written at once.
const CHUNK: usize = 64 * 1024;

/// The longest result, in bytes.
pub(super) const RESULT: usize = 1024 * 1024;

/// What a program wrote to descriptor 3.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    bytes: Vec<u8>,
    length: u64,
}

impl Written {
    fn take(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(RESULT - self.bytes.len())]);
    }

    /// The result, `None` if nothing was written; or how long it would be, if that is too long.
    pub(super) fn result(self) -> Result<Option<Vec<u8>>, u64> {
        match self.length {
            0 => Ok(None),
            length if length > RESULT as u64 => Err(length),
            _ => Ok(Some(self.bytes)),
        }
    }
}

/// What a wait has found.
#[derive(Default)]
pub(super) struct Ready {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    result: bool,
    /// The program has ended.
    pub(super) ended: bool,
    /// The run is to be abandoned.
    pub(super) abandoned: bool,
}

/// Our ends of the program's pipes; one that is done with is closed at once.
pub(super) struct Pipes<'a> {
    stdin: Option<OwnedFd>,
    unsent: &'a [u8],
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    result: Option<OwnedFd>,
    written: Written,
    chunk: Vec<u8>,
}

/// Our ends as they are when the program has just started; none of them blocks.
pub(super) struct Ends {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
    pub(super) result: Option<OwnedFd>,
}

impl<'a> Pipes<'a> {
    /// The pipes of a program whose standard input is to be `unsent`.
    pub(super) fn new(ends: Ends, unsent: &'a [u8]) -> Pipes<'a> {
        let Ends { stdin, stdout, stderr, result } = ends;
        Pipes { stdin, unsent, stdout, stderr, result, written: Written::default(), chunk: vec![0; CHUNK] }
    }

    /// Sleeps until something is ready or the time is over; a signal to this process wakes it with nothing.
    pub(super) fn wait(
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
            (self.result.as_ref().map(AsFd::as_fd), PollFlags::IN, &mut ready.result),
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
    pub(super) fn serve(&mut self, ready: &Ready, lines: &mut Lines<'_>) -> usize {
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
        if ready.result {
            count += read_chunk(&mut self.result, &mut self.chunk, |bytes| self.written.take(bytes));
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

    /// After the program's end: takes what it left in the pipes, and answers what it wrote to descriptor 3.
    pub(super) fn read_the_rest(mut self, lines: &mut Lines<'_>) -> Written {
        self.stdin = None;
        self.read_the_result();
        self.read_the_output(lines);
        self.written
    }

    /// The program has written all of its result, so what is there now is all of it. Nobody is waited for: what a program
    /// leaves running often has its standard streams redirected, but not this one.
    fn read_the_result(&mut self) {
        let mut count = 0;
        while count < LEFT_IN_PIPES {
            match read_chunk(&mut self.result, &mut self.chunk, |bytes| self.written.take(bytes)) {
                0 => break,
                more => count += more,
            }
        }
        self.result = None;
    }

    /// All that is in the pipes, and until nobody holds them, but only for [`STRAY`].
    fn read_the_output(&mut self, lines: &mut Lines<'_>) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn endless() -> Option<OwnedFd> {
        Some(std::fs::File::open("/dev/zero").unwrap().into())
    }

    #[test]
    fn a_writer_that_never_stops_does_not_hold_up_the_end() {
        let mut pipes = Pipes::new(Ends { stdin: None, stdout: endless(), stderr: None, result: endless() }, b"");
        let mut output = |_| {};
        let mut lines = Lines::new(&mut output, Some(1_000));
        pipes.read_the_output(&mut lines);
        assert!(pipes.stdout.is_some(), "it was left, not ended");
        let written = pipes.read_the_rest(&mut lines);
        assert!(written.bytes.len() == RESULT && written.length >= LEFT_IN_PIPES as u64);
    }

    #[test]
    fn a_result_is_kept_up_to_its_bound_and_counted_beyond() {
        let after = |chunks: &[&[u8]]| {
            let mut written = Written::default();
            chunks.iter().for_each(|chunk| written.take(chunk));
            written.result()
        };
        let full = vec![7; RESULT];
        assert_eq!(after(&[]), Ok(None));
        assert_eq!(after(&[b"a\0", b"b"]), Ok(Some(b"a\0b".to_vec())));
        assert_eq!(after(&[&full[1..], b"x"]).map(|result| result.map(|bytes| bytes.len())), Ok(Some(RESULT)));
        assert_eq!(after(&[&full[1..], b"xy", b"z"]), Err(RESULT as u64 + 2));
    }

    proptest! {
        #[test]
        fn a_result_is_what_was_written_however_it_arrives(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            filler in prop_oneof![Just(0), RESULT - 300..RESULT + 2],
            cuts in proptest::collection::vec(1usize..200_000, 1..8),
        ) {
            let all = [vec![b'x'; filler], bytes].concat();
            let (mut written, mut rest, mut turn) = (Written::default(), &all[..], 0);
            while !rest.is_empty() {
                let (chunk, behind) = rest.split_at(cuts[turn % cuts.len()].max(rest.len() / 50).min(rest.len()));
                written.take(chunk);
                (rest, turn) = (behind, turn + 1);
            }
            let wanted = match all.len() {
                0 => Ok(None),
                len if len > RESULT => Err(len as u64),
                _ => Ok(Some(all)),
            };
            prop_assert!(written.result() == wanted);
        }
    }
}
