use super::*;
use crate::log::read::Choice;
use crate::log::stamp::Stamp;
use proptest::prelude::*;

/// Bytes in memory, or made up where they are read; counts how many were.
struct Bytes<F: Fn(u64) -> u8> {
    byte_at: F,
    len: u64,
    read: u64,
}

impl<F: Fn(u64) -> u8> ReadAt for Bytes<F> {
    fn read_at(&mut self, room: &mut [u8], at: u64) -> io::Result<usize> {
        let len = (self.len.saturating_sub(at)).min(room.len() as u64) as usize;
        (at..).zip(&mut room[..len]).for_each(|(at, byte)| *byte = (self.byte_at)(at));
        self.read += len as u64;
        Ok(len)
    }
}

fn in_memory(bytes: &[u8]) -> Bytes<impl Fn(u64) -> u8 + '_> {
    Bytes { byte_at: |at| bytes[at as usize], len: bytes.len() as u64, read: 0 }
}

/// 2026-11-21 00:00 UTC.
const DAY_MS: Millis = 1_795_219_200_000;
const LINE: u64 = 100;
const LINES: u64 = 20_000_000;

/// The time of a line of the made-up day: twenty million lines in time order, but for every seventh, which is late.
fn time_of_line(line: u64) -> Millis {
    let late_ms = if line.is_multiple_of(7) { SLACK_MS - 10 } else { 0 };
    DAY_MS + (line * 86_400_000 / LINES) as Millis - late_ms as Millis
}

fn made_up(at: u64) -> u8 {
    use std::cell::RefCell;
    thread_local! { static LAST: RefCell<(u64, Vec<u8>)> = RefCell::default(); }
    LAST.with_borrow_mut(|(line, bytes)| {
        if bytes.is_empty() || *line != at / LINE {
            *line = at / LINE;
            *bytes = Stamp::new(chrono_tz::UTC).text(time_of_line(*line)).to_vec();
            bytes.extend_from_slice(format!(" INFO task={line} ").as_bytes());
            bytes.resize(LINE as usize - 1, b'x');
            bytes.push(b'\n');
        }
        bytes[(at % LINE) as usize]
    })
}

fn since(since_ms: Millis) -> Filter {
    Filter { since_ms: Some(since_ms), ..Filter::default() }
}

#[test]
fn a_time_is_found_in_two_gigabytes_by_reading_next_to_nothing() {
    for minute in [0, 1, 59, 600, 1439] {
        let since_ms = DAY_MS + minute * 60_000;
        let mut day = Bytes { byte_at: made_up, len: LINE * LINES, read: 0 };
        let start = start_of(&mut day, LINE * LINES, since_ms).unwrap();
        assert!(day.read < 400_000, "{} bytes were read", day.read);
        assert_eq!(start % LINE, 0);
        let first =
            (0..LINES).skip((minute as u64).saturating_sub(3) as usize * 13_000).find(|l| time_of_line(*l) >= since_ms);
        assert!(start / LINE <= first.unwrap(), "the first line of that time stands at {first:?}, not before {start}");
        // Nor much more than the slack on both sides is read for nothing.
        assert!(time_of_line(start / LINE) >= since_ms - 3 * SLACK_MS || start == 0, "{start}");
    }
    let mut day = Bytes { byte_at: made_up, len: LINE * LINES, read: 0 };
    assert!(start_of(&mut day, LINE * LINES, Millis::MAX).unwrap() >= LINE * LINES - PROBE as u64);
    assert_eq!(start_of(&mut day, LINE * LINES, Millis::MIN).unwrap(), 0);
}

#[test]
fn the_last_lines_of_two_gigabytes_are_found_from_the_end() {
    let mut day = Bytes { byte_at: made_up, len: LINE * LINES, read: 0 };
    let last = last_of(&mut day, 0, LINE * LINES, &Filter::default(), 5_000).unwrap();
    assert_eq!((last.at, last.found), (LINE * (LINES - 5_000), 5_000));
    assert!(day.read < 3 * STRIDE, "{} bytes were read", day.read);
    let task = Filter { choice: Choice { task: Some(19_995_000), ..Choice::default() }, ..Filter::default() };
    let last = last_of(&mut day, 0, LINE * LINES, &task, 1).unwrap();
    assert_eq!((last.at, last.found), (LINE * 19_995_000, 1));
    assert!(day.read < 8 * STRIDE, "{} bytes were read", day.read);
}

#[test]
fn what_is_over_is_not_read_on() {
    let until = Filter { until_ms: Some(DAY_MS + 60_000), ..Filter::default() };
    let mut time_ms = None;
    let taken = |line: u64, time_ms: &mut _| {
        let bytes: Vec<u8> = (line * LINE..(line + 1) * LINE - 1).map(made_up).collect();
        until.judge(&bytes, time_ms)
    };
    assert_eq!(taken(13_000, &mut time_ms), Taken::Yes);
    assert_eq!(taken(14_001, &mut time_ms), Taken::No);
    assert_eq!(taken(7 * 3_300, &mut time_ms), Taken::Yes, "late, but of that time");
    assert_eq!(taken(28_001, &mut time_ms), Taken::Over);
}

/// A small file: lines with times that are out of order by no more than the slack, lines without, long ones, an end
/// that is missing.
fn small() -> impl Strategy<Value = (Vec<u8>, Millis)> {
    let line = (0..40_000_i64, 0..SLACK_MS, 0..12_u8, 0..60_usize);
    (proptest::collection::vec(line, 0..120), any::<bool>(), 0..30_000_000_i64).prop_map(|(lines, cut, since_ms)| {
        let (mut bytes, mut now_ms) = (Vec::new(), DAY_MS);
        let mut stamp = Stamp::new(chrono_tz::Asia::Shanghai);
        for (step_ms, late_ms, kind, len) in lines {
            now_ms += step_ms;
            if kind > 2 {
                bytes.extend_from_slice(stamp.text(now_ms - if kind > 6 { late_ms } else { 0 }));
                bytes.extend_from_slice(b" INFO ");
            }
            bytes.extend(std::iter::repeat_n(b'x', if kind == 3 { len * 1_000 } else { len }));
            bytes.push(b'\n');
        }
        if cut {
            bytes.pop();
        }
        (bytes, DAY_MS + since_ms / 10)
    })
}

/// The lines that a reader shows who begins there.
fn shown(bytes: &[u8], at: usize, time_ms: Option<Millis>, filter: &Filter) -> Vec<Vec<u8>> {
    let mut time_ms = time_ms;
    let lines = bytes[at..].split_inclusive(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\n").unwrap_or(line));
    lines.filter(|line| filter.judge(line, &mut time_ms) == Taken::Yes).map(<[u8]>::to_vec).collect()
}

proptest! {
    #[test]
    fn no_line_is_missed_by_not_beginning_at_the_beginning((bytes, since_ms) in small(), wanted in 0..20_usize) {
        let filter = since(since_ms);
        let all = shown(&bytes, 0, None, &filter);
        let start = start_of(&mut in_memory(&bytes), bytes.len() as u64, since_ms).unwrap();
        prop_assert!(shown(&bytes, start as usize, None, &filter) == all, "{}", start);
        let last = last_of(&mut in_memory(&bytes), start, bytes.len() as u64, &filter, wanted).unwrap();
        let wanted_lines = &all[all.len().saturating_sub(wanted)..];
        prop_assert_eq!(last.found, wanted_lines.len());
        if wanted > 0 {
            prop_assert!(shown(&bytes, last.at as usize, last.time_ms, &filter) == wanted_lines, "{:?}", last);
        }
    }

    #[test]
    fn the_next_time_is_the_next((bytes, _) in small(), from in 0.0..1.0_f64, len in 0.0..1.0_f64) {
        let from = (from * bytes.len() as f64) as usize;
        let to = from + (len * (bytes.len() - from) as f64) as usize;
        let mut at = 0;
        let mut wanted = None;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if at >= from && at < to && wanted.is_none() {
                wanted = time_of(line).map(|time_ms| (at as u64, time_ms));
            }
            at += line.len();
        }
        prop_assert_eq!(next_time(&mut in_memory(&bytes), from as u64, to as u64).unwrap(), wanted);
    }
}
