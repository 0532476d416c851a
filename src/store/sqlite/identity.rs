//! Which process is meant: boot, pid namespace, process id and the instant of its start, which together never come twice.
//!
//! A number means something in its own pid namespace only: from another one, a process can neither be seen nor signalled
//! by it.

use crate::clock::world;
use crate::error::{Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

/// A process, of this boot of this machine or of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) boot: String,
    pub(super) pid: i64,
    /// Clock ticks from the boot to its start.
    pub(super) pid_start: i64,
    /// Its pid namespace: 0 when that cannot be told.
    pub(super) pid_space: i64,
}

impl Identity {
    /// This process.
    pub(super) fn own() -> Result<Identity> {
        let pid = world::process().unwrap_or_else(|| i64::from(std::process::id()));
        let unknown = "/proc does not tell when this process started";
        let stat = std::fs::read_to_string("/proc/self/stat").map_err(|e| Error::from(e).during(unknown))?;
        let pid_start = start_by(&stat).ok_or_else(|| Error::failed(unknown))?;
        Ok(Identity { boot: this_boot()?.to_string(), pid, pid_start, pid_space: pid_space() })
    }

    /// What became of a process of this boot.
    pub(super) fn fate(&self) -> Fate {
        if let Some(lives) = world::lives(self.pid) {
            return if lives { Fate::Lives } else { Fate::Gone };
        }
        let own = pid_space();
        if own == 0 || self.pid_space != own {
            return Fate::Unseen;
        }
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Fate::Gone };
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => process,
            Err(Errno::SRCH) => return Fate::Gone,
            Err(_) => return Fate::Lives,
        };
        let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        // A process of which /proc says nothing may be hidden from this user: it is taken for the one that is meant.
        let another = start_of(self.pid).is_some_and(|start| start != self.pid_start);
        if another || ended.is_ok_and(|count| count > 0) { Fate::Gone } else { Fate::Lives }
    }
}

/// What became of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is there.
    Lives,
    /// It is not there any more.
    Gone,
    /// It belongs to another pid namespace: from here that cannot be told.
    Unseen,
}

/// Tells pid namespaces apart: 0 when that cannot be told, as where /proc is another namespace's. A process stays in its own,
/// so once it is known it is not asked for again.
pub(super) fn pid_space() -> i64 {
    static KNOWN: AtomicI64 = AtomicI64::new(0);
    let known = KNOWN.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    let found = ask_pid_space();
    KNOWN.store(found, Ordering::Relaxed);
    found
}

fn ask_pid_space() -> i64 {
    let own = std::fs::read_link("/proc/self").is_ok_and(|link| link.as_os_str() == &*std::process::id().to_string());
    if !own {
        return 0;
    }
    std::fs::metadata("/proc/self/ns/pid").map_or(0, |m| m.ino().cast_signed())
}

/// The id of this boot. It is read once: no process outlives a boot.
pub(super) fn this_boot() -> Result<&'static str> {
    static BOOT: OnceLock<String> = OnceLock::new();
    if let Some(boot) = BOOT.get() {
        return Ok(boot);
    }
    let path = "/proc/sys/kernel/random/boot_id";
    let text = std::fs::read_to_string(path).map_err(|e| Error::from(e).during(path))?;
    Ok(BOOT.get_or_init(|| text.trim().to_string()))
}

/// The first half of the id of this boot, as a number.
pub(super) fn boot_mark() -> Result<u64> {
    let digits: String = this_boot()?.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&digits, 16).map_err(|_| Error::failed("the id of this boot has no hexadecimal digits"))
}

/// When a process started, in clock ticks since the boot; `None` when there is no such process, or when it has ended and
/// nobody has taken note of it yet.
/// Field 22 of /proc/PID/stat; the name in field 2 may hold anything, so it is counted from the last parenthesis.
pub(super) fn start_of(pid: i64) -> Option<i64> {
    start_by(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn start_by(stat: &str) -> Option<i64> {
    let (_, after) = stat.rsplit_once(") ")?;
    if after.starts_with(['Z', 'X']) {
        return None;
    }
    after.split(' ').nth(19)?.parse().ok()
}

/// Whether a process runs, or waits for the disk: states R and D of /proc/PID/stat.
pub(super) fn is_busy(pid: i64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, after)| after.starts_with(['R', 'D']))
}

/// Whether somebody has stopped a process, by a signal or a debugger: states T and t of /proc/PID/stat.
pub(super) fn is_stopped(pid: i64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, after)| after.starts_with(['T', 't']))
}

/// A descriptor that becomes readable when the process ends; `None` when it has ended, or is another one than was meant.
pub(super) fn watch(pid: i64, pid_start: Option<i64>) -> Option<OwnedFd> {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
    let process = pidfd_open(raw, PidfdFlags::empty()).ok()?;
    // Looked at after opening: from then on the descriptor means this process, whatever becomes of its number.
    let start = start_of(pid)?;
    pid_start.is_none_or(|wanted| wanted == start).then_some(process)
}
