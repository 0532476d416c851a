//! The room against real processes: small shell scripts, each of which does one thing.
//!
//! Nothing here sleeps or measures: scripts say with a line when they are ready, and the policy's timeout of a minute
//! turns a run that hangs into a wrong answer. `alone` has the tests that need a process of their own.

mod alone;
mod limited;
mod params;
mod passing;
mod refused;
mod results;
mod stopped;
mod users;

use super::*;
use crate::task::Outcome;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;

/// What a test sees of a run.
struct Seen {
    ending: Ending,
    lines: Vec<OutputLine>,
}

impl Seen {
    fn texts(&self) -> Vec<&str> {
        self.lines.iter().map(|line| line.text.as_str()).collect()
    }
}

fn command(argv: &[&str]) -> Command {
    let env = BTreeMap::from([("PATH".to_string(), "/usr/local/bin:/usr/bin:/bin".to_string())]);
    Command { argv: argv.iter().map(OsString::from).collect(), cwd: PathBuf::from("/"), env, ..Command::default() }
}

fn sh(script: &str) -> Command {
    command(&["/bin/sh", "-c", script])
}

fn sh_in(folder: &Path, script: &str) -> Command {
    Command { cwd: folder.to_path_buf(), ..sh(script) }
}

fn patient() -> Policy {
    Policy { timeout_ms: Some(60_000), grace_ms: 60_000, ..Policy::default() }
}

fn context() -> Context {
    Context { task: 42, job: "send mail".into(), attempt: 2, max_attempts: 5, priority: -3, worker: 7 }
}

/// Runs it; `on_line` sees each line as it comes, and the end that makes the run be abandoned.
fn run_with(
    command: &Command,
    param: &[u8],
    policy: &Policy,
    mut on_line: impl FnMut(&str, &mut std::io::PipeWriter),
) -> Seen {
    let (abandon, mut stop) = std::io::pipe().unwrap();
    let mut lines = Vec::new();
    let ending = run(command, &context(), param, policy, abandon.as_fd(), None, &mut |line: OutputLine| {
        on_line(&line.text, &mut stop);
        lines.push(line);
    });
    Seen { ending, lines }
}

fn run_it(command: &Command, param: &[u8]) -> Seen {
    run_with(command, param, &patient(), |_, _| {})
}

/// Whether the process with this number, written as text, ends within a long time.
fn ends(pid: &str, within_s: i64) -> bool {
    let Ok(pidfd) = pidfd_open(Pid::from_raw(pid.trim().parse().unwrap()).unwrap(), PidfdFlags::empty()) else {
        return true;
    };
    let timeout = Timespec { tv_sec: within_s, tv_nsec: 0 };
    poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)).unwrap() == 1
}

/// Whether a test can go on that needs root; says that it is left out otherwise.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        let _ = std::io::stderr().write_all(b"left out: a test of executables needs root (run the tests as root)\n");
    }
    root
}

fn done() -> Ending {
    Ending::Answered(Outcome::done())
}

#[test]
fn exit_codes_are_answers() {
    assert_eq!(run_it(&sh("exit 0"), b"").ending, done());
    assert_eq!(run_it(&sh("echo noise >&2; exit 0"), b"").ending, done());
    let Ending::Answered(Outcome::Retry { reason }) = run_it(&sh("echo later >&2; exit 75"), b"").ending else {
        panic!("75 asks for another attempt")
    };
    assert_eq!(reason, "exit code 75: later");
    let Ending::Answered(Outcome::Reject { reason }) = run_it(&sh("echo never >&2; exit 65"), b"").ending else {
        panic!("65 rejects the task")
    };
    assert_eq!(reason, "exit code 65: never");
    for code in [1, 2, 64, 126, 127, 255] {
        let seen = run_it(&sh(&format!("echo out; echo one >&2; echo two >&2; exit {code}")), b"");
        assert_eq!(seen.ending, Ending::Failed(Cause::Exit { code, tail: "one\ntwo".into() }));
    }
}

#[test]
fn signals_are_told_by_name() {
    // HUP, INT and QUIT are left out: whoever started the tests may have them ignored, which is inherited.
    for name in ["KILL", "TERM", "SEGV", "ABRT", "USR1", "USR2", "PIPE", "ALRM", "XCPU", "BUS", "SYS", "TRAP"] {
        let seen = run_it(&sh(&format!("ulimit -c 0; kill -s {name} $$; exit 3")), b"");
        assert_eq!(seen.ending, Ending::Failed(Cause::Signal { name: format!("SIG{name}") }));
    }
}

#[test]
fn lines_come_from_both_streams_in_their_order() {
    let seen = run_it(&sh("printf 'a\\n\\nb\\r\\nlast'; printf 'c\\377\\n' >&2"), b"");
    let of = |stderr| -> Vec<_> {
        seen.lines.iter().filter(|line| line.stderr == stderr).map(|line| line.text.as_str()).collect()
    };
    assert_eq!(of(false), ["a", "", "b", "last"]);
    assert_eq!(of(true), ["c\u{fffd}"]);
}

#[test]
fn a_line_is_delivered_while_the_program_runs() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mkfifo go; echo ready; read word < go; echo got $word";
    let seen = run_with(&sh_in(folder.path(), script), b"", &patient(), |text, _| {
        if text == "ready" {
            std::fs::OpenOptions::new().write(true).open(folder.path().join("go")).unwrap().write_all(b"on\n").unwrap();
        }
    });
    assert_eq!((seen.ending.clone(), seen.texts()), (done(), vec!["ready", "got on"]));
}

#[test]
fn the_environment_is_exactly_what_was_given() {
    let mut command = command(&["env"]);
    command.env.insert("GREETING".into(), "good\nmorning = \u{1f33e}".into());
    command.env.insert("ROWMILL_TASK_ID".into(), "forged".into());
    let seen = run_it(&command, b"");
    let mut texts = seen.texts();
    texts.sort_unstable();
    assert_eq!(
        texts,
        [
            "GREETING=good",
            "PATH=/usr/local/bin:/usr/bin:/bin",
            "ROWMILL_ATTEMPT=2",
            "ROWMILL_IDEMPOTENCY_KEY=rowmill-42",
            "ROWMILL_JOB=send mail",
            "ROWMILL_MAX_ATTEMPTS=5",
            "ROWMILL_PRIORITY=-3",
            "ROWMILL_TASK_ID=42",
            "ROWMILL_WORKER=7",
            "morning = \u{1f33e}",
        ]
    );
    command.env.clear();
    let bare = run_it(&command, b"");
    assert!(bare.texts().iter().all(|text| text.starts_with("ROWMILL_")), "{:?}", bare.lines);
    assert_eq!(bare.lines.len(), 7, "found without a PATH, and given none");
}

#[test]
fn arguments_and_folder_arrive_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(&["printf", "%s\\n", "two words", "$HOME; `id` *", "", "\u{1f33e}"]);
    assert_eq!(run_it(&command, b"").texts(), ["two words", "$HOME; `id` *", "", "\u{1f33e}"]);
    command = sh_in(folder.path(), "pwd -P");
    assert_eq!(run_it(&command, b"").texts(), [folder.path().canonicalize().unwrap().to_str().unwrap()]);
}

#[test]
fn the_param_arrives_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let every: Vec<u8> = (0..=255).rev().collect();
    for param in [Vec::new(), vec![0], every.clone(), every.repeat(20_000)] {
        let seen = run_it(&sh_in(folder.path(), "cat > got; echo rest: $(wc -c)"), &param);
        assert_eq!((seen.ending.clone(), seen.texts()), (done(), vec!["rest: 0"]), "and then it ends");
        assert!(std::fs::read(folder.path().join("got")).unwrap() == param, "{} bytes", param.len());
    }
    assert_eq!(run_it(&command(&["wc", "-c"]), &vec![0; 5_000_000]).texts(), ["5000000"]);
    assert_eq!(run_it(&sh("cat /dev/stdin"), b"opened by name").texts(), ["opened by name"]);
}

#[test]
fn a_program_that_does_not_want_its_param_is_no_error() {
    let param = vec![b'x'; 5_000_000];
    assert_eq!(run_it(&sh("exit 0"), &param).ending, done());
    assert_eq!(run_it(&sh("head -c 10 > /dev/null"), &param).ending, done());
    let seen = run_it(&sh("exec 0<&-; head -c 300000 /dev/zero | tr '\\0' '\\n'; echo end >&2"), &param);
    assert_eq!((seen.ending, seen.lines.len()), (done(), 300_001));
    let seen = run_it(&sh("head -c 300000 /dev/zero; wc -c >&2"), &param);
    assert_eq!(seen.lines.iter().find(|line| line.stderr).unwrap().text, "5000000", "it may write before it reads");
}

#[test]
fn all_three_streams_at_once_never_block_each_other() {
    let param = vec![b'x'; 5_000_000];
    let seen = run_it(&sh("tee /dev/stderr"), &param);
    assert_eq!(seen.ending, done());
    let kept: usize = seen.lines.iter().filter(|line| line.text.starts_with('x')).map(|line| line.text.len()).sum();
    assert_eq!(kept, 1024 * 1024);
    assert_eq!(seen.lines.last().unwrap().text, "(8951424 bytes of output above 1048576 were dropped)");
    assert!(seen.lines.iter().all(|line| line.text.len() <= lines::LINE));
}

#[test]
fn a_program_may_close_its_streams_and_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let script = "exec 0<&- 1>&- 2>&-; head -c 1000 /dev/zero > file; exit 7";
    let seen = run_it(&sh_in(folder.path(), script), &[b'x'; 200_000]);
    assert_eq!(seen.ending, Ending::Failed(Cause::Exit { code: 7, tail: String::new() }));
    assert_eq!(std::fs::metadata(folder.path().join("file")).unwrap().len(), 1000);
}

#[test]
fn the_last_words_are_kept_however_much_came_before() {
    let seen = run_it(&sh("yes | head -c 3000000; yes | head -c 3000000 >&2; echo 'disk is full' >&2; exit 1"), b"");
    let Ending::Failed(Cause::Exit { code: 1, tail }) = seen.ending else { panic!("{:?}", seen.ending) };
    assert!(tail.ends_with("\ny\ndisk is full") && tail.len() <= lines::TAIL, "{tail}");
    assert_eq!(seen.lines.last().unwrap().text, "(4951437 bytes of output above 1048576 were dropped)");
}
