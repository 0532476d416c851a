//! `rowmill demo` as a newcomer calls it: it says what it promises, answers 0, and leaves no process behind.
//!
//! The scratch folder lies in a temp directory of the test's own, so a process that is left is known by its command
//! line, which names a file in there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first thing that cannot be")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// The demo promises to be done by then.
const A_MINUTE: Duration = Duration::from_secs(60);

fn demo(temp: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rowmill"));
    command.arg("demo").env("TMPDIR", temp).env("ROWMILL_DATABASE", "/nowhere/else.db");
    command
}

/// Runs the command to its end, which has to come within a minute.
fn within_a_minute(command: &mut Command) -> Output {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let (sender, ended) = channel();
    let waiter = std::thread::spawn(move || sender.send(child.wait_with_output().unwrap()).unwrap());
    let Ok(output) = ended.recv_timeout(A_MINUTE) else {
        // So that it ends its workers.
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        panic!("it took longer than a minute: {:?}", ended.recv_timeout(A_MINUTE));
    };
    waiter.join().unwrap();
    output
}

/// The command lines of processes that name something in `folder`.
fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let lines = fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.unwrap().path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(folder)).collect()
}

#[test]
fn the_demo_does_what_it_says() {
    let temp = tempfile::tempdir().unwrap();
    let output = within_a_minute(&mut demo(temp.path()));
    let (said, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!((output.status.code(), errors.as_str()), (Some(0), ""), "{said}");
    let folders: Vec<_> = fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [folder] = &folders[..] else { panic!("{folders:?}") };
    for wanted in [
        format!("Everything is in {}", folder.display()),
        format!("tick --config {}/rowmill.toml", folder.display()),
        format!("rm -r {}", folder.display()),
        "is made (10 partitions)".to_string(),
        "INSERT INTO queue (job) SELECT 'noop' FROM n;".to_string(),
        "1,003 tasks were done".to_string(),
        "10 workers are alive".to_string(),
        "ms after its time.".to_string(),
        "error         there is no such customer".to_string(),
        "error         the mail server is away".to_string(),
        "Its occurrence became task".to_string(),
        " greets {\"who\":\"the schedule\"}".to_string(),
        "10 workers were told to end, and have ended.".to_string(),
        "Everything came out as described".to_string(),
    ] {
        assert!(said.contains(&wanted), "{wanted:?} is missing in:\n{said}");
    }
    assert!(said.lines().all(|line| line == line.trim_end() && !line.contains('\x1b')), "{said}");
    assert_eq!(processes_of(temp.path()), [""; 0]);
}

#[test]
fn a_demo_that_is_broken_off_says_so_and_leaves_no_process() {
    let temp = tempfile::tempdir().unwrap();
    // Its first lines are read, and then nobody listens any more: the pipe is closed, and it is told to end.
    let mut child = demo(temp.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert!(lines.any(|line| line.unwrap().contains("10 workers are alive")));
    drop(lines);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "error: it was broken off\n");
    assert_eq!(processes_of(temp.path()), [""; 0]);
}

#[test]
fn the_demo_takes_no_database_of_anybody_else() {
    let temp = tempfile::tempdir().unwrap();
    let output = demo(temp.path()).args(["--database", "mine.db"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("a database and a log of its own"));
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
}
