//! Who keeps the write-ahead log from being shortened: a reader that stays open.
//!
//! SQLite marks what a connection reads by a lock on a byte of its index (the `-shm` file), and the kernel lists in
//! `/proc/locks` whose locks those are. Readers come and go; who is found at every look, a second apart, is the one. One in
//! another pid namespace is not listed.

use crate::clock::Watch;
use rustix::fs::{major, minor, stat};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// The bytes of the index that readers lock: `WAL_READ_LOCK(0)` to `(4)` of SQLite's wal.c, behind 120 of others.
const READ_LOCKS: std::ops::RangeInclusive<u64> = 123..=127;
/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// A log that could not be shortened for some time.
#[derive(Debug)]
pub(super) struct Pinned {
    since: Watch,
    looked: Watch,
    readers: BTreeSet<i32>,
}

impl Pinned {
    /// It was found to be so just now.
    pub(super) fn begin(shm: &Path) -> Pinned {
        Pinned { since: Watch::start(), looked: Watch::start(), readers: readers(shm) }
    }

    /// Looks again, if it is time; who has been there at every look. `None` until there was more than one.
    pub(super) fn look(&mut self, shm: &Path) -> Option<(Duration, &BTreeSet<i32>)> {
        if !self.looked.left_of(LOOK).is_zero() {
            return None;
        }
        self.looked = Watch::start();
        let now = readers(shm);
        self.readers.retain(|pid| now.contains(pid));
        Some((self.since.elapsed(), &self.readers))
    }
}

/// The processes that read from the database at this instant, but this one; none where the kernel does not tell.
fn readers(shm: &Path) -> BTreeSet<i32> {
    let (Ok(file), Ok(list)) = (stat(shm), std::fs::read_to_string("/proc/locks")) else { return BTreeSet::new() };
    let file = format!("{:02x}:{:02x}:{}", major(file.st_dev), minor(file.st_dev), file.st_ino);
    let own = rustix::process::getpid().as_raw_nonzero().get();
    list.lines().filter_map(|line| reader(line, &file)).filter(|pid| *pid != own).collect()
}

/// The process of a line like `7: POSIX  ADVISORY  READ 4711 fe:00:1234 123 123`, if that is a reader of this file.
fn reader(line: &str, file: &str) -> Option<i32> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let &[_, "POSIX", _, _, pid, of, from, _] = words.as_slice() else { return None };
    let pid = pid.parse().ok().filter(|pid| *pid > 0);
    pid.filter(|_| of == file && from.parse().is_ok_and(|from| READ_LOCKS.contains(&from)))
}

/// Processes with their names, as far as they can be told.
pub(super) fn named(pids: &BTreeSet<i32>) -> String {
    let name = |pid: &i32| match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("process {pid} ({})", name.trim().escape_default()),
        Err(_) => format!("process {pid}"),
    };
    match pids.is_empty() {
        true => "a reader that cannot be told".to_string(),
        false => pids.iter().map(name).collect::<Vec<_>>().join(" or "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let of = |line: &str| reader(line, "fe:00:1234");
        assert_eq!(of("1: POSIX  ADVISORY  READ 4711 fe:00:1234 124 124"), Some(4711));
        assert_eq!(of("2: POSIX  ADVISORY  WRITE 4711 fe:00:1234 120 120"), None, "a writer's");
        assert_eq!(of("3: POSIX  ADVISORY  READ 4711 fe:00:1234 128 128"), None, "everybody has this one");
        assert_eq!(of("4: POSIX  ADVISORY  READ 4711 fe:00:9999 124 124"), None, "another file's");
        assert_eq!(of("5: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF"), None);
        assert_eq!(of("5: -> POSIX  ADVISORY  READ 4711 fe:00:1234 124 124"), None, "one that waits");
        assert_eq!(of("6: POSIX  ADVISORY  READ -1 fe:00:1234 124 124"), None, "of another namespace");
        assert_eq!(of(""), None);
    }
}
