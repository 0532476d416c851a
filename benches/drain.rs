//! Drain.
fn main() {}
