//! Starting the program of a task: its file, its arguments, its environment, its pipes.
//!
//! Nothing is inherited but what is written here: the environment is built from nothing, and every other descriptor of
//! this process is close-on-exec. The error of everything here is a text for the admin who has to mend it.

use super::Command;
use super::launch::{Image, Ours, Third, Words, launch};
use super::limits::terms;
use super::pipes::Ends;
use super::process::Process;
use super::refusal::{Refusal, refusal};
use super::user::Account;
use crate::task::Policy;
use crate::work::Context;
use rustix::fs::{Access, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::param::page_size;
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Where a program without a slash is looked for when the command's environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What stands in an argument of the command for the param.
pub(super) const PARAM: &str = "{param}";

/// The longest argument, in pages, its closing NUL included (MAX_ARG_STRLEN of the kernel: 128 KiB).
const ARGUMENT_PAGES: usize = 32;

/// A program that runs, and our ends of its pipes.
pub(super) struct Started {
    pub(super) process: Process,
    pub(super) ends: Ends,
    /// Of a stream: our ends of the pipe of its tokens.
    pub(super) tokens: Option<Ours>,
    /// Whether it has a limit of processor time.
    pub(super) cpu_limited: bool,
}

/// For what a program is started.
#[derive(Debug, Clone, Copy)]
pub(super) enum Occasion<'a> {
    /// For one task, with its param.
    Task(&'a Context, &'a [u8]),
    /// As a stream, for tasks of this job by this worker. With `tokens` it is to take one before it begins a task.
    Stream { job: &'a str, worker: u32, tokens: bool },
}

/// Starts the program of `command` in a session and a process group of its own.
pub(super) fn start(
    command: &Command,
    occasion: Occasion<'_>,
    policy: &Policy,
    body: Option<OwnedFd>,
) -> Result<Started, Refusal> {
    let Some(name) = command.argv.first() else {
        return Err(Refusal::Broken("its command is empty; name a program in `command`".to_string()));
    };
    let (param, direction) = match occasion {
        Occasion::Task(_, param) => (param, Third::Out),
        Occasion::Stream { .. } => (&[][..], Third::In),
    };
    let path = locate(name, command)?;
    let (terms, account) = terms(command, policy)?;
    let cpu_limited = terms.cpu.is_some();
    let image = Image {
        path: without_nul(path.as_os_str().as_bytes().to_vec(), "the program's path")?,
        argv: arguments(command, param)?,
        env: environment(command, occasion, account.as_ref())?,
    };
    let mut process = std::process::Command::new(&path);
    process.current_dir(&command.cwd);
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let launched = launch(&mut process, image, terms, body, direction);
    let (mut child, third) = launched.map_err(|halt| refusal(&halt, command, &path))?;
    let (result, tokens) = match direction {
        Third::Out => (Some(third.read), None),
        Third::In => (None, Some(third)),
    };
    let ends = Ends {
        stdin: child.stdin.take().map(OwnedFd::from),
        stdout: child.stdout.take().map(OwnedFd::from),
        stderr: child.stderr.take().map(OwnedFd::from),
        result,
    };
    let unwatched =
        |e| Refusal::Passing(format!("it was started, could not be watched ({e}), and was killed; look at ulimit -n"));
    let process = Process::new(child).map_err(unwatched)?;
    for pipe in [&ends.stdin, &ends.stdout, &ends.stderr, &ends.result].into_iter().flatten() {
        // Each end of a pipe has flags of its own: the program's ends go on blocking.
        fcntl_getfl(pipe).and_then(|flags| fcntl_setfl(pipe, flags | OFlags::NONBLOCK)).map_err(unwatched)?;
    }
    Ok(Started { process, ends, tokens, cpu_limited })
}

/// Whether the param is an argument, or part of one. Its standard input is empty then.
pub(super) fn takes_param(command: &Command) -> bool {
    command.argv.iter().skip(1).any(|argument| find(argument.as_bytes()).is_some())
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

fn arguments(command: &Command, param: &[u8]) -> Result<Words, Refusal> {
    let mut texts = Vec::with_capacity(command.argv.len());
    for (index, text) in command.argv.iter().enumerate() {
        let whole = without_nul(text.as_bytes().to_vec(), &format!("argument {index}"))?;
        // Which program is run is never for a row to say.
        texts.push(if index == 0 { whole } else { with_param(whole, param)? });
    }
    Ok(Words::new(texts))
}

/// The argument with the param in the place of each `{param}`; what the param brings along is not looked at again.
fn with_param(argument: CString, param: &[u8]) -> Result<CString, Refusal> {
    let text = argument.as_bytes();
    let Some(first) = find(text) else { return Ok(argument) };
    if let Some(at) = param.iter().position(|byte| *byte == 0) {
        return Err(Refusal::Param(format!(
            "the param has a NUL byte at position {at}, which an argument cannot hold; \
             read it from stdin instead, without {PARAM}"
        )));
    }
    let largest = page_size() * ARGUMENT_PAGES - 1;
    let (mut filled, mut rest, mut next) = (Vec::new(), text, Some(first));
    while let Some(at) = next {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(param);
        rest = &rest[at + PARAM.len()..];
        next = find(rest);
        if filled.len() + rest.len() > largest {
            return Err(Refusal::Param(format!(
                "the param has {} bytes, and an argument with it is longer than the {largest} that the kernel takes; \
                 read it from stdin instead, without {PARAM}",
                param.len()
            )));
        }
    }
    filled.extend_from_slice(rest);
    Ok(without_nul(filled, "an argument")?)
}

/// Where `{param}` begins.
fn find(text: &[u8]) -> Option<usize> {
    text.windows(PARAM.len()).position(|part| part == PARAM.as_bytes())
}

fn environment(command: &Command, occasion: Occasion<'_>, account: Option<&Account>) -> Result<Words, String> {
    let mut all: BTreeMap<&str, String> = BTreeMap::new();
    if let Some(account) = account {
        let Account { name, home, .. } = account;
        all.extend([("HOME", home.clone()), ("USER", name.clone()), ("LOGNAME", name.clone())]);
    }
    all.extend(command.env.iter().map(|(name, value)| (name.as_str(), value.clone())));
    match occasion {
        Occasion::Task(cx, _) => all.extend([
            ("ROWMILL_TASK_ID", cx.task_id().to_string()),
            ("ROWMILL_JOB", cx.job().to_string()),
            ("ROWMILL_ATTEMPT", cx.attempt().to_string()),
            ("ROWMILL_MAX_ATTEMPTS", cx.max_attempts().to_string()),
            ("ROWMILL_PRIORITY", cx.priority().to_string()),
            ("ROWMILL_WORKER", cx.worker().to_string()),
            ("ROWMILL_IDEMPOTENCY_KEY", cx.idempotency_key()),
        ]),
        // What differs from task to task stands in its line.
        Occasion::Stream { job, worker, tokens } => {
            all.extend([("ROWMILL_JOB", job.to_string()), ("ROWMILL_WORKER", worker.to_string())]);
            all.insert("ROWMILL_STREAM", if tokens { "tokens" } else { "plain" }.to_string());
        }
    }
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
