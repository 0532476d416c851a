//! N is changed while everything runs: to fewer partitions and to more, with rows of each N still to be done.
//!
//! What would be found here: a row that two workers run because they see another N, a partition of an older N that
//! nobody drains, workers that stay although they are too many, and missing ones that nobody starts.

use crate::installation::{BOUND, Installation, statuses, within};

/// Rows of each N.
const ROWS: u64 = 150;

/// A job that can only be run once: the second run finds the file of the first.
const ONCE: &str = "set -C\n: > \"run-$ROWMILL_TASK_ID\"\n";

#[test]
fn from_ten_to_three_to_seven_under_load() {
    let here = Installation::new("workers = 10\n");
    here.script("once", ONCE);
    here.run(&["tick"]).well();
    here.await_workers(10);
    for (round, n) in [(1, "3"), (2, "7")] {
        here.insert(usize::try_from(ROWS).unwrap(), "once", "");
        within(BOUND, "work to be under way", || (here.done() > (round - 1) * ROWS).then_some(()));
        assert!(here.done() < round * ROWS, "there is nothing left to prove anything with");
        assert!(here.run(&["scale", n]).well().contains(&format!("{n} partitions instead of")));
    }
    here.insert(usize::try_from(ROWS).unwrap(), "once", "");
    within(BOUND, "all rows to be final", || (here.count("status IN ('done', 'dead')") == 450).then_some(()));
    assert_eq!(here.truth(), statuses([("done", 3 * ROWS)]));
    assert_eq!(here.count("attempt = 1"), 450, "{}", here.log());
    let runs = std::fs::read_dir(here.folder()).unwrap().flatten();
    assert_eq!(runs.filter(|f| f.file_name().to_string_lossy().starts_with("run-")).count(), 450);
    let rest = here.await_workers(7);
    assert!(rest.keys().copied().eq(0..7), "{rest:?}");
    assert_eq!(here.json(&["status"])["partitions"], 7);
    let sizes = "SELECT group_concat(partitions) FROM (SELECT partitions FROM rowmill_generation ORDER BY first_id)";
    assert_eq!(here.sql().query_row(sizes, [], |r| r.get::<_, String>(0)).unwrap(), "10,3,7");
    assert!(here.lines("worker=6/7") > 0, "the log names the new N");
}

#[test]
fn surplus_workers_end_by_themselves_and_missing_ones_are_started_at_once() {
    let here = Installation::new("workers = 4\n");
    here.run(&["tick"]).well();
    let before = here.await_workers(4);
    here.run(&["scale", "2"]).well();
    let fewer = here.await_workers(2);
    assert!(fewer.iter().all(|(index, pid)| before[index] == *pid), "those that stay go on");
    here.run(&["scale", "5"]).well();
    let more = here.await_workers(5);
    assert!(fewer.iter().all(|(index, pid)| more[index] == *pid));
    here.insert(20, "noop", "");
    within(BOUND, "the rows to be done", || (here.done() == 20).then_some(()));
}

/// Whoever makes N greater starts nobody for a place that is taken, also not by one that is about to leave.
#[test]
fn a_surplus_worker_that_is_wanted_again_while_it_ends_goes_on() {
    let here = Installation::new("workers = 2\n");
    here.run(&["tick"]).well();
    here.await_workers(2);
    within(BOUND, "both to be written down", || (here.lines("worker starts") == 2).then_some(()));
    // It can only take its leave behind the gate.
    let gate = std::fs::File::open(here.path("rowmill.db-run/gate")).unwrap();
    gate.lock().unwrap();
    let begin = "INSERT INTO rowmill_generation (generation, first_id, partitions) VALUES (?1, ?1 * 10, ?2)";
    here.sql().execute(begin, [2, 1]).unwrap();
    within(BOUND, "the second to leave", || (here.lines("not needed any more") == 1).then_some(()));
    here.sql().execute(begin, [3, 2]).unwrap();
    drop(gate);
    within(BOUND, "its leave", || (here.lines("worker ends") == 1).then_some(()));
    within(BOUND, "it to begin anew", || (here.lines("worker starts") == 3).then_some(()));
    here.await_workers(2);
}

#[test]
fn the_same_number_changes_nothing_and_nobody_is_started_where_nobody_works() {
    let here = Installation::new("workers = 4\n");
    here.insert(3, "noop", "");
    assert!(here.run(&["scale", "4"]).well().contains("already"));
    assert!(here.run(&["scale", "6"]).well().contains("next tick"));
    here.insert(3, "noop", "");
    assert!(here.processes().is_empty());
    // Older rows keep their partition, and one drain does them all.
    let partition = |id: &str| here.json(&["task", id])["partition"].as_i64().unwrap();
    assert_eq!([partition("3"), partition("6")], [3, 0]);
    here.run(&["drain"]).well();
    assert_eq!(here.queue(), statuses([("done", 6)]));
    assert_eq!(here.run(&["scale", "0"]).code, Some(2));
    assert_eq!(here.run(&["work", "--index", "6"]).code, Some(2));
}
