//! What a job declares for its settlement happens with it, exactly once, whoever is killed and when.
//!
//! What would be found here: effects of tasks that are not done, effects that were done twice, follow-ups that were lost
//! or doubled, and attempts that somebody else's failing effect has cost.

use super::trial::{installed, notes};
use crate::installation::{BOUND, pause, signal, statuses, within};
use rustix::process::Signal;
use std::time::Duration;

#[test]
fn a_worker_killed_between_run_and_settlement_leaves_no_effect() {
    let here = installed("workers = 1\n");
    here.insert(1, "linger", "1");
    let mut worker = here.start(&["work", "--index", "0"]);
    within(BOUND, "the task to be claimed", || (here.truth() == statuses([("running", 1)])).then_some(()));
    let conn = here.sql();
    // Nobody can write: the run ends, its settlement waits.
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    here.write("answer", "");
    within(BOUND, "the run to end", || here.path("answered").exists().then_some(()));
    pause(Duration::from_millis(100));
    signal(worker.pid(), Signal::KILL);
    worker.end();
    conn.execute_batch("ROLLBACK").unwrap();
    assert!(!here.path("noted").exists());
    assert_eq!((notes(&here), here.truth()), ((0, 0), statuses([("running", 1)])));
    here.write("go", "");
    here.run(&["tick"]).well();
    within(BOUND, "all to be done", || (here.truth() == statuses([("done", 2)])).then_some(()));
    assert_eq!((notes(&here), here.count("job = 'linger' AND attempt = 2")), ((2, 2), 1));
}

#[test]
fn a_worker_killed_within_the_settlement_leaves_no_effect() {
    let here = installed("workers = 1\n");
    here.write("answer", "");
    here.insert(1, "linger", "1");
    let mut worker = here.start(&["work", "--index", "0"]);
    within(BOUND, "the effect to be under way", || here.path("noted").exists().then_some(()));
    signal(worker.pid(), Signal::KILL);
    worker.end();
    assert_eq!((notes(&here), here.truth()), ((0, 0), statuses([("ready", 1)])));
    here.write("go", "");
    here.run(&["drain"]).well();
    assert_eq!((notes(&here), here.truth()), ((2, 2), statuses([("done", 2)])));
    assert_eq!(here.count("job = 'note' AND parent = 1"), 1);
}

#[test]
fn an_effect_that_fails_is_a_failed_attempt_of_its_task_alone() {
    let here = installed("workers = 1\n");
    here.insert(3, "note", "1");
    here.insert(1, "stumble", "2");
    here.insert(3, "note", "3");
    here.run(&["work", "--index", "0", "--drain"]).well();
    within(BOUND, "the second attempt", || {
        here.run(&["drain"]).well();
        (here.done() == 8).then_some(())
    });
    assert_eq!(here.count("job = 'note' AND attempt = 1"), 7);
    assert_eq!(here.count("job = 'stumble' AND attempt = 2 AND error IS NULL"), 1);
    assert_eq!(notes(&here), (8, 8));
    assert_eq!(here.lines("cause=effect stumbled"), 1);
    let child = here.json(&["task", "8"]);
    assert_eq!((child["parent"].as_i64(), child["job"].as_str()), (Some(4), Some("note")));
    assert!(here.run(&["task", "8"]).well().contains("parent        4\n"));
}

#[test]
fn an_effect_that_kills_its_worker_is_dead_after_its_attempts_and_charges_nobody_else() {
    let here = installed("workers = 1\n");
    here.insert(3, "note", "1");
    here.sql().execute("INSERT INTO queue (job, max_attempts) VALUES ('crash', 2)", []).unwrap();
    here.insert(3, "note", "2");
    // One death finds it out, and two more are its attempts.
    for _ in 0..3 {
        let said = here.run(&["work", "--index", "0", "--drain"]);
        assert_eq!(said.code, None, "it ends by a signal: {said:?}");
    }
    here.run(&["drain"]);
    assert_eq!(here.truth(), statuses([("dead", 1), ("done", 6)]), "{}", here.log());
    assert_eq!(here.count("job = 'crash' AND attempt = 2 AND cause = 'worker_died'"), 1);
    assert_eq!((notes(&here), here.count("job = 'note' AND attempt = 1")), ((6, 6), 6));
}

#[test]
fn effects_and_follow_ups_happen_exactly_once_under_thirty_kills() {
    const FAN: i64 = 2_300;
    let here = installed("workers = 4\n");
    here.insert(2, "fan", &FAN.to_string());
    here.insert(400, "note", "0");
    here.run(&["tick"]).well();
    // Numerical Recipes' generator: the same kills every time, as far as the machine lets them be.
    let mut seed: u32 = 20_260_131;
    let mut next = |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) % below
    };
    let mut kills = 0;
    while kills < 30 {
        pause(Duration::from_millis(u64::from(next(60))));
        let workers: Vec<i32> = here.workers().into_values().collect();
        if let Some(pid) = workers.get(next(4) as usize % workers.len().max(1)) {
            signal(*pid, Signal::KILL);
            kills += 1;
        }
        if next(2) == 0 {
            here.run(&["tick"]).well();
        }
    }
    let all = 402 + 2 * FAN;
    assert!(i64::try_from(here.done()).unwrap() < all, "it was killed too late to prove anything");
    within(BOUND, "all tasks to be done", || {
        here.run(&["tick"]).well();
        pause(Duration::from_millis(200));
        (i64::try_from(here.done()).unwrap() == all).then_some(())
    });
    assert_eq!(notes(&here), (all, all), "each task has noted once");
    for parent in [1, 2] {
        let of = format!("parent = {parent} AND status = 'done'");
        assert_eq!((here.count(&of), here.count(&format!("{of} AND error IS NULL"))), (FAN, FAN));
        let distinct = format!("SELECT count(DISTINCT param) FROM task WHERE parent = {parent}");
        assert_eq!(here.sql().query_row(&distinct, [], |r| r.get::<_, i64>(0)).unwrap(), FAN);
    }
    assert_eq!(here.sql().query_row("SELECT count(*) FROM rowmill_followup", [], |r| r.get::<_, i64>(0)).unwrap(), 0);
}
