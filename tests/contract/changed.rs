//! `settle` of a task that an application changed while it was in hand: every settlement against every change.
//!
//! The rule: the settlement finds the row as it now stands. A moved row is settled where it is, a later `run_at` is
//! kept by whoever runs again, and what was cancelled or deleted stays so and is said.

use crate::scene::{FAR_MS, Scene, dead, done, keyed, laws, parked, retried, task};
use rowmill::store::Verdict;
use rowmill::task::{NewTask, Settlement};

on_every_backend!(
    another_priority_changes_nothing_of_the_settlement,
    a_later_time_is_kept_by_what_runs_again,
    an_earlier_time_than_the_retry_is_overtaken,
    cancelled_stays_cancelled,
    deleted_stays_deleted,
    replaced_is_gone_and_leaves_no_key,
    put_off_and_promoted_again_is_settled,
    a_changed_param_is_kept_for_the_next_run,
    untouched_leaves_what_the_application_did,
);

const SETTLEMENTS: [fn() -> Settlement; 4] = [done, retried, dead, parked];

/// Tasks with and without a key: they take different ways through the settlement.
fn both() -> [NewTask; 2] {
    [task("subject"), keyed("mine")].map(|task| NewTask { priority: 1, ..task })
}

/// Takes a task, lets an application act on it, settles it; the id and the verdict.
fn meanwhile(s: &mut Scene, asked: NewTask, act: &str, settlement: Settlement) -> (i64, Verdict) {
    let id = s.plant(asked);
    let (hold, task) = s.take_one(id);
    s.sql(&act.replace("{id}", &id.to_string()));
    let verdict = s.settle(&hold, task, settlement);
    (id, verdict)
}

/// Ends a task that is not final yet, so that its key is free for the next round.
fn away(s: &Scene, id: i64) {
    laws::hold(&s.database.conn);
    s.sql(&format!("DELETE FROM queue WHERE id = {id}"));
}

fn another_priority_changes_nothing_of_the_settlement(s: &mut Scene) {
    for settlement in SETTLEMENTS {
        for asked in both() {
            let act = "UPDATE queue SET priority = 77 WHERE id = {id}";
            let (id, verdict) = meanwhile(s, asked, act, settlement());
            assert_eq!((verdict, s.status(id)), (Verdict::Written, settlement().word()));
            assert_eq!(s.store.task(id).unwrap().unwrap().priority, 77);
            away(s, id);
        }
    }
}

fn a_later_time_is_kept_by_what_runs_again(s: &mut Scene) {
    let later = FAR_MS + 5;
    for settlement in SETTLEMENTS {
        for asked in both() {
            let act = format!("UPDATE queue SET run_at = {later} WHERE id = {{id}}");
            let (id, verdict) = meanwhile(s, asked, &act, settlement());
            assert_eq!((verdict, s.status(id)), (Verdict::Written, settlement().word()));
            assert_eq!(s.store.task(id).unwrap().unwrap().run_at, Some(later));
            let delayed = settlement().word() == "delayed";
            assert_eq!(s.keys(id), if delayed { vec![format!("delayed to {later}")] } else { vec![] });
            away(s, id);
        }
    }
}

fn an_earlier_time_than_the_retry_is_overtaken(s: &mut Scene) {
    let act = format!("UPDATE queue SET run_at = {} WHERE id = {{id}}", FAR_MS - 5);
    let (id, verdict) = meanwhile(s, task("subject"), &act, retried());
    assert_eq!((verdict, s.keys(id)), (Verdict::Written, vec![format!("delayed to {FAR_MS}")]));
}

fn cancelled_stays_cancelled(s: &mut Scene) {
    for settlement in SETTLEMENTS {
        for asked in both() {
            for act in [
                "UPDATE queue SET status = 'cancelled' WHERE id = {id}",
                "UPDATE queue SET status = 'cancelled', priority = 8 WHERE id = {id}",
                "UPDATE queue SET priority = 8 WHERE id = {id}; UPDATE queue SET status = 'cancelled' WHERE id = {id}",
            ] {
                let (id, verdict) = meanwhile(s, asked.clone(), act, settlement());
                assert_eq!((verdict, s.status(id)), (Verdict::Cancelled, "cancelled"));
                let row = s.store.task(id).unwrap().unwrap();
                assert_eq!((row.attempt, row.result, row.error, row.worker), (0, None, None, None));
                away(s, id);
            }
        }
    }
}

fn deleted_stays_deleted(s: &mut Scene) {
    for settlement in SETTLEMENTS {
        for asked in both() {
            let (id, verdict) = meanwhile(s, asked, "DELETE FROM queue WHERE id = {id}", settlement());
            assert_eq!((verdict, s.raw(id)), (Verdict::Gone, vec![]));
        }
    }
}

/// REPLACE deletes without triggers by default, so the key of the old row is still where the fetch had seen it.
fn replaced_is_gone_and_leaves_no_key(s: &mut Scene) {
    for settlement in SETTLEMENTS {
        for triggers in ["ON", "OFF"] {
            let act = format!(
                "PRAGMA recursive_triggers = {triggers};
                 INSERT OR REPLACE INTO queue (job, unique_key, priority) VALUES ('subject', 'mine', -50)"
            );
            let (id, verdict) = meanwhile(s, keyed("mine"), &act, settlement());
            assert_eq!(verdict, Verdict::Gone, "{} with triggers {triggers}", settlement().word());
            assert_eq!(s.raw(id), [""; 0]);
            let other = s.number("SELECT max(id) FROM queue");
            assert_eq!(s.status(other), "ready", "the new row is another task");
            away(s, other);
        }
    }
}

fn put_off_and_promoted_again_is_settled(s: &mut Scene) {
    for asked in both() {
        let id = s.plant(asked);
        let (hold, task) = s.take_one(id);
        s.sql(&format!("UPDATE queue SET run_at = {} WHERE id = {id}", FAR_MS - 9));
        assert_eq!(s.store.promote(FAR_MS - 9, 10).unwrap(), [hold.partition()]);
        assert_eq!(s.settle(&hold, task, done()), Verdict::Written);
        assert_eq!(s.status(id), "done");
    }
}

fn a_changed_param_is_kept_for_the_next_run(s: &mut Scene) {
    let act = "UPDATE queue SET param = 'new', priority = 4 WHERE id = {id}";
    let (id, verdict) = meanwhile(s, task("subject"), act, Settlement::Untouched);
    assert_eq!(verdict, Verdict::Written);
    let (_hold, task) = s.take_one(id);
    assert_eq!((&task.0.param[..], task.0.priority), (&b"new"[..], 4));
}

fn untouched_leaves_what_the_application_did(s: &mut Scene) {
    for (act, status) in [
        ("UPDATE queue SET priority = 8 WHERE id = {id}", "ready"),
        ("UPDATE queue SET run_at = 4000000000009 WHERE id = {id}", "delayed"),
        ("UPDATE queue SET status = 'cancelled' WHERE id = {id}", "cancelled"),
        ("DELETE FROM queue WHERE id = {id}", "gone"),
    ] {
        let (id, _) = meanwhile(s, keyed("mine"), act, Settlement::Untouched);
        assert_eq!(s.status(id), status);
        away(s, id);
    }
}
