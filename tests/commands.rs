//! The command line as scripts and admins meet it: what each command answers, refuses and leaves alone.
//!
//! What scripts rely on (exit codes, the keys of JSON answers, `error:` and `hint:` on standard error) is asserted word
//! for word; what people read is asserted by the words that matter.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first thing that cannot be"
)]

mod installation;
mod needs;

mod commands {
    mod answers;
    mod as_cron;
    mod checks;
    mod databases;
    mod enqueues;
    mod imports;
    mod logs;
    mod operates;
    mod paper;
    mod prometheus;
    mod refusals;
    mod schedules;
    mod unwritable;
    mod waits;
}
