//! The house rules as plain functions over source text; `tests/rooms.rs` holds them against this repository.
//!
//! Each rule takes files (path and text) and answers with findings, one line each, as `path:line: what is wrong`.
//! Beside each rule stands a test that plants a violation and sees it found.

pub(crate) mod law;
pub(crate) mod programs;
pub(crate) mod reach;
pub(crate) mod shape;
pub(crate) mod source;
pub(crate) mod tokens;
