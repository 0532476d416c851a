//! Changing what was asked: priority, time and param, alone and together, at every moment of a task's life.
//!
//! The law is that an update only ever moves a key that is there: it never makes one, so no settled task becomes ready
//! again, and whatever is in a worker's hands is settled as the row stands then.

use super::application::Application;
use super::moments::{Moment, bring};
use crate::scene::{FAR_MS, PAST_MS, Scene, done, laws};
use rowmill::store::Verdict;

by_every_application!(
    a_change_moves_the_key_that_is_there,
    a_change_of_many_rows_moves_each,
    a_change_back_and_forth_ends_where_it_began,
    a_rolled_back_change_moves_nothing,
    the_conflict_clause_of_an_update_changes_nothing,
    a_task_that_was_hurried_runs,
    a_job_never_changes,
);

/// Later than the delayed ones.
const LATER_MS: i64 = FAR_MS + 5;

/// A change, and what it makes of a ready row (priority 1) and of a delayed one (at `FAR_MS`, priority 1).
fn changes() -> Vec<(String, String, String)> {
    let change = |set: String, ready: &str, delayed: String| (set, ready.to_string(), delayed);
    let (far, later) = (format!("delayed to {FAR_MS}"), format!("delayed to {LATER_MS}"));
    vec![
        change("priority = 7".into(), "ready at 7", far.clone()),
        change("priority = -9, param = 'new'".into(), "ready at -9", far.clone()),
        change("param = 'new', codec = 'text', max_attempts = 9".into(), "ready at 1", far.clone()),
        change("priority = priority, run_at = run_at".into(), "ready at 1", far),
        change(format!("run_at = {LATER_MS}"), &later, later.clone()),
        change(format!("priority = 7, run_at = {LATER_MS}"), &later, later.clone()),
        change(format!("run_at = {LATER_MS}, param = 'new', priority = -9"), &later, later.clone()),
        change("run_at = NULL".into(), "ready at 1", "delayed to 0".into()),
        change("run_at = NULL, priority = 7".into(), "ready at 7", "delayed to 0".into()),
        change(format!("run_at = {PAST_MS}"), "ready at 1", format!("delayed to {PAST_MS}")),
        change(format!("priority = 7, run_at = {PAST_MS}"), "ready at 7", format!("delayed to {PAST_MS}")),
    ]
}

fn a_change_moves_the_key_that_is_there(s: &mut Scene, app: &mut Application) {
    for moment in Moment::ALL {
        for (set, ready, delayed) in changes() {
            let task = bring(s, moment);
            let sum = s.number("SELECT count(*) FROM rowmill_ready") + s.number("SELECT count(*) FROM rowmill_delayed");
            app.run(&[&format!("UPDATE queue SET {set} WHERE id = {}", task.id)]);
            let expected = match moment {
                Moment::Ready | Moment::InHand => vec![ready.clone()],
                Moment::Delayed => vec![delayed],
                Moment::Fresh => vec!["fresh".to_string()],
                _ => vec![],
            };
            assert_eq!(s.keys(task.id), expected, "{moment:?}: {set}");
            let status =
                if ready.starts_with("delayed") && moment.status() == "ready" { "delayed" } else { moment.status() };
            assert_eq!(s.status(task.id), status, "{moment:?}: {set}");
            let now = s.number("SELECT count(*) FROM rowmill_ready") + s.number("SELECT count(*) FROM rowmill_delayed");
            assert_eq!(now, sum, "keys came or went: {moment:?}: {set}");
            laws::hold(&s.database.conn);
            if let Some((hold, hand)) = task.hand {
                assert_eq!(s.settle(&hold, hand, done()), Verdict::Written, "{set}");
            }
            s.fold();
            laws::hold(&s.database.conn);
            if matches!(moment, Moment::InHand | Moment::Fresh) {
                assert_eq!((s.status(task.id), s.keys(task.id)), ("done", vec![]));
            }
            app.run(&[&format!("DELETE FROM queue WHERE id = {}", task.id)]);
        }
    }
}

fn a_change_of_many_rows_moves_each(s: &mut Scene, app: &mut Application) {
    let ids: Vec<i64> = (0..5).map(|_| bring(s, Moment::Ready).id).collect();
    let delayed = bring(s, Moment::Delayed).id;
    let mine = format!("id IN ({}, {}, {}, {delayed})", ids[0], ids[2], ids[4]);
    app.run(&[&format!("UPDATE queue SET priority = priority + id WHERE {mine}")]);
    for (n, id) in ids.iter().enumerate() {
        let priority = if n % 2 == 0 { 1 + id } else { 1 };
        assert_eq!(s.keys(*id), [format!("ready at {priority}")]);
    }
    app.run(&[&format!("UPDATE queue SET run_at = {LATER_MS} + id WHERE {mine}")]);
    for id in [ids[0], ids[2], ids[4], delayed] {
        assert_eq!(s.keys(id), [format!("delayed to {}", LATER_MS + id)]);
    }
    assert_eq!(s.keys(ids[1]), ["ready at 1"]);
}

fn a_change_back_and_forth_ends_where_it_began(s: &mut Scene, app: &mut Application) {
    let task = bring(s, Moment::InHand);
    let before = s.raw(task.id);
    let at = format!("WHERE id = {}", task.id);
    app.run(&[&format!("UPDATE queue SET priority = 9 {at}"), &format!("UPDATE queue SET priority = 1 {at}")]);
    assert_eq!(s.raw(task.id), before);
    let (hold, hand) = task.hand.unwrap();
    assert_eq!(s.settle(&hold, hand, done()), Verdict::Written);
    assert_eq!(s.keys(task.id), ["fresh"]);
}

fn a_rolled_back_change_moves_nothing(s: &mut Scene, app: &mut Application) {
    for moment in Moment::ALL {
        let task = bring(s, moment);
        let before = s.raw(task.id);
        let update = format!("UPDATE queue SET priority = 9, run_at = {LATER_MS} WHERE id = {}", task.id);
        app.run(&["BEGIN IMMEDIATE", &update, "ROLLBACK"]);
        assert_eq!(s.raw(task.id), before);
        app.run(&[&format!("DELETE FROM queue WHERE id = {}", task.id)]);
    }
}

fn the_conflict_clause_of_an_update_changes_nothing(s: &mut Scene, app: &mut Application) {
    for clause in ["OR IGNORE", "OR REPLACE", "OR FAIL", "OR ROLLBACK"] {
        let (ready, delayed) = (bring(s, Moment::Ready).id, bring(s, Moment::Delayed).id);
        let set = format!("priority = 7, run_at = {LATER_MS}");
        app.run(&[&format!("UPDATE {clause} queue SET {set} WHERE id IN ({ready}, {delayed})")]);
        assert_eq!(s.keys(ready), [format!("delayed to {LATER_MS}")]);
        assert_eq!(s.keys(delayed), [format!("delayed to {LATER_MS}")]);
        laws::hold(&s.database.conn);
    }
}

fn a_task_that_was_hurried_runs(s: &mut Scene, app: &mut Application) {
    for run_at in ["NULL", "1600000000000"] {
        let task = bring(s, Moment::Delayed);
        app.run(&[&format!("UPDATE queue SET run_at = {run_at}, priority = 40 WHERE id = {}", task.id)]);
        s.store.promote(1_600_000_000_000, 10).unwrap();
        assert_eq!((s.status(task.id), s.keys(task.id)), ("ready", vec!["ready at 40".to_string()]));
        s.finish(task.id, done());
    }
}

/// Whoever counts tasks by their job relies on that.
fn a_job_never_changes(s: &mut Scene, app: &mut Application) {
    for moment in Moment::ALL {
        let task = bring(s, moment);
        let before = s.raw(task.id);
        let update = format!("UPDATE queue SET job = 'another', param = 'new' WHERE id = {}", task.id);
        app.refused(&[&update], "job is given at the insert and never changes");
        assert_eq!(s.raw(task.id), before, "{moment:?}");
        app.run(&[&format!("UPDATE queue SET job = job, param = 'new' WHERE id = {}", task.id)]);
        laws::hold(&s.database.conn);
        app.run(&[&format!("DELETE FROM queue WHERE id = {}", task.id)]);
    }
}
