//! Executables as jobs. (Interface; the room is being furnished.)

use crate::task::{Ending, Policy};
use crate::work::Context;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

/// What is started for a task: never through a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments; never empty.
    pub argv: Vec<OsString>,
    /// The folder that it is started in.
    pub cwd: PathBuf,
    /// Variables that it gets besides the short allowed list and `ROWMILL_*`.
    pub env: BTreeMap<String, String>,
}

/// One line that an executable wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    /// Whether it came from stderr.
    pub stderr: bool,
    /// The line, lossily decoded, without its end.
    pub text: String,
}

/// Runs `command` once for a task. Blocks until its process group is gone. `abandon` becomes readable when the run is
/// to be ended early: the group gets TERM, then KILL after the grace, and the answer is `Interrupted`.
pub fn run(
    command: &Command,
    cx: &Context,
    param: &[u8],
    policy: &Policy,
    abandon: BorrowedFd<'_>,
    output: &mut dyn FnMut(OutputLine),
) -> Ending {
    let _ = (command, cx, param, policy, abandon, output);
    Ending::Interrupted
}
