//! Descriptor 3: every byte of a result, and what a program finds open; the body beside it.
//!
//! Which number a descriptor of ours has depends on what the process has open. So the tests of that run alone, in a
//! process whose descriptor 3 is free, or taken.

use super::alone::{alone, alone_with, assert_no_children, descriptors};
use super::*;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Signal, pidfd_send_signal};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};

fn result(script: &str, param: &[u8]) -> Option<Vec<u8>> {
    let seen = run_it(&sh(script), param);
    let Ending::Answered(Outcome::Done { result, .. }) = seen.ending else { panic!("{script}: {:?}", seen.ending) };
    result
}

#[test]
fn a_result_is_what_was_written_to_descriptor_3() {
    assert_eq!(result("echo out; echo err >&2", b""), None);
    assert_eq!(result(": >&3; exec 3>&-; echo out", b""), None, "nothing written is no result");
    assert_eq!(result("echo out; printf 'a\\nb' >&3", b""), Some(b"a\nb".to_vec()));
    assert_eq!(
        result("printf a >&3; (printf b >&3); sh -c 'printf c >&3'; printf d > /dev/fd/3", b""),
        Some(b"abcd".to_vec())
    );
    let every: Vec<u8> = (0..=255).rev().collect();
    for param in [vec![0], every.clone(), every.repeat(4096)] {
        assert!(result("cat >&3", &param) == Some(param.clone()), "{} bytes", param.len());
    }
}

#[test]
fn a_result_counts_only_with_exit_0() {
    let seen = run_it(&sh("echo half >&3; echo no >&2; exit 4"), b"");
    assert_eq!(seen.ending, Ending::Failed(Cause::Exit { code: 4, tail: "no".into() }));
    let seen = run_it(&sh("echo half >&3; exit 75"), b"");
    assert!(matches!(seen.ending, Ending::Answered(Outcome::Retry { .. })));
}

#[test]
fn a_result_that_is_too_long_is_a_failed_attempt() {
    for (bytes, script) in [(1_048_577, "head -c 1048577"), (100_000_000, "head -c 100000000")] {
        let seen = run_it(&sh(&format!("{script} /dev/zero >&3; echo end")), b"");
        let Ending::Failed(Cause::Error(why)) = &seen.ending else { panic!("{:?}", seen.ending) };
        assert!(why.contains(&format!("{bytes} bytes")) && why.contains("at most 1048576"), "{why}");
        assert_eq!(seen.texts(), ["end"], "and it was not held up");
    }
}

#[test]
fn who_keeps_it_open_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    for stray in ["exec sleep 1000", "exec sleep 1000 >/dev/null 2>&1"] {
        let script = format!(
            "rm -f up; mkfifo up; setsid sh -c 'echo $$; echo > up; {stray}' & read x < up; echo mine >&3; exit 0"
        );
        let seen = run_it(&sh_in(folder.path(), &script), b"");
        assert_eq!(seen.ending, Ending::Answered(Outcome::with_result(b"mine\n".to_vec())));
        let pid = Pid::from_raw(seen.texts()[0].parse().unwrap()).unwrap();
        let left = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        assert!(!ends(seen.texts()[0], 0), "it is nobody's to kill");
        pidfd_send_signal(&left, Signal::KILL).unwrap();
    }
}

/// A file as the store hands it out, and its path.
fn body(folder: &Path) -> (OwnedFd, PathBuf) {
    let path = folder.join("body");
    let file = File::create(&path).unwrap();
    flock(&file, FlockOperation::NonBlockingLockShared).unwrap();
    (file.into(), path)
}

/// Whether nobody has the file open any more.
fn is_free(path: &Path) -> bool {
    flock(File::open(path).unwrap(), FlockOperation::NonBlockingLockExclusive).is_ok()
}

fn run_with_body(command: &Command, body: OwnedFd, mut on_line: impl FnMut(&str)) -> Seen {
    let (abandon, _stop) = std::io::pipe().unwrap();
    let mut lines = Vec::new();
    let ending = run(command, &context(), b"", &patient(), abandon.as_fd(), Some(body), &mut |line: OutputLine| {
        on_line(&line.text);
        lines.push(line);
    });
    Seen { ending, lines }
}

/// A run with a body at whatever number it has: the program has its descriptors and no others, and the body is free when
/// the last of its processes has ended.
fn a_body_is_inherited(body: OwnedFd, path: &Path) {
    let number = body.as_raw_fd();
    let script = "ls -v /proc/$$/fd; rm -f up; mkfifo up; setsid sh -c 'echo pid $$; echo > up; exec sleep 1000' & \
                  read x < up; echo mine >&3";
    let seen = run_with_body(&sh_in(path.parent().unwrap(), script), body, |_| assert!(!is_free(path)));
    assert_eq!(seen.ending, Ending::Answered(Outcome::with_result(b"mine\n".to_vec())));
    let texts = seen.texts();
    assert_eq!(texts[..4], ["0", "1", "2", "3"]);
    assert_eq!(texts.len(), 6, "its body, and nothing else: {texts:?}");
    assert!(number <= 3 || texts[4] == number.to_string(), "{number}: {texts:?}");
    let pid = texts[5].strip_prefix("pid ").unwrap();
    assert!(!is_free(path), "a descendant has it");
    pidfd_send_signal(
        pidfd_open(Pid::from_raw(pid.parse().unwrap()).unwrap(), PidfdFlags::empty()).unwrap(),
        Signal::KILL,
    )
    .unwrap();
    assert!(ends(pid, 60) && is_free(path));
}

fn whatever_is_open() {
    let folder = std::env::current_dir().unwrap();
    let before = descriptors();
    let missing = Command { argv: vec!["/no/such".into()], ..sh("") };
    for _ in 0..3 {
        assert_eq!(result("echo yes >&3", b""), Some(b"yes\n".to_vec()));
        let seen = run_it(&missing, b"");
        assert!(matches!(seen.ending, Ending::Failed(Cause::NotStarted(_))), "{:?}", seen.ending);
        let (body, path) = body(&folder);
        a_body_is_inherited(body, &path);
        let (body, path) = self::body(&folder);
        run_with_body(&missing, body, |_| {});
        assert!(is_free(&path), "a failed start keeps nothing");
    }
    assert_no_children();
    assert_eq!(descriptors(), before);
}

#[test]
fn it_is_descriptor_3_if_that_was_free() {
    alone("results::it_is_descriptor_3_if_that_was_free", || {
        assert_eq!(body(&std::env::current_dir().unwrap()).0.as_raw_fd(), 3, "the body itself has it");
        whatever_is_open();
    });
}

#[test]
fn it_is_descriptor_3_if_that_was_taken() {
    alone_with("results::it_is_descriptor_3_if_that_was_taken", "3</dev/null 7</dev/null", || {
        assert_ne!(body(&std::env::current_dir().unwrap()).0.as_raw_fd(), 3);
        whatever_is_open();
    });
}

#[test]
fn it_is_descriptor_3_while_others_open_and_close() {
    alone("results::it_is_descriptor_3_while_others_open_and_close", || {
        let over = AtomicBool::new(false);
        let missing = Command { argv: vec!["/no/such".into()], ..sh("") };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    drop(File::open("/dev/null").unwrap());
                }
            });
            for _ in 0..300 {
                match run_it(&missing, b"").ending {
                    Ending::Failed(Cause::NotStarted(_)) | Ending::NotNow(_) => {}
                    other => panic!("a start that failed looks like {other:?}"),
                }
            }
            over.store(true, Ordering::Relaxed);
        });
    });
}
