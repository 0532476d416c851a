//! One-off times and intervals.
