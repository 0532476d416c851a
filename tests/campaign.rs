//! Kills by the hundred: real processes on a real file, killed and stopped at random moments while rows come in, and then
//! a checker that reads what everybody has left behind.
//!
//! What would be found here: rows that were acknowledged and are gone, runs of one task that overlap, effects that happen
//! twice, attempts charged to the innocent, and tasks that nobody runs again. `ROWMILL_KILLS=2000 cargo test --test
//! campaign -- --nocapture` runs a long one and prints its table; `ROWMILL_SEED` chooses another order of moments.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first thing that cannot be"
)]

mod installation;
mod needs;

#[path = "company/trial.rs"]
#[allow(dead_code, reason = "the campaign counts for itself")]
mod trial;

mod campaign {
    mod feed;
    mod history;
    mod kills;
    mod seen;
    mod strike;
    mod table;
    mod verdict;
}
