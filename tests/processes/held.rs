//! Everything stopped until it is started again, and workers that are replaced one after the other.
//!
//! What would be found here: a tick, a drain or a worker that works although a person has stopped everything, a stop or
//! a restart that charges an attempt or loses a row, and one that leaves workers behind that nobody counts.

use crate::installation::{BOUND, Installation, pause, statuses, within};
use std::time::Duration;

const ROWS: u64 = 300;

/// Workers in the middle of rows that keep them busy for a while.
fn busy() -> Installation {
    let here = Installation::new("workers = 3\n");
    here.run(&["tick"]).well();
    here.await_workers(3);
    here.insert(usize::try_from(ROWS).unwrap(), "sleep", "10");
    within(BOUND, "the first rows to be done", || (here.done() >= 20).then_some(()));
    here
}

#[test]
fn a_stop_holds_against_everybody_until_the_start() {
    let here = busy();
    assert!(here.run(&["stop"]).well().contains("3 workers ended"));
    assert!(here.processes().is_empty());
    let left = ROWS - here.done();
    assert!(left > 0 && here.count("status = 'ready' AND attempt = 0") == i64::try_from(left).unwrap());
    for _ in 0..3 {
        assert_eq!(here.run(&["tick"]).well(), "");
    }
    for refused in [&["drain"][..], &["work", "--index", "0"], &["restart"]] {
        let said = here.run(refused);
        assert!(said.code == Some(75) && said.err.contains("stopped since"), "{said:?}");
    }
    here.run(&["work", "--index", "0", "--detached"]).well();
    assert!(here.run(&["stop"]).well().contains("no worker was alive"));
    assert!(here.processes().is_empty() && ROWS - here.done() == left);
    let status = here.json(&["status"]);
    assert!(
        status["stopped"]["since"].as_i64().unwrap() > 0 && status["stopped"]["by"].as_str().unwrap().contains('@')
    );
    assert!(here.run(&["status"]).well().contains("stopped since"));
    assert!(here.run(&["start"]).well().contains("started again"));
    here.await_workers(3);
    within(BOUND, "all rows to be done", || (here.done() == ROWS).then_some(()));
    assert_eq!(here.count("attempt = 1"), i64::try_from(ROWS).unwrap());
    assert!(here.json(&["status"])["stopped"].is_null());
    let days = here.json(&["history", "--days", "2"]);
    let done: u64 = days.as_array().unwrap().iter().map(|day| day["done"].as_u64().unwrap()).sum();
    assert_eq!(done, ROWS, "{days}");
}

#[test]
fn a_worker_that_no_signal_reaches_reads_the_order() {
    let here = busy();
    here.sql().execute("INSERT INTO rowmill_stop (one, since, by_whom) VALUES (1, 1, 'x@y')", []).unwrap();
    here.await_silence();
    assert!(here.done() < ROWS && here.lines("x@y has ordered to stop") == 3);
    assert_eq!(here.count("attempt = 0"), i64::try_from(ROWS - here.done()).unwrap());
}

#[test]
fn what_runs_is_waited_for_or_broken_off_uncharged() {
    for (args, after) in
        [(&["stop"][..], [("done", 1), ("ready", 1)]), (&["stop", "--now"], [("ready", 2), ("done", 0)])]
    {
        let here =
            Installation::new("workers = 1\n[[job]]\nname = \"hold\"\ncommand = [\"./hold\"]\ngrace = \"100ms\"\n");
        here.script(
            "../hold",
            "trap 'echo told >> told; kill $!' TERM\necho begun > begun\nuntil [ -e go ]; do sleep 0.02; done\n",
        );
        here.insert(2, "hold", "");
        here.run(&["tick"]).well();
        within(BOUND, "the task to be claimed", || (here.count("status = 'running'") == 1).then_some(()));
        let workers = here.json(&["workers"]);
        assert_eq!((workers[0]["task"].as_i64(), workers[0]["job"].as_str()), (Some(1), Some("hold")), "{workers}");
        assert!(
            workers[0]["resident_kb"].as_u64().unwrap() > 0 && here.run(&["workers"]).well().contains("task 1 (hold)")
        );
        let mut stop = here.start(args);
        within(BOUND, "the order", || (!here.json(&["status"])["stopped"].is_null()).then_some(()));
        if args.len() == 1 {
            here.write("go", "");
        }
        assert_eq!(stop.code(), Some(0));
        here.await_silence();
        let after: std::collections::BTreeMap<_, _> = statuses(after).into_iter().filter(|(_, n)| *n > 0).collect();
        assert_eq!(here.truth(), after);
        assert_eq!(here.count("status = 'ready' AND attempt = 0"), i64::try_from(after["ready"]).unwrap());
    }
}

#[test]
fn a_restart_under_load_replaces_everybody_and_costs_nothing() {
    let here = busy();
    let before = here.workers();
    assert!(here.run(&["restart"]).well().contains("3 workers replaced"));
    assert!(here.done() < ROWS, "it came too late to prove anything");
    let after = here.await_workers(3);
    assert!(after.iter().all(|(index, pid)| before[index] != *pid), "{before:?} {after:?}");
    within(BOUND, "all rows to be done", || (here.done() == ROWS).then_some(()));
    assert_eq!(here.count("attempt = 1 AND error IS NULL"), i64::try_from(ROWS).unwrap());
    assert_eq!(here.lines("worker starts"), 6);
    assert_eq!(here.processes().len(), 3);
}

#[test]
fn a_restart_finds_a_worker_that_has_its_place_but_could_not_yet_write_itself_down() {
    let here = Installation::new("workers = 1\n");
    let writer = here.sql();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut first = here.start(&["work", "--index", "0"]);
    here.await_workers(1);
    let mut restart = here.start(&["restart"]);
    // Whoever takes it for a stranger gives up at once.
    pause(Duration::from_millis(300));
    assert_eq!(restart.0.try_wait().unwrap(), None, "{}", here.log());
    writer.execute_batch("ROLLBACK").unwrap();
    assert!(restart.end().success() && first.end().success());
    let again = here.await_workers(1);
    assert_ne!(again[&0], first.pid());
}
