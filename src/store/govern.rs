//! The verbs by which a person steers the whole: how many partitions there are, whether anybody works,
//! and on which jobs.
//!
//! What they write is small, and stays until a person takes it back; whoever works reads it at its next look.

use super::{Hold, Lock, WorkerInfo};
use crate::clock::Millis;
use crate::error::Result;
use crate::task::{Generation, Partition, Right, Status};
use std::os::fd::OwnedFd;

/// The verbs that steer.
pub trait Govern {
    /// Makes N the number of partitions, 1 to 4096, for rows that are inserted from now on: they are a new generation, a
    /// range of ids. Rows that are there keep their partition. Answers the generation that new rows enter, and whether
    /// it was made or changed just now. One transaction, so an insert is wholly before or after it.
    ///
    /// Safe to repeat: yes, because nothing is done when N is that number already.
    fn scale(&mut self, partitions: u32) -> Result<(Generation, bool)>;

    /// Writes down that nobody is to work until [`start`](Self::start). Answers the order that holds: an earlier one
    /// stands. Who works reads it within about a second; telling them at once is the caller's.
    ///
    /// Safe to repeat: yes, because the first order stands.
    fn stop(&mut self, by_whom: &str, now_ms: Millis) -> Result<Order>;

    /// Takes the order to stop back; answers it, `None` when there was none. Schedules that came due meanwhile note why
    /// nobody saw to them.
    ///
    /// Safe to repeat: yes, because there is nothing to take back then.
    fn start(&mut self, now_ms: Millis) -> Result<Option<Order>>;

    /// The order to stop, if there is one. A read of one row.
    fn stopped(&mut self) -> Result<Option<Order>>;

    /// Keeps the tasks of a job from running: whoever fetches one parks it instead, with the cause `paused`. Those in
    /// hand run to their end. The job need not be known here. Answers the order that holds: an earlier one stands.
    ///
    /// Safe to repeat: yes, because the first order stands.
    fn pause(&mut self, job: &str, by_whom: &str, now_ms: Millis) -> Result<Order>;

    /// Takes a pause back; answers it, `None` when there was none. The parked tasks are released by
    /// [`release_paused`](Self::release_paused).
    ///
    /// Safe to repeat: yes, because there is nothing to take back then.
    fn resume(&mut self, job: &str) -> Result<Option<Order>>;

    /// Makes tasks of a job ready that were parked because it was paused: the first `limit` with an id above `after`, in
    /// one transaction. When fewer are answered, no further ones are left.
    ///
    /// Safe to repeat: yes, because only parked rows change.
    fn release_paused(&mut self, job: &str, after: i64, limit: usize) -> Result<Released>;

    /// The paused jobs, by name.
    fn paused(&mut self) -> Result<Vec<(String, Order)>>;

    /// Parks fetched tasks of paused jobs in one transaction, charging nothing. One whose job was resumed meanwhile, or
    /// that an application changed, stays as it is. Answers how many were parked; `None` when the hold is lost.
    ///
    /// Safe to repeat: yes, because a task that is parked has no key any more.
    fn park_paused(&mut self, hold: &Hold, rights: &[Right]) -> Result<Option<usize>>;

    /// How many tasks became final, from the day `from_day` on: days since 1970-01-01 in UTC, then job and status. A
    /// read of these counts only; rows that were deleted since are in them.
    fn history(&mut self, from_day: i64) -> Result<Vec<DayCount>>;

    /// Deletes final rows that became so before `cutoff_ms`, among the first `limit` rows with an id above `after`; with
    /// `dry` only counts them. One transaction. A row that is not final, or whose outcome is not folded yet, is left.
    ///
    /// Safe to repeat: yes, because what is deleted is gone.
    fn prune(&mut self, after: i64, cutoff_ms: Millis, limit: usize, dry: bool) -> Result<Pruned>;

    /// The next step of a pass of [`prune`](Self::prune) whose place is kept in the database, in the same transaction; a
    /// pass begins an hour after the last one was over. `None` until then, for the cost of a read.
    ///
    /// Safe to repeat: yes, because each step goes on where the last committed one ended.
    fn sweep(&mut self, cutoff_ms: Millis, now_ms: Millis, limit: usize) -> Result<Option<Pruned>>;

    /// Forgets occurrences of schedules that were due before `cutoff_ms`, at most `limit` of each schedule in one
    /// transaction each. Answers how many; with `dry`, how many there are.
    ///
    /// Safe to repeat: yes, because what is deleted is gone; a schedule never goes back to a time before its last one.
    fn prune_occurrences(&mut self, cutoff_ms: Millis, limit: usize, dry: bool) -> Result<usize>;

    /// Curbs the number of workers from now on, or lets all of them be there. Those that are too many read it at their next
    /// look, finish what they have in hand, and end.
    ///
    /// Safe to repeat: yes, because the curb is replaced.
    fn set_curb(&mut self, curb: Option<&Curb>) -> Result<()>;

    /// The curb, if there is one. A read of one row.
    fn curb(&mut self) -> Result<Option<Curb>>;

    /// Takes the place of the resident scheduler of this host: `None` when a living process has it.
    ///
    /// Safe to repeat: yes, because the place is given back when the lock is dropped.
    fn reside(&mut self, now_ms: Millis) -> Result<Option<Lock>>;

    /// The process of the resident scheduler, and since when it is there; `None` when there is none.
    fn resident(&mut self) -> Result<Option<Resident>>;

    /// The living workers of this host, by index, each with its process and with the task that it has claimed.
    fn crew(&mut self) -> Result<Vec<Hand>>;
}

/// Fewer workers than there are to be, because the machine is under load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Curb {
    /// How many may be there: those with the lowest indexes. At least 1.
    pub workers: u32,
    /// When that was decided, in UTC milliseconds.
    pub since: Millis,
    /// Why: what was measured, and its limit.
    pub why: String,
}

/// The resident scheduler of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resident {
    /// Its process; 0 while it is just writing that down.
    pub pid: i32,
    /// Since when it is there, in UTC milliseconds.
    pub since: Millis,
}

/// Something that a person has ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Since when it holds, in UTC milliseconds.
    pub since: Millis,
    /// Who gave it: `user@host`.
    pub by_whom: String,
}

/// How many tasks of a job became final in one way on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayCount {
    /// Days since 1970-01-01, in UTC.
    pub day: i64,
    /// The name of the job.
    pub job: String,
    /// `done`, `dead` or `cancelled`.
    pub status: Status,
    /// How many.
    pub count: u64,
}

/// What a step of pruning came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// How many rows were deleted, or would be.
    pub rows: usize,
    /// The id to go on after; `None` when no older rows are left.
    pub next: Option<i64>,
}

/// What a release came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Released {
    /// How many tasks became ready.
    pub count: usize,
    /// The highest id of them, to go on after.
    pub last_id: i64,
    /// The partitions that have work by it.
    pub partitions: Vec<Partition>,
}

/// A living worker, as whoever has to do with its process sees it.
#[derive(Debug)]
pub struct Hand {
    /// Which one it is.
    pub info: WorkerInfo,
    /// Its process, readable when it ends: proven by boot and instant of its start to be that worker. `None` when it
    /// cannot be had from here (another process namespace), is just beginning, or has just ended.
    pub process: Option<OwnedFd>,
    /// The task that it has claimed because it runs long.
    pub claimed: Option<Claimed>,
    /// The names of the jobs that it knows; none while it is just starting.
    pub jobs: Vec<String>,
}

/// A running task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Its id.
    pub task: i64,
    /// Its job; `None` when its row was deleted meanwhile.
    pub job: Option<String>,
    /// Since when it runs, in UTC milliseconds.
    pub since: Millis,
}
