//! Starting the program of a task: its file, its arguments, its environment, its pipes.
//!
//! Nothing is inherited but what is written here: the environment is built from nothing, and every other descriptor of
//! this process is close-on-exec. The error of everything here is a text for the admin who has to mend it.

use super::Command;
use super::launch::{Image, Words, launch};
use super::process::Process;
use super::refusal::refusal;
use crate::work::Context;
use rustix::fs::{Access, OFlags, fcntl_getfl, fcntl_setfl};
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Where a program without a slash is looked for when the command's environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A program that runs, and our ends of its pipes, which do not block.
pub(super) struct Started {
    pub(super) process: Process,
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

/// Starts the program of `command` in a process group of its own.
pub(super) fn start(command: &Command, cx: &Context, body: Option<OwnedFd>) -> Result<Started, String> {
    let Some(name) = command.argv.first() else {
        return Err("its command is empty; name a program in `command`".to_string());
    };
    let path = locate(name, command)?;
    let image = Image {
        path: without_nul(path.as_os_str().as_bytes().to_vec(), "the program's path")?,
        argv: arguments(command)?,
        env: environment(command, cx)?,
    };
    let mut process = std::process::Command::new(&path);
    process.current_dir(&command.cwd).process_group(0);
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = launch(&mut process, image, body).map_err(|e| refusal(&e, &command.cwd, &path))?;
    let stdin = child.stdin.take().map(OwnedFd::from);
    let stdout = child.stdout.take().map(OwnedFd::from);
    let stderr = child.stderr.take().map(OwnedFd::from);
    let process = Process::new(child)?;
    for pipe in [&stdin, &stdout, &stderr].into_iter().flatten() {
        // Each end of a pipe has flags of its own: the program's ends go on blocking.
        fcntl_getfl(pipe)
            .and_then(|flags| fcntl_setfl(pipe, flags | OFlags::NONBLOCK))
            .map_err(|e| format!("its pipes could not be set up: {e}"))?;
    }
    Ok(Started { process, stdin, stdout, stderr })
}

/// The program's file: as it stands if it has a slash, else the first executable file of that name in the `PATH`.
/// Entries that are empty or relative are passed over, so that what is run does not depend on the folder.
fn locate(name: &OsStr, command: &Command) -> Result<PathBuf, String> {
    if name.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(name));
    }
    let search = command.env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
    let mut refused = None;
    for folder in search.split(':').filter(|folder| folder.starts_with('/')) {
        let file = Path::new(folder).join(name);
        if file.is_file() {
            if rustix::fs::access(&file, Access::EXEC_OK).is_ok() {
                return Ok(file);
            }
            refused = refused.or(Some(file));
        }
    }
    Err(match refused {
        Some(file) => format!("`{0}` is not executable; run: chmod +x {0}", file.display()),
        None => format!(
            "the program `{}` is not in the PATH ({search}); install it, or write its whole path",
            name.display()
        ),
    })
}

fn arguments(command: &Command) -> Result<Words, String> {
    let texts = command.argv.iter().enumerate();
    let texts = texts.map(|(index, text)| without_nul(text.as_bytes().to_vec(), &format!("argument {index}")));
    Ok(Words::new(texts.collect::<Result<_, _>>()?))
}

fn environment(command: &Command, cx: &Context) -> Result<Words, String> {
    let mut all: BTreeMap<&str, String> =
        command.env.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    all.extend([
        ("ROWMILL_TASK_ID", cx.task_id().to_string()),
        ("ROWMILL_JOB", cx.job().to_string()),
        ("ROWMILL_ATTEMPT", cx.attempt().to_string()),
        ("ROWMILL_MAX_ATTEMPTS", cx.max_attempts().to_string()),
        ("ROWMILL_PRIORITY", cx.priority().to_string()),
        ("ROWMILL_WORKER", cx.worker().to_string()),
        ("ROWMILL_IDEMPOTENCY_KEY", cx.idempotency_key()),
    ]);
    let mut texts = Vec::with_capacity(all.len());
    for (name, value) in all {
        if name.is_empty() || name.contains('=') {
            return Err(format!("`{}` cannot be the name of an environment variable; mend `env`", name.escape_debug()));
        }
        let what = format!("the environment variable `{}`", name.escape_debug());
        texts.push(without_nul(format!("{name}={value}").into_bytes(), &what)?);
    }
    Ok(Words::new(texts))
}

fn without_nul(text: Vec<u8>, what: &str) -> Result<CString, String> {
    CString::new(text).map_err(|e| format!("{what} has a NUL byte at position {}; take it out", e.nul_position()))
}
