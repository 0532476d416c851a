//! The verbs of the domain, and the only room with SQL.
//!
//! Everything that is ever read from or written to the database goes through one of these verbs; a backend implements
//! them, and one contract suite runs over every backend. A verb is one transaction, or says how many. Losing a race is
//! an answer, never an error; an error of kind [`TryAgain`](crate::error::Kind::TryAgain) (locked, full, unreachable)
//! means that nothing was changed and that the same call may be made again.

mod answer;
mod examine;
mod govern;
mod hand;
mod look;
mod occasion;
mod operate;
mod schedules;
pub mod sqlite;

pub use answer::{Claiming, Ended, Enqueued, Settled, Settling, Verdict, Woken};
pub use examine::{
    Backlog, Condition, DeadWorker, EXAMPLES, Examine, Examined, Example, Found, Law, Queued, RunFolder, Severity, Step,
};
pub use govern::{Claimed, Curb, DayCount, Govern, Hand, Order, Pruned, Released, Resident};
pub(crate) use hand::IN_HAND;
pub use hand::{Badge, Batch, Body, Claim, Frozen, Hold, LastWord, Lock, LostClaim, Mark, Note, Watchman};
pub use look::{Counts, Filter, Look, Row, Waiting, WorkerInfo};
pub use occasion::release_waiting;
pub use operate::{Chosen, Fate, Operate, Operation, Tally, Tell};
pub use schedules::{
    CatchUp, Fired, Firing, First, Kept, LastFired, MOST_AT_ONCE, MOST_COUNTED, Occurrence, Origin, Overlap, Passed,
    Schedule, Timetable,
};

use crate::clock::Millis;
use crate::error::Result;
use crate::task::{Delivery, NewTask, Partition, Plan, Right, Settlement, Task};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// How many follow-ups of a task are inserted in one transaction.
pub(crate) const FOLLOW_UPS_AT_ONCE: usize = 1_000;

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Power loss: every commit is synced.
    #[default]
    Full,
    /// The death of any process; a power cut may take the last moments, never the order of what is left.
    Normal,
}

/// The verbs that the engine works with; what is only looked at stands in [`Look`], what an admin mends in [`Operate`], what
/// a person steers in [`Govern`], what is about schedules in [`Timetable`].
pub trait Store: Look + Operate + Govern + Timetable + Send {
    /// The generations of this database. A read.
    fn plan(&mut self) -> Result<Plan>;

    /// Inserts tasks, all or none, in one transaction; answers in order. Up to a few thousand at a time. When it has
    /// returned, the rows survive what [`Durability`] says; when the process dies before, all are there or none.
    ///
    /// Safe to repeat: no, because it adds rows again; with a `unique_key` yes, while the first is unsettled.
    fn enqueue(&mut self, tasks: &[NewTask]) -> Result<Vec<Enqueued>>;

    /// The same, faster, for many at once: the order's keys are written here instead of by the triggers. Rows, keys,
    /// defaults, answers and refusals are those of [`enqueue`](Self::enqueue).
    ///
    /// Safe to repeat: no, as for [`enqueue`](Self::enqueue).
    fn enqueue_many(&mut self, tasks: &[NewTask]) -> Result<Vec<Enqueued>>;

    /// Takes the liveness lock of worker `index` and notes this process as its next incarnation: `None` when a living
    /// process has the lock. What is left of the executables of earlier ones is killed first; an error of kind `TryAgain`
    /// says that some of it does not end.
    ///
    /// Safe to repeat: yes, because the lock is given back when it is dropped.
    fn enlist(&mut self, index: u32, now_ms: Millis) -> Result<Option<Badge>>;

    /// Writes down which jobs a worker knows, so that others leave rows of these to it. Until then it knows none.
    ///
    /// Safe to repeat: yes, because the list is replaced.
    fn know(&mut self, badge: &Badge, jobs: &[&str]) -> Result<()>;

    /// Who of the living workers knows a job: `None` when nobody does; else those that are free to come for a row, not
    /// bound by a long task, as bits of their indexes mod 64. A read, and a look at the locks of those that know it.
    fn knowers(&mut self, job: &str) -> Result<Option<u64>>;

    /// Whether the worker process that held a partition last knows one of `jobs`. A read.
    fn was_known(&mut self, partition: Partition, jobs: &[String]) -> Result<bool>;

    /// Ends a worker in good order; what its executables have left behind is killed. Without it, the next look finds the
    /// worker dead, which costs nothing but the look.
    ///
    /// Safe to repeat: it is not to be had twice, because the badge is consumed.
    fn retire(&mut self, badge: Badge) -> Result<()>;

    /// Keeps a worker's place, and the partition that it still holds, until this process has ended: a job runs that does not
    /// let go, and nobody else is to run its task beside it.
    fn outlast(&mut self, badge: Badge, hold: Option<Hold>);

    /// Whether the database is where it was opened. An error of kind `Failed` says that it was deleted, moved or replaced:
    /// whoever works on it has to end, since nobody else sees what is written. Each write looks by itself. A server's
    /// database cannot go away like that.
    fn is_there(&mut self) -> Result<()> {
        Ok(())
    }

    /// Keeps a worker's place where others look for it: what was deleted or replaced of its locks is taken anew. `hold` is
    /// one that is idle: it is handed back while it still stands; no other may be held meanwhile.
    ///
    /// Safe to repeat: yes, because it only does what is missing.
    fn stay(&mut self, badge: &Badge, hold: Option<Hold>) -> Result<Option<Hold>>;

    /// Takes the lock of the scheduler: `None` when another tick is under way.
    ///
    /// Safe to repeat: yes, because the lock is given back when it is dropped.
    fn scheduler(&mut self) -> Result<Option<Lock>>;

    /// Holds a partition: takes its lock, then raises its epoch in a transaction. `None` when somebody else holds it,
    /// who is told that it is wanted. When the last holder died while a task ran, `blame` says what becomes of that task,
    /// which is written in the same transaction: a second death cannot charge it twice. What is left of that holder's
    /// executables is killed before; an error of kind `TryAgain` says that some of it does not end.
    ///
    /// Safe to repeat: yes, because each hold only raises the epoch, and a note is read at the epoch that it names.
    fn hold(
        &mut self,
        partition: Partition,
        badge: &Badge,
        now_ms: Millis,
        blame: &dyn Fn(&Task) -> Settlement,
    ) -> Result<Option<Hold>>;

    /// Writes a task that is in hand as running by this worker process. Its key leaves the order, its row says who runs
    /// it, and from then on the partition may go to somebody else. A claim for what runs at most once survives a power cut
    /// whatever the [`Durability`] is.
    ///
    /// Safe to repeat: yes after an error, because then nothing was written.
    fn claim(
        &mut self,
        hold: &Hold,
        badge: &Badge,
        right: &Right,
        attempts_charged: u32,
        started_at_ms: Millis,
        delivery: Delivery,
    ) -> Result<Claiming>;

    /// Settles a claimed task, whoever's claim it is. `None` when the claim was taken away: nothing was written then.
    ///
    /// Safe to repeat: yes after an error, because then nothing was written.
    fn settle_claim(&mut self, claim: &Claim, ended: &Ended) -> Result<Option<Verdict>>;

    /// Notes in a claim how its task ended, for whoever settles it when this process is gone. The claim stands: until then
    /// the task may still run.
    ///
    /// Safe to repeat: yes, because it only notes.
    fn last_word(&mut self, claim: &Claim, word: LastWord) -> Result<()>;

    /// Claims of worker processes that are dead, to be settled by whoever asks. What is left of the executables that such
    /// a process had started is killed and gone when this returns; claims whose executables are not gone yet are left out.
    fn lost_claims(&mut self) -> Result<Vec<LostClaim>>;

    /// Rings for the workers that have waited for a partition.
    fn ring_wanted(&mut self, wanted: u64, workers: u32);

    /// The next `limit` rows of the held partition, fewer when their params pass 8 MiB together. A read: whoever dies
    /// after it leaves nothing behind.
    ///
    /// Safe to repeat: yes, because it answers the same rows until they are settled. Do not fetch while tasks of an
    /// earlier batch are unsettled.
    fn fetch(&mut self, hold: &Hold, limit: usize) -> Result<Batch>;

    /// The same, passing over rows of `jobs`, which this worker does not know and living ones do. It begins at the top each
    /// time; where more than 250 such rows stand there, it goes on from `mark`, behind the others of them, and moves
    /// that on. A mark that is `None` has everything read anew. What lies behind more than 100,000 such rows is not seen.
    ///
    /// Safe to repeat: yes, as for [`fetch`](Self::fetch).
    fn fetch_past(&mut self, hold: &Hold, limit: usize, jobs: &[String], mark: &mut Option<Mark>) -> Result<Batch>;

    /// Whether a partition, held or not, has other rows than those that [`fetch_past`](Self::fetch_past) passes over.
    fn has_others(&mut self, partition: Partition, jobs: &[String], mark: &mut Option<Mark>) -> Result<bool>;

    /// Settles finished tasks in one transaction that first checks the hold's epoch. A key leaves the order and its
    /// outcome is recorded together, or neither. A row that an application changed meanwhile is settled as it now
    /// stands; one that it cancelled or deleted stays so. The company of a done task is brought in by the same
    /// transaction, or the task is refused and its neighbours settle. A task is parked as one whose job nobody knows only if
    /// no living worker has it in its list, as the same transaction sees it; else it stays ready.
    ///
    /// Safe to repeat: yes after an error, because then nothing was written; the settlements are handed back in that
    /// case by being borrowed.
    fn settle(&mut self, hold: &Hold, settled: &[Settled], orphans: &[Right]) -> Result<Settling>;

    /// Inserts follow-ups of settled tasks that were too many for the settling transaction: at most a thousand. Answers the
    /// partitions that got some; `None` when none wait.
    ///
    /// Safe to repeat: yes, because they leave the place where they wait in the transaction that inserts them.
    fn spread(&mut self) -> Result<Option<Vec<Partition>>>;

    /// Writes fresh outcomes into their rows, in id order, at most about `limit` in one transaction. `None` when
    /// another process is folding; else how many, 0 when there is nothing left to fold.
    ///
    /// Safe to repeat: yes, because an outcome leaves the fresh ones in the transaction that folds it.
    fn fold(&mut self, limit: usize) -> Result<Option<usize>>;

    /// Counts the next `limit` rows that were inserted since this was done last, in one transaction; answers how many: 0, for
    /// the cost of two reads, while there are fewer. It only makes [`counts`](Look::counts) cheap: these are exact without it, but read
    /// every row that is not counted.
    ///
    /// Safe to repeat: yes, because the id up to which rows are counted moves in the same transaction.
    fn count(&mut self, limit: usize) -> Result<usize>;

    /// Somebody who looks after the other workers of this host, in a thread of his own; `own` is left out.
    fn watchman(&self, own: Option<&Badge>, workers: u32) -> Box<dyn Watchman>;

    /// Shows that this worker gets on. The verbs do so themselves while they wait.
    fn beat(&mut self);

    /// How long ago a tick last took the scheduler's lock; `None` when never.
    fn since_tick(&mut self) -> Result<Option<Duration>>;

    /// How long ago outcomes were last folded by anyone; `None` when never.
    fn since_fold(&mut self) -> Result<Option<Duration>>;

    /// Makes due delayed tasks ready, at most `limit` in one transaction; answers the partitions that got some.
    ///
    /// Safe to repeat: yes, because a key leaves the delayed order in the transaction that makes its row ready.
    fn promote(&mut self, now_ms: Millis, limit: usize) -> Result<Vec<Partition>>;

    /// When the earliest delayed task is due. A read of one key.
    fn next_delayed(&mut self) -> Result<Option<Millis>>;

    /// The partitions that have ready rows: one key read for each.
    fn waiting(&mut self) -> Result<Vec<Partition>>;

    /// Makes tasks ready again that were parked because nobody knew their job, now that `jobs` are known, or delayed
    /// where their `run_at` lies ahead; bounded steps, until none is left. Answers how many.
    ///
    /// Safe to repeat: yes, because only parked rows change.
    fn release_known(&mut self, jobs: &[&str]) -> Result<usize>;

    /// Begins to listen as worker `index`, whose liveness lock the caller has. Until then [`sleep`](Self::sleep) only
    /// sees commits once a second. From now on a write waits for a second at most while the database is locked: a worker
    /// tries again by itself, and has to hear in between that it is told to stop.
    fn listen(&mut self, index: u32) -> Result<()>;

    /// Sleeps in the kernel until somebody rings, another process commits, `span` is over, or `stop` becomes readable.
    /// A commit since the last sleep ended wakes it at once, so that looking and then sleeping misses nothing. May wake
    /// for nothing; sleeps through a commit for at most about a second.
    fn sleep(&mut self, span: Duration, stop: BorrowedFd<'_>) -> Result<Woken>;

    /// Whether this process is the lookout: of all sleepers, the one that every commit wakes and that rings for others.
    fn is_lookout(&self) -> bool;

    /// Ends being the lookout, and rings for the others so that one of them takes over.
    fn pass_lookout(&mut self, workers: u32);

    /// Rings for the workers whose home is one of `partitions`, or for the next one that listens. Never fails: who is
    /// not rung finds the work by itself within a second.
    fn ring(&mut self, partitions: &[Partition], workers: u32);
}
