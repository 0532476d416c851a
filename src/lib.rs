//! Rowmill: a cron-driven, database-backed batch processor.
//!
//! # The map
//!
//! A row is inserted into `queue`; a trigger puts its key into the order of work. A worker that *holds* the row's
//! partition fetches it, runs its job, and settles it: the key leaves the order and the outcome is recorded, in one
//! transaction that first checks that the hold is still good. Folding writes outcomes back into their rows in bulk.
//! A task that runs long is *claimed*, written as running, and its partition goes to somebody else; so is, before it
//! begins, one whose worker died the last time. When a worker dies, the next holder reads which task ran; claims of the
//! dead are settled by whoever looks next.
//!
//! Rooms, in reading order; each names only rooms below its level:
//!
//! | level | room | what it is |
//! |---|---|---|
//! | 0 | [`error`], [`clock`], [`share`], [`log`] | the error, the time, whose files are, the day's log file |
//! | 1 | [`task`], [`cron`] | what a task is and what becomes of it; when a schedule is due. Pure |
//! | 2 | [`store`] | the verbs, and the only room with SQL |
//! | 3 | [`work`], [`schedule`] | the worker; the tick. They never name each other |
//! | 4 | [`config`], [`cli`] | the doors |
//!
//! *Invariant:* a key stands in the order of work exactly while its row is `ready`, in the delayed order exactly while
//! it is `delayed`; a `running` row has a claim instead.
//! *Invariant:* a task is settled only by whoever holds its partition at the epoch at which it was fetched, or takes its
//! claim away.
//! *Invariant:* a task that ran when its worker died runs again only when nothing lives of what that had started for it.
//! *Invariant:* what a task brings with it (effects, follow-ups) is committed with its settlement, or not at all.
//! *Invariant:* a row's partition follows from its id alone, and never changes.
//! *Invariant:* what is final stays final; only `retry` of a dead task, asked for by a person, undoes it.
//! *Invariant:* every write transaction is short, begins IMMEDIATE behind the write gate, and is bounded in rows.

pub mod cli;
pub mod clock;
pub mod config;
pub mod cron;
pub mod error;
pub mod log;
pub mod schedule;
pub mod share;
pub mod store;
pub mod task;
pub mod work;

pub use cli::main;
pub use error::{Error, Result};
pub use store::{CatchUp, Overlap, Schedule};
pub use task::{Backoff, Codec, Delivery, JobError, NewTask, Outcome, Policy, Tx, Value, decode};
pub use work::{Context, Job, Registry};

/// Compiles the Rust in README.md, and nothing else.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

// What tests of other targets also use names the library as they do.
#[cfg(test)]
extern crate self as rowmill;

#[cfg(test)]
#[path = "../tests/simulation/mod.rs"]
mod simulation;
