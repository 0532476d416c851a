//! What commands answer: JSON whose keys scripts rely on, tables for people, and quiet when nobody reads on.
//!
//! What would be found here: a key that was renamed or has gone, a time in another unit, a filter that filters nothing,
//! an error message for a pipe that its reader has closed.

use crate::installation::{Installation, Running, statuses};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// One task of each kind that a drain leaves.
fn mixed() -> Installation {
    let here =
        Installation::new("workers = 3\n[[schedule]]\nname = \"nightly\"\ncron = \"0 2 * * *\"\njob = \"noop\"\n");
    here.run(&["enqueue", "echo", "{\"a\":[1]}"]).well();
    here.run(&["enqueue", "fail", "\"it broke\"", "--max-attempts", "1"]).well();
    here.run(&["enqueue", "stranger"]);
    here.run(&["enqueue", "noop", "--delay", "1h"]).well();
    here.run(&["enqueue", "fail", "\"later\"", "--priority", "3"]).well();
    assert_eq!(here.run(&["drain"]).code, Some(75));
    here.run(&["enqueue", "noop"]).well();
    here
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

const TASK_KEYS: [&str; 19] = [
    "attempt",
    "cause",
    "codec",
    "created_at",
    "error",
    "finished_at",
    "id",
    "job",
    "max_attempts",
    "param",
    "parent",
    "partition",
    "priority",
    "result",
    "run_at",
    "started_at",
    "status",
    "unique_key",
    "worker",
];

#[test]
fn status_has_the_counts_the_workers_and_what_comes() {
    let here = mixed();
    let status = here.json(&["status"]);
    assert_eq!(
        keys(&status),
        [
            "cancelled",
            "dead",
            "delayed",
            "done",
            "jobs",
            "load",
            "oldest_ready_at",
            "oldest_ready_at_least",
            "parked",
            "partitions",
            "paused",
            "ready",
            "run",
            "running",
            "schedules",
            "stopped",
            "workers"
        ]
    );
    let counts =
        ["ready", "delayed", "running", "parked", "done", "dead", "cancelled"].map(|word| status[word].clone());
    assert_eq!(counts, [1, 2, 0, 1, 1, 1, 0].map(|n| json!(n)));
    assert_eq!(
        status["jobs"],
        json!({ "echo": { "done": 1 }, "fail": { "dead": 1, "delayed": 1 }, "noop": { "delayed": 1, "ready": 1 },
            "stranger": { "parked": 1 } })
    );
    assert_eq!((&status["partitions"], &status["workers"]), (&json!(3), &json!([])));
    assert_eq!(status["oldest_ready_at"], here.json(&["task", "6"])["created_at"]);

    here.run(&["tick"]).well();
    let workers = here.await_workers(3);
    let status = here.json(&["status"]);
    for worker in status["workers"].as_array().unwrap() {
        assert_eq!(keys(worker), ["index", "job", "jobs", "pid", "resident_kb", "running_since", "started_at", "task"]);
        assert!(worker["started_at"].as_i64().unwrap() > 1_700_000_000_000, "{worker}");
    }
    assert_eq!(workers.len(), 3);
    let schedule = &status["schedules"][0];
    assert_eq!(keys(schedule), ["last_at", "name", "next_at", "paused"]);
    let next = schedule["next_at"].as_i64().unwrap();
    assert_eq!(
        (&schedule["name"], &schedule["last_at"], next % 86_400_000),
        (&json!("nightly"), &Value::Null, 7_200_000)
    );
    let table = here.run(&["status"]).well();
    for part in ["database    ", "partitions  3", "0 (pid ", "stranger", "nightly", "at 02:00 every day"] {
        assert!(table.contains(part), "{part}: {table}");
    }
}

#[test]
fn task_has_every_column_of_the_row_contract() {
    let here = mixed();
    let done = here.json(&["task", "1"]);
    assert_eq!(keys(&done), TASK_KEYS);
    let seen = ["job", "param", "status", "attempt", "result", "error", "partition"].map(|key| done[key].clone());
    assert_eq!(
        seen,
        [json!("echo"), json!("{\"a\":[1]}"), json!("done"), json!(1), json!("{\"a\":[1]}"), Value::Null, json!(1)]
    );
    let times = ["created_at", "started_at", "finished_at"].map(|key| done[key].as_i64().unwrap());
    assert!(times.is_sorted() && times[2] - times[0] < 60_000 && times[0] > 1_700_000_000_000, "{done}");

    let of = |id: &str| {
        let task = here.json(&["task", id]);
        assert_eq!(keys(&task), TASK_KEYS);
        ["status", "attempt", "error", "cause"].map(|key| task[key].clone())
    };
    assert_eq!(of("2"), [json!("dead"), json!(1), json!("it broke"), json!("error")]);
    assert_eq!(of("5"), [json!("delayed"), json!(1), json!("later"), json!("error")]);
    assert_eq!(of("4"), [json!("delayed"), json!(0), Value::Null, Value::Null]);
    let parked = of("3");
    assert!(parked[0] == "parked" && parked[1] == 0 && parked[3] == "unknown_job", "{parked:?}");
    assert!(parked[2].as_str().unwrap().contains("no worker knows the job `stranger`"), "{parked:?}");
    let page = here.run(&["task", "2"]).well();
    assert!(page.contains("status        dead\nerror         it broke\ncause         error\n"), "{page}");
}

#[test]
fn tasks_are_listed_newest_first_and_filtered() {
    let here = mixed();
    let ids = |args: &[&str]| -> Vec<i64> {
        let list = here.json(&[&["tasks"], args].concat());
        let row = |row: &Value| {
            assert_eq!(keys(row), TASK_KEYS);
            row["id"].as_i64().unwrap()
        };
        list.as_array().unwrap().iter().map(row).collect()
    };
    assert_eq!(ids(&[]), [6, 5, 4, 3, 2, 1]);
    assert_eq!(ids(&["--limit", "2"]), [6, 5]);
    assert_eq!(ids(&["--job", "fail"]), [5, 2]);
    assert_eq!(ids(&["--status", "delayed"]), [5, 4]);
    assert_eq!(ids(&["--job", "fail", "--status", "dead", "--since", "1h"]), [2]);
    assert_eq!(ids(&["--since", "0"]), [0; 0]);
    let table = here.run(&["tasks", "--status", "dead"]).well();
    assert!(table.lines().count() == 2 && table.contains("it broke"), "{table}");
}

#[test]
fn what_others_wrote_does_not_steer_the_terminal() {
    let here = Installation::new("[[job]]\nname = 'tell'\ncommand = ['./tell']\nmax_attempts = 1\n");
    here.script("../tell", "cat >&2; exit 1\n");
    let job = "a\u{1b}[2Jb\nc\u{9b}1m\u{202e}\u{2028}d";
    let param = "\u{7}\u{1b}]0;x\u{9b}2J\u{202e}\u{85}\n\u{1b}c";
    let row = "INSERT INTO queue (job, param, unique_key) VALUES (?1, ?2, ?1)";
    here.sql().execute(row, [job, param]).unwrap();
    here.sql().execute(row, ["tell", param]).unwrap();
    here.sql().execute(row, ["fail", param]).unwrap();
    here.run(&["drain"]);
    let steers =
        |c: char| c.is_control() && c != '\n' || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}');
    let all = [
        &["tasks"][..],
        &["task", "1"],
        &["task", "2"],
        &["task", "3"],
        &["status"],
        &["logs"],
        &["history"],
        &["workers"],
        &["check"],
        &["pause", job],
        &["resume", job],
        &["wait", "1", "--timeout", "1ms"],
        &["wait", "2"],
        &["cancel", "--job", job, "--dry-run"],
        &["retry", "--job", "tell", "--yes"],
        &["try", "fail", param],
    ];
    for args in all {
        for format in [&[][..], &["--format", "json"]] {
            let said = here.run(&[args, format].concat());
            let text = format!("{}{}", said.out, said.err);
            assert!(!text.contains(steers), "{args:?}: {text:?}");
        }
    }
    assert_eq!(here.json(&["task", "1"])["job"], job);
    assert_eq!(here.json(&["task", "1"])["param"], param);
}

#[test]
fn what_stands_in_a_file_of_tasks_does_not_steer_the_terminal() {
    let here = Installation::new("");
    let lines = "{\"job\":\"j\",\"a\\nerror: b\\u001b[31m\\u202e\":1}\n";
    let said = here.run_with_input(&["enqueue", "--from", "-"], lines);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains(r"unknown field `a\nerror: b\u{1b}[31m\u{202e}`"), "{}", said.err);
    assert_eq!(said.err.lines().count(), 2, "{}", said.err);
}

#[test]
fn a_closed_pipe_is_quiet() {
    let here = Installation::new("");
    here.insert(2_000, "noop", "");
    here.run(&["drain"]).well();
    for args in
        [&["tasks", "--limit", "2000"][..], &["logs"], &["tasks", "--limit", "2000", "--format", "json"], &["--help"]]
    {
        let mut command = here.command(args);
        let mut running = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let mut first = String::new();
        // As `head -1`: reads a line and goes.
        let mut reader = BufReader::with_capacity(16, running.0.stdout.take().unwrap());
        reader.read_line(&mut first).unwrap();
        drop(reader);
        assert_eq!(running.code(), Some(0), "{args:?}");
        let err = std::io::read_to_string(running.0.stderr.take().unwrap()).unwrap();
        assert_eq!(err, "", "{args:?}");
    }
}

#[test]
fn counts_agree_while_outcomes_are_fresh() {
    let here = Installation::new("workers = 2\n");
    here.insert(50, "noop", "");
    here.run(&["drain"]).well();
    // As if nobody had folded yet: the view is right all the same, and so is the status.
    here.sql()
        .execute_batch(
            "INSERT INTO queue (job) VALUES ('noop');
             DELETE FROM rowmill_ready WHERE id = 51;
             INSERT INTO rowmill_settled VALUES (1, 1, 51, 1, 1800000000000, 1800000000001, 0, NULL);",
        )
        .unwrap();
    assert_eq!(here.json(&["status"])["done"], 51);
    assert_eq!(here.json(&["task", "51"])["status"], "done");
    assert_eq!(here.queue(), statuses([("done", 50), ("ready", 1)]));
}
