//! The tick: one pass of the scheduler.
//!
//! It kills workers that are frozen, enqueues occurrences of schedules that are due, settles the claims of dead workers,
//! makes due delayed tasks ready, folds what nobody folded, and starts the workers that are missing. Two ticks at once do
//! no harm: the second finds the scheduler's lock taken and leaves. The scheduler never runs a task and never waits for
//! one; it reaches workers by starting a process. Commands of `only_if` are no tasks: they are asked last, each for a
//! short while.
//!
//! A resident scheduler makes the same pass. `heart` says when, `resident` decides about workers, `supervise` knows whom it
//! watches, `reach` starts and tells them.

mod calendar;
mod heart;
mod judge;
mod launch;
mod load;
mod reach;
mod resident;
mod rolling;
mod supervise;
mod sweep;
mod tick;

pub use calendar::{Answer, Calendar, Enqueued, begins, task_now, timing};
pub use heart::{Heart, Pulse};
pub use launch::Launch;
pub use load::{Limits, Measured, decide, measure, words};
pub use reach::{Begun, Ending, Machine, Reach};
pub use resident::{Duty, Watchkeeping};
pub use rolling::TAKES_PLACE;
pub use supervise::Ended;
pub use sweep::{Removed, prune, sweep};
pub use tick::{Ticked, recover, tick};
