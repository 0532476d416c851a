//! What the kernel knows of locks: who has which, by /proc/locks; and from that, who keeps the write-ahead log from being
//! truncated.
//!
//! A reader in WAL mode has a shared lock on one of five bytes of the log's index (the `-shm` file), one for each read mark,
//! and the mark says how much of the log it needs. The file format is SQLite's (walformat.html, "WAL-index").

use super::super::lock::Inode;
use super::super::open;
use crate::error::Result;
use rustix::fs::{major, minor, stat};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The first of SQLite's lock bytes in the index, and of those of readers: `WAL_READ_LOCK(0)` at `UNIX_SHM_BASE` + 3.
const READ_LOCK: u64 = 123;
/// How many read marks there are. The first one is that of readers that need nothing of the log.
const MARKS: usize = 5;
/// Where the index says how many frames the log has, how many are copied back, and the marks, in bytes.
const LAST_FRAME: usize = 16;
const COPIED_BACK: usize = 96;
const FIRST_MARK: usize = 100;
/// How much of the index is looked at, in bytes.
const HEADER: usize = 136;

/// A process that reads the log at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogReader {
    /// The process.
    pub pid: i64,
    /// Its name, as the kernel has it.
    pub name: String,
    /// Up to which frame it reads; `None` when that cannot be told.
    pub frame: Option<u32>,
    /// How sure it is that this one keeps the log from being truncated.
    pub sure: Sure,
}

/// How sure it is that a process is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sure {
    /// It has a lock on a read mark that lies before the end of the log.
    Certain,
    /// It has a lock on a read mark at the end of the log: in the way as long as it keeps that.
    Likely,
    /// It only has the log open; the kernel does not tell who has the locks.
    Possible,
}

/// Who reads the log of a database at this moment. A reader is in the way when the same is there at several looks.
///
/// Only for a process that has the database not open: closing the log's index by hand would drop SQLite's own locks on it.
pub fn log_readers(path: &Path) -> Result<Vec<LogReader>> {
    let file = open::real_path(path, open::Create::Never)?;
    let (log, index) = (open::beside(&file, "-wal"), open::beside(&file, "-shm"));
    let Ok(about) = stat(&index) else { return Ok(Vec::new()) };
    let header = File::open(&index).ok().and_then(|shm| {
        let mut bytes = [0; HEADER];
        shm.read_exact_at(&mut bytes, 0).ok().map(|()| bytes)
    });
    let word =
        |at: usize| header.map(|bytes| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
    let locks = locks();
    let readers = locks.iter().filter(|lock| lock.kind == "POSIX" && lock.is_on(about.st_dev, about.st_ino));
    let mut found = Vec::new();
    let mut unknown = false;
    for lock in readers {
        // The first mark's readers read the database file alone.
        for mark in (1..MARKS).filter(|mark| (lock.first..=lock.last).contains(&(READ_LOCK + *mark as u64))) {
            unknown |= lock.pid <= 0;
            let frame = word(FIRST_MARK + 4 * mark);
            let behind = frame.zip(word(LAST_FRAME)).is_some_and(|(mark, last)| mark < last);
            let sure = if behind { Sure::Certain } else { Sure::Likely };
            found.push(LogReader { pid: lock.pid, name: name_of(lock.pid), frame, sure });
        }
    }
    if unknown || (locks.is_empty() && word(COPIED_BACK) != word(LAST_FRAME)) {
        found.retain(|reader| reader.pid > 0);
        let open = [log, index].iter().filter_map(|path| Inode::at(path)).flat_map(who_has_open).collect::<Vec<_>>();
        for pid in open {
            if !found.iter().any(|reader| reader.pid == pid) {
                found.push(LogReader { pid, name: name_of(pid), frame: None, sure: Sure::Possible });
            }
        }
    }
    Ok(found)
}

/// A lock as /proc/locks has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KernelLock {
    kind: String,
    /// Of who took it; 0 or less where that is another pid namespace's.
    pub(super) pid: i64,
    device: (u32, u32),
    inode: u64,
    first: u64,
    last: u64,
}

impl KernelLock {
    fn is_on(&self, device: u64, inode: u64) -> bool {
        self.inode == inode && self.device == (major(device), minor(device))
    }
}

/// All locks on files that the kernel shows; none where it shows none.
pub(super) fn locks() -> Vec<KernelLock> {
    std::fs::read_to_string("/proc/locks").unwrap_or_default().lines().filter_map(read_lock).collect()
}

/// The processes that have an flock on a file.
pub(super) fn holders(locks: &[KernelLock], path: &Path) -> Vec<i64> {
    let Ok(about) = stat(path) else { return Vec::new() };
    let on = locks.iter().filter(|lock| lock.kind == "FLOCK" && lock.is_on(about.st_dev, about.st_ino));
    on.map(|lock| lock.pid).collect()
}

/// `7: POSIX  ADVISORY  READ 23600 fe:00:10821831 124 124`; one that waits has `->` behind its number.
fn read_lock(line: &str) -> Option<KernelLock> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let kind = words.next().filter(|word| *word != "->")?.to_string();
    let mut words = words.skip(2);
    let pid = words.next()?.parse().ok()?;
    let mut place = words.next()?.split(':');
    let mut hex = || u32::from_str_radix(place.next()?, 16).ok();
    let device = (hex()?, hex()?);
    let inode = place.next()?.parse().ok()?;
    let first = words.next()?.parse().ok()?;
    let last = words.next().map(|last| last.parse().unwrap_or(u64::MAX))?;
    Some(KernelLock { kind, pid, device, inode, first, last })
}

/// The processes that have a file open, as far as this user may look.
fn who_has_open(file: Inode) -> Vec<i64> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i64>().ok()) else { continue };
        let fds = std::fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
        if pid != i64::from(std::process::id()) && fds.into_iter().any(|fd| Inode::at(&fd.path()) == Some(file)) {
            found.push(pid);
        }
    }
    found
}

/// What the kernel calls a process; empty when it is not to be seen.
fn name_of(pid: i64) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernels_table_are_read() {
        let lock = read_lock("7: POSIX  ADVISORY  READ 23600 fe:00:10821831 124 124").unwrap();
        assert_eq!((lock.pid, lock.device, lock.inode, lock.first, lock.last), (23600, (0xfe, 0), 10821831, 124, 124));
        let whole = read_lock("1: FLOCK  ADVISORY  WRITE 20868 00:2f:10822172 0 EOF").unwrap();
        assert_eq!((whole.kind.as_str(), whole.device, whole.last), ("FLOCK", (0, 0x2f), u64::MAX));
        // One that waits has none.
        assert_eq!(read_lock("1: -> FLOCK  ADVISORY  WRITE 20868 00:2f:10822172 0 EOF"), None);
        assert_eq!(read_lock(""), None);
    }
}
