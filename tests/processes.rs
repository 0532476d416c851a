//! Rowmill as real processes: rows from outside, workers that sleep, wake, are stopped and are killed, drains and ticks
//! that get in each other's way.
//!
//! Nothing here is timed but to tell what was woken from what looked by itself; every other wait is for a state.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first thing that cannot be"
)]

mod installation;
mod needs;

mod processes {
    mod bodies;
    mod crowd;
    mod deaths;
    mod drains;
    mod frozen;
    mod held;
    mod hostile;
    mod idle;
    mod killed;
    mod lingering;
    mod locked;
    mod logged;
    mod memory;
    mod messages;
    mod namespaces;
    mod order;
    mod paused;
    mod places;
    mod pruned;
    mod room;
    mod running;
    mod scaled;
    mod scripts;
    mod spread;
    mod stopped;
    mod strange;
    mod thousands;
    mod threads;
    mod ticks;
}
