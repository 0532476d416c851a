//! What an admin does to tasks that are in the table: retry, cancel, release.
//!
//! Each verb is told which tasks, by their ids or by a filter, and works through them in steps of 500 rows, a transaction
//! each, so that workers and applications get their turns in between. That a task is not in the right state any more is
//! an answer about that task; the others go on. Who is killed between two steps has done the first ones.

use super::look::Filter;
use crate::clock::Millis;
use crate::error::Result;
use crate::task::Status;

/// The verbs that mend. Each tells about every task, in order, once the transaction that wrote it has committed, and
/// answers how many there were of each kind.
///
/// With a filter, the tasks are those that match when the verb is called, the newest first; what comes to match while it
/// works is left alone. Their ids are kept in memory, 8 bytes each.
pub trait Operate {
    /// Puts dead tasks back under their ids: ready, as if they had never run. Attempts are counted from zero again; error,
    /// cause, result and times of the last attempt are cleared. A task whose `unique_key` an unsettled task has by now
    /// stays dead.
    ///
    /// Safe to repeat: yes, because only dead tasks change.
    fn retry(&mut self, chosen: &Chosen<'_>, now_ms: Millis, tell: &mut Tell<'_>) -> Result<Tally>;

    /// Cancels tasks that are not final. One that is running is not broken off: its settlement finds the row cancelled, and
    /// what came of the run is dropped; the same holds for one that is ready and in a worker's hands just now.
    ///
    /// Safe to repeat: yes, because a cancelled task is final.
    fn cancel(&mut self, chosen: &Chosen<'_>, now_ms: Millis, tell: &mut Tell<'_>) -> Result<Tally>;

    /// Lets parked and delayed tasks go. A parked one becomes ready, or delayed when its `run_at` lies ahead; its reason is
    /// cleared, the attempts that it was charged are kept. A delayed one becomes ready now. A filter that names no status
    /// means parked tasks only: to be delayed is what most delayed tasks were asked for. A task of a paused job is parked
    /// again by the worker that fetches it.
    ///
    /// Safe to repeat: yes, but for a parked task that became delayed: released once more, it is ready.
    fn release(&mut self, chosen: &Chosen<'_>, now_ms: Millis, tell: &mut Tell<'_>) -> Result<Tally>;

    /// Tells what `operation` would do to each task if it were called now; of several dead tasks with one `unique_key`, it
    /// says of each what would become of it alone.
    ///
    /// Safe to repeat: yes, because it only reads.
    fn foresee(
        &mut self,
        operation: Operation,
        chosen: &Chosen<'_>,
        now_ms: Millis,
        tell: &mut Tell<'_>,
    ) -> Result<Tally>;
}

/// Who is told the id of each task and what became of it.
pub type Tell<'a> = dyn FnMut(i64, Fate) + 'a;

/// Which verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// [`Operate::retry`]
    Retry,
    /// [`Operate::cancel`]
    Cancel,
    /// [`Operate::release`]
    Release,
}

impl Operation {
    /// The statuses that it changes.
    pub fn takes(self) -> &'static [Status] {
        match self {
            Operation::Retry => &[Status::Dead],
            Operation::Cancel => &[Status::Ready, Status::Delayed, Status::Running, Status::Parked],
            Operation::Release => &[Status::Parked, Status::Delayed],
        }
    }

    /// The statuses that a filter means which names none.
    pub fn means(self) -> &'static [Status] {
        match self {
            Operation::Release => &[Status::Parked],
            other => other.takes(),
        }
    }

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Operation::Retry => "retry",
            Operation::Cancel => "cancel",
            Operation::Release => "release",
        }
    }
}

/// Which tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen<'a> {
    /// These, in this order.
    Ids(&'a [i64]),
    /// Those that match, the newest first. A status that the verb does not change is an error.
    Matching(&'a Filter),
}

/// What became of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was changed and has this status now.
    Changed(Status),
    /// Nothing was changed: the verb is not for tasks in this status, which it has.
    Unfit(Status),
    /// Nothing was changed: this unsettled task has its `unique_key`.
    KeyTaken(i64),
    /// There is no such task.
    Missing,
}

/// How many tasks met each fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Changed.
    pub changed: u64,
    /// Not in the right state.
    pub unfit: u64,
    /// Their `unique_key` is another task's.
    pub key_taken: u64,
    /// Not there.
    pub missing: u64,
}

impl Tally {
    /// Counts one more.
    pub fn add(&mut self, fate: Fate) {
        *match fate {
            Fate::Changed(_) => &mut self.changed,
            Fate::Unfit(_) => &mut self.unfit,
            Fate::KeyTaken(_) => &mut self.key_taken,
            Fate::Missing => &mut self.missing,
        } += 1;
    }

    /// How many were left as they are.
    pub fn left(&self) -> u64 {
        self.unfit + self.key_taken + self.missing
    }
}
