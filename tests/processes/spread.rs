//! Work that clusters in one partition: it spreads over the workers that are there, a long task holds nobody up, and the
//! partitions of workers that are not there get their turns.
//!
//! What would be found here: workers that look on while one of them does everything, short tasks that wait behind a long
//! one, a partition that starves behind steady work elsewhere, and a row that keys without rows hide.

use crate::installation::{BOUND, Installation, within};

/// Inserts as many rows of a job into one partition of `of`.
fn into_partition(here: &Installation, (partition, of): (usize, usize), count: usize, job: &str, param: &str) {
    let mut conn = here.sql();
    let transaction = conn.transaction().unwrap();
    let numbers = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?3)";
    let insert = format!("INSERT INTO queue (job, param) {numbers} SELECT ?1, ?2 FROM n");
    transaction.execute(&insert, rusqlite::params![job, param, of * count]).unwrap();
    let elsewhere = "DELETE FROM queue WHERE id % ?3 <> ?1 AND id > (SELECT max(id) FROM queue) - ?2";
    transaction.execute(elsewhere, [partition, of * count, of]).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn scripts_of_one_partition_are_run_by_all_workers() {
    let here = Installation::new("workers = 10\nlinger = \"5m\"\n");
    here.script("brief", "exec sleep 0.05\n");
    here.run(&["tick"]).well();
    here.await_workers(10);
    into_partition(&here, (0, 10), 1_000, "brief", "");
    within(3 * BOUND, "all to be done", || (here.done() == 1_000).then_some(()));
    assert_eq!(here.count("id % 10 = 0"), 1_000);
    let by = |index| here.count(&format!("worker = {index} AND attempt = 1"));
    let shares: Vec<i64> = (0..10).map(by).collect();
    assert!(shares.iter().all(|share| *share > 0) && shares.iter().sum::<i64>() == 1_000, "{shares:?}");
}

#[test]
fn short_tasks_do_not_wait_for_a_long_one_of_their_partition() {
    let here = Installation::new("workers = 4\nlinger = \"5m\"\n");
    here.run(&["tick", "--workers", "2"]).well();
    here.await_workers(2);
    into_partition(&here, (1, 4), 1, "sleep", "600000");
    into_partition(&here, (1, 4), 1_000, "noop", "");
    within(BOUND, "the short ones to be done", || {
        (here.count("job = 'noop' AND status = 'done'") == 1_000).then_some(())
    });
    assert_eq!(here.count("job = 'sleep' AND status = 'running'"), 1);
}

#[test]
fn each_partition_gets_its_turn_while_others_have_steady_work() {
    let here = Installation::new("workers = 4\nlinger = \"5m\"\n");
    into_partition(&here, (0, 4), 1_500, "sleep", "10");
    into_partition(&here, (1, 4), 1_500, "sleep", "10");
    into_partition(&here, (3, 4), 1, "noop", "");
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
fn rows_that_were_replaced_leave_no_keys() {
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
    assert_eq!((here.count("1"), keys(&conn)), (1, 1));
    let _worker = here.start(&["work", "--index", "0"]);
    within(BOUND, "the one row to be done", || (here.done() == 1).then_some(()));
    assert_eq!(keys(&conn), 0);
}
