//! Old tasks that ticks and people remove while workers are busy.
//!
//! What would be found here: a row that is removed although it is young or not final, one that is old and stays, and
//! counts that change with it.

use crate::installation::{BOUND, Installation, statuses, within};

/// Makes every row with an id up to this look as if all had happened forty days ago.
fn age(here: &Installation, id: i64) {
    let forty_days_ms = 40 * 86_400_000_i64;
    let age = "UPDATE queue SET created_at = created_at - ?1, finished_at = finished_at - ?1 WHERE id <= ?2";
    here.sql().execute(age, [forty_days_ms, id]).unwrap();
}

/// Rows that are done, one that is parked, and log files; old ones and young ones.
fn with_old_rows() -> Installation {
    let here = Installation::new("workers = 2\n");
    here.insert(1_200, "noop", "");
    here.insert(1, "nobody_knows", "");
    here.insert(100, "noop", "");
    assert_eq!(here.run(&["drain"]).code, Some(75));
    age(&here, 1_201);
    here.write("logs/rowmill-2020-01-01.log", "old\n");
    here
}

const ALL: [(&str, u64); 2] = [("done", 1_300), ("parked", 1)];
const YOUNG: [(&str, u64); 2] = [("done", 100), ("parked", 1)];

#[test]
fn a_tick_removes_what_is_older_than_the_retention() {
    let here = with_old_rows();
    here.write("rowmill.toml", "workers = 2\nretention = \"forever\"\n");
    here.run(&["tick"]).well();
    assert_eq!(here.queue(), statuses(ALL));
    here.write("rowmill.toml", "workers = 2\n");
    here.insert(20, "sleep", "10");
    here.run(&["tick"]).well();
    within(BOUND, "the new rows to be done", || (here.count("job = 'sleep' AND status = 'done'") == 20).then_some(()));
    within(BOUND, "them to be folded", || (here.queue() == statuses([("done", 120), ("parked", 1)])).then_some(()));
    assert_eq!(here.read("logs/rowmill-2020-01-01.log"), "");
    assert_eq!(here.lines("removed tasks=1200 occurrences=0 log_files=1"), 1, "{}", here.log());
    let days = here.json(&["history"]);
    let done: u64 = days.as_array().unwrap().iter().map(|day| day["done"].as_u64().unwrap()).sum();
    assert_eq!(done, 1_320, "what was removed stays counted: {days}");
}

#[test]
fn a_person_removes_it_at_once_or_looks_first() {
    let here = with_old_rows();
    let said = here.run(&["prune", "--dry-run"]).well();
    assert!(said.contains("would be removed: tasks 1,200, occurrences of schedules 0, log files 1"), "{said}");
    assert_eq!(here.queue(), statuses(ALL));
    assert!(here.run(&["prune", "--older-than", "50d"]).well().contains("tasks 0,"));
    assert!(here.run(&["prune"]).well().contains("removed: tasks 1,200,"));
    assert_eq!(here.queue(), statuses(YOUNG));
    assert!(here.run(&["prune", "--older-than", "0"]).well().contains("tasks 100,"));
    assert_eq!(here.queue(), statuses([("parked", 1)]));
    here.write("rowmill.toml", "retention = \"forever\"\n");
    assert_eq!(here.run(&["prune"]).code, Some(2));
}
