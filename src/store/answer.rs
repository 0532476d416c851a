//! What is handed to the verbs and what they answer.
//!
//! Answers are values that must be looked at: that somebody else was first is one of them.

use super::hand::Claim;
use crate::clock::Millis;
use crate::task::{Company, Right, Settlement};

/// The answer to a claim.
#[derive(Debug, PartialEq, Eq)]
pub enum Claiming {
    /// It is written; the partition is not needed any more.
    Claimed(Claim),
    /// The partition has a new holder: nothing was written.
    Lost,
}

/// How a run ended, on its way into the database.
#[derive(Debug)]
pub struct Ended {
    /// What is to be written.
    pub settlement: Settlement,
    /// When the run began, in UTC milliseconds.
    pub started_at_ms: Millis,
    /// When it ended.
    pub finished_at_ms: Millis,
    /// What is to be done and inserted in the same transaction; only a done task has any.
    pub company: Option<Box<Company>>,
}

/// A finished run, on its way into the database.
#[derive(Debug)]
pub struct Settled {
    /// The right to settle the task; consumed here.
    pub right: Right,
    /// How the run ended.
    pub ended: Ended,
}

/// What became of a settlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is written.
    Written,
    /// The row was cancelled meanwhile and stays so.
    Cancelled,
    /// The row was deleted, or is settled already: nothing was written.
    Gone,
    /// It was to be parked because nobody knows its job, and a living worker does: nothing was written, and the row is
    /// ready for that one.
    Known,
    /// Its company failed for this reason: nothing of this task was written, and the right or claim is still good. To be
    /// settled again, as a failed attempt.
    Refused(String),
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
