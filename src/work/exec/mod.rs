//! Executables as jobs: one process for one task, or a stream for many, never a shell.
//!
//! The param goes to its stdin, its lines come back one by one, and its exit says what became of the task. In reading
//! order: `start` prepares and starts it (`limits` and `user` are what it may use, `launch` is the step between fork and
//! exec, `refusal` the words when that fails), `process` signals and reaps it, `attend` is the one loop that waits,
//! `pipes` and `lines` bound what it wrote, and `ending` turns its exit into an answer (`memory` knows the signs). One that
//! stays for many tasks is a `stream`.
//!
//! *Invariant:* [`run`] leaves no child behind, dead or alive, whichever way it ends, unwinding included.
//! *Invariant:* a process group is only signalled while its leader is not reaped, so its number cannot be another's.

mod ask;
mod attend;
mod ending;
mod launch;
mod limits;
mod lines;
mod memory;
mod pipes;
mod process;
mod refusal;
mod start;
mod stream;
#[cfg(test)]
mod tests;
mod user;

pub use ask::{Asked, ask};
pub use ending::signal_name;
pub(super) use ending::signal_number;
pub(super) use stream::Streams;
pub use stream::{MOST_IN_FLIGHT, Stream};
pub use user::User;

use crate::task::{Cause, Ending, Outcome, Policy};
use crate::work::Context;
use refusal::Refusal;
use start::Occasion;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitStatus;

/// What is started for a task: never through a shell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Command {
    /// The program and its arguments; never empty. A program with a slash is a path, relative to `cwd`; one without is
    /// looked for in the absolute folders of the `PATH` in `env`, or of `/usr/local/bin:/usr/bin:/bin` if there is none.
    /// In the arguments, but not in the program, `{param}` is replaced by the param; its stdin is empty then. A param
    /// that cannot be an argument (a NUL in it, or longer than 128 KiB with what stands beside it) rejects the task.
    pub argv: Vec<OsString>,
    /// The folder that it is started in.
    pub cwd: PathBuf,
    /// Variables that it gets besides the short allowed list and `ROWMILL_*`. Whoever builds the command puts the
    /// allowed list in here as well: nothing is inherited, and where the two meet, `ROWMILL_*` wins.
    pub env: BTreeMap<String, String>,
    /// As whom it runs; `None` is the worker's own user. `HOME`, `USER` and `LOGNAME` are that user's unless `env` has
    /// them.
    pub user: Option<User>,
    /// What it may use.
    pub limits: Limits,
    /// How it is fed task after task; `None` when it is started for each.
    pub stream: Option<Box<Stream>>,
    /// Whether what it writes is kept out of the log and of error texts, since its param or its result may be in it.
    pub redact: bool,
}

/// What a program may use. Each process of it has the memory and the processor time for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Its address space, in bytes; `None` is no limit.
    pub memory_bytes: Option<u64>,
    /// Its processor time, in milliseconds, rounded up to whole seconds: then it gets SIGXCPU, and after the policy's
    /// grace of further processor time KILL. `None` is no limit.
    pub cpu_ms: Option<u64>,
    /// How much of its output is delivered, stdout and stderr together, in bytes. By default 1 MiB.
    pub output_bytes: u64,
    /// Its priority on the processor, from -20 (most) to 19; `None` is the worker's own.
    pub nice: Option<i32>,
}

/// One line that an executable wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    /// Whether it came from stderr.
    pub stderr: bool,
    /// Whether it is the engine's word about what was written (so much was dropped), and not the executable's.
    pub note: bool,
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
/// What it writes to descriptor 3 until its end is the result when it exits 0; of none, there is no result. A result of
/// more than 1 MiB is a failed attempt. A program that could not be started for want of a process, a descriptor or memory
/// is `NotNow`.
///
/// As much output as the limits say reaches `output`; the rest is read and dropped, and a last line says how much. When this
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
    let kills_before = memory::kernel_kills();
    let started = match start::start(command, Occasion::Task(cx, param), policy, body) {
        Ok(started) => started,
        Err(Refusal::Passing(why)) => return Ending::NotNow(why),
        Err(Refusal::Param(reason)) => return Ending::Answered(Outcome::Reject { reason }),
        Err(Refusal::Broken(why)) => return Ending::Failed(Cause::NotStarted(why)),
    };
    let stdin = if start::takes_param(command) { &[] } else { param };
    let mut lines = lines::Lines::new(output, (!command.redact).then_some(command.limits.output_bytes));
    let finished = attend::attend(started, stdin, policy, abandon, &mut lines);
    let tail = lines.finish();
    let failed = !finished.status.as_ref().is_ok_and(ExitStatus::success);
    let kernel_killed =
        failed && kills_before.zip(memory::kernel_kills()).is_some_and(|(before, after)| after > before);
    ending::ending(ending::Over { finished, tail, kernel_killed, command, policy })
}
