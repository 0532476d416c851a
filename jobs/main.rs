//! The rowmill program: the engine, and the jobs that it ships with.
//!
//! To add jobs of your own, write a type that a task's param decodes into, implement `Job` for it, and name it here.

mod basic;
// Tested, and not registered yet: see its header.
#[cfg(test)]
mod messages;

use std::process::ExitCode;

fn main() -> ExitCode {
    rowmill::main(|jobs| {
        jobs.job::<basic::Noop>()?;
        jobs.job::<basic::Sleep>()?;
        jobs.job::<basic::Fail>()?;
        jobs.job::<basic::Echo>()?;
        Ok(())
    })
}
