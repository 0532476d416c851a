//! Very many delayed rows that are due at the same moment.
//!
//! What would be found here: one transaction that takes them all, memory that grows with them, a log without a bound, and
//! rows of higher priority that wait behind them. `ROWMILL_DUE=1000000` says how many.

use super::process::{kilobytes, number_of};
use crate::installation::{BOUND, Installation, pause, within};
use rowmill::clock::{Clock, Watch};
use std::time::Duration;

const PRESSING: i64 = 50;

#[test]
#[allow(clippy::print_stdout, reason = "shown when the test fails, or on wish")]
fn they_become_ready_in_steps_and_pressing_rows_go_first() {
    let rows = number_of("ROWMILL_DUE", 100_000).cast_signed();
    let here = Installation::new("workers = 4\nlinger = \"5m\"\ndurability = \"normal\"\n");
    let conn = here.sql();
    let delayed = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                   INSERT INTO queue (job, run_at) SELECT 'noop', ?2 FROM n";
    let due_ms = Clock::System.now_ms() + 3_600_000;
    conn.execute(delayed, [rows, due_ms]).unwrap();
    here.run(&["tick"]).well();
    let workers = here.await_workers(4);
    // All at once: the whole hour goes by in one statement of the engine's own table.
    let number = |sql: &str| conn.query_row(sql, [], |r| r.get::<_, i64>(0)).unwrap();
    let watch = Watch::start();
    conn.execute("UPDATE rowmill_delayed SET run_at = ?1", [due_ms - 3_600_000]).unwrap();
    let left = "SELECT count(*) FROM rowmill_delayed";
    within(BOUND, "the first rows to be done", || (here.done() > 0).then_some(()));
    // At once: how long single inserts take beside ten workers is not asked here.
    let insert =
        format!("INSERT INTO queue (job, priority) VALUES {}", vec!["('noop', 9)"; PRESSING as usize].join(", "));
    conn.execute(&insert, []).unwrap();
    let pressing = "SELECT count(*) FROM task WHERE priority = 9 AND status = 'done'";
    let mut most_kb = 0;
    within(BOUND, "the pressing rows to be done", || (number(pressing) == PRESSING).then_some(()));
    let before = "SELECT count(*) FROM task WHERE priority = 0 AND finished_at <
                  (SELECT max(finished_at) FROM task WHERE priority = 9)";
    assert!(number(before) < rows, "all {rows} were done before {PRESSING} rows of a higher priority");
    let passed = "SELECT count(*) FROM task WHERE priority = 0 AND status = 'done' AND finished_at <
                  (SELECT max(started_at) FROM task WHERE priority = 9)
                  AND started_at > (SELECT max(created_at) FROM task WHERE priority = 9)";
    // What was in hand when they came, and what ran beside the last of them: a batch or two for each worker.
    assert!(number(passed) <= 4 * 2 * 1_000, "{} rows of a lower priority ran before them", number(passed));
    within(BOUND * 10, "all to have become ready", || {
        for pid in workers.values() {
            most_kb = most_kb.max(kilobytes(*pid, "VmHWM"));
        }
        pause(Duration::from_millis(100));
        (number(left) == 0).then_some(())
    });
    let wal = std::fs::metadata(here.path("rowmill.db-wal")).unwrap().len();
    println!(
        "{rows} rows ready after {:?}; a worker had {most_kb} kB at most, the log {} MiB",
        watch.elapsed(),
        wal >> 20
    );
    assert!(most_kb < 60 << 10, "{most_kb} kB");
    assert!(wal < 64 << 20, "{wal} bytes");
    within(BOUND * 20, "all to be done", || (here.done().cast_signed() == rows + PRESSING).then_some(()));
    assert_eq!((here.count("attempt <> 1"), here.workers()), (0, workers));
    here.keeps_the_laws();
}
