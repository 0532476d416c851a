//! What the reading verbs answer: counts, rows, workers, as people and scripts see them.

use crate::clock::Millis;
use crate::error::Result;
use crate::task::{Partition, Status};
use std::collections::BTreeMap;

/// The verbs that only look.
pub trait Look {
    /// Whether somebody holds the partition.
    fn is_held(&mut self, partition: Partition) -> Result<bool>;

    /// Whether a living process is worker `index`.
    fn is_alive(&mut self, index: u32) -> Result<bool>;

    /// The living workers of this host, by index.
    fn workers(&mut self) -> Result<Vec<WorkerInfo>>;

    /// Tasks by job and status. Exact at every instant. Reads a row for each job, and those tasks that were inserted since
    /// somebody counted ([`Store::count`](super::Store::count)): whoever folds does.
    fn counts(&mut self) -> Result<Counts>;

    /// The oldest ready task. Reads one key of each priority in each partition, and gives up after 5,000 of them.
    fn oldest_ready(&mut self) -> Result<Option<Waiting>>;

    /// Tasks, newest first. Those that are running, parked, dead or cancelled are found by their index, ready and delayed
    /// ones by their keys while these are no more than 100,000. Otherwise rows are read from the newest on until `limit`,
    /// or as many as there are by [`counts`](Look::counts), are found. With `since_ms`, none is read that was inserted
    /// more than an hour before: what an application inserted while its clock was further behind may be missed.
    fn tasks(&mut self, filter: &Filter) -> Result<Vec<Row>>;

    /// One task.
    fn task(&mut self, id: i64) -> Result<Option<Row>>;
}

/// Tasks by job and status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// For each job name, how many tasks are in each status.
    pub jobs: BTreeMap<String, BTreeMap<Status, u64>>,
}

impl Counts {
    /// How many tasks are in `status`, over all jobs.
    pub fn total(&self, status: Status) -> u64 {
        self.jobs.values().filter_map(|of| of.get(&status)).sum()
    }
}

/// The ready task that has waited longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Since when, in UTC milliseconds.
    pub since_ms: Millis,
    /// Whether there were too many priorities to look at all of them: another one may have waited longer then.
    pub at_least: bool,
}

/// Which tasks to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those in this status.
    pub status: Option<Status>,
    /// Only those of this job.
    pub job: Option<String>,
    /// Only those inserted at or after this instant.
    pub since_ms: Option<Millis>,
    /// At most that many.
    pub limit: u32,
}

/// A task as a reader sees it: the columns of the view `task`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The id of the row.
    pub id: i64,
    /// The name of its job.
    pub job: String,
    /// What the job is given.
    pub param: Vec<u8>,
    /// How `param` is written, as the row says.
    pub codec: String,
    /// Larger runs first.
    pub priority: i64,
    /// Where it is in its life.
    pub status: Status,
    /// Attempts charged so far.
    pub attempt: i64,
    /// Attempts until it is dead, where the row says so.
    pub max_attempts: Option<i64>,
    /// Not before this instant.
    pub run_at: Option<Millis>,
    /// At most one unsettled task has it.
    pub unique_key: Option<String>,
    /// When it was inserted.
    pub created_at: Millis,
    /// When its last attempt began.
    pub started_at: Option<Millis>,
    /// When it became final.
    pub finished_at: Option<Millis>,
    /// The worker of its last attempt.
    pub worker: Option<i64>,
    /// What its handler returned.
    pub result: Option<Vec<u8>>,
    /// Why its last attempt failed, or why it is parked.
    pub error: Option<String>,
    /// The kind of that error.
    pub cause: Option<String>,
    /// The task that it follows.
    pub parent: Option<i64>,
    /// The partition that the row belongs to.
    pub partition: Partition,
}

/// A living worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerInfo {
    /// Its index; partition `index` is its home.
    pub index: u32,
    /// Its process.
    pub pid: i32,
    /// When it started.
    pub started_at: Millis,
}
