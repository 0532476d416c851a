//! Calls that are wrong: each ends with 2 (or 1 when it was tried), says `error: …` first, and changes nothing.
//!
//! What would be found here: a bad argument that is taken for something else, an error without words, one that goes to
//! standard output where a script would take it for an answer, and a panic.

use crate::installation::{Installation, Said};

/// Asserts how a refused call ends and what it says; everything on standard error.
#[track_caller]
fn refused(said: &Said, code: i32, error: &str, hint: &str) {
    assert!(said.code == Some(code) && said.out.is_empty(), "{said:?}");
    let mut lines = said.err.lines();
    let first = lines.next().unwrap_or_default();
    assert!(first.starts_with("error: ") && first.contains(error), "wanted `{error}` in {said:?}");
    assert!(
        hint.is_empty() || lines.any(|line| line.starts_with("hint: ") && line.contains(hint)),
        "wanted `{hint}` in {said:?}"
    );
    assert!(!said.err.contains("panicked"), "{said:?}");
}

#[test]
fn bad_arguments_of_every_command() {
    let here = Installation::new("");
    for (args, error) in [
        (&["nothing"][..], "unrecognized subcommand 'nothing'"),
        (&["enqueue"], "required arguments were not provided"),
        (&["enqueue", "noop", "--wat"], "unexpected argument '--wat'"),
        (&["enqueue", "noop", "{}", "--param-file", "x"], "cannot be used with"),
        (&["enqueue", "noop", "--at", "2100-01-01", "--delay", "1s"], "cannot be used with"),
        (&["enqueue", "noop", "--max-attempts", "0"], "0 is not in 1..=1000"),
        (&["enqueue", "noop", "--max-attempts", "1001"], "1001 is not in 1..=1000"),
        (&["enqueue", "noop", "--priority", "high"], "invalid value 'high'"),
        (&["retry"], "required arguments were not provided"),
        (&["retry", "--limit", "3"], "required arguments were not provided"),
        (&["cancel", "1", "--job", "noop"], "cannot be used with"),
        (&["release", "one"], "invalid value 'one'"),
        (&["cancel", "--job", "noop", "--limit", "0"], "0 is not in 1.."),
        (&["wait"], "required arguments were not provided"),
        (&["try"], "required arguments were not provided"),
        (&["tick", "--workers", "0"], "0 is not in 1..=4096"),
        (&["tick", "now"], "unexpected argument 'now'"),
        (&["drain", "--workers", "4097"], "4097 is not in 1..=4096"),
        (&["work"], "required arguments were not provided"),
        (&["work", "--index", "4096"], "4096 is not in 0..4096"),
        (&["status", "--format", "yaml"], "invalid value 'yaml'"),
        (&["task"], "required arguments were not provided"),
        (&["task", "one"], "invalid value 'one'"),
        (&["tasks", "--limit", "-1"], "unexpected argument '-1'"),
        (&["logs", "--date", "last-week"], "`last-week` is not a day; write it like 2026-11-21"),
        (&["logs", "--task", "x"], "invalid value 'x'"),
        (&["check", "--log", "mars"], "invalid value 'mars'"),
        (&["init", "a", "b"], "unexpected argument 'b'"),
        (&["migrate", "now"], "unexpected argument 'now'"),
    ] {
        let said = here.run(args);
        refused(&said, 2, error, "");
    }
    assert_eq!(here.count("1"), 0, "a refused call enqueues nothing");
    assert!(here.processes().is_empty());
}

#[test]
fn bad_values_are_refused_with_words() {
    let here = Installation::new("");
    let text = "--codec text";
    for (args, error, hint) in [
        (&["enqueue", "noop", "{bad"][..], "the param is not JSON: key must be a string at line 1 column 2", text),
        (&["enqueue", "noop", "hello"], "the param is not JSON", text),
        (&["enqueue", "noop", "1 2"], "the param is not JSON", text),
        (&["enqueue", "noop", "--codec", "xml"], "there is no codec `xml`", "it is json, form, bincode or text"),
        (&["enqueue", "noop", "--delay", "5"], "`5` is not a span of time", ""),
        (&["enqueue", "noop", "--delay", "-5s"], "unexpected argument '-5'", ""),
        (&["enqueue", "noop", "--at", "tomorrow"], "`tomorrow` is not a time", ""),
        (&["enqueue", "noop", "--at", "1796086800"], "looks like seconds", ""),
        (&["enqueue", "noop", "--at", "99999999999999999"], "run_at must be UTC milliseconds", ""),
        (&["enqueue", "noop", "--priority", "2147483648"], "priority must be an integer from", ""),
        (&["enqueue", "noop", "--unique", ""], "unique_key must be a text of 1 to 500", ""),
        (&["enqueue", ""], "job must be a name of 1 to 200 characters", ""),
        (&["enqueue", "noop", "--param-file", "gone"], "gone: No such file or directory", ""),
        (&["tasks", "--status", "odd"], "there is no status `odd`", "it is one of ready, delayed, running"),
        (&["tasks", "--since", "long"], "`long` is not a span of time", ""),
        (&["retry", "--status", "done"], "retry is not for tasks that are done", "it is for those that are dead"),
        (&["cancel", "--status", "odd"], "there is no status `odd`", "it is one of ready, delayed, running"),
        (&["release", "--since", "long", "--yes"], "`long` is not a span of time", ""),
        (&["wait", "1", "--timeout", "5"], "`5` is not a span of time", ""),
        (&["status", "--database", "postgres://host/queue"], "SQLite only", "rowmill.db"),
        (&["status", "--database", ":memory:"], "must be a file", ""),
        (&["status", "--config", "gone.toml"], "cannot read", "see that the file is there"),
    ] {
        let said = here.run(args);
        refused(&said, 2, error, hint);
    }
    assert_eq!(here.count("1"), 0, "a refused call enqueues nothing");
}

#[test]
fn what_is_not_there_is_said() {
    let here = Installation::new("");
    refused(&here.run(&["task", "7"]), 1, "there is no task 7", "`rowmill tasks` lists the newest ones");
    refused(&here.run(&["logs", "--date", "2001-02-03"]), 1, "there is no log of 2001-02-03", "holds no logs at all");
    assert_eq!(here.run(&["tasks"]).well(), "no such tasks\n");
    assert_eq!(here.run(&["tasks", "--format", "json"]).well(), "[]\n");
}

#[test]
fn commands_that_look_or_ask_make_no_database() {
    let here = Installation::empty();
    let ask = [&["enqueue", "noop"][..], &["retry", "1"], &["cancel", "--job", "noop"], &["wait", "1"]];
    for args in ask.into_iter().chain([&["status"][..], &["tasks"], &["task", "1"]]) {
        refused(
            &here.run(args),
            2,
            "there is no database at ",
            "`rowmill init` makes one here; --database names another",
        );
    }
    refused(&here.run(&["logs"]), 1, "there is no log of ", "holds no logs at all");
    assert_eq!(std::fs::read_dir(here.folder()).unwrap().count(), 0, "nothing is left behind");
    for args in [&["tick"][..], &["drain"], &["migrate"]] {
        let said = here.run(&[args, &["--database", "no/where.db"]].concat());
        refused(&said, 2, "the folder of the database, ", "make it first");
    }
    assert!(here.processes().is_empty());
}

#[test]
fn a_worker_that_is_there_already_is_not_started_twice() {
    let here = Installation::new("workers = 1\n");
    here.run(&["tick"]).well();
    here.await_workers(1);
    refused(&here.run(&["work", "--index", "0"]), 75, "worker 0 is running already", "`rowmill status` shows which");
}

#[test]
fn a_broken_configuration_stops_every_command_at_its_line() {
    let here = Installation::new("");
    here.write("rowmill.toml", "workers = 2\n\nworkres = 3\n");
    for args in [
        &["tick"][..],
        &["drain"],
        &["status"],
        &["enqueue", "noop"],
        &["work", "--index", "0"],
        &["migrate"],
        &["logs"],
    ] {
        refused(&here.run(args), 2, "rowmill.toml:3:1: unknown key `workres`", "did you mean `workers`?");
    }
    assert!(here.processes().is_empty());
}
