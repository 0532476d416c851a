//! `doctor`, and the laws of the data that it examines: each law is broken on purpose and must be seen, and nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first thing that cannot be"
)]

mod installation;
mod needs;
mod scene;

mod doctor {
    mod answers;
    mod around;
    mod file;
    mod laws;
    mod live;
    mod page;
}
