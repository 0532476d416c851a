//! The moments of a task's life at which an application may reach for its row.
//!
//! [`bring`] makes a task and brings it there by the engine's own verbs; the other modules act on it then.

use crate::scene::{FAR_MS, Scene, Taken, dead, done, parked, task};
use rowmill::store::Hold;
use rowmill::task::NewTask;

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// In the order of work.
    Ready,
    /// Put off to [`FAR_MS`].
    Delayed,
    /// Fetched by a worker, not settled.
    InHand,
    /// Done, and the outcome not yet in its row.
    Fresh,
    /// Done, the outcome in its row.
    Folded,
    /// Dead.
    Dead,
    /// Parked.
    Parked,
    /// Cancelled.
    Cancelled,
}

impl Moment {
    pub(crate) const ALL: [Moment; 8] = [
        Moment::Ready,
        Moment::Delayed,
        Moment::InHand,
        Moment::Fresh,
        Moment::Folded,
        Moment::Dead,
        Moment::Parked,
        Moment::Cancelled,
    ];

    /// What a reader sees of a task at that moment.
    pub(crate) fn status(self) -> &'static str {
        match self {
            Moment::Ready | Moment::InHand => "ready",
            Moment::Delayed => "delayed",
            Moment::Fresh | Moment::Folded => "done",
            Moment::Dead => "dead",
            Moment::Parked => "parked",
            Moment::Cancelled => "cancelled",
        }
    }

    /// Whether the task can still run.
    pub(crate) fn is_unsettled(self) -> bool {
        matches!(self, Moment::Ready | Moment::InHand | Moment::Delayed | Moment::Parked)
    }
}

/// A task at its moment, and what a worker has of it.
pub(crate) struct Brought {
    pub(crate) id: i64,
    pub(crate) hand: Option<(Hold, Taken)>,
}

/// Makes a task and brings it to a moment.
pub(crate) fn bring(s: &mut Scene, moment: Moment) -> Brought {
    bring_as(s, moment, NewTask { priority: 1, ..task("subject") })
}

/// The same with what was asked.
pub(crate) fn bring_as(s: &mut Scene, moment: Moment, asked: NewTask) -> Brought {
    s.expect_folds();
    let run_at_ms = (moment == Moment::Delayed).then_some(FAR_MS);
    let id = s.plant(NewTask { run_at_ms, ..asked });
    let mut hand = None;
    match moment {
        Moment::Ready | Moment::Delayed => {}
        Moment::InHand => hand = Some(s.take_one(id)),
        Moment::Fresh | Moment::Folded => {
            s.finish(id, done());
            if moment == Moment::Folded {
                s.fold();
            }
        }
        Moment::Dead => drop(s.finish(id, dead())),
        Moment::Parked => drop(s.finish(id, parked())),
        Moment::Cancelled => s.sql(&format!("UPDATE queue SET status = 'cancelled' WHERE id = {id}")),
    }
    assert_eq!(s.status(id), moment.status());
    Brought { id, hand }
}
