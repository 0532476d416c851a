//! The words for a program that could not be started, and whether trying again can help.
//!
//! The kernel answers with a number that stands for many mistakes ("no such file" is also said of a script whose
//! interpreter is missing), so the files are looked at again to say which of them it was. They may have changed since;
//! then the number's own text is what is left.

use super::Command;
use super::launch::{Halt, Step};
use super::start::{PARAM, takes_param};
use crate::task::size_text;
use rustix::fs::Access;
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Why a program was not started.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The machine had no process, descriptor or memory to spare; that passes.
    Passing(String),
    /// No attempt with this param can succeed.
    Param(String),
    /// Something has to be mended.
    Broken(String),
}

impl From<String> for Refusal {
    fn from(why: String) -> Refusal {
        Refusal::Broken(why)
    }
}

/// Why `path` could not be started for `command`, and what to mend.
pub(super) fn refusal(halt: &Halt, command: &Command, path: &Path) -> Refusal {
    // What the child resolved was relative to its folder.
    let file = command.cwd.join(path);
    let (shown, error) = (file.display(), &halt.error);
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    if errno == Some(Errno::NOMEM)
        && halt.step == Step::Exec
        && let Some(bytes) = command.limits.memory_bytes
    {
        return Refusal::Broken(format!("`{shown}` does not even start with {}; raise `memory`", size_text(bytes)));
    }
    if let Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE) = errno {
        return Refusal::Passing(format!(
            "the system refused another process or its pipes for `{shown}`: {error}; \
             look at ulimit -u, ulimit -n and the free memory"
        ));
    }
    if errno == Some(Errno::TOOBIG) && takes_param(command) {
        return Refusal::Param(format!(
            "the param does not fit into an argument of `{shown}` beside the others and the environment; \
             read it from stdin instead, without {PARAM}"
        ));
    }
    Refusal::Broken(match (halt.step, &command.user) {
        (Step::Nice, _) => format!(
            "it may not have `nice = {}` ({error}): a value below that of the worker is for root",
            command.limits.nice.unwrap_or_default()
        ),
        (Step::User, Some(user)) => {
            format!("this process may not become the user `{user}` ({error}); run the workers with the rights of root")
        }
        (Step::Limits, _) => format!("its limits could not be set: {error}; mend `memory` and `cpu`"),
        _ => broken(errno, error, command, &file),
    })
}

/// What is wrong with the program's file, or its folder.
fn broken(errno: Option<Errno>, error: &io::Error, command: &Command, file: &Path) -> String {
    if let Some(why) = folder_refusal(&command.cwd) {
        return why;
    }
    let shown = file.display();
    match errno {
        Some(Errno::NOENT) => missing(file),
        Some(Errno::ACCESS) if file.is_dir() => format!("`{shown}` is a folder, not a program"),
        Some(Errno::ACCESS) if file.is_file() && rustix::fs::access(file, Access::EXEC_OK).is_err() => {
            format!("`{shown}` is not executable; run: chmod +x {shown}")
        }
        Some(Errno::ACCESS) => {
            let by = command.user.as_ref().map(|user| format!(" by the user `{user}`")).unwrap_or_default();
            format!(
                "`{shown}` may not be started{by} ({error}); look at the folders above it, the interpreter in its first \
                 line, and whether its file system is mounted noexec"
            )
        }
        Some(Errno::NOEXEC) => format!(
            "`{shown}` is not a program that this machine can run; a script needs a first line such as #!/bin/sh"
        ),
        Some(Errno::TOOBIG) => {
            format!(
                "the arguments and the environment of `{shown}` are larger than the kernel takes; mend `command` and `env`"
            )
        }
        Some(Errno::TXTBSY) => format!("`{shown}` is open for writing; replace it by renaming a new file over it"),
        _ => format!("`{shown}` could not be started: {error}"),
    }
}

fn folder_refusal(cwd: &Path) -> Option<String> {
    let shown = cwd.display();
    match cwd.metadata() {
        Err(e) => Some(format!("its working folder `{shown}` cannot be used: {e}; create it, or mend `cwd`")),
        Ok(what) if !what.is_dir() => Some(format!("its working folder `{shown}` is not a folder; mend `cwd`")),
        Ok(_) if rustix::fs::access(cwd, Access::EXEC_OK).is_err() => {
            Some(format!("its working folder `{shown}` may not be entered; run: chmod +x {shown}"))
        }
        Ok(_) => None,
    }
}

/// "No such file": the file itself, or what runs it.
fn missing(file: &Path) -> String {
    let shown = file.display();
    if !file.exists() {
        return format!("`{shown}` does not exist; mend `command`, or put the program there");
    }
    match interpreter(file) {
        Some(line) if line.ends_with('\r') => format!(
            "the first line of `{shown}` ends in a carriage return, so its interpreter is not found; \
             save it with Unix line ends"
        ),
        Some(line) => {
            format!(
                "the interpreter of `{shown}` does not exist: `{}`; mend its first line, or install it",
                line.trim()
            )
        }
        None => format!("what `{shown}` needs to be loaded does not exist; is it built for this machine?"),
    }
}

/// What follows `#!` in the first line; at most what the kernel looks at.
fn interpreter(file: &Path) -> Option<String> {
    let mut start = Vec::new();
    File::open(file).ok()?.take(256).read_to_end(&mut start).ok()?;
    let line = start.split(|byte| *byte == b'\n').next()?.strip_prefix(b"#!")?;
    Some(String::from_utf8_lossy(line).into_owned())
}
