//! Asking a command: its exit code is the answer, and nothing is settled.

use super::{Command, run};
use crate::task::{Cause, Ending, Outcome, Policy};
use crate::work::{Context, Stop};
use std::os::fd::AsFd;

/// From TERM to KILL for a command that does not answer in time.
const GRACE_MS: u64 = 1_000;

/// What a command answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It exited with 0.
    Yes,
    /// It ended in another way, or not in time: in these words.
    No(String),
    /// It could not be started for want of something that passes.
    NotNow(String),
}

/// Runs `command` for at most `timeout_ms`, without a task and without a param; `name` is in its `ROWMILL_JOB`, and its
/// `ROWMILL_TASK_ID` is 0. Blocks; at the end nothing of it is left. What it writes is dropped, but for the last lines of
/// its stderr, which are in the words.
pub fn ask(command: &Command, name: &str, timeout_ms: u64) -> Asked {
    let never = match Stop::new() {
        Ok(never) => never,
        Err(e) => return Asked::NotNow(e.to_string()),
    };
    let cx = Context { task: 0, job: name.to_string(), attempt: 1, max_attempts: 1, priority: 0, worker: 0 };
    let policy = Policy { timeout_ms: Some(timeout_ms), grace_ms: GRACE_MS, ..Policy::default() };
    match run(command, &cx, b"", &policy, never.descriptor().as_fd(), None, &mut |_| ()) {
        Ending::Answered(Outcome::Done { .. }) => Asked::Yes,
        // The codes by which a job says what is to become of its task are plain ones here.
        Ending::Answered(Outcome::Retry { .. }) => Asked::No("exit code 75".to_string()),
        Ending::Answered(Outcome::Reject { .. }) => Asked::No("exit code 65".to_string()),
        Ending::Failed(Cause::Timeout { after_ms }) => {
            Asked::No(format!("no answer within {}", crate::task::span_text(after_ms)))
        }
        Ending::Failed(cause) => Asked::No(cause.text()),
        Ending::NotNow(why) => Asked::NotNow(why),
        other => Asked::No(format!("{other:?}")),
    }
}
