//! The log, written and read: whatever a record holds, it is one line, which passes for no other task's; whatever stands in
//! a day's file, it is shown in lines that steer no terminal.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rowmill::clock::Clock;
use rowmill::log::read::{Query, show};
use rowmill::log::{Journal, Settings};
use std::fmt::Display;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// 2026-11-21 21:14:03.123 UTC.
const NOW_MS: i64 = 1_795_295_643_123;
const OURS: i64 = 42;

fn journal() -> &'static (PathBuf, Clock, Arc<Journal>) {
    static JOURNAL: OnceLock<(PathBuf, Clock, Arc<Journal>)> = OnceLock::new();
    JOURNAL.get_or_init(|| {
        let dir = std::env::var_os("ROWMILL_FUZZ_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let dir = dir.join(format!("log-{}", std::process::id()));
        let clock = Clock::manual(NOW_MS);
        let (zone, level) = (chrono_tz::UTC, log::LevelFilter::Info);
        let settings = Settings { dir: dir.clone(), zone, level, to_stderr: false };
        let journal = Journal::open(settings, clock.clone()).expect("a scratch log");
        (dir, clock, journal)
    })
}

/// What `logs` shows: all, or a task's.
fn shown(task: Option<i64>) -> String {
    let (dir, clock, _) = journal();
    let query = Query { dir: dir.clone(), zone: chrono_tz::UTC, date: None, task, worker: None };
    let mut out = Vec::new();
    show(&query, clock, &mut out).expect("whatever stands in a file can be shown");
    String::from_utf8(out).expect("what is shown is text")
}

fn steers(c: char) -> bool {
    (c.is_control() && c != '\n') || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fuzz_target!(|input: (Vec<(&str, &str)>, &str, &[u8])| {
    let (tags, text, raw) = input;
    let (_, _, journal) = journal();
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
