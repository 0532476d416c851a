//! A job that never yields: past its timeout and the grace its worker ends itself, and only that task is charged.

use super::trial::installed;
use crate::installation::{BOUND, statuses, within};

#[test]
fn the_worker_ends_itself_and_the_rest_is_done_by_the_next() {
    let here = installed("workers = 1\n");
    here.insert(5, "note", "1");
    here.insert(1, "spin", "");
    here.insert(5, "note", "2");
    let said = here.run(&["work", "--index", "0"]);
    assert_eq!((said.code, said.err.as_str()), (Some(1), ""));
    assert_eq!(here.truth(), statuses([("done", 5), ("ready", 5), ("running", 1)]));
    assert_eq!(here.lines("does not yield"), 1);
    here.run(&["tick"]).well();
    within(BOUND, "the others to be done", || (here.done() == 10).then_some(()));
    assert_eq!(here.count("status = 'done' AND attempt = 1"), 10);
    let spun = here.json(&["task", "6"]);
    assert_eq!((spun["status"].as_str(), spun["cause"].as_str()), (Some("dead"), Some("timeout")), "{spun}");
    assert_eq!(spun["error"].as_str(), Some("ran longer than 200ms"));
}

#[test]
fn a_drain_that_has_lost_its_worker_says_so_and_the_next_one_settles_it() {
    let here = installed("workers = 1\n");
    here.insert(1, "spin", "");
    let said = here.run(&["drain"]);
    assert!(said.code == Some(75) && said.out.contains("1 lost with their worker"), "{said:?}");
    assert_eq!(here.truth(), statuses([("running", 1)]));
    assert_eq!(here.run(&["drain"]).code, Some(1));
    assert_eq!(here.count("status = 'dead' AND cause = 'timeout'"), 1);
}

#[test]
fn its_partition_is_worked_on_meanwhile() {
    let here = installed("workers = 2\n");
    here.insert(1, "spin", "");
    let mut one = here.start(&["work", "--index", "1"]);
    within(BOUND, "the job to begin", || here.path("spins").exists().then_some(()));
    here.insert(10, "note", "1");
    let _two = here.start(&["work", "--index", "0"]);
    assert_eq!(one.code(), Some(1));
    within(BOUND, "all to be settled", || (here.truth() == statuses([("dead", 1), ("done", 10)])).then_some(()));
    assert_eq!(here.count("status = 'dead' AND cause = 'timeout' AND attempt = 1"), 1);
}
