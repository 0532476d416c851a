//! The worker: hold a partition, run its tasks, settle them.

pub mod exec;
mod job;

pub use job::{Context, Handler, Job, JobError, JobFuture, Registered, Registry};
