//! Workers that are killed in the middle of their work: every row is done in the end, and a death is charged to the one
//! task that ran, to none of its neighbours.
//!
//! What would be found here: rows that stay with the dead, locks that outlive their process, attempts that a kill has
//! cost the innocent, and workers that need the one that started them.

use crate::installation::{BOUND, Installation, alive, signal, statuses, within};
use rustix::process::Signal;
use std::collections::BTreeSet;

/// Rows that keep four workers busy for about a second.
const ROWS: u64 = 400;

/// Four lingering workers in the middle of their batches.
fn busy() -> Installation {
    let here = Installation::new("workers = 4\n");
    here.run(&["tick"]).well();
    here.await_workers(4);
    here.insert(usize::try_from(ROWS).unwrap(), "sleep", "10");
    within(BOUND, "the first rows to be done", || (here.done() >= 20).then_some(()));
    here
}

/// Waits until every row is done and settled once; at its first attempt, but for one task of each killed worker at most.
fn all_done(here: &Installation, killed: i64) {
    within(BOUND, "all rows to be done", || (here.done() == ROWS).then_some(()));
    let rows = i64::try_from(ROWS).unwrap();
    assert_eq!(here.count("attempt <= 2 AND error IS NULL"), rows);
    assert!(here.count("attempt = 1") >= rows - killed, "{} of {rows}", here.count("attempt = 1"));
    within(BOUND, "the outcomes to be folded", || (here.queue() == statuses([("done", ROWS)])).then_some(()));
    let log = here.log();
    let settled: Vec<&str> = log
        .lines()
        .filter_map(|line| line.split(' ').find(|word| line.contains(" done ") && word.starts_with("task=")))
        .collect();
    assert_eq!(settled.iter().collect::<BTreeSet<_>>().len(), settled.len(), "a task was settled twice");
}

#[test]
fn the_others_go_on_and_the_next_tick_replaces_the_dead() {
    let here = busy();
    let workers = here.workers();
    signal(workers[&1], Signal::KILL);
    let rest = here.await_workers(3);
    assert!(!rest.contains_key(&1), "{rest:?}");
    assert!(here.done() < ROWS, "it was killed too late to prove anything");
    here.run(&["tick"]).well();
    let again = here.await_workers(4);
    assert!(again[&1] != workers[&1] && [0, 2, 3].iter().all(|index| again[index] == workers[index]), "{again:?}");
    all_done(&here, 1);
}

#[test]
fn rows_of_a_dead_worker_are_done_by_the_living() {
    let here = busy();
    signal(here.workers()[&2], Signal::KILL);
    // No tick: the partition of the dead worker is taken over.
    all_done(&here, 1);
    assert_eq!(here.workers().len(), 3);
}

#[test]
fn when_all_are_dead_the_next_tick_does_the_rest() {
    let here = busy();
    for pid in here.workers().into_values() {
        signal(pid, Signal::KILL);
    }
    here.await_silence();
    let left = ROWS - here.done();
    assert!(left > 0 && here.count("status = 'ready' AND attempt = 0") == i64::try_from(left).unwrap());
    here.run(&["tick"]).well();
    all_done(&here, 4);
    assert_eq!(here.workers().len(), 4);
}

#[test]
fn workers_of_a_drain_do_not_need_it() {
    let here = Installation::new("workers = 4\n");
    here.insert(usize::try_from(ROWS).unwrap(), "sleep", "10");
    let mut drain = here.start(&["drain"]);
    within(BOUND, "the first rows to be done", || (here.done() >= 20).then_some(()));
    signal(drain.pid(), Signal::KILL);
    assert_eq!(drain.code(), None);
    assert!(here.done() < ROWS && !alive(drain.pid()));
    here.await_silence();
    all_done(&here, 0);
}

#[test]
fn a_drain_whose_workers_are_killed_says_that_work_remains() {
    let here = Installation::new("workers = 2\n");
    here.insert(2_000, "sleep", "20");
    let mut drain = here.start(&["drain"]);
    within(BOUND, "the first rows to be done", || (here.done() > 0).then_some(()));
    for pid in here.workers().into_values() {
        signal(pid, Signal::KILL);
    }
    assert_eq!(drain.code(), Some(75));
    assert_eq!(here.lines("ended with signal: 9"), 2);
}
