//! The lingering workers that a `rowmill tick` left behind: who they are, what they use, and their end.
//!
//! They are detached, so the bench is not their parent; a pidfd is taken of each as soon as `rowmill status` names it,
//! and it alone is signalled and waited on, so that a process number that was given out again is never hit.

pub(crate) mod usage;

use std::error::Error;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;

use crate::rig::program::Program;

/// How long workers may take to appear, and to go.
const PATIENCE: Duration = Duration::from_secs(15);

/// All workers of one folder; stopped when the value goes.
pub(crate) struct Workers {
    known: Vec<(u32, OwnedFd)>,
}

impl Workers {
    /// Ticks once, and waits until `status` names all `count` workers.
    pub(crate) fn start(program: &Program, count: u32) -> Result<Self, Box<dyn Error>> {
        let mut workers = Workers { known: Vec::new() };
        program.run(&["tick"])?;
        let since = Instant::now();
        while workers.known.len() < count as usize {
            if since.elapsed() > PATIENCE {
                let seen = workers.known.len();
                return Err(format!("{seen} of {count} workers were there {PATIENCE:?} after the tick").into());
            }
            std::thread::sleep(Duration::from_millis(50));
            for pid in named(program)? {
                if workers.known.iter().any(|(known, _)| *known == pid) {
                    continue;
                }
                // One that is gone already is no worker to wait for.
                if let Some(raw) = Pid::from_raw(pid.cast_signed())
                    && let Ok(fd) = pidfd_open(raw, PidfdFlags::empty())
                {
                    workers.known.push((pid, fd));
                }
            }
        }
        Ok(workers)
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.known.iter().map(|(pid, _)| *pid).collect()
    }

    /// Fails if one of them has ended: what was measured would not be what was meant.
    pub(crate) fn all_alive(&self) -> Result<(), Box<dyn Error>> {
        for (pid, fd) in &self.known {
            if has_ended(fd, Duration::ZERO)? {
                return Err(format!("worker {pid} ended while it was measured").into());
            }
        }
        Ok(())
    }

    /// TERM to all, and waits until they are gone.
    pub(crate) fn stop(mut self) -> Result<(), Box<dyn Error>> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Box<dyn Error>> {
        let known = std::mem::take(&mut self.known);
        for (_, fd) in &known {
            // Fails only for one that is gone already.
            let _ = pidfd_send_signal(fd, Signal::TERM);
        }
        let since = Instant::now();
        let mut killed = Vec::new();
        for (pid, fd) in &known {
            if !has_ended(fd, PATIENCE.saturating_sub(since.elapsed()))? {
                let _ = pidfd_send_signal(fd, Signal::KILL);
                has_ended(fd, PATIENCE)?;
                killed.push(*pid);
            }
        }
        if killed.is_empty() {
            return Ok(());
        }
        Err(format!("workers {killed:?} did not end within {PATIENCE:?} of a TERM, and were killed").into())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// The process numbers in `rowmill status`.
fn named(program: &Program) -> Result<Vec<u32>, Box<dyn Error>> {
    let output = program.command(&["status", "--format", "json"]).stdout(std::process::Stdio::piped()).output()?;
    if !output.status.success() {
        return Err(format!("`rowmill status`: {}", output.status).into());
    }
    let status: Value = serde_json::from_slice(&output.stdout)?;
    let workers = status["workers"].as_array().ok_or("`rowmill status` has no list of workers")?;
    Ok(workers.iter().filter_map(|worker| u32::try_from(worker["pid"].as_u64()?).ok()).collect())
}

/// Whether the process has ended, or ends within `patience`.
fn has_ended(fd: &OwnedFd, patience: Duration) -> Result<bool, Box<dyn Error>> {
    let timeout = Timespec::try_from(patience)?;
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    Ok(poll(&mut fds, Some(&timeout))? > 0)
}
