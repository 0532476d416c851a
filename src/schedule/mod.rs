//! The tick: one pass of the scheduler.
//!
//! It enqueues occurrences of schedules that are due, makes due delayed tasks ready, folds what nobody folded, and
//! starts the workers that are missing. Two ticks at once do no harm: the second finds the scheduler's lock taken and
//! leaves. The scheduler never runs a task and never waits for one; it reaches workers by starting a process.

mod launch;
mod sweep;
mod tick;

pub use launch::Launch;
pub use sweep::{Removed, prune, sweep};
pub use tick::{Entry, Ticked, recover, tick};
