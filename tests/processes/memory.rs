//! What a worker takes of the machine's memory: little while it is idle, and no more for a backlog of any length.
//!
//! What would be found here: batches, answers or notes that grow with what waits, and a program that is large by itself.

use crate::installation::{BOUND, Installation, pause, within};
use rowmill::store::sqlite::{Create, Sqlite};
use rowmill::store::{Durability, Look, Store};
use rowmill::task::{NewTask, Status};
use std::fs;
use std::time::Duration;

const IDLE_KB: u64 = 15 << 10;
const BUSY_KB: u64 = 40 << 10;
/// The pages of the program itself, which all its processes share, are more when it is built without optimization.
const UNOPTIMIZED_KB: u64 = if cfg!(debug_assertions) { 5 << 10 } else { 0 };
/// Of an idle worker's own, whatever the program's size is.
const OWN_KB: u64 = 5 << 10;
const BACKLOG: u64 = 1_000_000;
/// Transactions in which it is inserted.
const STEPS: u64 = 200;
/// So many are settled while somebody looks.
const SETTLED: u64 = 20_000;

/// A line of a process's status, in kB.
fn kilobytes(pid: i32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
#[allow(clippy::print_stdout, reason = "shown when the test fails, or on wish")]
fn an_idle_worker_is_small() {
    let here = Installation::new("workers = 1\n");
    let worker = here.start(&["work", "--index", "0"]);
    here.await_workers(1);
    here.insert(20, "noop", "");
    within(BOUND, "the rows to be done", || (here.done() == 20).then_some(()));
    pause(Duration::from_millis(300));
    let (own, most) = (kilobytes(worker.pid(), "RssAnon"), kilobytes(worker.pid(), "VmHWM"));
    println!("idle: {most} kB resident at most, {own} kB of its own");
    assert!(most < IDLE_KB + UNOPTIMIZED_KB && own < OWN_KB, "{most} kB, {own} kB of its own");
}

/// A backlog by the door for many at once, and no process of ours that could have seen it grow.
fn pile_up(here: &Installation) {
    let path = here.path("rowmill.db");
    let mut store = Sqlite::open(&path, Durability::Normal, Create::WithPartitions(1)).unwrap();
    let tasks: Vec<NewTask> = (0..BACKLOG / STEPS).map(|i| NewTask::of("noop", format!("{i:0100}"))).collect();
    for _ in 0..STEPS {
        store.enqueue_many(&tasks).unwrap();
    }
    let ready = store.counts().unwrap().total(Status::Ready);
    assert_eq!(ready, BACKLOG);
}

#[test]
#[allow(clippy::print_stdout, reason = "shown when the test fails, or on wish")]
fn a_busy_worker_does_not_grow_with_the_backlog() {
    let here = Installation::new("workers = 1\n");
    pile_up(&here);
    let worker = here.start(&["work", "--index", "0"]);
    let mut most = (0, 0);
    within(BOUND, "many thousand rows to be done", || {
        most.0 = most.0.max(kilobytes(worker.pid(), "VmHWM"));
        most.1 = most.1.max(kilobytes(worker.pid(), "RssAnon"));
        pause(Duration::from_millis(100));
        let left = "SELECT count(*) FROM rowmill_ready";
        let left: u64 = here.sql().query_row(left, [], |r| r.get(0)).unwrap();
        (left + SETTLED <= BACKLOG).then_some(())
    });
    println!("busy: {} kB resident at most, {} kB of its own", most.0, most.1);
    assert!(most.0 < BUSY_KB, "{} kB, {} kB of its own", most.0, most.1);
}
