//! What can only be seen in a process that runs nothing else: descriptors, children, memory, the worker's death.
//!
//! Each test starts this test binary again, in a folder with a mark, to run only itself.

use super::*;
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Stdio;

const MARK: &str = "rowmill-alone";

/// This test binary, about to run only the test `name` of the room (of this file unless it names another), in `folder`.
fn again(name: &str, folder: &Path) -> std::process::Command {
    again_with(name, folder, "3>&-")
}

/// The same with another redirection; otherwise its descriptor 3 is free.
fn again_with(name: &str, folder: &Path, redirection: &str) -> std::process::Command {
    std::fs::write(folder.join(MARK), "").unwrap();
    let mut process = std::process::Command::new("/bin/sh");
    process.args(["-c", &format!("exec \"$0\" \"$@\" {redirection}")]).arg(std::env::current_exe().unwrap());
    let name = if name.contains("::") { name.to_string() } else { format!("alone::{name}") };
    process.args(["--exact", &format!("work::exec::tests::{name}"), "--nocapture", "--test-threads=1"]);
    process.current_dir(folder);
    process
}

/// Whether this process is one that a test has started to run only itself.
pub(super) fn is_alone() -> bool {
    Path::new(MARK).exists()
}

/// Runs `body` in a process of its own.
pub(super) fn alone(name: &str, body: fn()) {
    alone_with(name, "3>&-", body);
}

/// The same with a redirection of its descriptors.
pub(super) fn alone_with(name: &str, redirection: &str, body: fn()) {
    if is_alone() {
        return body();
    }
    let folder = tempfile::tempdir().unwrap();
    let seen = again_with(name, folder.path(), redirection).output().unwrap();
    let text = String::from_utf8_lossy(&seen.stdout);
    assert!(seen.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&seen.stderr));
}

pub(super) fn assert_no_children() {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    assert_eq!(waitid(WaitId::All, options).map(|_| ()), Err(rustix::io::Errno::CHILD), "a child is left");
}

/// Each descriptor with the flags that it was opened with.
pub(super) fn descriptors() -> BTreeMap<String, i32> {
    let names: Vec<_> = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let flags = |name: &OsString| {
        let info = std::fs::read_to_string(Path::new("/proc/self/fdinfo").join(name)).ok()?;
        let octal = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
        Some((name.to_string_lossy().into_owned(), i32::from_str_radix(octal.trim(), 8).unwrap()))
    };
    names.iter().filter_map(flags).collect()
}

#[test]
fn no_descriptor_and_no_child_is_left() {
    alone("no_descriptor_and_no_child_is_left", || {
        let before = descriptors();
        let short = Policy { timeout_ms: Some(100), grace_ms: 100, ..Policy::default() };
        let missing = Command { argv: vec!["/no/such".into()], ..sh("") };
        for _ in 0..5 {
            run_it(&sh("cat; echo err >&2"), &[b'x'; 100_000]);
            run_it(&sh("exit 3"), &[b'x'; 1_000_000]);
            run_it(&sh("sleep 1000 & exit 0"), b"");
            run_it(&missing, b"");
            run_it(&Command { cwd: "/no/such".into(), ..sh("") }, b"");
            run_with(&sh("trap '' TERM; sleep 1000"), b"", &short, |_, _| {});
            run_with(&sh("echo; exec sleep 1000"), b"", &patient(), |_, stop| stop.write_all(b"x").unwrap());
        }
        assert_eq!(descriptors(), before);
        assert_no_children();
    });
}

#[test]
fn no_other_program_inherits_a_descriptor() {
    alone("no_other_program_inherits_a_descriptor", || {
        let before = descriptors();
        let mut fresh = BTreeMap::new();
        run_with(&sh("echo"), &[b'x'; 1_000_000], &patient(), |_, _| {
            fresh = descriptors();
            fresh.retain(|name, _| !before.contains_key(name));
        });
        assert!(fresh.len() >= 5, "three pipes, a pidfd and the test's own: {fresh:?}");
        assert!(fresh.values().all(|flags| flags & 0o2_000_000 != 0), "all close-on-exec: {fresh:?}");
    });
}

#[test]
fn a_panic_of_the_caller_leaves_nothing_behind() {
    alone("a_panic_of_the_caller_leaves_nothing_behind", || {
        let before = descriptors();
        let mut pid = String::new();
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            run_with(&sh("echo $$; exec sleep 1000"), b"", &patient(), |text, _| {
                pid = text.to_string();
                panic!("on purpose");
            })
        }));
        assert!(unwound.is_err() && ends(&pid, 0));
        assert_no_children();
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn memory_is_bounded_whatever_is_written() {
    fn peak_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
    alone("memory_is_bounded_whatever_is_written", || {
        let (abandon, _stop) = std::io::pipe().unwrap();
        let flood = "head -c 100000000 /dev/zero; head -c 100000000 /dev/zero | tr '\\0' x >&2; exit 1";
        // What a run needs at all, of the program's own text above all, is there before it is looked.
        run_it(&sh("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 1"), b"");
        let (before, mut count, mut last) = (peak_kib(), 0, String::new());
        let ending = run(&sh(flood), &context(), b"", &patient(), abandon.as_fd(), None, &mut |line: OutputLine| {
            count += 1;
            last = line.text;
        });
        assert_eq!(ending, Ending::Failed(Cause::Exit { code: 1, tail: "x".repeat(lines::TAIL) }));
        assert_eq!((count, last.as_str()), (257, "(198951424 bytes of output above 1048576 were dropped)"));
        let grown = peak_kib() - before;
        assert!(grown < 8 * 1024, "grew by {grown} KiB");
    });
}

#[test]
fn waiting_costs_nothing_whatever_is_closed() {
    fn on_cpu_ms() -> u64 {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        stat.split(' ').next().unwrap().parse::<u64>().unwrap() / 1_000_000
    }
    alone("waiting_costs_nothing_whatever_is_closed", || {
        let before = on_cpu_ms();
        assert_eq!(run_it(&sh("exec 0<&- 1>&- 2>&-; exec sleep 2"), &[b'x'; 200_000]).ending, done());
        let policy = Policy { grace_ms: 2_000, ..patient() };
        let script = "trap '' TERM; exec 0<&- 1>&-; echo ready >&2; exec sleep 1000";
        let seen = run_with(&sh(script), &[b'x'; 200_000], &policy, |_, stop| stop.write_all(b"x").unwrap());
        assert_eq!(seen.ending, Ending::Interrupted);
        let spent = on_cpu_ms() - before;
        assert!(spent < 1_000, "{spent} ms on the processor for four seconds of waiting");
    });
}

#[test]
fn the_program_dies_with_its_worker() {
    dies_with_its_worker("the_program_dies_with_its_worker", None);
}

#[test]
fn the_program_of_another_user_dies_with_its_worker() {
    if is_root() {
        dies_with_its_worker("the_program_of_another_user_dies_with_its_worker", Some(User::parse("nobody").unwrap()));
    }
}

fn dies_with_its_worker(name: &str, user: Option<User>) {
    if is_alone() {
        let command = Command { user, ..sh("trap '' TERM HUP; echo pid=$$; exec sleep 1000") };
        run_with(&command, b"", &patient(), |text, _| println!("{text}"));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut worker = again(name, folder.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(worker.stdout.take().unwrap()).lines();
    let pid = lines.find_map(|line| Some(line.unwrap().split_once("pid=")?.1.to_string())).unwrap();
    assert!(!ends(&pid, 0));
    pidfd_send_signal(pidfd_open(Pid::from_child(&worker), PidfdFlags::empty()).unwrap(), Signal::KILL).unwrap();
    worker.wait().unwrap();
    assert!(ends(&pid, 30), "its timeout of a minute is not what ended it");
}
