//! `drain`: what its exit code says, and drains that are not alone.
//!
//! What would be found here: a dead or parked task that a script does not notice, a drain that waits for delayed tasks
//! or for nobody, one that leaves before the last row is settled and folded.

use crate::installation::{BOUND, Installation, pause, statuses, within};
use rustix::fs::FlockOperation;
use std::fs::File;
use std::time::Duration;

#[test]
fn the_exit_code_says_what_became_of_the_tasks() {
    let here = Installation::new("workers = 3\n");
    let empty = here.run(&["drain"]).well();
    assert!(empty.starts_with("nothing was ready\n") && empty.contains("\nlog: "), "{empty}");
    assert_eq!(here.lines("worker starts"), 0, "nobody is started for nothing");

    here.insert(10, "noop", "");
    assert!(here.run(&["drain"]).well().starts_with("10 ready tasks drained in "));

    // The second attempt is seconds away: a drain does not wait for it, and nothing has gone wrong for good.
    here.insert(1, "fail", "\"not yet\"");
    here.run(&["drain"]).well();
    assert_eq!(here.queue(), statuses([("done", 10), ("delayed", 1)]));

    here.run(&["enqueue", "fail", "\"for good\"", "--max-attempts", "1"]).well();
    let died = here.run(&["drain"]);
    assert!(
        died.code == Some(1) && died.err.is_empty() && died.out.contains(", 1 died; others are delayed"),
        "{died:?}"
    );

    here.insert(1, "stranger", "");
    let parked = here.run(&["drain"]);
    assert!(parked.code == Some(75) && parked.out.contains(", 1 parked; "), "{parked:?}");

    // What was there before is not counted again.
    here.insert(1, "noop", "");
    here.run(&["drain"]).well();
    assert_eq!(here.queue(), statuses([("dead", 1), ("delayed", 1), ("done", 11), ("parked", 1)]));
}

#[test]
fn a_job_that_is_known_by_now_is_drained() {
    let here = Installation::new("workers = 2\n");
    here.insert(1, "late", "");
    assert_eq!(here.run(&["drain"]).code, Some(75));
    here.script("late", "exit 0\n");
    // Nothing else is ready: the parked row alone is reason enough.
    here.run(&["drain"]).well();
    assert_eq!(here.queue(), statuses([("done", 1)]));
}

#[test]
fn exit_codes_of_a_script_decide() {
    let here = Installation::new("workers = 2\n");
    for (name, code) in [("well", 0), ("again", 75), ("never", 65), ("broken", 3)] {
        here.script(name, &format!("exit {code}\n"));
        here.insert(1, name, "");
    }
    assert_eq!(here.run(&["drain"]).code, Some(1));
    assert_eq!(here.queue(), statuses([("dead", 1), ("delayed", 2), ("done", 1)]));
    assert_eq!(here.count("job = 'never' AND status = 'dead' AND attempt = 1"), 1);
    assert_eq!(here.count("job = 'broken' AND status = 'delayed' AND attempt = 1 AND cause = 'exit'"), 1);
    assert_eq!(here.count("job = 'again' AND status = 'delayed'"), 1);
}

#[test]
fn beside_lingering_workers_it_waits_for_theirs() {
    let here = Installation::new("workers = 3\n");
    here.run(&["tick"]).well();
    let workers = here.await_workers(3);
    for round in 1..=5 {
        here.insert(60, "sleep", "5");
        here.run(&["drain"]).well();
        assert_eq!(here.queue(), statuses([("done", round * 60)]), "at rest the table is right");
    }
    assert_eq!(here.workers(), workers, "they stay");
    assert_eq!(here.lines("worker starts"), 3);
}

#[test]
fn beside_some_lingering_workers_it_starts_the_others() {
    let here = Installation::new("workers = 4\n");
    here.run(&["tick", "--workers", "1"]).well();
    here.await_workers(1);
    here.insert(200, "sleep", "5");
    here.run(&["drain"]).well();
    assert_eq!(here.queue(), statuses([("done", 200)]));
    assert!(here.lines("worker starts") >= 3, "{}", here.log());
    assert_eq!(here.workers().len(), 1);
}

#[test]
fn two_at_once_drain_everything_once() {
    let here = Installation::new("workers = 4\n");
    for round in 1..=3 {
        here.insert(300, "sleep", "2");
        let mut both = [here.start(&["drain"]), here.start(&["drain"])];
        assert_eq!(both.each_mut().map(|drain| drain.code()), [Some(0), Some(0)]);
        assert_eq!(here.queue(), statuses([("done", round * 300)]));
    }
    assert_eq!((here.count("attempt = 1"), here.lines(" done run_ms=")), (900, 900));
    assert!(here.processes().is_empty());
}

#[test]
fn rows_that_come_while_it_drains_are_drained_too() {
    let here = Installation::new("workers = 2\n");
    here.insert(300, "sleep", "5");
    let mut drain = here.start(&["drain"]);
    within(BOUND, "the first rows to be done", || (here.done() > 0).then_some(()));
    here.insert(50, "noop", "");
    assert_eq!(drain.code(), Some(0));
    assert_eq!(here.queue(), statuses([("done", 350)]));
}

#[test]
fn it_leaves_the_table_right_when_another_process_folds() {
    let here = Installation::new("workers = 2\n");
    here.insert(10, "noop", "");
    // As a process that folds holds it.
    let folding = File::create(here.path("rowmill.db-run/fold")).unwrap();
    rustix::fs::flock(&folding, FlockOperation::LockExclusive).unwrap();
    let mut drain = here.start(&["drain"]);
    within(BOUND, "all rows to be done", || (here.done() == 10).then_some(()));
    within(BOUND, "the workers to end", || here.workers().is_empty().then_some(()));
    // Long enough for a drain that waits for nobody to be gone.
    pause(Duration::from_millis(200));
    drop(folding);
    assert_eq!(drain.code(), Some(0));
    assert_eq!(here.queue(), statuses([("done", 10)]));
}
