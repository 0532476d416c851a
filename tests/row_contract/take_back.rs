//! Taking work back: cancelling and deleting at every moment, and what settlement and fold then make of it.
//!
//! An unsettled task is taken back; a settled one stays settled, whether its outcome has reached its row or not.

use super::application::Application;
use super::moments::{Moment, bring, bring_as};
use crate::scene::{FAR_MS, Scene, dead, done, keyed, laws, parked, retried};
use rowmill::store::Verdict;

by_every_application!(
    cancelling_takes_back_what_is_unsettled,
    deleting_leaves_no_trace,
    a_cancelled_task_keeps_saying_so_whatever_its_handler_answers,
    a_deleted_task_stays_gone_whatever_its_handler_answers,
    a_cancelled_key_is_free,
    a_rolled_back_cancellation_takes_nothing_back,
    cancelling_everything_passes_over_what_is_settled,
);

fn cancelling_takes_back_what_is_unsettled(s: &mut Scene, app: &mut Application) {
    let later = FAR_MS + 5;
    let also = ["", ", priority = 9", ", priority = -9, param = 'x'"].map(String::from);
    let also = also.into_iter().chain([format!(", run_at = {later}"), ", run_at = NULL, priority = 9".into()]);
    for (moment, also) in also.flat_map(|also| Moment::ALL.map(|moment| (moment, also.clone()))) {
        let task = bring(s, moment);
        let before = s.raw(task.id);
        app.run(&[&format!("UPDATE queue SET status = 'cancelled'{also} WHERE id = {}", task.id)]);
        if moment.is_unsettled() {
            assert_eq!((s.status(task.id), s.keys(task.id)), ("cancelled", vec![]), "{moment:?}{also}");
            assert!(s.store.task(task.id).unwrap().unwrap().finished_at.is_some());
        } else if moment == Moment::Cancelled {
            assert_eq!((s.status(task.id), s.keys(task.id)), ("cancelled", vec![]));
        } else {
            assert_eq!(s.raw(task.id), before, "{moment:?}{also}: it was settled already");
        }
        laws::hold(&s.database.conn);
        if let Some((hold, hand)) = task.hand {
            assert_eq!(s.settle(&hold, hand, done()), Verdict::Cancelled);
        }
        s.fold();
        let after = if moment.is_unsettled() { "cancelled" } else { moment.status() };
        assert_eq!((s.stored_status(task.id).as_str(), s.keys(task.id)), (after, vec![]), "{moment:?}{also}");
    }
}

fn deleting_leaves_no_trace(s: &mut Scene, app: &mut Application) {
    for moment in Moment::ALL {
        let task = bring(s, moment);
        let rows = app.run(&[&format!("DELETE FROM queue WHERE id = {} RETURNING id", task.id)]);
        assert_eq!(rows, [task.id.to_string()]);
        assert_eq!(s.raw(task.id), [""; 0], "{moment:?}");
        if let Some((hold, hand)) = task.hand {
            assert_eq!(s.settle(&hold, hand, done()), Verdict::Gone);
        }
        s.fold();
        s.store.promote(FAR_MS - 1, 100).unwrap();
        assert_eq!(s.raw(task.id), [""; 0], "{moment:?}");
    }
}

fn a_cancelled_task_keeps_saying_so_whatever_its_handler_answers(s: &mut Scene, app: &mut Application) {
    for settlement in [done, retried, dead, parked] {
        let task = bring(s, Moment::InHand);
        app.run(&[&format!("UPDATE queue SET status = 'cancelled' WHERE id = {}", task.id)]);
        let before = s.raw(task.id);
        let (hold, hand) = task.hand.unwrap();
        assert_eq!(s.settle(&hold, hand, settlement()), Verdict::Cancelled);
        s.fold();
        assert_eq!(s.raw(task.id), before);
    }
}

fn a_deleted_task_stays_gone_whatever_its_handler_answers(s: &mut Scene, app: &mut Application) {
    for settlement in [done, retried, dead, parked] {
        let task = bring(s, Moment::InHand);
        app.run(&[&format!("DELETE FROM queue WHERE id = {}", task.id)]);
        let (hold, hand) = task.hand.unwrap();
        assert_eq!(s.settle(&hold, hand, settlement()), Verdict::Gone);
        assert_eq!(s.raw(task.id), [""; 0]);
    }
}

fn a_cancelled_key_is_free(s: &mut Scene, app: &mut Application) {
    for moment in [Moment::Ready, Moment::InHand, Moment::Delayed, Moment::Parked] {
        let task = bring_as(s, moment, keyed("mine"));
        app.refused(&["INSERT INTO queue (job, unique_key) VALUES ('subject', 'mine')"], "UNIQUE");
        app.run(&[&format!("UPDATE queue SET status = 'cancelled' WHERE id = {}", task.id)]);
        let insert = "INSERT INTO queue (job, unique_key, priority) VALUES ('subject', 'mine', -50) RETURNING id";
        let next = app.number(insert);
        if let Some((hold, hand)) = task.hand {
            assert_eq!(s.settle(&hold, hand, done()), Verdict::Cancelled);
        }
        assert_eq!((s.status(task.id), s.status(next)), ("cancelled", "ready"));
        app.run(&[&format!("DELETE FROM queue WHERE id = {next}")]);
    }
}

fn a_rolled_back_cancellation_takes_nothing_back(s: &mut Scene, app: &mut Application) {
    for moment in Moment::ALL {
        let task = bring(s, moment);
        let before = s.raw(task.id);
        for act in ["UPDATE queue SET status = 'cancelled'", "DELETE FROM queue"] {
            app.run(&["BEGIN IMMEDIATE", &format!("{act} WHERE id = {}", task.id), "ROLLBACK"]);
        }
        assert_eq!(s.raw(task.id), before);
        app.run(&[&format!("DELETE FROM queue WHERE id = {}", task.id)]);
    }
}

fn cancelling_everything_passes_over_what_is_settled(s: &mut Scene, app: &mut Application) {
    let ids: Vec<i64> = [Moment::Folded, Moment::Dead, Moment::Fresh, Moment::Parked, Moment::Delayed, Moment::Ready]
        .map(|moment| bring(s, moment).id)
        .to_vec();
    let list = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let changed = app.run(&[&format!("UPDATE queue SET status = 'cancelled' WHERE id IN ({list}) RETURNING id")]);
    assert_eq!(changed, ids[3..].iter().map(ToString::to_string).collect::<Vec<_>>());
    let statuses: Vec<_> = ids.iter().map(|id| s.status(*id)).collect();
    assert_eq!(statuses, ["done", "dead", "done", "cancelled", "cancelled", "cancelled"]);
}
