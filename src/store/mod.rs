//! The verbs of the domain, and the only room with SQL.
//!
//! Everything that is ever read from or written to the database goes through one of these verbs; a backend implements
//! them, and one contract suite runs over every backend. A verb is one transaction, or says how many. Losing a race is
//! an answer, never an error; an error of kind [`TryAgain`](crate::error::Kind::TryAgain) (locked, full, unreachable)
//! means that nothing was changed and that the same call may be made again.

mod look;
pub mod sqlite;

pub use look::{Counts, Filter, Row, Schedule, WorkerInfo};

use crate::clock::Millis;
use crate::error::Result;
use crate::task::{NewTask, Partition, Plan, Right, Settlement, Task};
use std::any::Any;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Power loss: every commit is synced.
    #[default]
    Full,
    /// The death of any process; a power cut may take the last moments, never the order of what is left.
    Normal,
}

/// An exclusive lock of the operating system: given back when it is dropped, and by the kernel when its process dies.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "held, not read")] pub(crate) Box<dyn Any + Send>);

/// The exclusive right to the rows of a partition. Dropping it gives the partition back.
#[derive(Debug)]
pub struct Hold {
    pub(crate) partition: Partition,
    pub(crate) epoch: i64,
    pub(crate) worker: u32,
    pub(crate) _lock: Lock,
}

impl Hold {
    /// The partition that is held.
    pub fn partition(&self) -> Partition {
        self.partition
    }
}

/// The next ready rows of a held partition, in the order in which they are to run.
#[derive(Debug, Default)]
pub struct Batch {
    /// Tasks to run: highest priority first, then lowest id.
    pub tasks: Vec<Task>,
    /// Keys in the order whose rows are gone or not ready: to be dropped with the next settlement, never run.
    pub orphans: Vec<Right>,
}

/// A finished run, on its way into the database.
#[derive(Debug)]
pub struct Settled {
    /// The right to settle the task; consumed here.
    pub right: Right,
    /// What is to be written.
    pub settlement: Settlement,
    /// When the run began, in UTC milliseconds.
    pub started_at_ms: Millis,
    /// When it ended.
    pub finished_at_ms: Millis,
}

/// What became of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is written.
    Written,
    /// The row was cancelled meanwhile and stays so.
    Cancelled,
    /// The row was deleted, or is settled already: nothing was written.
    Gone,
}

/// The answer to a batch of settlements.
#[derive(Debug, PartialEq, Eq)]
pub enum Settling {
    /// The transaction is committed; a verdict for each settlement, in order.
    Committed(Vec<Verdict>),
    /// The partition has a new holder: nothing was written, and the rights are worth nothing.
    Lost,
}

/// An enqueued task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// A new row with this id.
    New(i64),
    /// An unsettled task has the same `unique_key`: this one; no row was added.
    Exists(i64),
}

impl Enqueued {
    /// The id of the row, new or not.
    pub fn id(self) -> i64 {
        match self {
            Enqueued::New(id) | Enqueued::Exists(id) => id,
        }
    }
}

/// Why a sleeper woke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// Somebody rang, or another process committed.
    Rung,
    /// The time was over.
    TimeOut,
    /// The descriptor that was handed in became readable.
    Stopped,
}

/// The verbs.
pub trait Store: Send {
    /// The generations of this database. A read.
    fn plan(&mut self) -> Result<Plan>;

    /// Inserts tasks, all or none, in one transaction; answers in order. Up to a few thousand at a time. When it has
    /// returned, the rows survive what [`Durability`] says; when the process dies before, all are there or none.
    ///
    /// Safe to repeat: no, because it adds rows again; with a `unique_key` yes, while the first is unsettled.
    fn enqueue(&mut self, tasks: &[NewTask]) -> Result<Vec<Enqueued>>;

    /// Takes the liveness lock of worker `index`: `None` when a living process has it.
    ///
    /// Safe to repeat: yes, because the lock is given back when it is dropped.
    fn enlist(&mut self, index: u32, now_ms: Millis) -> Result<Option<Lock>>;

    /// Takes the lock of the scheduler: `None` when another tick is under way.
    ///
    /// Safe to repeat: yes, because the lock is given back when it is dropped.
    fn scheduler(&mut self) -> Result<Option<Lock>>;

    /// Holds a partition: takes its lock, then raises its epoch in a transaction. `None` when somebody else holds it.
    /// A crash in between leaves a free lock and at worst a raised epoch, which hurts nobody.
    ///
    /// Safe to repeat: yes, because each hold only raises the epoch.
    fn hold(&mut self, partition: Partition, worker: u32, now_ms: Millis) -> Result<Option<Hold>>;

    /// The next `limit` rows of the held partition, fewer when their params pass 8 MiB together. A read: whoever dies
    /// after it leaves nothing behind.
    ///
    /// Safe to repeat: yes, because it answers the same rows until they are settled. Do not fetch while tasks of an
    /// earlier batch are unsettled.
    fn fetch(&mut self, hold: &Hold, limit: usize) -> Result<Batch>;

    /// Settles finished tasks in one transaction that first checks the hold's epoch. A key leaves the order and its
    /// outcome is recorded together, or neither. A row that an application changed meanwhile is settled as it now
    /// stands; one that it cancelled or deleted stays so.
    ///
    /// Safe to repeat: yes after an error, because then nothing was written; the settlements are handed back in that
    /// case by being borrowed.
    fn settle(&mut self, hold: &Hold, settled: &[Settled], orphans: &[Right]) -> Result<Settling>;

    /// Writes fresh outcomes into their rows, in id order, at most about `limit` in one transaction. `None` when
    /// another process is folding; else how many, 0 when there is nothing left to fold.
    ///
    /// Safe to repeat: yes, because an outcome leaves the fresh ones in the transaction that folds it.
    fn fold(&mut self, limit: usize) -> Result<Option<usize>>;

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
    /// sees commits once a second.
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

    /// Whether a living process is worker `index`.
    fn is_alive(&mut self, index: u32) -> Result<bool>;

    /// The living workers of this host, by index.
    fn workers(&mut self) -> Result<Vec<WorkerInfo>>;

    /// Tasks by job and status. Exact at every instant. Reads every row.
    fn counts(&mut self) -> Result<Counts>;

    /// How many tasks are ready. Reads the order of work only.
    fn ready_count(&mut self) -> Result<u64>;

    /// Since when the oldest ready task waits, in UTC milliseconds.
    fn oldest_ready(&mut self) -> Result<Option<Millis>>;

    /// How many tasks became dead at or after `since_ms`, and how many are parked now.
    fn casualties(&mut self, since_ms: Millis) -> Result<(u64, u64)>;

    /// Tasks, newest first.
    fn tasks(&mut self, filter: &Filter) -> Result<Vec<Row>>;

    /// One task.
    fn task(&mut self, id: i64) -> Result<Option<Row>>;

    /// Makes the stored schedules those of `wanted`: new ones begin at their `next_at_ms`, changed ones too, unchanged
    /// ones keep theirs, others are removed. One transaction when anything changes, else a read.
    ///
    /// Safe to repeat: yes, because it only compares and replaces.
    fn set_schedules(&mut self, wanted: &[Schedule]) -> Result<()>;

    /// The stored schedules, by name.
    fn schedules(&mut self) -> Result<Vec<Schedule>>;

    /// Enqueues one occurrence of a schedule and moves the schedule on to `next_at_ms`, in one transaction. `None`
    /// when that occurrence was enqueued before or the schedule has moved on.
    ///
    /// Safe to repeat: yes, because an occurrence is a row with schedule and due time as its key.
    fn fire(&mut self, schedule: &Schedule, due_at_ms: Millis, next_at_ms: Millis) -> Result<Option<i64>>;
}
