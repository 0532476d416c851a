//! Thousands of rows that an application in another language has inserted, drained by ten workers: each is done once.
//!
//! What would be found here: rows that are lost or done twice between partitions, outcomes that are never folded, a
//! status that counts otherwise than the table, batches that wait for themselves.

use crate::installation::{BOUND, Installation, pause, statuses, to_its_end, within};
use crate::needs;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

const INSERT: &str = "
import sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
conn.execute('PRAGMA busy_timeout = 5000')
conn.execute('PRAGMA wal_autocheckpoint = 0')
conn.execute('BEGIN IMMEDIATE')
for n in range(20500):
    job = 'mark' if n % 41 == 0 else 'noop'
    conn.execute('INSERT INTO queue (job, param, priority) VALUES (?, ?, ?)', (job, '{\"n\":%d}' % n, n % 3))
conn.execute('COMMIT')
";

#[test]
fn rows_of_another_language_are_all_done_once() {
    if !needs::tool("python3") {
        return;
    }
    let here = Installation::new("workers = 10\n");
    here.script("mark", &format!("echo \"$ROWMILL_TASK_ID\" >> '{}'\n", here.path("marks").display()));
    let mut python = Command::new("python3");
    python.args(["-c", INSERT]).arg(here.path("rowmill.db"));
    to_its_end(python).well();
    assert_eq!(here.queue(), statuses([("ready", 20_500)]));

    let answer = here.run(&["drain"]).well();
    assert!(answer.starts_with("20,500 ready tasks drained in "), "{answer}");

    let status = here.json(&["status"]);
    for word in ["ready", "delayed", "running", "parked", "done", "dead", "cancelled"] {
        assert_eq!(status[word], here.queue().get(word).copied().unwrap_or(0), "{word}");
    }
    assert_eq!(here.queue(), statuses([("done", 20_500)]));
    assert_eq!((&status["jobs"]["noop"]["done"], &status["jobs"]["mark"]["done"]), (&20_000.into(), &500.into()));
    assert_eq!(here.count("attempt = 1 AND worker BETWEEN 0 AND 9 AND started_at <= finished_at"), 20_500);

    let mut marks: Vec<i64> = here.read("marks").lines().map(|line| line.parse().unwrap()).collect();
    marks.sort_unstable();
    assert_eq!(marks, (0..500).map(|n| n * 41 + 1).collect::<Vec<i64>>());
    assert_eq!(lines_by_task(&here, &[" done run_ms="]), (1..=20_500).map(|id| (id, 1)).collect());
}

/// How many lines the log has for each task that have one of these in them.
pub(super) fn lines_by_task(here: &Installation, parts: &[&str]) -> BTreeMap<i64, u32> {
    let mut found = BTreeMap::new();
    for line in here.log().lines().filter(|line| parts.iter().any(|part| line.contains(part))) {
        let id = line.split(' ').find_map(|word| word.strip_prefix("task=")).unwrap();
        *found.entry(id.parse().unwrap()).or_insert(0) += 1;
    }
    found
}

#[test]
fn a_batch_whose_settlement_is_held_up_goes_on() {
    let here = Installation::new("workers = 1\n");
    // The first batch alone takes several times the time that a batch has.
    here.insert(120, "sleep", "5");
    let mut drain = here.start(&["drain"]);
    // An application that writes so much that settlements wait for it, most of them past the end of their batch.
    let conn = here.sql();
    within(BOUND, "all rows to be done", || {
        conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        pause(Duration::from_millis(60));
        conn.execute_batch("COMMIT").unwrap();
        pause(Duration::from_millis(20));
        (here.done() == 120).then_some(())
    });
    assert_eq!(drain.code(), Some(0));
}

#[test]
fn one_worker_alone_drains_all_partitions() {
    let here = Installation::new("workers = 10\n");
    here.insert(200, "noop", "");
    here.run(&["work", "--index", "0", "--drain"]).well();
    assert_eq!(here.queue(), statuses([("done", 200)]));
    assert_eq!(here.count("worker = 0"), 200);
}
