//! Executables as jobs: one process for one task, never a shell.
//!
//! The param goes to its stdin, its lines come back one by one, and its exit says what became of the task. In reading
//! order: `start` prepares and starts it (`launch` is the step between fork and exec, `refusal` the words when that
//! fails), `process` signals and reaps it, `attend` is the one loop that waits, `lines` bounds what it wrote, and
//! `ending` turns its exit into an answer.
//!
//! *Invariant:* [`run`] leaves no child behind, dead or alive, whichever way it ends, unwinding included.
//! *Invariant:* a process group is only signalled while its leader is not reaped, so its number cannot be another's.

mod attend;
mod ending;
mod launch;
mod lines;
mod process;
mod refusal;
mod start;
#[cfg(test)]
mod tests;

pub(super) use ending::signal_number;

use crate::task::{Cause, Ending, Policy};
use crate::work::Context;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// What is started for a task: never through a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments; never empty. A program with a slash is a path, relative to `cwd`; one without is
    /// looked for in the absolute folders of the `PATH` in `env`, or of `/usr/local/bin:/usr/bin:/bin` if there is none.
    pub argv: Vec<OsString>,
    /// The folder that it is started in.
    pub cwd: PathBuf,
    /// Variables that it gets besides the short allowed list and `ROWMILL_*`. Whoever builds the command puts the
    /// allowed list in here as well: nothing is inherited, and where the two meet, `ROWMILL_*` wins.
    pub env: BTreeMap<String, String>,
}

/// One line that an executable wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    /// Whether it came from stderr.
    pub stderr: bool,
    /// The line, lossily decoded, without its end. A line of more than 4 KiB comes in several pieces.
    pub text: String,
}

/// Runs `command` once for a task. Blocks until its process group is gone. `abandon` becomes readable when the run is
/// to be ended early: the group gets TERM, then KILL after the grace, and the answer is `Interrupted`.
///
/// `abandon` is only polled, never read; a closed other end counts as readable. The answer is `Interrupted` for
/// every end but an exit 0 that came before the TERM. After `policy.timeout_ms` the group is ended in the same way and the
/// answer is a timeout, however it ended. The first reason to end it stays the reason, and its grace is not prolonged.
///
/// When the program itself has ended, what is left in its process group is killed at once. A descendant that left the
/// group is not followed: if it holds the output open, the run ends without it after 200 ms.
///
/// The program and its descendants inherit `body`; this process keeps no copy of it.
///
/// At most 1 MiB of output reaches `output`; the rest is read and dropped, and a last line says how much. When this
/// process dies, the kernel kills the program (not its descendants) with it; that is tied to the calling thread, which is
/// why this blocks. Expects SIGPIPE to be ignored, as the Rust runtime sets it, and SIGCHLD not to be.
pub fn run(
    command: &Command,
    cx: &Context,
    param: &[u8],
    policy: &Policy,
    abandon: BorrowedFd<'_>,
    body: Option<OwnedFd>,
    output: &mut dyn FnMut(OutputLine),
) -> Ending {
    let started = match start::start(command, cx, body) {
        Ok(started) => started,
        Err(why) => return Ending::Failed(Cause::NotStarted(why)),
    };
    let mut lines = lines::Lines::new(output);
    let finished = attend::attend(started, param, policy, abandon, &mut lines);
    let tail = lines.finish();
    ending::ending(finished, tail, policy)
}
