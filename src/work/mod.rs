//! The worker: hold a partition, run its tasks, settle them, sleep until there is more.
//!
//! The engine's thread alone touches the database, the runner's alone runs jobs; a third looks after the other workers. A
//! worker holds at most one partition at a time: its home by preference, any that nobody holds while home has nothing to
//! do. It can be killed at any instant: the rows it had in hand are still in the order, and the next holder sees them at
//! once; a task that it had claimed is put back by whoever looks next.

mod bench;
mod desk;
pub mod exec;
mod homes;
mod job;
mod options;
mod report;
mod runner;
mod slice;
mod stop;
mod strange;
mod trial;
mod watch;
mod worker;

pub use job::{Context, Handler, Job, JobFuture, Registered, Registry};
pub use options::{Mode, Options, Summary};
pub use stop::{Level, Stop};
pub use trial::{exit_code, try_once};
pub use worker::work;
