//! Work that clusters in one partition: it spreads over the workers that are there, a long task holds nobody up, and the
//! partitions of workers that are not there get their turns.
//!
//! What would be found here: workers that look on while one of them does everything, short tasks that wait behind a long
//! one, a partition that starves behind steady work elsewhere, and a row that keys without rows hide.

use crate::installation::{BOUND, Installation, within};
use std::time::Duration;

/// Inserts as many rows of a job into one partition of four.
fn into_partition(here: &Installation, partition: usize, count: usize, job: &str, param: &str) {
    let mut conn = here.sql();
    let transaction = conn.transaction().unwrap();
    for _ in 0..4 * count {
        transaction.execute("INSERT INTO queue (job, param) VALUES (?1, ?2)", [job, param]).unwrap();
    }
    let elsewhere = "DELETE FROM queue WHERE id % 4 <> ?1 AND id > (SELECT max(id) FROM queue) - ?2";
    transaction.execute(elsewhere, [partition, 4 * count]).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn scripts_of_one_partition_are_run_by_all_workers() {
    let here = Installation::new("workers = 4\nlinger = \"5m\"\n");
    here.script("brief", "sleep 0.05\n");
    here.run(&["tick"]).well();
    here.await_workers(4);
    into_partition(&here, 1, 60, "brief", "");
    within(BOUND, "all to be done", || (here.done() == 60).then_some(()));
    let by = |index| here.count(&format!("worker = {index} AND attempt = 1"));
    let shares: Vec<i64> = (0..4).map(by).collect();
    assert!(shares.iter().all(|share| *share > 0) && shares.iter().sum::<i64>() == 60, "{shares:?}");
}

#[test]
fn short_tasks_do_not_wait_for_a_long_one_of_their_partition() {
    let here = Installation::new("workers = 4\nlinger = \"5m\"\n");
    here.run(&["tick", "--workers", "2"]).well();
    here.await_workers(2);
    into_partition(&here, 1, 1, "sleep", "3000");
    into_partition(&here, 1, 200, "noop", "");
    within(BOUND, "the short ones to be done", || {
        (here.count("job = 'noop' AND status = 'done'") == 200).then_some(())
    });
    let last =
        "SELECT (SELECT max(finished_at) FROM task WHERE job = 'noop') - created_at FROM task WHERE job = 'sleep'";
    let last_ms: i64 = here.sql().query_row(last, [], |r| r.get(0)).unwrap();
    assert!(last_ms < 3_000, "the last short one was done after {last_ms} ms");
}

#[test]
fn each_partition_gets_its_turn_while_others_have_steady_work() {
    let here = Installation::new("workers = 4\nlinger = \"5m\"\n");
    into_partition(&here, 0, 1_500, "sleep", "10");
    into_partition(&here, 1, 1_500, "sleep", "10");
    into_partition(&here, 3, 1, "noop", "");
    let _alone = here.start(&["work", "--index", "0"]);
    within(BOUND, "the row of the last partition to be done", || {
        (here.count("job = 'noop' AND status = 'done'") == 1).then_some(())
    });
    for partition in [0, 1] {
        let left = here.count(&format!("id % 4 = {partition} AND status = 'ready'"));
        assert!((1..1_500).contains(&left), "{left} rows of partition {partition} are left");
    }
}

#[test]
fn keys_whose_rows_were_replaced_hide_no_row() {
    let here = Installation::new("workers = 1\nlinger = \"5m\"\n");
    let mut conn = here.sql();
    let transaction = conn.transaction().unwrap();
    for _ in 0..2_000 {
        let replace = "INSERT OR REPLACE INTO queue (job, unique_key) VALUES ('noop', 'the same')";
        transaction.execute(replace, []).unwrap();
    }
    transaction.commit().unwrap();
    let keys = |conn: &rusqlite::Connection| -> i64 {
        conn.query_row("SELECT count(*) FROM rowmill_ready", [], |r| r.get(0)).unwrap()
    };
    assert_eq!((here.count("1"), keys(&conn)), (1, 2_000));
    let _worker = here.start(&["work", "--index", "0"]);
    // A worker that took a look a second, and a batch of them each time, would need half a minute.
    within(Duration::from_secs(10), "the one row to be done", || (here.done() == 1).then_some(()));
    assert_eq!(keys(&conn), 0);
}
