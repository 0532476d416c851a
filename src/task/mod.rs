//! Tasks: what a row says, what becomes of it, and who may decide that.
//!
//! Pure: no I/O, no clock, no async. The life of a task is `ready → run → outcome → decide → settlement`; the only
//! function that turns an outcome into a settlement is [`decide`], and backends only write what it says.

mod ask;
mod codec;
mod company;
mod decide;
mod partition;
mod policy;
mod size;
mod span;

pub use codec::{Codec, decode};
pub use company::{Company, Effect, JobError, Tx, Value};
pub(crate) use company::{Statements, panic_text};
pub use decide::{Cause, Ending, Outcome, Settlement, UNKNOWN_JOB, WORKER_DIED, decide};
pub use partition::{Generation, Partition, Plan};
pub use policy::{Backoff, Delivery, Policy};
pub use size::{parse_size, size_text};
pub use span::{parse_span, span_text};

use std::fmt;
use std::sync::Arc;

/// Where a task is in its life. The words are the same in SQL, JSON, logs and on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// In the order of work.
    Ready,
    /// Waits for its `run_at`.
    Delayed,
    /// Claimed by a worker.
    Running,
    /// Kept with a reason until somebody mends it.
    Parked,
    /// Final: it ran and succeeded.
    Done,
    /// Final: it failed for good.
    Dead,
    /// Final: somebody took it back.
    Cancelled,
}

impl Status {
    /// Every status, in the order in which people read them.
    pub const ALL: [Status; 7] = [
        Status::Ready,
        Status::Delayed,
        Status::Running,
        Status::Parked,
        Status::Done,
        Status::Dead,
        Status::Cancelled,
    ];

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Status::Ready => "ready",
            Status::Delayed => "delayed",
            Status::Running => "running",
            Status::Parked => "parked",
            Status::Done => "done",
            Status::Dead => "dead",
            Status::Cancelled => "cancelled",
        }
    }

    /// The status with this word, if there is one.
    pub fn from_word(word: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|s| s.word() == word)
    }

    /// Whether a task in it can still run.
    pub fn is_final(self) -> bool {
        matches!(self, Status::Done | Status::Dead | Status::Cancelled)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// The right to settle one task: made by the store when it hands the task out, consumed by the settlement. It is not
/// `Clone`, so settling twice does not compile.
#[derive(Debug, PartialEq, Eq)]
pub struct Right {
    /// The partition that was held when the task was fetched.
    pub(crate) partition: Partition,
    /// The priority under which its key stood in the order of work.
    pub(crate) priority: i64,
    /// The task.
    pub(crate) id: i64,
    /// Whether its settlement has to free a `unique_key`.
    pub(crate) keyed: bool,
    /// The name of its job; shared by the rights of one batch.
    pub(crate) job: Arc<str>,
}

impl Right {
    /// The id of the task that this right is about.
    pub fn id(&self) -> i64 {
        self.id
    }
}

/// A task in a worker's hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The row's id.
    pub id: i64,
    /// The name of its job.
    pub job: String,
    /// What the job is given, as the row has it.
    pub param: Vec<u8>,
    /// How `param` is written.
    pub codec: Codec,
    /// Larger runs first.
    pub priority: i64,
    /// Attempts charged before this run.
    pub attempts_charged: u32,
    /// Attempts until it is dead, where the row overrides its job's policy.
    pub max_attempts: Option<u32>,
    /// Whether a worker died while it ran: it is to be claimed before it begins, and to run alone.
    pub careful: bool,
}

impl Task {
    /// The same task for whoever only has to know which it is.
    pub(crate) fn without_param(&self) -> Task {
        Task { param: Vec::new(), job: self.job.clone(), ..*self }
    }
}

/// A task to be enqueued. `None` means the default of the row contract.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTask {
    /// The name of its job: 1 to 200 characters.
    pub job: String,
    /// Text or bytes, at most 16 MiB.
    pub param: Vec<u8>,
    /// How `param` is written; JSON by default.
    pub codec: Codec,
    /// Larger runs first; -2147483648 to 2147483647.
    pub priority: i64,
    /// Not before this instant, in UTC milliseconds from 10^11 on.
    pub run_at_ms: Option<i64>,
    /// At most one unsettled task has a given key.
    pub unique_key: Option<String>,
    /// Attempts until it is dead: 1 to 1000.
    pub max_attempts: Option<u32>,
}
