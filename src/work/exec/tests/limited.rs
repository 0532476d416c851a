//! Limits: what a program may use of memory, processor time and the log, and how it is told that it used it up.

use super::*;

fn limited(script: &str, limits: Limits) -> Command {
    Command { limits, ..sh(script) }
}

fn with_memory(script: &str, memory_bytes: u64) -> Command {
    limited(script, Limits { memory_bytes: Some(memory_bytes), ..Limits::default() })
}

fn with_cpu(script: &str, cpu_ms: u64) -> Command {
    limited(script, Limits { cpu_ms: Some(cpu_ms), ..Limits::default() })
}

const LARGE: &str = "dd if=/dev/zero of=/dev/null bs=200M count=1";

#[test]
fn memory_is_limited_and_its_lack_is_told() {
    assert_eq!(run_it(&with_memory("ulimit -v", 64 << 20), b"").texts(), ["65536"]);
    assert_eq!(run_it(&with_memory(LARGE, 1 << 30), b"").ending, done());
    let seen = run_it(&with_memory(LARGE, 64 << 20), b"");
    let Ending::Failed(Cause::OutOfMemory(why)) = seen.ending else { panic!("{:?}", seen.ending) };
    assert!(why.starts_with("it may have 64MB; exit code 1: dd: memory exhausted"), "{why}");
}

#[test]
fn memory_that_is_too_small_to_begin_with_is_a_failed_attempt() {
    for memory_bytes in [4_096, 100 << 10, 1 << 20, 2 << 20] {
        let seen = run_it(&with_memory("exit 0", memory_bytes), b"");
        assert!(matches!(seen.ending, Ending::Failed(_)), "{memory_bytes}: {:?}", seen.ending);
    }
}

#[test]
fn processor_time_is_limited_and_its_end_is_told() {
    assert_eq!(run_it(&with_cpu("ulimit -St; ulimit -Ht", 1_500), b"").texts(), ["2", "62"]);
    let used_up = Ending::Failed(Cause::Cpu { after_ms: 1_000 });
    assert_eq!(run_it(&with_cpu("ulimit -c 0; while :; do :; done", 1_000), b"").ending, used_up);
    let child = "ulimit -c 0; sh -c 'while :; do :; done'; exit $?";
    assert_eq!(run_it(&with_cpu(child, 1), b"").ending, used_up, "a child of it");
    let deaf = with_cpu("trap '' XCPU; while :; do :; done", 1_000);
    let policy = Policy { grace_ms: 0, ..patient() };
    assert_eq!(run_with(&deaf, b"", &policy, |_, _| {}).ending, used_up, "one that does not listen");
}

#[test]
fn a_limit_that_is_not_reached_changes_nothing() {
    let both = Limits { memory_bytes: Some(1 << 30), cpu_ms: Some(60_000), ..Limits::default() };
    assert_eq!(run_it(&limited("exit 0", both.clone()), b"").ending, done());
    let seen = run_it(&limited("echo why >&2; exit 3", both.clone()), b"");
    assert_eq!(seen.ending, Ending::Failed(Cause::Exit { code: 3, tail: "why".into() }));
    let seen = run_it(&limited("kill -KILL $$", both), b"");
    assert_eq!(seen.ending, Ending::Failed(Cause::Signal { name: "SIGKILL".into() }));
}

#[test]
fn a_limit_is_never_above_the_workers_own() {
    alone::alone("limited::a_limit_is_never_above_the_workers_own", || {
        use rustix::process::{Resource, Rlimit, setrlimit};
        setrlimit(Resource::Cpu, Rlimit { current: Some(50), maximum: Some(50) }).unwrap();
        assert_eq!(run_it(&with_cpu("ulimit -St; ulimit -Ht", 60_000), b"").texts(), ["50", "50"]);
        assert_eq!(run_it(&with_cpu("ulimit -St; ulimit -Ht", 20_000), b"").texts(), ["20", "50"]);
    });
}

#[test]
fn output_is_logged_up_to_its_bound() {
    let output = |output_bytes| Limits { output_bytes, ..Limits::default() };
    let script = "printf 'one\\ntwo\\nthree\\n'; sleep 0; echo last >&2; exit 1";
    let seen = run_it(&limited(script, output(8)), b"");
    assert_eq!(seen.texts(), ["one", "two", "(11 bytes of output above 8 were dropped)"]);
    assert_eq!(seen.ending, Ending::Failed(Cause::Exit { code: 1, tail: "last".into() }), "the last words are kept");
    assert_eq!(run_it(&limited("echo", output(0)), b"").texts(), ["(1 bytes of output above 0 were dropped)"]);
    let more = run_it(&limited("head -c 3000000 /dev/zero | tr '\\0' x", output(2 << 20)), b"");
    assert_eq!(more.lines.iter().map(|line| line.text.trim_start_matches('(').len()).max(), Some(4096));
    assert_eq!(more.texts().last(), Some(&"(902848 bytes of output above 2097152 were dropped)"));
}

#[test]
fn nice_is_the_value_that_it_has() {
    let nice = |nice| limited("nice", Limits { nice: Some(nice), ..Limits::default() });
    assert_eq!(run_it(&nice(19), b"").texts(), ["19"]);
    assert_eq!(run_it(&sh("nice"), b"").texts(), ["0"], "the worker's own");
    if is_root() {
        assert_eq!(run_it(&nice(-20), b"").texts(), ["-20"]);
    }
}

#[test]
fn of_a_redacted_job_nothing_that_it_wrote_is_told() {
    let script = "cat; echo; echo my result >&3; echo why >&2; exit ";
    let redacted = |end: &str| Command { redact: true, ..sh(&format!("{script}{end}")) };
    for (end, wanted) in [
        ("0", Ending::Answered(Outcome::with_result(b"my result\n".to_vec()))),
        ("1", Ending::Failed(Cause::Exit { code: 1, tail: String::new() })),
        ("65", Ending::Answered(Outcome::Reject { reason: "exit code 65".into() })),
        ("75", Ending::Answered(Outcome::Retry { reason: "exit code 75".into() })),
    ] {
        let seen = run_it(&redacted(end), b"secret");
        assert_eq!(seen.ending, wanted);
        assert_eq!(seen.texts(), ["(11 bytes of output are not shown, since the job is redacted)"]);
    }
    let argument = Command { argv: ["true", "{param}"].map(OsString::from).to_vec(), redact: true, ..sh("") };
    let seen = run_it(&argument, b"secret\0");
    let Ending::Answered(Outcome::Reject { reason }) = seen.ending else { panic!("{:?}", seen.ending) };
    assert!(!reason.contains("secret"), "{reason}");
    let memory = Command { redact: true, ..with_memory(&format!("{LARGE} secret=1 2>&1; {LARGE}"), 64 << 20) };
    let Ending::Failed(Cause::OutOfMemory(why)) = run_it(&memory, b"").ending else { panic!("told all the same") };
    assert_eq!(why, "it may have 64MB; exit code 1");
}
