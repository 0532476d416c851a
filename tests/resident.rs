//! `rowmill run` as a real process: workers that die, are replaced, are too many; signals, systemd's socket, cron beside it.
//!
//! Nothing here is timed: every wait is for a state, with a bound that only ends a test that would wait for ever.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first thing that cannot be"
)]

mod installation;
mod needs;
mod storm;

mod resident {
    mod beside_cron;
    mod cage;
    mod deaths;
    mod ends;
    mod living;
    mod load;
    mod orders;
    mod reload;
    mod systemd;
    mod under_fire;
}
