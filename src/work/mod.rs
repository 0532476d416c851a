//! The worker: hold a partition, run its tasks, settle them, sleep until there is more.
//!
//! Two threads: the engine's, which alone touches the database, and the runner's, which alone runs jobs. A worker holds
//! at most one partition at a time; its home by preference, any that nobody holds while home has nothing to do. It can
//! be killed at any instant: the rows it had in hand are still in the order, and the next holder sees them at once.

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
mod trial;
mod watch;
mod worker;

pub use job::{Context, Handler, Job, JobFuture, Registered, Registry};
pub use options::{Mode, Options, Summary};
pub use stop::{Level, Stop};
pub use trial::{exit_code, try_once};
pub use worker::work;
