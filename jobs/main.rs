//! The rowmill program.
fn main() {}
