//! Which process is meant: boot, process id and the instant of its start, which together never come twice.

use crate::error::{Error, Result};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::OwnedFd;

/// A process, of this boot of this machine or of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) boot: String,
    pub(super) pid: i64,
    /// Clock ticks from the boot to its start.
    pub(super) pid_start: i64,
}

impl Identity {
    /// This process.
    pub(super) fn own() -> Result<Identity> {
        let pid = i64::from(std::process::id());
        let pid_start = start_of(pid).ok_or_else(|| Error::failed("/proc does not tell when this process started"))?;
        Ok(Identity { boot: this_boot()?, pid, pid_start })
    }
}

/// The id of this boot.
pub(super) fn this_boot() -> Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = std::fs::read_to_string(path).map_err(|e| Error::failed(format!("{path}: {e}")))?;
    Ok(text.trim().to_string())
}

/// When a process started, in clock ticks since the boot; `None` when there is no such process, or when it has ended and
/// nobody has taken note of it yet.
/// Field 22 of /proc/PID/stat; the name in field 2 may hold anything, so it is counted from the last parenthesis.
pub(super) fn start_of(pid: i64) -> Option<i64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
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

/// A descriptor that becomes readable when the process ends; `None` when it has ended, or is another one than was meant.
pub(super) fn watch(pid: i64, pid_start: Option<i64>) -> Option<OwnedFd> {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
    let process = pidfd_open(raw, PidfdFlags::empty()).ok()?;
    // Looked at after opening: from then on the descriptor means this process, whatever becomes of its number.
    let start = start_of(pid)?;
    pid_start.is_none_or(|wanted| wanted == start).then_some(process)
}
