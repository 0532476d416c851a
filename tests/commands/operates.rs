//! `retry`, `cancel` and `release`: by ids and by filters, what they answer, and that they leave the others alone.
//!
//! What would be found here: a task that was not meant, a filter that is done without a question, an exit code that hides
//! what was left, a task that does not run again although it is ready.

use crate::installation::{BOUND, Installation, Running, statuses, to_its_end, within};
use crate::needs;
use serde_json::{Value, json};
use std::process::Command;

/// Three dead tasks of `flaky`, which succeeds once the file `mended` is there; a dead one of `fail`; a parked, a delayed,
/// a done one. In this order.
fn troubled() -> Installation {
    let here = Installation::new("workers = 2\n");
    here.script("flaky", "test -f mended");
    for _ in 0..3 {
        here.run(&["enqueue", "flaky", "--max-attempts", "1"]).well();
    }
    here.run(&["enqueue", "fail", "\"always\"", "--max-attempts", "1"]).well();
    here.run(&["enqueue", "sleep", "\"long\""]).well();
    here.run(&["enqueue", "noop", "--delay", "1h"]).well();
    here.run(&["enqueue", "echo", "1"]).well();
    here.run(&["drain"]);
    assert_eq!(here.truth(), statuses([("dead", 4), ("parked", 1), ("delayed", 1), ("done", 1)]));
    here
}

/// Every task as it stands but these.
fn others(here: &Installation, but: &[i64]) -> Vec<Value> {
    let all = here.json(&["tasks"]);
    all.as_array().unwrap().iter().filter(|t| !but.contains(&t["id"].as_i64().unwrap())).cloned().collect()
}

fn status(here: &Installation, id: &str) -> Value {
    here.json(&["task", id])["status"].clone()
}

#[test]
fn dead_tasks_are_retried_and_run_again() {
    let here = troubled();
    let before = others(&here, &[1, 3]);
    here.write("mended", "");
    assert_eq!(here.run(&["retry", "1", "3"]).well(), "task 1 is ready\ntask 3 is ready\n");
    assert_eq!(others(&here, &[1, 3]), before);
    let row = here.json(&["task", "1"]);
    let seen = ["status", "attempt", "error", "cause", "finished_at", "worker"].map(|key| row[key].clone());
    assert_eq!(seen, [json!("ready"), json!(0), Value::Null, Value::Null, Value::Null, Value::Null]);
    here.run(&["drain"]).well();
    let row = here.json(&["task", "1"]);
    assert_eq!((&row["status"], &row["attempt"]), (&json!("done"), &json!(1)));
    assert_eq!(others(&here, &[1, 3]), before);
}

#[test]
fn what_is_left_alone_is_said_and_fails() {
    let here = troubled();
    here.run(&["enqueue", "flaky", "--unique", "k", "--max-attempts", "1"]).well();
    here.run(&["drain"]);
    here.run(&["enqueue", "noop", "--unique", "k", "--delay", "1h"]).well();
    let before = others(&here, &[]);
    let said = here.run(&["retry", "7", "8", "99"]);
    assert_eq!((said.code, said.err.as_str()), (Some(1), ""));
    assert_eq!(
        said.out,
        "task 7 is left as it is: it is done\ntask 8 is left as it is: task 9 has its unique_key\nthere is no task 99\n"
    );
    let said = here.run(&["retry", "7", "8", "99", "--format", "json"]);
    assert_eq!(
        (said.code, serde_json::from_str::<Value>(&said.out).unwrap()),
        (
            Some(1),
            json!({ "dry_run": false, "changed": 0, "left": 3, "tasks": [
                { "id": 7, "changed": false, "status": "done" },
                { "id": 8, "changed": false, "status": "dead", "key_taken_by": 9 },
                { "id": 99, "changed": false, "status": null },
            ] })
        )
    );
    assert_eq!(here.run(&["cancel", "1", "7"]).code, Some(1), "dead and done are final");
    assert_eq!(here.run(&["release", "1", "7"]).code, Some(1));
    assert_eq!(others(&here, &[]), before);
}

#[test]
fn a_parked_task_runs_once_its_param_is_mended_and_a_delayed_one_before_its_time() {
    let here = troubled();
    let before = others(&here, &[5, 6]);
    here.sql().execute("UPDATE queue SET param = '1' WHERE id = 5", []).unwrap();
    assert_eq!(here.run(&["release", "5", "6"]).well(), "task 5 is ready\ntask 6 is ready\n");
    here.run(&["drain"]).well();
    assert_eq!((status(&here, "5"), status(&here, "6")), (json!("done"), json!("done")));
    assert_eq!(others(&here, &[5, 6]), before);
}

#[test]
fn a_filter_on_more_than_one_task_wants_a_yes() {
    let here = troubled();
    let before = others(&here, &[]);
    let said = here.run(&["retry", "--job", "flaky"]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert_eq!(
        said.err,
        "error: 3 tasks match, and nobody is there to be asked\nhint: --dry-run shows them, --yes goes on without asking\n"
    );
    let dry = here.run(&["retry", "--job", "flaky", "--dry-run", "--yes"]).well();
    assert!(dry.starts_with("would retry 3 tasks\n") && dry.lines().count() == 5, "{dry}");
    let dry = here.json(&["retry", "--job", "flaky", "--dry-run", "--limit", "2"]);
    let ids: Vec<&Value> = dry["tasks"].as_array().unwrap().iter().map(|t| &t["id"]).collect();
    assert_eq!((&dry["dry_run"], &dry["changed"], ids), (&json!(true), &json!(2), vec![&json!(3), &json!(2)]));
    assert_eq!(here.run(&["cancel", "5", "--dry-run"]).well(), "task 5 would be cancelled\n");
    assert_eq!(others(&here, &[]), before, "nothing was changed so far");

    assert_eq!(here.run(&["retry", "--job", "flaky", "--limit", "2", "--yes"]).well(), "retried 2 tasks\n");
    assert_eq!(["3", "2", "1"].map(|id| status(&here, id)), ["ready", "ready", "dead"].map(|s| json!(s)));
    assert_eq!(here.run(&["retry", "--job", "flaky"]).well(), "retried 1 task\n", "one alone is not asked about");
    assert_eq!(here.run(&["retry", "--job", "flaky"]).well(), "no task matches\n");
    assert_eq!(others(&here, &[1, 2, 3]), before[..4]);
    assert_eq!(here.run(&["release", "--since", "1h"]).well(), "released 1 task\n", "the parked one, not the delayed");
    assert_eq!(here.run(&["cancel", "--status", "delayed"]).well(), "cancelled 1 task\n");
    let answer = here.json(&["cancel", "--since", "1h", "--yes"]);
    assert_eq!(answer, json!({ "dry_run": false, "changed": 4, "left": 0, "tasks": [] }));
    assert_eq!(here.truth(), statuses([("cancelled", 5), ("dead", 1), ("done", 1)]));
}

#[test]
fn on_a_terminal_a_person_is_asked() {
    if !needs::tool("python3") {
        return;
    }
    let here = troubled();
    // Gives the program a terminal, and types the answer when it is asked.
    here.write(
        "type.py",
        "import os, pty, sys\n\
         pid, fd = pty.fork()\n\
         if pid == 0: os.execv(sys.argv[2], sys.argv[2:])\n\
         seen = b''\n\
         while b'[y/N]' not in seen: seen += os.read(fd, 1024)\n\
         os.write(fd, sys.argv[1].encode() + b'\\n')\n\
         try:\n    while True:\n        more = os.read(fd, 1024)\n        if not more: break\n        seen += more\n\
         except OSError: pass\n\
         print(seen.decode())\n\
         sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n",
    );
    let typed = |answer: &str| {
        let mut python = Command::new("python3");
        python.args(["type.py", answer, env!("CARGO_BIN_EXE_rowmill"), "retry", "--job", "flaky"]);
        to_its_end({
            python.current_dir(here.folder());
            python
        })
    };
    for no in ["", "n", "yep"] {
        let said = typed(no);
        assert!(said.code == Some(1) && said.out.contains("nothing was changed"), "{said:?}");
        assert!(said.out.contains("retry 3 tasks: 3, 2, 1"), "{said:?}");
    }
    assert_eq!(here.count("status = 'dead'"), 4);
    let said = typed("Y");
    assert!(said.code == Some(0) && said.out.contains("retried 3 tasks"), "{said:?}");
    assert_eq!(here.count("status = 'ready'"), 3);
}

#[test]
fn a_task_that_runs_is_cancelled_and_what_comes_of_it_is_dropped() {
    let here = Installation::new("workers = 1\n");
    here.script("slow", "touch begun; while [ ! -f end ]; do sleep 0.02; done");
    here.run(&["enqueue", "slow"]).well();
    here.run(&["enqueue", "noop"]).well();
    let mut worker = Running::start(&mut here.command(&["work", "--index", "0", "--drain"]));
    within(BOUND, "the task to be claimed", || (status(&here, "1") == "running").then_some(()));
    assert_eq!(here.run(&["retry", "1"]).code, Some(1));
    assert_eq!(here.run(&["cancel", "1"]).well(), "task 1 is cancelled\n");
    assert!(here.path("begun").exists() && worker.0.try_wait().unwrap().is_none(), "it is not broken off");
    here.write("end", "");
    assert_eq!(worker.code(), Some(0));
    let row = here.json(&["task", "1"]);
    assert_eq!((&row["status"], &row["result"]), (&json!("cancelled"), &Value::Null));
    assert_eq!(here.lines("task=1 job=slow attempt=1 ran, but was cancelled meanwhile"), 1, "{}", here.log());
    assert_eq!(status(&here, "2"), "done");
}

#[test]
fn a_name_in_a_filter_is_a_name_whatever_is_in_it() {
    let here = Installation::new("");
    let names = [
        "x' OR '1'='1",
        "x'; DELETE FROM queue; --",
        "x\" OR 1=1 --",
        "%",
        "_oop",
        "noop' --",
        "*",
        "?1",
        "') OR status = ('ready",
        "noop\0",
        "--yes",
        "-1",
    ];
    here.insert(3, "noop", "");
    for name in names.iter().filter(|name| !name.contains('\0')) {
        here.sql().execute("INSERT INTO queue (job, unique_key) VALUES (?1, ?1)", [name]).unwrap();
    }
    let bystanders = || here.count("job = 'noop' AND status = 'ready'");
    for name in names.iter().filter(|name| !name.contains('\0')) {
        let job = format!("--job={name}");
        let found = here.json(&["tasks", &job]);
        assert!(found.as_array().is_some_and(|rows| rows.len() == 1 && rows[0]["job"] == *name), "{name}: {found}");
        here.run(&["pause", "--", name]).well();
        here.run(&["resume", "--", name]).well();
        here.run(&["cancel", &job, "--yes"]).well();
        assert_eq!(
            here.sql().query_row("SELECT status FROM task WHERE job = ?1", [name], |r| r.get(0)),
            Ok("cancelled".to_string())
        );
        assert_eq!(bystanders(), 3, "{name}");
        here.run(&["retry", &job, "--yes"]);
        here.run(&["release", &job, "--yes"]);
        let key = format!("--unique={name}");
        assert_eq!(here.run(&["enqueue", &key, "--codec", "text", "--", name, name]).code, Some(0));
        assert_eq!(here.json(&["tasks", &job, "--status", "ready"])[0]["unique_key"], *name);
    }
    assert_eq!((bystanders(), here.count("1")), (3, 3 + 2 * (i64::try_from(names.len()).unwrap() - 1)));
}
