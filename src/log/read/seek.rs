//! Finding a place in a file without reading it: where a time begins, and where the last lines begin.
//!
//! Lines of many processes stand nearly in the order of their times: a line is stamped a moment before it is written. We
//! take it that no line stands behind one that is more than [`SLACK_MS`] younger. A process that stops for longer than
//! half of that between the two is killed as frozen. Where a clock was set back by more, a range of times may leave out
//! what was written just after; without a range all is shown.

use super::choose::{Filter, Taken};
use crate::clock::Millis;
use crate::log::entry::{HEAD_LEN, time_of};
use std::io;

/// By how much the lines of a file may be out of order, in milliseconds.
pub(super) const SLACK_MS: Millis = 60_000;

/// What is read at each step of a bisection, unless lines are longer; and the range in which it is over.
const PROBE: usize = 8 * 1024;

/// What is read at each step backwards.
const STRIDE: u64 = 256 * 1024;

/// Bytes that are read where one likes.
pub(super) trait ReadAt {
    /// Reads some bytes from `at` on; none only at the end.
    fn read_at(&mut self, room: &mut [u8], at: u64) -> io::Result<usize>;
}

/// Where to begin to read the lines from `since_ms` on: no line of that time stands before it. It is zero, or the beginning
/// of a line with a time. Reads a number of blocks that grows with the logarithm of `len`.
pub(super) fn start_of(bytes: &mut dyn ReadAt, len: u64, since_ms: Millis) -> io::Result<u64> {
    let wanted_ms = since_ms.saturating_sub(SLACK_MS);
    // What begins before `low` is too old; of what begins at `high` or behind it, nothing is known to be.
    let (mut low, mut high) = (0, len);
    while high - low > PROBE as u64 {
        let middle = low + (high - low) / 2;
        match next_time(bytes, middle, high)? {
            Some((at, time_ms)) if time_ms < wanted_ms => low = at,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// The first line with a time that begins in this range: where, and its time.
pub(super) fn next_time(bytes: &mut dyn ReadAt, from: u64, to: u64) -> io::Result<Option<(u64, Millis)>> {
    // One byte more: whether a line begins at `from` is seen by what stands before it.
    let mut at = from.saturating_sub(1);
    let mut is_begin = from == 0;
    let mut room = vec![0; PROBE + HEAD_LEN];
    loop {
        let len = fill(bytes, &mut room, at)?;
        let known = &room[..len];
        let mut begin = 0;
        loop {
            if !is_begin {
                let Some(end) = known[begin..].iter().position(|byte| *byte == b'\n') else { break };
                begin += end + 1;
            }
            if at + begin as u64 >= to {
                return Ok(None);
            }
            if known.len() - begin < HEAD_LEN && len == room.len() {
                is_begin = true;
                break;
            }
            if let Some(time_ms) = time_of(&known[begin..]) {
                return Ok(Some((at + begin as u64, time_ms)));
            }
            is_begin = false;
        }
        if len < room.len() {
            return Ok(None);
        }
        at += if is_begin { begin } else { len } as u64;
    }
}

/// Where the last lines of a file begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Last {
    /// Where to begin to read.
    pub(super) at: u64,
    /// The time that holds there for lines without one.
    pub(super) time_ms: Option<Millis>,
    /// How many of the lines that the filter takes stand behind it; fewer than wanted when there are no more.
    pub(super) found: usize,
}

/// Where the last `wanted` lines that the filter takes begin, of those between `from` and `len`. Reads backwards, and no
/// further than it must.
pub(super) fn last_of(bytes: &mut dyn ReadAt, from: u64, len: u64, filter: &Filter, wanted: usize) -> io::Result<Last> {
    let mut last = Last { at: len, time_ms: None, found: 0 };
    let (mut end, mut stride) = (len, STRIDE);
    while last.found < wanted && end > from {
        let back = end.saturating_sub(stride).max(from);
        // A piece begins with a line that has a time, so that it is known for the lines that have none.
        let begin = if back == from { Some(from) } else { next_time(bytes, back, end)?.map(|(at, _)| at) };
        let Some(begin) = begin else {
            stride *= 2;
            continue;
        };
        let mut room = vec![0; usize::try_from(end - begin).unwrap_or(usize::MAX)];
        let read = fill(bytes, &mut room, begin)?;
        let taken = taken_in(&room[..read], begin, filter);
        match taken.len().checked_sub(wanted - last.found) {
            Some(first) => {
                let (at, time_ms) = taken[first];
                return Ok(Last { at, time_ms, found: wanted });
            }
            None => last = Last { at: begin, time_ms: None, found: last.found + taken.len() },
        }
        (end, stride) = (begin, STRIDE);
    }
    Ok(last)
}

/// The lines that the filter takes: where each begins, and the time that held before it.
fn taken_in(piece: &[u8], begin: u64, filter: &Filter) -> Vec<(u64, Option<Millis>)> {
    let (mut taken, mut time_ms, mut at) = (Vec::new(), None, begin);
    for line in piece.split_inclusive(|byte| *byte == b'\n') {
        let before_ms = time_ms;
        if filter.judge(line.strip_suffix(b"\n").unwrap_or(line), &mut time_ms) == Taken::Yes {
            taken.push((at, before_ms));
        }
        at += line.len() as u64;
    }
    taken
}

/// Fills the room as far as there are bytes.
pub(super) fn fill(bytes: &mut dyn ReadAt, room: &mut [u8], at: u64) -> io::Result<usize> {
    let mut len = 0;
    while len < room.len() {
        match bytes.read_at(&mut room[len..], at + len as u64) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests;
