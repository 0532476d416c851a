//! A database that an application keeps locked, with our own writers waiting at the gate: who looks is answered, who is
//! told to end ends, and a second tick leaves.
//!
//! What would be found here: a `status` that waits as long as the application does, a worker that only KILL can end, and
//! ticks that pile up.

use crate::installation::{BOUND, Installation, statuses, terminate, within};
use rustix::fs::FlockOperation;
use std::fs::File;

/// A lock of the run folder, as a process of ours has it that waits for the application.
fn locked(here: &Installation, name: &str) -> File {
    let file = File::options().create(true).append(true).open(here.path("rowmill.db-run").join(name)).unwrap();
    rustix::fs::flock(&file, FlockOperation::LockExclusive).unwrap();
    file
}

#[test]
fn who_looks_is_answered_while_everybody_waits_to_write() {
    let here = Installation::new("workers = 2\n");
    here.insert(3, "noop", "");
    let application = here.sql();
    application.execute_batch("BEGIN IMMEDIATE").unwrap();
    let _gate = locked(&here, "gate");
    assert_eq!(here.json(&["status"])["ready"], 3);
    assert_eq!(here.json(&["tasks"]).as_array().unwrap().len(), 3);
    assert_eq!(here.json(&["task", "2"])["status"], "ready");
}

#[test]
fn a_second_tick_leaves_while_the_first_waits_to_write() {
    let here = Installation::new("workers = 2\n[[schedule]]\nname = \"a\"\ncron = \"@daily\"\njob = \"noop\"\n");
    let application = here.sql();
    application.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (_first, _gate) = (locked(&here, "scheduler"), locked(&here, "gate"));
    assert_eq!(here.run(&["tick"]).well(), "");
    assert!(here.processes().is_empty(), "the first one starts the workers");
}

#[test]
fn a_worker_that_is_told_twice_ends_although_its_finished_tasks_cannot_be_settled() {
    let here = Installation::new("workers = 1\n");
    here.script("mark", "echo run >> runs\n");
    let mut worker = here.start(&["work", "--index", "0"]);
    here.insert(1, "noop", "");
    // From here on it holds its partition, so that it can run tasks without writing.
    within(BOUND, "a first row to be done", || (here.done() == 1).then_some(()));
    let application = here.sql();
    let insert = "BEGIN IMMEDIATE; INSERT INTO queue (job) VALUES ('mark'); COMMIT; BEGIN IMMEDIATE";
    application.execute_batch(insert).unwrap();
    within(BOUND, "the task to have run", || (here.lines("tasks wait to be written") == 1).then_some(()));
    terminate(worker.pid());
    terminate(worker.pid());
    assert_eq!(worker.code(), Some(0));
    assert_eq!(here.truth(), statuses([("done", 1), ("ready", 1)]));
    application.execute_batch("COMMIT").unwrap();
    here.run(&["drain"]).well();
    assert_eq!((here.queue(), here.read("runs").lines().count()), (statuses([("done", 2)]), 2));
    assert_eq!(here.count("attempt = 1"), 2, "nobody is charged for it");
}
