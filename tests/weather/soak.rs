//! A long day: rows trickle in from everywhere, and workers stay as small as they were.
//!
//! What would be found here: memory, descriptors or files that grow with the time. `ROWMILL_SOAK_MINUTES=60` says for how
//! long; half a minute without it.

use super::process::{descriptors, kilobytes, number_of};
use crate::installation::{BOUND, Installation, pause, within};
use rowmill::clock::Watch;
use std::collections::BTreeMap;
use std::time::Duration;

/// What the workers have after a while may be exceeded later by this much, in kB: heaps are given back in pieces.
const GROWTH_KB: u64 = 6 << 10;
const GROWTH_DESCRIPTORS: usize = 8;

/// What a worker has: memory of its own in kB, and descriptors.
fn sizes(workers: &BTreeMap<u64, i32>) -> BTreeMap<u64, (u64, usize)> {
    workers.iter().map(|(index, pid)| (*index, (kilobytes(*pid, "RssAnon"), descriptors(*pid)))).collect()
}

/// A few rows of each kind, by SQL, and now and then by the command line.
fn trickle(here: &Installation, round: u64) {
    let conn = here.sql();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    for n in 0..12 {
        let (job, param) = match n {
            0 => ("mark", "".to_string()),
            1 => ("fail", format!("\"{round}\"")),
            2 => ("sleep", "120".to_string()),
            3 => ("echo", format!("\"{}\"", "x".repeat(2_000))),
            _ => ("noop", "".to_string()),
        };
        let attempts = if job == "fail" { Some(1) } else { None };
        conn.execute(
            "INSERT INTO queue (job, param, max_attempts) VALUES (?1, ?2, ?3)",
            rusqlite::params![job, param, attempts],
        )
        .unwrap();
    }
    let delayed = "INSERT INTO queue (job, run_at) VALUES
                   ('noop', CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) + 700)";
    conn.execute(delayed, []).unwrap();
    conn.execute_batch("COMMIT").unwrap();
    if round.is_multiple_of(20) {
        here.run(&["enqueue", "noop"]).well();
        here.run(&["tick"]).well();
        here.json(&["status"]);
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "shown when the test fails, or on wish")]
fn memory_descriptors_and_log_stay_flat() {
    let minutes = number_of("ROWMILL_SOAK_MINUTES", 0);
    let span = if minutes == 0 { Duration::from_secs(30) } else { Duration::from_secs(60 * minutes) };
    let here = Installation::new("workers = 4\nlinger = \"10m\"\n");
    here.script("mark", "echo $ROWMILL_TASK_ID\n");
    here.run(&["tick"]).well();
    let workers = here.await_workers(4);
    let (watch, mut round, mut first, mut longest) = (Watch::start(), 0, None, 0);
    while !watch.left_of(span).is_zero() {
        trickle(&here, round);
        round += 1;
        pause(Duration::from_millis(100));
        longest = longest.max(std::fs::metadata(here.path("rowmill.db-wal")).unwrap().len());
        // Warm after a third of a short day, and after three minutes of a long one.
        if first.is_none() && watch.left_of((span / 3).min(Duration::from_secs(180))).is_zero() {
            first = Some(sizes(&workers));
        }
    }
    within(BOUND, "the rest to be settled", || {
        (here.count("status IN ('ready', 'running', 'delayed')") == 0).then_some(())
    });
    let (first, last) = (first.unwrap(), sizes(&workers));
    let count = here.count("1");
    println!("{count} rows in {:?}; log {} MiB at most; worker: (kB, descriptors)", watch.elapsed(), longest >> 20);
    println!("warm: {first:?}\nend:  {last:?}");
    assert_eq!(here.workers(), workers, "the same processes all day");
    for (index, (kb, open)) in &last {
        let (kb_before, open_before) = first[index];
        assert!(*kb <= kb_before + GROWTH_KB, "worker {index}: {kb_before} kB, later {kb} kB");
        assert!(*open <= open_before + GROWTH_DESCRIPTORS, "worker {index}: {open_before} descriptors, later {open}");
    }
    assert!(longest < 40 << 20, "the log was {longest} bytes long");
    let run_files = std::fs::read_dir(here.path("rowmill.db-run")).unwrap().count();
    assert!(run_files < 40, "{run_files} files in the run folder");
    here.keeps_the_laws();
    assert_eq!(here.count("status = 'dead'"), i64::try_from(round).unwrap(), "those that fail, and no other");
}
