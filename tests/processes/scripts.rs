//! Scripts end to end: what they give back, and every way in which they go wrong beside tasks that go well.
//!
//! What would be found here: a result that is lost or changed on its way, a bad script that takes its neighbours or its
//! worker along, one that is charged for what is not its fault, words that do not say what to mend, secrets in the log.

use crate::installation::{BOUND, Installation, statuses, within};
use serde_json::json;

/// Tasks that go well beside the others.
const WELL: usize = 30;

/// An installation with jobs by the configuration, to which each test adds scripts.
fn with_jobs(jobs: &str) -> Installation {
    Installation::new(&format!("workers = 2\n{jobs}"))
}

fn job(name: &str, command: &str, more: &str) -> String {
    format!("[[job]]\nname = '{name}'\ncommand = {command}\n{more}\n")
}

/// Asserts that a task of this job came to this status and cause, with these words; charged one attempt.
#[track_caller]
fn assert_came_to(here: &Installation, job: &str, status: &str, cause: &str, words: &str) {
    let query = "SELECT status, coalesce(cause, ''), coalesce(error, ''), attempt FROM task WHERE job = ?1";
    let row = here.sql().query_row(query, [job], |r| {
        Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?, r.get::<_, String>(2)?, r.get::<_, i64>(3)?))
    });
    let (found, kind, error, attempt) = row.unwrap();
    assert_eq!((found.as_str(), kind.as_str(), attempt), (status, cause, 1), "{job}: {error}");
    assert!(error.contains(words), "{job}: `{error}` lacks `{words}`");
}

#[test]
fn what_a_script_writes_to_descriptor_3_is_its_result() {
    let here = with_jobs("");
    here.script("count", "echo to the log; printf '{\"bytes\":%s}' \"$(wc -c)\" >&3\n");
    here.script("binary", "printf '\\000\\377\\n' >&3\n");
    here.script("nothing", "echo to the log\n");
    here.script("endless", "head -c 2000000 /dev/zero >&3\n");
    for name in ["count", "binary", "nothing", "endless"] {
        here.insert(1, name, "12345");
    }
    here.run(&["drain"]).well();
    let result = |id: &str| here.json(&["task", id])["result"].clone();
    assert_eq!(result("1"), json!("{\"bytes\":5}"));
    assert_eq!(result("2"), json!({ "hex": "00ff0a" }));
    assert_eq!(result("3"), json!(null));
    assert_came_to(&here, "endless", "delayed", "error", "2000000 bytes, and at most 1048576 are kept");
    assert_eq!(here.queue(), statuses([("delayed", 1), ("done", 3)]));
}

#[test]
fn scripts_that_cannot_be_started_say_what_to_mend() {
    let jobs = [
        job("missing", "['./gone']", ""),
        job("plain", "['./plain']", ""),
        job("lost", "['./lost']", ""),
        job("nowhere", "['true']", "cwd = 'gone'"),
        job("nobody", "['true']", "user = 'no-such-user'"),
        job("argument", "['true', '{param}']", "max_attempts = 9"),
    ];
    let here = with_jobs(&jobs.concat());
    here.write("plain", "#!/bin/sh\n");
    here.script("../lost", "");
    here.write("lost", "#!/no/such/interpreter\n");
    for name in ["missing", "plain", "lost", "nowhere", "nobody"] {
        here.insert(1, name, "");
    }
    here.insert(1, "argument", &"x".repeat(200_000));
    here.insert(WELL, "noop", "");
    assert_eq!(here.run(&["drain"]).code, Some(1));
    for (name, words) in [
        ("missing", "does not exist; mend `command`"),
        ("plain", "is not executable; run: chmod +x"),
        ("lost", "the interpreter of"),
        ("nowhere", "its working folder"),
        ("nobody", "there is no user `no-such-user`"),
    ] {
        assert_came_to(&here, name, "delayed", "not_started", words);
    }
    assert_came_to(&here, "argument", "dead", "rejected", "the param has 200000 bytes");
    assert_eq!(here.done(), 30);
}

#[test]
fn scripts_that_misbehave_are_ended_and_the_others_go_on() {
    let short = "timeout = '400ms'\ngrace = '200ms'";
    let jobs = [job("deaf", "['./deaf']", short), job("greedy", "['./greedy']", "memory = '64MB'")];
    let here = with_jobs(&jobs.concat());
    here.script("../deaf", "trap '' TERM\nsleep 600 &\nwhile :; do sleep 600; done\n");
    here.script("../greedy", "dd if=/dev/zero of=/dev/null bs=200M count=1\n");
    here.script("flood", "head -c 50000000 /dev/zero | tr '\\0' x\nhead -c 50000000 /dev/zero >&2\n");
    here.script("closed", "exec 0<&- 1>&- 2>&- 3>&-\nsleep 0.2\n: > closed-went-on\n");
    here.script("parent", "sleep 600 &\nsleep 600 &\nexit 0\n");
    for name in ["deaf", "greedy", "flood", "closed", "parent"] {
        here.insert(1, name, &"x".repeat(100_000));
    }
    here.insert(WELL, "noop", "");
    here.run(&["drain"]).well();
    assert_came_to(&here, "deaf", "delayed", "timeout", "ran longer than 400ms");
    assert_came_to(&here, "greedy", "delayed", "out_of_memory", "it may have 64MB; exit code 1: dd: memory exhausted");
    for name in ["flood", "closed", "parent"] {
        assert_came_to(&here, name, "done", "", "");
    }
    assert!(here.path("closed-went-on").exists());
    // A word of the engine, and not of the script: no `from` stands before it.
    assert_eq!(here.lines(" job=flood (98951424 bytes of output above 1048576 were dropped)"), 1);
    assert!(here.log().len() < 8 << 20, "{} bytes of log", here.log().len());
    within(BOUND, "what they left to end", || here.processes().is_empty().then_some(()));
    assert_eq!(here.queue(), statuses([("delayed", 2), ("done", 33)]));
}

#[test]
fn each_kind_of_exit_and_signal_is_told() {
    let here = with_jobs("");
    let exits = [0, 1, 2, 64, 65, 75, 126, 127, 255];
    let signals = ["KILL", "TERM", "SEGV", "ABRT", "USR1", "PIPE", "ALRM", "XCPU"];
    for code in exits {
        here.script(&format!("exit-{code}"), &format!("echo why {code} >&2\nexit {code}\n"));
        here.insert(1, &format!("exit-{code}"), "");
    }
    for name in signals {
        here.script(&format!("signal-{name}"), &format!("ulimit -c 0\nkill -s {name} $$\nexit 0\n"));
        here.insert(1, &format!("signal-{name}"), "");
    }
    here.insert(WELL, "noop", "");
    assert_eq!(here.run(&["drain"]).code, Some(1));
    for code in exits {
        let (status, cause) = match code {
            0 => ("done", ""),
            65 => ("dead", "rejected"),
            75 => ("delayed", "error"),
            _ => ("delayed", "exit"),
        };
        let words = if code == 0 { String::new() } else { format!("exit code {code}: why {code}") };
        assert_came_to(&here, &format!("exit-{code}"), status, cause, &words);
    }
    for name in signals {
        assert_came_to(&here, &format!("signal-{name}"), "delayed", "signal", &format!("ended by SIG{name}"));
    }
    assert_eq!(here.count("job = 'noop' AND status = 'done'"), 30);
}

#[test]
fn a_redacted_job_leaves_no_trace_of_its_param() {
    let redacted = [job("quiet", "['./tell']", "redact = true"), job("loud", "['./tell']", "")];
    let here = with_jobs(&redacted.concat());
    here.script("../tell", "tee /dev/stderr\nexit 1\n");
    here.insert(1, "quiet", "hush-hush");
    here.run(&["drain"]).well();
    assert_came_to(&here, "quiet", "delayed", "exit", "exit code 1");
    assert_eq!(here.count("error LIKE '%hush%'"), 0);
    assert_eq!((here.lines("hush-hush"), here.lines("18 bytes of output are not shown")), (0, 1));
    here.insert(1, "loud", "hush-hush");
    here.run(&["drain"]).well();
    assert!(here.lines("hush-hush") >= 2, "{}", here.log());
}
