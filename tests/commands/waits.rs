//! `wait` until a task is final, and `try`, one run in the foreground.
//!
//! What would be found here: a wait that misses the end or outlives its time, an exit code that is not the job's, output
//! that comes only at the end, a row or a database that a try leaves behind.

use crate::installation::{BOUND, Installation, Running, signal, within};
use rustix::process::Signal;
use serde_json::json;
use std::process::Stdio;

#[test]
fn what_is_final_is_answered_at_once() {
    let here = Installation::new("workers = 2\n");
    here.run(&["enqueue", "echo", "{\"a\": \"b\\nc\"}"]).well();
    here.run(&["enqueue", "fail", "\"it broke\"", "--max-attempts", "1"]).well();
    here.run(&["enqueue", "noop", "--delay", "1h"]).well();
    here.run(&["cancel", "3"]).well();
    here.run(&["drain"]);
    assert_eq!(here.run(&["wait", "1"]).well(), "done\n{\"a\":\"b\\nc\"}\n");
    assert_eq!(here.json(&["wait", "1"]), here.json(&["task", "1"]));
    let died = here.run(&["wait", "2"]);
    assert_eq!((died.code, died.out.as_str(), died.err.as_str()), (Some(1), "dead\nit broke\n", ""));
    let cancelled = here.run(&["wait", "3", "--timeout", "0"]);
    assert_eq!((cancelled.code, cancelled.out.as_str()), (Some(1), "cancelled\n"));
    let missing = here.run(&["wait", "4"]);
    assert_eq!((missing.code, missing.out.as_str()), (Some(1), ""));
    assert!(missing.err.starts_with("error: there is no task 4\nhint: "), "{missing:?}");
}

#[test]
fn a_wait_ends_with_the_task_or_with_its_time() {
    let here = Installation::new("workers = 1\n");
    here.run(&["enqueue", "echo", "1"]).well();
    let late = here.run(&["wait", "1", "--timeout", "50ms"]);
    assert_eq!((late.code, late.out.as_str()), (Some(75), "ready\n"));
    assert_eq!(late.err, "error: task 1 is still ready after 50ms\nhint: nothing was done to it; it goes on\n");
    let mut waiting = here.command(&["wait", "1", "--timeout", "5m"]);
    let mut waiting = Running::start(waiting.stdout(Stdio::piped()));
    here.run(&["drain"]).well();
    assert_eq!(waiting.code(), Some(0));
    assert_eq!(std::io::read_to_string(waiting.0.stdout.take().unwrap()).unwrap(), "done\n1\n");
}

#[test]
fn a_wait_says_that_the_task_is_parked_and_goes_on() {
    let here = Installation::new("workers = 1\n");
    here.run(&["enqueue", "sleep", "\"x\""]).well();
    here.run(&["drain"]);
    // Also when the time is over at the first look.
    for span in ["0", "20ms"] {
        let parked = here.run(&["wait", "1", "--timeout", span]);
        assert_eq!((parked.code, parked.out.as_str()), (Some(75), "parked\n"));
        assert!(parked.err.starts_with("note: task 1 is parked: param is not what the job takes"), "{parked:?}");
    }
    let mut waiting = here.start(&["wait", "1"]);
    here.sql().execute("UPDATE queue SET param = '0'", []).unwrap();
    here.run(&["release", "1"]).well();
    here.run(&["drain"]).well();
    assert_eq!(waiting.code(), Some(0));
}

#[test]
fn a_try_exits_as_the_job_did_and_leaves_nothing() {
    let here = Installation::empty();
    here.write("rowmill.toml", "[[job]]\nname = \"short\"\ncommand = [\"sleep\", \"60\"]\ntimeout = \"50ms\"\n");
    for code in [0, 1, 7, 65, 75, 255] {
        here.script(&format!("exit{code}"), &format!("cat; echo err >&2; exit {code}"));
        let said = here.run(&["try", &format!("exit{code}"), "{\"a\":1}\n"]);
        assert_eq!((said.code, said.out.as_str()), (Some(code), "{\"a\":1}\n"), "{said:?}");
        assert!(said.err.starts_with("err\n"), "{said:?}");
    }
    here.script("kill", "kill -KILL $$");
    here.script("about", "echo $ROWMILL_JOB $ROWMILL_TASK_ID $ROWMILL_ATTEMPT $ROWMILL_IDEMPOTENCY_KEY");
    assert_eq!(here.run(&["try", "about"]).out, "about 0 1 rowmill-0\n");
    for (args, code, err) in [
        (&["try", "kill"][..], 137, "error: ended by SIGKILL\n"),
        (&["try", "short"], 1, "error: ran longer than 50ms\n"),
        (&["try", "noop"], 0, "done\n"),
        (&["try", "echo", "[1, 2]"], 0, "done, with the result [1,2]\n"),
        (&["try", "fail", "\"no\""], 1, "error: no\n"),
        (&["try", "sleep", "\"x\""], 65, "error: param is not what the job takes: invalid type"),
        (&["try", "sleep", "x"], 2, "error: the param is not JSON"),
        (&["try", "stranger"], 2, "error: no job `stranger` is known here\nhint: there are about, deliver_message,"),
        (&["try", "noop", "--codec", "xml"], 2, "error: there is no codec `xml`"),
    ] {
        let said = here.run(args);
        assert!(said.code == Some(code) && said.out.is_empty() && said.err.starts_with(err), "{args:?}: {said:?}");
    }
    assert_eq!(here.run_with_input(&["try", "exit0", "-"], "\"in\"").out, "\"in\"\n");
    let names: Vec<_> = std::fs::read_dir(here.folder()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "no database and no log: {names:?}");
}

#[test]
fn a_try_shows_each_line_when_it_is_written() {
    let here = Installation::empty();
    here.script("slow", "echo one; while [ ! -f go ]; do sleep 0.02; done; echo two");
    let out = std::fs::File::create(here.path("out")).unwrap();
    let mut running = Running::start(here.command(&["try", "slow"]).stdout(out).stderr(Stdio::null()));
    within(BOUND, "the first line", || (here.read("out") == "one\n").then_some(()));
    here.write("go", "");
    assert_eq!((running.code(), here.read("out")), (Some(0), "one\ntwo\n".to_string()));
}

#[test]
fn a_try_that_is_interrupted_ends_the_job() {
    let here = Installation::empty();
    here.script("stubborn", "trap 'touch told; exit 0' TERM; touch begun; while :; do sleep 0.02; done");
    let mut running = here.start(&["try", "stubborn"]);
    within(BOUND, "the script to begin", || here.path("begun").exists().then_some(()));
    signal(running.pid(), Signal::INT);
    assert_eq!(running.code(), Some(130));
    assert!(here.path("told").exists());
    assert!(here.processes().is_empty());
    let mut running = Running::start(here.command(&["try", "sleep", "600000"]).stderr(Stdio::null()));
    // Its catcher of signals is there by the time that its own thread is.
    within(BOUND, "the job to begin", || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", running.pid())).ok()?;
        let names = tasks.flatten().filter_map(|t| std::fs::read_to_string(t.path().join("comm")).ok());
        names.into_iter().any(|name| name.trim() == "runner").then_some(())
    });
    signal(running.pid(), Signal::TERM);
    assert_eq!(running.code(), Some(130));
}

#[test]
fn what_a_rust_job_is_given_is_the_rows_form() {
    let here = Installation::new("");
    here.run(&["enqueue", "echo", "{\"b\":1}"]).well();
    here.run(&["drain"]).well();
    assert_eq!(here.json(&["task", "1"])["result"], json!("{\"b\":1}"));
    assert_eq!(here.run(&["try", "echo", "{\"b\":1}"]).err, "done, with the result {\"b\":1}\n");
    assert_eq!(here.count("1"), 1);
}
