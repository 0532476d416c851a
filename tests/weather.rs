//! Rough weather: a full disk, a database that others lock, read or delete, folders that go away, a clock that jumps,
//! limits, numbers near their bounds, and long days. Nothing is lost, nobody is charged, and work goes on when it is over.
//!
//! What takes long is short here, and as long as one likes by a variable of the environment; each test names its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first thing that cannot be"
)]

mod installation;
mod needs;

mod weather {
    mod bounded;
    mod bounds;
    mod due;
    mod full;
    mod gone;
    mod held;
    mod jumps;
    mod limits;
    mod params;
    mod process;
    mod small_disk;
    mod soak;
}
