//! Runs that are ended from outside, and what becomes of the program's descendants.
//!
//! Timeouts in here are long enough for a shell to have set its traps on a slow machine; where a run is to be abandoned
//! at a certain moment, the script says so with a line.

use super::*;
use rustix::process::{Signal, pidfd_send_signal};

/// Ends only by KILL, and writes a line for each TERM that reaches it.
const STUBBORN: &str = "trap 'echo asked' TERM; echo ready $$; while :; do sleep 1000 & wait; done";

fn stop_when(word: &'static str) -> impl FnMut(&str, &mut std::io::PipeWriter) {
    move |text, stop| {
        if text.starts_with(word) {
            stop.write_all(b"x").unwrap();
        }
    }
}

fn timed_out(after_ms: u64) -> Ending {
    Ending::Failed(Cause::Timeout { after_ms })
}

#[test]
fn a_timeout_is_a_timeout_however_the_program_takes_it() {
    let policy = Policy { timeout_ms: Some(1_500), grace_ms: 60_000, ..Policy::default() };
    for script in ["exec sleep 1000", "trap 'exit 0' TERM; sleep 1000 & wait", "trap 'exit 65' TERM; sleep 1000 & wait"]
    {
        assert_eq!(run_with(&sh(script), b"", &policy, |_, _| {}).ending, timed_out(1_500), "{script}");
    }
    let flood = run_with(&sh("exec yes"), b"", &policy, |_, _| {});
    assert_eq!(flood.ending, timed_out(1_500), "output does not put it off");
    let at_once = Policy { timeout_ms: Some(0), ..policy };
    assert_eq!(run_with(&sh("exec sleep 1000"), b"", &at_once, |_, _| {}).ending, timed_out(0));
}

#[test]
fn who_ignores_term_is_killed_after_the_grace() {
    let policy = Policy { timeout_ms: Some(1_500), grace_ms: 500, ..Policy::default() };
    let seen = run_with(&sh(STUBBORN), b"", &policy, |_, _| {});
    assert_eq!(seen.ending, timed_out(1_500));
    assert_eq!(seen.texts()[1..], ["asked"]);
}

#[test]
fn a_stopped_program_is_woken_to_be_asked() {
    let policy = Policy { timeout_ms: Some(1_500), grace_ms: 60_000, ..Policy::default() };
    let seen = run_with(&sh("trap 'echo asked; exit' TERM; kill -STOP $$; sleep 1000"), b"", &policy, |_, _| {});
    assert_eq!((seen.ending.clone(), seen.texts()), (timed_out(1_500), vec!["asked"]));
}

#[test]
fn an_abandoned_run_is_interrupted_however_it_ends() {
    for script in ["echo ready; exec sleep 1000", "trap 'exit 0' TERM; echo ready; sleep 1000 & wait"] {
        let seen = run_with(&sh(script), b"", &patient(), stop_when("ready"));
        assert_eq!(seen.ending, Ending::Interrupted, "{script}");
    }
    let short = Policy { grace_ms: 500, ..patient() };
    let seen = run_with(&sh(STUBBORN), b"", &short, stop_when("ready"));
    assert_eq!((seen.ending.clone(), &seen.texts()[1..]), (Ending::Interrupted, &["asked"][..]));
}

#[test]
fn the_first_reason_stays_and_nobody_is_asked_twice() {
    let policy = Policy { timeout_ms: Some(1_500), grace_ms: 1_000, ..Policy::default() };
    let seen = run_with(&sh(STUBBORN), b"", &policy, stop_when("asked"));
    assert_eq!((seen.ending.clone(), &seen.texts()[1..]), (timed_out(1_500), &["asked"][..]));
    let policy = Policy { timeout_ms: Some(1_500), grace_ms: 2_500, ..Policy::default() };
    let seen = run_with(&sh(STUBBORN), b"", &policy, stop_when("ready"));
    assert_eq!((seen.ending.clone(), &seen.texts()[1..]), (Ending::Interrupted, &["asked"][..]));
}

#[test]
fn the_whole_group_is_asked() {
    let script = "trap : TERM; (trap 'echo asked; exit' TERM; echo ready; sleep 1000 & wait) & wait; wait";
    let seen = run_with(&sh(script), b"", &patient(), stop_when("ready"));
    assert_eq!((seen.ending.clone(), seen.texts()), (Ending::Interrupted, vec!["ready", "asked"]));
}

/// Waits for the end of the program whose number is the line, then makes the run be abandoned.
fn stop_after_its_end(pid: &str, stop: &mut std::io::PipeWriter) {
    assert!(ends(pid, 60));
    stop.write_all(b"x").unwrap();
}

#[test]
fn who_was_done_before_it_was_asked_counts_as_done() {
    let seen = run_with(&sh("echo $$; exit 0"), b"", &patient(), stop_after_its_end);
    assert_eq!(seen.ending, done());
    for script in ["echo $$; exit 1", "echo $$; kill -TERM $$"] {
        let seen = run_with(&sh(script), b"", &patient(), stop_after_its_end);
        assert_eq!(seen.ending, Ending::Interrupted, "a shutdown may have signalled both");
    }
}

#[test]
fn lines_that_are_slow_to_deliver_do_not_make_a_timeout() {
    let policy = Policy { timeout_ms: Some(1_500), ..patient() };
    let seen = run_with(&sh("echo $$; echo more; exit 3"), b"", &policy, |text, _| {
        assert!(text == "more" || ends(text, 60));
        let pause = Timespec { tv_sec: 2, tv_nsec: 0 };
        assert_eq!(poll(&mut [], Some(&pause)).unwrap(), 0);
    });
    assert!(matches!(seen.ending, Ending::Failed(Cause::Exit { code: 3, .. })), "{:?}", seen.ending);
    assert_eq!(seen.lines.len(), 2, "nor do they lose what came after them");
}

#[test]
fn descendants_in_the_group_are_killed_with_the_end_of_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let stubborn = "mkfifo up; (trap '' TERM HUP; sleep 1000 & echo $!; echo > up; wait) & read x < up";
    for script in ["sleep 1000 & echo $!", stubborn] {
        let seen = run_it(&sh_in(folder.path(), script), b"");
        assert_eq!((seen.ending.clone(), seen.lines.len()), (done(), 1), "{script}: {:?}", seen.lines);
        assert!(ends(seen.texts()[0], 60), "{script}");
    }
    let seen = run_with(&sh("sleep 1000 & echo $!; wait"), b"", &patient(), stop_when(""));
    assert!(seen.ending == Ending::Interrupted && ends(seen.texts()[0], 60));
}

#[test]
fn a_descendant_that_left_the_group_does_not_block_the_end() {
    let folder = tempfile::tempdir().unwrap();
    for stray in ["exec sleep 1000", "yes & yes & yes & exec yes"] {
        let script =
            format!("rm -f out; mkfifo out; setsid sh -c 'echo $$; echo > out; {stray}' & read x < out; exit 4");
        let seen = run_it(&sh_in(folder.path(), &script), b"");
        assert!(matches!(seen.ending, Ending::Failed(Cause::Exit { code: 4, .. })), "{:?}", seen.ending);
        let pid = Pid::from_raw(seen.texts()[0].parse().unwrap()).unwrap();
        let left = pidfd_open(pid, PidfdFlags::empty());
        if stray == "exec sleep 1000" {
            assert!(left.is_ok() && !ends(seen.texts()[0], 0), "it is nobody's to kill");
        }
        if let Ok(left) = left {
            let _ = pidfd_send_signal(&left, Signal::KILL);
        }
    }
}
