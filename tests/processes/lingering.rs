//! Workers that a tick has left behind: as many as there are partitions, asleep until a row comes, gone after a while.
//!
//! What would be found here: a tick that starts workers twice or prints, a worker that misses a commit and only finds it
//! by looking once a second, one that stays for ever or leaves with work undone.

use crate::installation::{BOUND, Installation, statuses, to_its_end, within};
use crate::needs;
use rowmill::clock::Watch;
use std::process::Command;
use std::time::Duration;

/// Rows that follow each other, each inserted when the one before is done.
const ROWS: i64 = 20;

/// Workers that nobody wakes look once a second, so that as many rows would take twenty. This only tells the two apart.
const WOKEN: Duration = Duration::from_secs(8);

#[test]
fn a_tick_starts_each_worker_once_and_says_nothing() {
    let here = Installation::new("workers = 5\n");
    assert_eq!(here.run(&["tick"]).well(), "");
    let workers = here.await_workers(5);
    assert!(workers.keys().copied().eq(0..5), "{workers:?}");
    for _ in 0..3 {
        assert_eq!(here.run(&["tick"]).well(), "");
    }
    assert_eq!(here.workers(), workers);
    assert_eq!((here.processes().len(), here.lines("worker starts")), (5, 5));
}

#[test]
fn rows_by_plain_sql_start_at_once() {
    let here = Installation::new("workers = 4\n");
    here.run(&["tick"]).well();
    here.await_workers(4);
    let conn = here.sql();
    each_starts_at_once(&here, || {
        conn.execute("INSERT INTO queue (job) VALUES ('noop')", []).unwrap();
    });
}

#[test]
fn rows_by_the_command_line_start_at_once() {
    let here = Installation::new("workers = 4\n");
    here.run(&["tick"]).well();
    here.await_workers(4);
    each_starts_at_once(&here, || {
        here.run(&["enqueue", "noop"]).well();
    });
}

#[allow(clippy::print_stdout, reason = "shown when the test fails, or on wish")]
fn each_starts_at_once(here: &Installation, insert: impl Fn()) {
    let conn = here.sql();
    let watch = Watch::start();
    for count in 1..=ROWS {
        insert();
        let done = "SELECT count(*) FROM task WHERE status = 'done'";
        within(BOUND, "a row to be done", || {
            (conn.query_row(done, [], |r| r.get::<_, i64>(0)).unwrap() == count).then_some(())
        });
    }
    let took = watch.elapsed();
    let slowest = "SELECT max(started_at - created_at), avg(started_at - created_at) FROM task";
    let (slowest, average): (i64, f64) = conn.query_row(slowest, [], |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
    println!("{ROWS} rows in {took:?}; from insert to start: {average:.1} ms, at most {slowest} ms");
    assert!(took < WOKEN, "nobody was woken: {took:?} for {ROWS} rows, up to {slowest} ms from insert to start");
}

#[test]
fn rows_of_an_application_that_never_stops_inserting_are_done_meanwhile() {
    if !needs::tool("python3") {
        return;
    }
    let here = Installation::new("workers = 3\n");
    here.run(&["tick"]).well();
    here.await_workers(3);
    let insert = "import sqlite3, sys, time\n\
        conn = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
        conn.execute('PRAGMA busy_timeout = 5000')\n\
        conn.execute('PRAGMA wal_autocheckpoint = 0')\n\
        for n in range(300):\n    conn.execute(\"INSERT INTO queue (job) VALUES ('noop')\")\n    time.sleep(0.001)\n\
        print(conn.execute(\"SELECT count(*) FROM task WHERE status = 'done'\").fetchone()[0])\n";
    let mut python = Command::new("python3");
    python.args(["-c", insert]).arg(here.path("rowmill.db"));
    let meanwhile: u64 = to_its_end(python).well().trim().parse().unwrap();
    assert!(meanwhile > 0, "nothing was done while rows came");
    within(BOUND, "all rows to be done", || (here.done() == 300).then_some(()));
    assert_eq!(here.count("attempt <> 1"), 0);
    within(BOUND, "the outcomes to be folded", || (here.queue() == statuses([("done", 300)])).then_some(()));
}

#[test]
fn a_delayed_row_starts_when_it_is_due() {
    let here = Installation::new("workers = 2\n");
    here.run(&["tick"]).well();
    here.await_workers(2);
    let id = here.run(&["enqueue", "noop", "--delay", "1500ms"]).well();
    assert_eq!(here.truth(), statuses([("delayed", 1)]));
    within(BOUND, "the delayed row to be done", || (here.done() == 1).then_some(()));
    let task = here.json(&["task", id.trim()]);
    assert!(task["started_at"].as_i64().unwrap() >= task["run_at"].as_i64().unwrap(), "{task}");
}

#[test]
fn workers_without_work_end_by_themselves() {
    let here = Installation::new("workers = 3\nlinger = \"300ms\"\n");
    here.insert(30, "noop", "");
    here.run(&["tick", "--wait"]).well();
    assert!(here.processes().is_empty(), "--wait waits for them all");
    assert_eq!(here.queue(), statuses([("done", 30)]));
    assert_eq!((here.lines("worker starts"), here.lines("worker ends")), (3, 3));
}
