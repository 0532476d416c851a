//! What a worker has in hand: its badge, the partition it holds, the tasks it fetched or claimed.
//!
//! All of these are rights. They are made by the store alone, are not `Clone`, and end when they are dropped or used.

use crate::clock::Millis;
use crate::error::Result;
use crate::task::{Delivery, Ending, Partition, Policy, Right, Settlement, Task, decide};
use rustix::fs::{FlockOperation, flock};
use std::any::Any;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// An exclusive lock of the operating system: given back when it is dropped, and by the kernel when its process dies.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "held, not read")] pub(crate) Box<dyn Any + Send>);

/// The exclusive right to the rows of a partition. Dropping it gives the partition back.
#[derive(Debug)]
pub struct Hold {
    pub(crate) partition: Partition,
    pub(crate) epoch: i64,
    pub(crate) worker: u32,
    pub(crate) note: Arc<dyn Note>,
    pub(crate) _lock: Lock,
}

impl Hold {
    /// Where the holder notes what it does.
    pub fn note(&self) -> &Arc<dyn Note> {
        &self.note
    }

    /// The partition that is held.
    pub fn partition(&self) -> Partition {
        self.partition
    }
}

/// The most tasks that a holder has in hand at once, and notes.
pub(crate) const IN_HAND: usize = 64;

/// What a holder notes while it works, where the next one can read it after a death. Where no note can be had, it does
/// nothing.
pub trait Note: fmt::Debug + Send + Sync {
    /// A task begins, or is handed to a stream, which begins it after those that it has. At most [`IN_HAND`] are in hand.
    fn starts(&self, task: i64);

    /// A task is not in hand any more.
    fn ends(&self, task: i64);

    /// Whether a stream has worked on what is not settled yet: what it has started may live on, and is to be gone before
    /// that runs again.
    fn streams(&self, streams: bool);

    /// Nothing is in hand, and no stream has worked on anything.
    fn clear(&self);

    /// The effects of a task begin, while another task may run; with `None` they are over.
    fn settles(&self, task: Option<i64>);

    /// Whether others wait for the partition.
    fn is_wanted(&self) -> bool;

    /// Who has waited for the partition, as bits of worker indexes mod 64; nobody does afterwards.
    fn take_wanted(&self) -> u64;
}

/// A worker that was killed because it kept its locks and made no progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frozen {
    /// Its index.
    pub index: u32,
    /// Its process.
    pub pid: i64,
    /// For how long it had shown no pulse.
    pub silent: Duration,
}

/// Looks after workers that may be stopped or frozen. See [`Store::watchman`](crate::store::Store::watchman).
pub trait Watchman: Send {
    /// Kills the workers that have shown no pulse for `stall` (5 s, if that is shorter, while they own the write gate).
    fn look(&mut self, stall: Duration) -> Result<Vec<Frozen>>;
}

/// A living worker process: its liveness lock, and who it is in claims. Dropping it is dying.
#[derive(Debug)]
pub struct Badge {
    pub(crate) index: u32,
    pub(crate) incarnation: i64,
    pub(crate) body: Body,
    pub(crate) _lock: Lock,
}

impl Badge {
    /// What executables of this worker inherit.
    pub fn body(&self) -> &Body {
        &self.body
    }
}

/// A task that is written as running by one worker process: the right to settle it.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim {
    pub(crate) id: i64,
    pub(crate) incarnation: i64,
    pub(crate) worker: u32,
    pub(crate) attempts_charged: u32,
}

impl Claim {
    /// The id of the task.
    pub fn id(&self) -> i64 {
        self.id
    }
}

/// What executables inherit from their worker, so that nothing of them outlives it unseen.
#[derive(Debug, Clone, Default)]
pub struct Body(pub(crate) Option<PathBuf>);

impl Body {
    /// An open, locked file for one executable to inherit: as long as it or a descendant of it lives, the lock is taken.
    /// `None` where the backend needs none.
    pub fn open(&self) -> Result<Option<OwnedFd>> {
        let Some(path) = &self.0 else { return Ok(None) };
        let mut file = File::from(crate::store::sqlite::open_lock(path)?);
        if file.metadata()?.len() == 0 {
            // Its name, for whoever finds it after the folder was deleted or moved.
            file.write_all(path.as_os_str().as_bytes())?;
        }
        flock(&file, FlockOperation::NonBlockingLockShared)?;
        Ok(Some(file.into()))
    }
}

/// A claim whose worker is dead.
#[derive(Debug)]
pub struct LostClaim {
    /// The task, without its param.
    pub task: Task,
    /// The right to settle it.
    pub claim: Claim,
    /// When it was claimed.
    pub started_at_ms: Millis,
    /// How the run ended, as far as is known.
    pub ending: Ending,
    /// Under which delivery it began, whatever its job's policy says now.
    pub delivery: Delivery,
}

impl LostClaim {
    /// What becomes of the task, under the `policy` that its job has now.
    pub fn settlement(&self, policy: Policy, now_ms: Millis) -> Settlement {
        decide(&self.task, self.ending.clone(), &Policy { delivery: self.delivery, ..policy }, now_ms)
    }
}

/// What a worker knows of its claimed task when it has to end itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastWord {
    /// It ran past its timeout, and does not yield.
    TimedOut {
        /// The timeout, in milliseconds.
        after_ms: u64,
    },
    /// It was told to stop, and does not.
    Interrupted,
}

/// The next ready rows of a held partition, in the order in which they are to run.
#[derive(Debug, Default)]
pub struct Batch {
    /// Tasks to run, highest priority first, then lowest id, each with the right to settle it.
    pub tasks: Vec<(Task, Right)>,
    /// Keys in the order whose rows are gone or not ready: to be dropped with the next settlement, never run.
    pub orphans: Vec<Right>,
    /// Tasks of paused jobs: to be parked, not run.
    pub paused: Vec<Right>,
    /// How many rows were passed over on the way, of the jobs that [`fetch_past`](crate::store::Store::fetch_past) was told.
    pub passed: usize,
}

/// A place in a partition's order of work: everything before it, behind the first rows, is of jobs that are passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub(crate) priority: i64,
    pub(crate) id: i64,
}
