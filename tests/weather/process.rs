//! What a process takes of the machine, and numbers from the environment.

use std::fs;

/// A line of a process's status, in kB; 0 when the process is gone.
pub(super) fn kilobytes(pid: i32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.map_or(0, |line| line.trim().trim_end_matches(" kB").parse().unwrap())
}

/// How many descriptors a process has open.
pub(super) fn descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// A variable of the environment, or another number.
pub(super) fn number_of(name: &str, otherwise: u64) -> u64 {
    std::env::var_os(name).map_or(otherwise, |text| text.to_string_lossy().parse().expect("a number"))
}
