//! Workers that die under `run`.
//!
//! What would be found here: a death that is seen at the next tick only, or not said with its cause; a task that waits for
//! a tick; a worker that is started again and again without a pause, or never again; workers that go by `linger`.

use crate::installation::{BOUND, Installation, signal, statuses, within};
use rustix::process::Signal;

/// Runs until there is a file `go`.
const HOLD: &str = "echo $$ >> pids\nuntil [ -e go ]; do sleep 0.02; done\n";

#[test]
fn a_killed_worker_is_replaced_and_its_task_runs_again() {
    let here = Installation::new("workers = 1\n");
    here.script("hold", HOLD);
    let _run = here.start(&["run"]);
    let first = here.await_workers(1)[&0];
    here.insert(1, "hold", "");
    within(BOUND, "the task to run", || (here.read("pids").lines().count() == 1).then_some(()));
    signal(first, Signal::KILL);
    // There is no other worker, and no tick but at the full minute.
    within(BOUND, "the task to run again", || (here.read("pids").lines().count() == 2).then_some(()));
    assert_ne!(here.await_workers(1)[&0], first);
    here.write("go", "");
    within(BOUND, "the task to be done", || (here.done() == 1).then_some(()));
    assert_eq!(here.count("attempt = 2"), 1, "the attempt that died is charged");
    assert_eq!(here.lines(&format!("worker 0 (pid {first}) was ended by SIGKILL, after ")), 1, "{}", here.log());
}

#[test]
fn the_cause_is_said_and_nobody_else_is_touched() {
    let here = Installation::new("workers = 4\n");
    let run = here.start(&["run"]);
    let mut workers = here.await_workers(4);
    for (index, cause, name) in
        [(1, Signal::ILL, "SIGILL"), (2, Signal::ABORT, "SIGABRT"), (3, Signal::KILL, "SIGKILL")]
    {
        let victim = workers[&index];
        // Whoever is killed before it says that it begins never does.
        let begun = 3 + usize::try_from(index).unwrap();
        within(BOUND, "all to say that they begin", || (here.lines("worker starts") == begun).then_some(()));
        signal(victim, cause);
        let again =
            within(BOUND, "another one", || Some(here.workers()).filter(|w| w.len() == 4 && w[&index] != victim));
        assert_eq!(here.lines(&format!("worker {index} (pid {victim}) was ended by {name}")), 1, "{}", here.log());
        assert!(again.iter().all(|(i, pid)| *i == index || workers[i] == *pid), "{again:?} {workers:?}");
        workers = again;
    }
    within(BOUND, "the last one to say that it begins", || (here.lines("worker starts") >= 7).then_some(()));
    assert_eq!(here.lines("worker starts"), 7);
    assert!(crate::installation::alive(run.pid()));
}

#[test]
fn whoever_dies_at_every_start_is_given_growing_pauses_until_it_lives() {
    let here = Installation::new("workers = 1\n");
    let _run = here.start(&["run"]);
    let first = here.await_workers(1)[&0];
    // Workers read it when they start; `run` has not been told.
    here.write("rowmill.toml", "wrokers = 1\n");
    signal(first, Signal::KILL);
    let words = |n: u32, pause: u32| format!("soon after its start for the {n}. time; the next one comes in {pause} s");
    for (n, pause) in [(2, 1), (3, 2), (4, 4)] {
        within(BOUND, "a longer pause", || (here.lines(&words(n, pause)) == 1).then_some(()));
    }
    assert!(here.lines("ended with exit code 2") >= 3, "{}", here.log());
    let starts = here.lines("(pid ");
    assert!(starts <= 6, "it was started {starts} times:\n{}", here.log());
    here.write("rowmill.toml", "workers = 1\n");
    here.await_workers(1);
    here.insert(1, "noop", "");
    within(BOUND, "work to be done again", || (here.truth() == statuses([("done", 1)])).then_some(()));
}

#[test]
fn under_run_workers_do_not_go_by_linger() {
    let here = Installation::new("workers = 1\nlinger = \"0s\"\n");
    let run = here.start(&["run"]);
    let worker = here.await_workers(1)[&0];
    for n in 1..=5 {
        here.insert(1, "noop", "");
        within(BOUND, "a row to be done", || (here.done() == n).then_some(()));
    }
    assert_eq!((here.workers()[&0], here.lines("worker starts")), (worker, 1));
    // Alone, it goes by itself.
    signal(run.pid(), Signal::KILL);
    here.await_silence();
    assert_eq!(here.lines("worker ends settled=5"), 1, "{}", here.log());
}

#[test]
fn a_frozen_worker_is_killed_and_replaced_without_any_other() {
    let here = Installation::new("workers = 1\nstall = \"1s\"\n");
    let _run = here.start(&["run"]);
    let first = here.await_workers(1)[&0];
    signal(first, Signal::STOP);
    here.insert(1, "noop", "");
    within(BOUND, "the row to be done by another one", || (here.done() == 1).then_some(()));
    assert_ne!(here.await_workers(1)[&0], first);
    assert!(here.log().contains("made no progress for"), "{}", here.log());
}
