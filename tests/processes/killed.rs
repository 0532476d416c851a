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

#[test]
fn whoever_has_lost_its_hold_settles_nothing() {
    let here = Installation::new("workers = 1\n");
    here.script("hold", "echo run >> runs\nuntil [ -e go ]; do sleep 0.02; done\n");
    here.insert(1, "hold", "");
    let mut worker = here.start(&["work", "--index", "0", "--drain"]);
    let runs = || here.read("runs").lines().count();
    within(BOUND, "the job to start", || (runs() == 1).then_some(()));
    // What another holder does first; here it dies at once, so that the row is left to whoever comes.
    here.sql().execute("UPDATE rowmill_partition SET epoch = epoch + 1", []).unwrap();
    here.write("go", "");
    assert_eq!(worker.code(), Some(0));
    assert_eq!((runs(), here.count("status = 'done' AND attempt = 1")), (2, 1), "the late outcome does not count");
    assert_eq!(here.lines("partition 0 has a new holder; 1 runs settle nothing"), 1);
}

#[test]
fn a_script_goes_with_its_worker_and_runs_again() {
    let here = Installation::new("workers = 1\n");
    here.script("hold", "[ -e go ] && exit 0\necho $$ > pid\nexec sleep 600\n");
    here.insert(1, "hold", "");
    let worker = here.start(&["work", "--index", "0"]);
    let pid: i32 = within(BOUND, "the job to start", || here.read("pid").strip_suffix('\n')?.parse().ok());
    assert!(alive(pid));
    signal(worker.pid(), Signal::KILL);
    within(BOUND, "the script to end", || (!alive(pid)).then_some(()));
    assert!(
        here.truth() == statuses([("running", 1)]) || here.truth() == statuses([("ready", 1)]),
        "{:?}",
        here.truth()
    );
    here.write("go", "");
    here.run(&["drain"]).well();
    assert_eq!(here.count("status = 'done' AND attempt = 2"), 1, "the attempt that died is charged");
}
