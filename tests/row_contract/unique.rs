//! One unsettled task per key: every clause with which applications say what a conflict means to them.
//!
//! The index is partial, so that a key is free as soon as its task is settled, cancelled or deleted, and an upsert
//! without a target finds it by itself.

use super::application::Application;
use super::moments::{Moment, bring, bring_as};
use crate::scene::{FAR_MS, Scene, done, keyed, laws};
use rowmill::store::Verdict;
use rowmill::task::NewTask;

by_every_application!(
    a_second_task_of_a_key_is_refused,
    or_ignore_and_do_nothing_keep_the_first,
    an_upsert_changes_the_first,
    an_upsert_of_a_task_in_hand_is_settled_as_it_stands,
    replace_is_a_new_task,
    a_key_that_is_taken_over_takes_its_row_away,
    an_ignored_insert_leaves_nothing_to_the_next,
    replace_with_a_default_in_place_of_null_has_its_key,
    a_replaced_task_in_hand_is_gone,
    replacing_with_recursive_triggers_leaves_no_key,
    a_settled_task_does_not_stand_in_the_way,
);

const INSERT: &str = "INTO queue (job, unique_key, priority) VALUES ('subject', 'mine', 5)";

/// The moments at which a task has its key.
const HELD: [Moment; 4] = [Moment::Ready, Moment::Delayed, Moment::InHand, Moment::Parked];

fn a_second_task_of_a_key_is_refused(s: &mut Scene, app: &mut Application) {
    for moment in HELD {
        let first = bring_as(s, moment, keyed("mine"));
        let before = s.raw(first.id);
        app.refused(&[&format!("INSERT {INSERT}")], "UNIQUE constraint failed: queue.unique_key");
        assert_eq!(s.raw(first.id), before);
        app.run(&[&format!("DELETE FROM queue WHERE id = {}", first.id)]);
    }
}

fn or_ignore_and_do_nothing_keep_the_first(s: &mut Scene, app: &mut Application) {
    let target =
        "(unique_key) WHERE unique_key IS NOT NULL AND status <> 'done' AND status <> 'dead' AND status <> 'cancelled'";
    for moment in HELD {
        let first = bring_as(s, moment, keyed("mine"));
        let (before, rows) = (s.raw(first.id), s.number("SELECT count(*) FROM queue"));
        for insert in [
            format!("INSERT OR IGNORE {INSERT} RETURNING id"),
            format!("INSERT {INSERT} ON CONFLICT DO NOTHING RETURNING id"),
            format!("INSERT {INSERT} ON CONFLICT {target} DO NOTHING RETURNING id"),
        ] {
            assert_eq!(app.run(&[&insert]), [""; 0], "{insert}");
            assert_eq!((s.raw(first.id), s.number("SELECT count(*) FROM queue")), (before.clone(), rows));
        }
        laws::hold(&s.database.conn);
        app.run(&[&format!("DELETE FROM queue WHERE id = {}", first.id)]);
        // Free again, the same statement adds the row.
        let id = app.number(&format!("INSERT OR IGNORE {INSERT} RETURNING id"));
        assert_eq!(s.keys(id), ["ready at 5"]);
        app.run(&[&format!("DELETE FROM queue WHERE id = {id}")]);
    }
}

fn an_upsert_changes_the_first(s: &mut Scene, app: &mut Application) {
    let later = FAR_MS + 3;
    for moment in HELD {
        let first = bring_as(s, moment, NewTask { priority: 1, ..keyed("mine") });
        let upsert = format!(
            "INSERT {INSERT} ON CONFLICT DO UPDATE SET priority = priority + excluded.priority, param = 'new' RETURNING id"
        );
        assert_eq!(app.number(&upsert), first.id);
        let row = s.store.task(first.id).unwrap().unwrap();
        assert_eq!((row.priority, &row.param[..], row.status.word()), (6, &b"new"[..], moment.status()));
        laws::hold(&s.database.conn);
        let put_off = format!("INSERT {INSERT} ON CONFLICT DO UPDATE SET run_at = {later}, priority = 2 RETURNING id");
        assert_eq!(app.number(&put_off), first.id);
        if moment == Moment::Parked {
            assert_eq!(s.keys(first.id), [""; 0]);
        } else {
            assert_eq!((s.status(first.id), s.keys(first.id)), ("delayed", vec![format!("delayed to {later}")]));
        }
        let cancel = format!("INSERT {INSERT} ON CONFLICT DO UPDATE SET status = 'cancelled' RETURNING id");
        assert_eq!(app.number(&cancel), first.id);
        assert_eq!((s.status(first.id), s.keys(first.id)), ("cancelled", vec![]));
    }
}

fn an_upsert_of_a_task_in_hand_is_settled_as_it_stands(s: &mut Scene, app: &mut Application) {
    let first = bring_as(s, Moment::InHand, keyed("mine"));
    app.run(&[&format!("INSERT {INSERT} ON CONFLICT DO UPDATE SET priority = excluded.priority")]);
    let (hold, hand) = first.hand.unwrap();
    assert_eq!(s.settle(&hold, hand, done()), Verdict::Written);
    let row = s.store.task(first.id).unwrap().unwrap();
    assert_eq!((row.status.word(), row.priority, s.keys(first.id)), ("done", 5, vec![]));
}

/// The old row is deleted like any other, whether or not SQLite tells the delete triggers of it.
fn replace_is_a_new_task(s: &mut Scene, app: &mut Application) {
    for moment in [Moment::Ready, Moment::Delayed, Moment::Parked] {
        let first = bring_as(s, moment, keyed("mine"));
        let next = app.number(&format!("INSERT OR REPLACE {INSERT} RETURNING id"));
        assert!(next > first.id);
        assert_eq!(s.raw(first.id), [""; 0]);
        assert_eq!(
            (s.status(first.id), s.status(next), s.keys(next)),
            ("gone", "ready", vec!["ready at 5".to_string()])
        );
        laws::hold(&s.database.conn);
        app.run(&[&format!("DELETE FROM queue WHERE id = {next}")]);
        laws::hold(&s.database.conn);
    }
}

/// Another key makes no less of a conflict than another row; a task that was given one after it settled is one, too.
fn a_key_that_is_taken_over_takes_its_row_away(s: &mut Scene, app: &mut Application) {
    for triggers in ["ON", "OFF"] {
        for moment in [Moment::Ready, Moment::Delayed, Moment::Parked, Moment::Fresh] {
            let first = bring(s, moment);
            app.run(&[&format!("UPDATE queue SET unique_key = 'mine' WHERE id = {}", first.id)]);
            let next = s.plant(keyed("other"));
            let set = format!("PRAGMA recursive_triggers = {triggers}");
            app.run(&[&set, &format!("UPDATE OR REPLACE queue SET unique_key = 'mine' WHERE id = {next}")]);
            assert_eq!((s.raw(first.id), s.status(next)), (vec![], "ready"), "{moment:?} with triggers {triggers}");
            laws::hold(&s.database.conn);
            app.run(&[&format!("DELETE FROM queue WHERE id = {next}")]);
        }
    }
}

/// What an ignored insert had noted is of no meaning for the next one.
fn an_ignored_insert_leaves_nothing_to_the_next(s: &mut Scene, app: &mut Application) {
    let first = bring_as(s, Moment::Ready, keyed("mine"));
    app.run(&[&format!("INSERT OR IGNORE {INSERT}")]);
    app.run(&[&format!("DELETE FROM queue WHERE id = {}", first.id)]);
    let other = s.plant(keyed("other"));
    app.run(&[&format!("INSERT OR REPLACE {INSERT}")]);
    assert_eq!((s.status(other), s.keys(other)), ("ready", vec!["ready at 0".to_string()]));
    laws::hold(&s.database.conn);
}

fn replace_with_a_default_in_place_of_null_has_its_key(s: &mut Scene, app: &mut Application) {
    let insert =
        "INSERT OR REPLACE INTO queue (job, priority, param, codec) VALUES ('subject', NULL, NULL, NULL) RETURNING id";
    let id = app.number(insert);
    let row = s.store.task(id).unwrap().unwrap();
    assert_eq!((row.priority, &row.param[..], row.codec.as_str()), (0, &b""[..], "json"));
    assert_eq!(s.keys(id), ["ready at 0"]);
}

fn a_replaced_task_in_hand_is_gone(s: &mut Scene, app: &mut Application) {
    for triggers in ["ON", "OFF"] {
        let first = bring_as(s, Moment::InHand, keyed("mine"));
        let set = format!("PRAGMA recursive_triggers = {triggers}");
        let next = app.run(&[&set, &format!("INSERT OR REPLACE {INSERT} RETURNING id")])[0].parse().unwrap();
        let (hold, hand) = first.hand.unwrap();
        assert_eq!(s.settle(&hold, hand, done()), Verdict::Gone, "with triggers {triggers}");
        assert_eq!((s.raw(first.id), s.status(next)), (vec![], "ready"));
        app.run(&[&format!("DELETE FROM queue WHERE id = {next}")]);
    }
}

/// Of every statement of an application that asks for nested triggers.
fn replacing_with_recursive_triggers_leaves_no_key(s: &mut Scene, app: &mut Application) {
    let on = "PRAGMA recursive_triggers = ON";
    for moment in HELD {
        let first = bring_as(s, moment, keyed("mine"));
        let next: i64 = app.run(&[on, &format!("INSERT OR REPLACE {INSERT} RETURNING id")])[0].parse().unwrap();
        assert_eq!((s.raw(first.id), s.keys(next)), (vec![], vec!["ready at 5".to_string()]));
        laws::hold(&s.database.conn);
        app.run(&[on, &format!("UPDATE queue SET run_at = {FAR_MS}, priority = 3 WHERE id = {next}")]);
        assert_eq!(s.keys(next), [format!("delayed to {FAR_MS}")]);
        app.run(&[on, &format!("UPDATE queue SET status = 'cancelled', priority = 4 WHERE id = {next}")]);
        assert_eq!((s.status(next), s.keys(next)), ("cancelled", vec![]));
        laws::hold(&s.database.conn);
    }
}

fn a_settled_task_does_not_stand_in_the_way(s: &mut Scene, app: &mut Application) {
    for moment in [Moment::Fresh, Moment::Folded, Moment::Dead, Moment::Cancelled] {
        let first = bring_as(s, moment, keyed("mine"));
        let before = s.raw(first.id);
        for verb in ["INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE"] {
            let next = app.number(&format!("{verb} {INSERT} RETURNING id"));
            assert_eq!((s.status(next), s.raw(first.id)), ("ready", before.clone()), "{moment:?}: {verb}");
            app.run(&[&format!("DELETE FROM queue WHERE id = {next}")]);
        }
    }
}
