//! Another program holds the write lock, or keeps a read transaction open, for long.
//!
//! What would be found here: workers that are taken for frozen while they wait, tasks that are run again or charged for
//! it, and a write-ahead log that grows without anybody being told.

use super::process::number_of;
use crate::installation::{BOUND, Installation, pause, within};
use rowmill::clock::Watch;
use std::time::Duration;

/// `ROWMILL_LOCK_SECONDS` says for how long.
#[test]
fn ten_workers_wait_for_a_program_that_keeps_the_database_locked() {
    let span = Duration::from_secs(number_of("ROWMILL_LOCK_SECONDS", 8));
    let here = Installation::new("workers = 10\nstall = \"2s\"\nlinger = \"5m\"\n");
    here.script("mark", "echo $ROWMILL_TASK_ID >> runs\n");
    here.run(&["tick"]).well();
    let before = here.await_workers(10);
    here.insert(1_000, "sleep", "5");
    here.insert(60, "mark", "");
    within(BOUND, "the first rows to be done", || (here.done() >= 20).then_some(()));
    let application = here.sql();
    application.execute_batch("BEGIN IMMEDIATE").unwrap();
    let watch = Watch::start();
    application.execute("INSERT INTO queue (job) VALUES ('noop')", []).unwrap();
    let done = here.done();
    assert!(done < 1_060, "it was locked too late to prove anything");
    while !watch.left_of(span).is_zero() {
        assert_eq!(here.json(&["status"])["done"], done, "who looks is answered");
        pause(Duration::from_millis(500));
    }
    application.execute_batch("COMMIT").unwrap();
    within(BOUND * 2, "all rows to be done", || (here.done() == 1_061).then_some(()));
    assert_eq!(here.count("attempt <> 1"), 0, "nobody is charged for it");
    assert_eq!((here.workers(), here.lines("made no progress")), (before, 0), "nobody was taken for frozen");
    let mut runs: Vec<String> = here.read("runs").lines().map(str::to_string).collect();
    runs.sort();
    runs.dedup();
    assert_eq!((runs.len(), here.read("runs").lines().count()), (60, 60), "nothing was run twice");
    here.keeps_the_laws();
}

/// How long the write-ahead log is, in bytes.
fn log_length(here: &Installation) -> u64 {
    std::fs::metadata(here.path("rowmill.db-wal")).unwrap().len()
}

#[test]
fn a_reader_that_pins_the_log_is_named_and_the_log_is_short_again_when_it_ends() {
    let here = Installation::new("workers = 2\nlinger = \"5m\"\n");
    here.run(&["tick"]).well();
    here.await_workers(2);
    here.insert(1, "noop", "");
    within(BOUND, "a row to be done", || (here.done() == 1).then_some(()));
    let reader = here.sql();
    reader.execute_batch("BEGIN; SELECT count(*) FROM queue").unwrap();
    let application = here.sql();
    for _ in 0..80 {
        let big = "INSERT INTO queue (job, param, run_at) VALUES ('noop', zeroblob(1000000), 9000000000000)";
        application.execute(big, []).unwrap();
    }
    let words = format!("cannot be shortened: process {} (", std::process::id());
    let go_on = |done: &dyn Fn() -> bool, what: &str| {
        within(BOUND, what, || {
            here.insert(1, "noop", "");
            pause(Duration::from_millis(100));
            done().then_some(())
        });
    };
    go_on(&|| here.lines(&words) > 0, "the reader to be named");
    let watch = Watch::start();
    go_on(&|| watch.left_of(Duration::from_secs(3)).is_zero(), "some more seconds to pass");
    assert_eq!(here.lines("cannot be shortened"), 1, "once a minute, whoever of the workers it is: {}", here.log());
    assert!(log_length(&here) > 64 << 20);
    reader.execute_batch("COMMIT").unwrap();
    go_on(&|| log_length(&here) < 33 << 20, "the log to be short again");
    within(BOUND, "the rest to be done", || (here.count("status = 'ready'") == 0).then_some(()));
    assert_eq!(here.count("attempt > 1"), 0);
    here.keeps_the_laws();
}
