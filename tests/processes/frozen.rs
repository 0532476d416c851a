//! Workers that are alive and get nowhere: their partition moves on after `stall`, and nothing of them counts later.
//!
//! What would be found here: rows that wait for a stopped process for ever, one that is killed although it gets on, and
//! a stopped one that settles what somebody else has run meanwhile.

use crate::installation::{BOUND, Installation, alive, signal, within};
use rustix::process::Signal;

#[test]
fn rows_of_a_stopped_worker_are_done_by_another_after_the_stall() {
    let here = Installation::new("workers = 2\nstall = \"1s\"\n");
    here.run(&["tick"]).well();
    here.await_workers(2);
    here.insert(200, "sleep", "20");
    within(BOUND, "the first rows to be done", || (here.done() >= 10).then_some(()));
    let stopped = here.workers()[&1];
    signal(stopped, Signal::STOP);
    within(BOUND, "the stopped one to be killed", || (!alive(stopped)).then_some(()));
    within(BOUND, "all rows to be done", || (here.done() == 200).then_some(()));
    assert!(here.count("attempt = 1") >= 199, "only the task that ran may be charged");
    assert_eq!(here.lines("made no progress for"), 1);
}

#[test]
fn a_worker_with_a_long_task_or_none_is_left_alone() {
    let here = Installation::new("workers = 2\nstall = \"1s\"\n");
    here.run(&["tick"]).well();
    let before = here.await_workers(2);
    here.insert(1, "sleep", "3500");
    within(BOUND, "the long task to be done", || (here.done() == 1).then_some(()));
    assert_eq!(here.workers(), before);
    assert_eq!(here.count("attempt = 1"), 1);
}

#[test]
fn one_that_is_stopped_while_it_waits_for_the_write_gate_is_found_too() {
    let here = Installation::new("workers = 2\nstall = \"1s\"\n");
    here.run(&["tick"]).well();
    here.await_workers(2);
    let gate = std::fs::File::open(here.path("rowmill.db-run/gate")).unwrap();
    gate.lock().unwrap();
    here.insert(20, "noop", "");
    // The second word of a pulse says where a worker is: 1 is the queue.
    let waits = || std::fs::read(here.path("rowmill.db-run/pulse-1")).unwrap().get(8..16) == Some(&1i64.to_ne_bytes());
    within(BOUND, "it to wait for the gate", || waits().then_some(()));
    let stopped = here.workers()[&1];
    signal(stopped, Signal::STOP);
    drop(gate);
    within(BOUND, "the stopped one to be killed", || (!alive(stopped)).then_some(()));
    within(BOUND, "all rows to be done", || (here.done() == 20).then_some(()));
    assert_eq!(here.lines("made no progress for"), 1);
}
