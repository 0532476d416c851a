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
    // Whoever has just taken a dead one's place is seen under that one's number for a moment.
    let again = within(BOUND, "another one in its place", || {
        Some(here.workers()).filter(|again| again.len() == 4 && again[&1] != workers[&1])
    });
    assert!([0, 2, 3].iter().all(|index| again[index] == workers[index]), "{again:?}");
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

/// The first hold of each partition is lost as soon as it is had: somebody raised the epoch after it.
pub(crate) const LOSE_FIRST: &str = "CREATE TRIGGER lose_first AFTER INSERT ON rowmill_partition BEGIN
    UPDATE rowmill_partition SET epoch = epoch + 1
     WHERE generation = NEW.generation AND partition = NEW.partition;
  END";

#[test]
fn whoever_has_lost_its_hold_settles_nothing() {
    let here = Installation::new("workers = 1\n");
    here.script("brief", "echo run >> runs\n");
    here.sql().execute_batch(LOSE_FIRST).unwrap();
    here.insert(1, "brief", "");
    here.run(&["work", "--index", "0", "--drain"]).well();
    let runs = here.read("runs").lines().count();
    assert_eq!((runs, here.count("status = 'done' AND attempt = 1")), (2, 1), "the late outcome does not count");
    assert_eq!(here.lines("partition 0 has a new holder; "), 1, "{}", here.log());
}

#[test]
fn a_script_of_a_lost_hold_is_ended_before_the_task_runs_again() {
    let here = Installation::new("workers = 1\n");
    here.script("hold", "sleep 600 &\necho $$ $! >> pids\nuntil [ -e go ]; do sleep 0.02; done\n");
    here.sql().execute_batch(LOSE_FIRST).unwrap();
    here.insert(1, "hold", "");
    let mut worker = here.start(&["work", "--index", "0", "--drain"]);
    let pids = within(BOUND, "the task to run again", || {
        let text = here.read("pids");
        let pids: Vec<i32> = text.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        (pids.len() == 4 && text.ends_with('\n')).then_some(pids)
    });
    assert_eq!([0, 1, 2, 3].map(|n| alive(pids[n])), [false, false, true, true], "of the first run nothing goes on");
    here.write("go", "");
    assert_eq!(worker.code(), Some(0));
    assert_eq!((here.truth(), here.count("attempt = 1")), (statuses([("done", 1)]), 1));
    assert_eq!(here.lines("partition 0 has a new holder; task 1 is broken off"), 1, "{}", here.log());
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
