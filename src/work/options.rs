//! What a worker is told when it begins, and what it answers when it ends.
//!
//! Nothing in it changes while the worker lives, but for the number of workers where it is left to the database.

use std::time::Duration;

/// When a worker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// When the last work and the last tick are both this long ago.
    Linger(Duration),
    /// When nothing is ready in any partition.
    Drain,
}

/// What a worker is told.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Its index; the partitions whose index is the same, modulo the number of workers, are its homes.
    pub index: u32,
    /// How many workers there are to be; `None` for one for each partition, also when their number changes meanwhile.
    pub workers: Option<u32>,
    /// When it ends.
    pub mode: Mode,
    /// Whether it also ends when workers are curbed and it is one too many.
    pub yields: bool,
    /// How long running tasks have to finish when it is told to stop.
    pub grace: Duration,
    /// How long another worker may be without progress before this one kills it.
    pub stall: Duration,
}

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summary {
    /// It ended by itself or was told to stop; everything that it had in hand is settled or put back.
    Ended {
        /// Runs that it settled.
        settled: u64,
        /// Of them, tasks that died.
        died: u64,
    },
    /// Another living process is worker `index` already.
    Taken,
    /// It was told to stop and a job did not let go in time: the process must end now. Nothing is charged.
    Stuck,
    /// A job ran past its timeout and does not yield: the process must end now, and that task is charged when it has.
    Overran,
}
