//! Rust jobs in real processes: effects and follow-ups under kills, jobs that run at most once, jobs that never yield.
//!
//! The program is `examples/trial.rs`: the command line of rowmill with jobs that are hard on it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first thing that cannot be"
)]

mod installation;

mod company {
    mod effects;
    mod once;
    mod packs;
    mod panics;
    mod stuck;
    pub(crate) mod trial;
}
