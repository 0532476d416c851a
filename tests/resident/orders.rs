//! `stop`, `start`, `restart`, `scale` and `status` where a resident scheduler is there.
//!
//! What would be found here: workers that are started although a person has stopped all, that are not when all goes on, a
//! restart that leaves one as it was or a partition idle, and two that both think they are the resident one.

use crate::installation::{BOUND, Installation, alive, statuses, within};
use std::collections::BTreeMap;

#[test]
fn while_all_is_stopped_it_stays_and_starts_nothing() {
    let here = Installation::new("workers = 2\n");
    let run = here.start(&["run"]);
    let workers = here.await_workers(2);
    here.run(&["stop"]).well();
    assert_eq!(here.workers(), BTreeMap::new());
    here.insert(1, "noop", "");
    // Both are seen by `run` before it would start anybody: it looks each second, and a tick says so at once.
    here.run(&["tick"]).well();
    within(BOUND, "both ends to be seen", || (here.lines("ended with exit code 0") == 2).then_some(()));
    crate::installation::pause(std::time::Duration::from_secs(3));
    assert_eq!((here.lines("worker starts"), here.truth()), (2, statuses([("ready", 1)])));
    assert_eq!(here.lines("ended with exit code 0"), 2, "nobody was started in vain: {}", here.log());
    assert!(alive(run.pid()));
    let said = here.run(&["start"]).well();
    assert!(said.contains("`run` (pid ") && said.contains("starts the workers"), "{said}");
    within(BOUND, "the row to be done", || (here.done() == 1).then_some(()));
    assert!(here.await_workers(2).iter().all(|(index, pid)| workers[index] != *pid));
}

#[test]
fn restart_replaces_all_one_by_one() {
    let here = Installation::new("workers = 3\n");
    let _run = here.start(&["run"]);
    let workers = here.await_workers(3);
    assert_eq!(here.run(&["restart"]).well(), "3 workers replaced\n");
    let again = here.await_workers(3);
    assert!(again.iter().all(|(index, pid)| workers[index] != *pid), "{workers:?} {again:?}");
    within(BOUND, "the last one to say that it begins", || (here.lines("worker starts") >= 6).then_some(()));
    assert_eq!((here.lines("worker starts"), here.lines("worker ends settled=0 died=0")), (6, 3), "{}", here.log());
}

/// The longest time that a partition with work was without a settled task, in milliseconds; by the log.
fn longest_gap_ms(here: &Installation, partitions: u64, from: &str, to: &str) -> i64 {
    let mut last: BTreeMap<u64, i64> = BTreeMap::new();
    let mut longest = 0;
    let at = |line: &str| {
        chrono::DateTime::parse_from_rfc3339(line.split(' ').next().unwrap()).map(|at| at.timestamp_millis())
    };
    let (mut begun, mut over) = (false, false);
    for line in here.log().lines() {
        begun |= line.contains(from);
        over |= begun && line.contains(to);
        let task = line.split(' ').find_map(|word| word.strip_prefix("task=")?.parse::<u64>().ok());
        let (Some(task), Ok(now)) = (task.filter(|_| line.contains(" done ")), at(line)) else { continue };
        if let Some(before) = last.insert(task % partitions, now)
            && begun
            && !over
        {
            longest = longest.max(now - before);
        }
    }
    longest
}

#[test]
fn a_rolling_restart_leaves_no_partition_idle() {
    let here = Installation::new("workers = 4\n");
    here.insert(8_000, "sleep", "2");
    let _run = here.start(&["run"]);
    here.await_workers(4);
    within(BOUND, "work to be under way", || (here.done() > 400).then_some(()));
    here.run(&["enqueue", "echo", "\"before\"", "--priority", "9"]).well();
    within(BOUND, "the mark to be in the log", || (here.lines("job=echo") == 1).then_some(()));
    assert_eq!(here.run(&["restart"]).well(), "4 workers replaced\n");
    here.run(&["enqueue", "fail", "\"after\"", "--priority", "9", "--max-attempts", "1"]).well();
    within(BOUND, "the mark to be in the log", || (here.lines("job=fail") == 1).then_some(()));
    assert!(here.count("status = 'ready'") > 500, "there is to be work all the time: {:?}", here.truth());
    let gap_ms = longest_gap_ms(&here, 4, "job=echo", "job=fail");
    println!("the longest gap of a partition during a rolling restart: {gap_ms} ms");
    // Others take a partition over within about a second; a busy machine adds to that.
    assert!(gap_ms < 20_000, "{gap_ms} ms");
}

#[test]
fn scale_is_followed() {
    let here = Installation::new("workers = 1\n");
    let _run = here.start(&["run"]);
    here.await_workers(1);
    let said = here.run(&["scale", "3"]).well();
    assert!(said.contains("`run` (pid "), "{said}");
    here.await_workers(3);
    here.run(&["scale", "2"]).well();
    here.await_workers(2);
    within(BOUND, "the end of the third to be seen", || (here.lines("worker 2 (pid ") == 1).then_some(()));
}

#[test]
fn there_is_one_and_status_shows_it() {
    let here = Installation::new("workers = 1\n");
    assert_eq!(here.json(&["status"])["run"], serde_json::Value::Null);
    let run = here.start(&["run"]);
    here.await_workers(1);
    let said = here.run(&["run"]);
    assert_eq!(said.code, Some(75), "{said:?}");
    let words = format!("error: `run` (pid {}, since ", run.pid());
    assert!(said.err.starts_with(&words) && said.err.contains("has this database already\nhint: "), "{said:?}");
    assert_eq!(here.json(&["status"])["run"]["pid"].as_i64(), Some(i64::from(run.pid())));
    assert!(here.run(&["status"]).well().contains(&format!("run         pid {}, since ", run.pid())));
}
