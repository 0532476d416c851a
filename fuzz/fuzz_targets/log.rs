//! The log, written and read: whatever a record holds, it is one line, which passes for no other task's; whatever stands in
//! a day's file, it is shown in lines that steer no terminal.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rowmill::clock::Clock;
use rowmill::log::read::{Choice, Query, View, show};
use rowmill::log::{Form, Journal, Settings};
use std::fmt::Display;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// 2026-11-21 21:14:03.123 UTC.
const NOW_MS: i64 = 1_795_295_643_123;
const OURS: i64 = 42;

/// A folder, a clock that stands, and a journal in each of the two forms.
type Place = (PathBuf, Clock, [Arc<Journal>; 2]);

fn place() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let dir = std::env::var_os("ROWMILL_FUZZ_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let dir = dir.join(format!("log-{}", std::process::id()));
        let clock = Clock::manual(NOW_MS);
        let (zone, level) = (chrono_tz::UTC, log::LevelFilter::Info);
        let journals = [Form::Text, Form::Json].map(|form| {
            let settings = Settings { dir: dir.clone(), zone, level, form, to_stderr: false };
            Journal::open(settings, clock.clone()).expect("a scratch log")
        });
        (dir, clock, journals)
    })
}

/// What `logs` shows: all, or a task's.
fn shown(task: Option<i64>) -> String {
    let (dir, clock, _) = place();
    let choice = Choice { task, ..Choice::default() };
    let view = View { terminal: true, ..View::default() };
    let (dir, zone, since_ms, until_ms) = (dir.clone(), chrono_tz::UTC, None, None);
    let query = Query { dir, zone, date: None, since_ms, until_ms, choice, last: None, view };
    let mut out = Vec::new();
    show(&query, clock, &mut out).expect("whatever stands in a file can be shown");
    String::from_utf8(out).expect("what is shown is text")
}

fn steers(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fuzz_target!(|input: (bool, Vec<(&str, &str)>, &str, &[u8])| {
    let (json, tags, text, raw) = input;
    let journal = &place().2[usize::from(json)];
    let file = journal.file();
    let given: Vec<(&str, &dyn Display)> =
        tags.iter().filter(|(key, _)| *key != "task").map(|(key, value)| (*key, value as &dyn Display)).collect();

    // Foreign bytes, with a line's end behind them; then one record without, and one with our tag.
    fs::write(&file, [raw, b"\n"].concat()).expect("a scratch file");
    let before = shown(None).lines().count();
    let theirs = shown(Some(OURS));
    let mut lines = journal.lines();
    lines.add(NOW_MS, log::Level::Info, &given, format_args!("{text}"));
    journal.append(&lines);
    let all = shown(None);
    assert!(!all.contains(steers), "{all:?}");
    assert_eq!(all.lines().count(), before + 1, "{all:?}");
    assert_eq!(shown(Some(OURS)), theirs, "{all:?}");

    let mut with_ours = vec![("task", &OURS as &dyn Display)];
    with_ours.extend(given);
    lines.clear();
    lines.add(NOW_MS, log::Level::Info, &with_ours, format_args!("{text}"));
    journal.append(&lines);
    let ours = shown(Some(OURS));
    assert!(ours.starts_with(&theirs) && ours[theirs.len()..].lines().count() == 1, "{ours:?}");
});
