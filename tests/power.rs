//! Power cuts and failing disks: what is left of a queue, and how it goes on.
//!
//! A layer under SQLite writes down every write and sync of the database and its log. From that the files are rebuilt as
//! a power cut can leave them, at every point of a history, and opened. The same layer lets each call fail in turn.
//!
//! `ROWMILL_POWER=N` does N times as much of it; the figures are printed:
//! `ROWMILL_POWER=10 cargo test --test power -- --nocapture`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first thing that cannot be"
)]
#![allow(clippy::print_stdout, reason = "the figures are what a longer run is for")]

mod scene;

mod power {
    mod chance;
    mod cuts;
    mod disk;
    mod faults;
    mod history;
    mod layer;
    mod looped;
    mod lost;
    mod platter;
    mod tasks;
    mod verbs;
    mod verdict;

    /// How many times the usual amount is done.
    fn scale() -> usize {
        #[allow(clippy::disallowed_methods, reason = "how much is done is told to the test by whoever starts it")]
        let said = std::env::var("ROWMILL_POWER").ok();
        said.map_or(1, |text| text.parse().expect("ROWMILL_POWER is a number"))
    }
}
