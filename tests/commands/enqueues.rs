//! `enqueue`: each flag in the row that comes of it.
//!
//! What would be found here: a flag that is parsed and dropped, a time in the wrong zone, a param whose bytes change on
//! their way, a key that does not keep a second row out.

use crate::installation::Installation;
use rowmill::clock::Clock;
use serde_json::{Value, json};

/// Enqueues and answers the row as `task` shows it. The answer must be its id and nothing else.
fn row(here: &Installation, args: &[&str]) -> Value {
    let answer = here.run(&[&["enqueue"], args].concat()).well();
    let id = answer.strip_suffix('\n').unwrap();
    let row = here.json(&["task", id]);
    assert_eq!(row["id"].to_string(), id);
    row
}

#[test]
fn what_is_not_said_has_a_default() {
    let here = Installation::new("");
    let row = row(&here, &["noop"]);
    let mut wanted = json!({
        "id": 1, "job": "noop", "param": "", "codec": "json", "priority": 0, "status": "ready", "attempt": 0,
        "max_attempts": null, "run_at": null, "unique_key": null, "started_at": null, "finished_at": null,
        "worker": null, "result": null, "error": null, "cause": null, "parent": null, "partition": 1,
    });
    wanted["created_at"] = row["created_at"].clone();
    assert_eq!(row, wanted);
    assert!((Clock::System.now_ms() - row["created_at"].as_i64().unwrap()).abs() < 60_000, "{row}");
}

#[test]
fn every_flag_stands_in_the_row() {
    let here = Installation::new("");
    let row =
        row(&here, &["echo", "a b", "--codec", "text", "--priority", "-7", "--unique", "k", "--max-attempts", "9"]);
    let seen = ["param", "codec", "priority", "unique_key", "max_attempts"].map(|key| row[key].clone());
    assert_eq!(seen, [json!("a b"), json!("text"), json!(-7), json!("k"), json!(9)]);
}

#[test]
fn params_come_by_argument_file_and_standard_input() {
    let here = Installation::new("");
    let text = "{\"uid\": 4, \"content\": \"h\\u00e9 \\\"ü\\\"\"}\n";
    here.write("param.json", text);
    assert_eq!(row(&here, &["echo", text])["param"], text);
    assert_eq!(row(&here, &["echo", "--param-file", "param.json"])["param"], text);
    let id = here.run_with_input(&["enqueue", "echo", "-"], text).well();
    assert_eq!(here.json(&["task", id.trim()])["param"], text);
    // Bytes that are no text stay what they are.
    std::fs::write(here.path("bytes"), [0, 255, 10]).unwrap();
    assert_eq!(
        row(&here, &["echo", "--codec", "bincode", "--param-file", "bytes"])["param"],
        json!({ "hex": "00ff0a" })
    );
}

#[test]
fn a_form_is_looked_at_before_it_is_taken() {
    let here = Installation::new("");
    let param = "uid=4&uids%5B%5D=6&uids[]=34&";
    assert_eq!(row(&here, &["echo", param, "--codec", "form"])["param"], param);
    here.run(&["drain"]).well();
    assert_eq!(here.json(&["task", "1"])["result"], "{\"uid\":\"4\",\"uids\":[\"6\",\"34\"]}");
    let said = here.run(&["enqueue", "echo", "uid=4&uids[=6", "--codec", "form"]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert!(said.err.contains("`uids[` has a `[` that nothing closes\nhint: a form is what PHP's"), "{}", said.err);
}

#[test]
fn a_param_that_cannot_be_read_parks_its_row_with_words() {
    let here = Installation::new("");
    let bytes = if cfg!(feature = "bincode") {
        "param is not what the job takes: 1 bytes are left over"
    } else {
        "this program reads no bincode params: it was built without the feature `bincode`"
    };
    let rows = [
        ("form", "a=1", "param is not what the job takes: invalid type: map, expected u64"),
        ("text", "soon", "param is not what the job takes: invalid type: string \"soon\", expected u64"),
        ("bincode", "\u{1}\u{1}", bytes),
    ];
    for (codec, param, words) in rows {
        let id = here.run(&["enqueue", "sleep", param, "--codec", codec]).well();
        here.run(&["drain"]);
        let row = here.json(&["task", id.trim()]);
        let seen = ["status", "cause", "error", "attempt"].map(|key| row[key].clone());
        assert_eq!(seen, [json!("parked"), json!("undecodable"), json!(words), json!(0)]);
    }
    assert_eq!(row(&here, &["sleep", "1", "--codec", "text"])["status"], "ready");
    here.run(&["drain"]);
    assert_eq!(here.json(&["task", "4"])["status"], "done");
}

#[test]
fn times_are_read_in_every_form() {
    let here = Installation::new("timezone = \"Asia/Shanghai\"\n");
    let at = 4_102_444_800_000_i64; // 2100-01-01 00:00 UTC
    for form in [
        "4102444800000",
        "2100-01-01T00:00:00Z",
        "2100-01-01T02:00:00+02:00",
        "2100-01-01 08:00",
        "2100-01-01T08:00:00",
    ] {
        let row = row(&here, &["noop", "--at", form]);
        assert_eq!((&row["run_at"], &row["status"]), (&json!(at), &json!("delayed")), "{form}");
    }
    let past = row(&here, &["noop", "--at", "2001-01-01 00:00"]);
    assert_eq!(past["status"], "ready", "a time that is over is now");
    for (form, ms) in [("90s", 90_000), ("1h30m", 5_400_000), ("7d", 604_800_000)] {
        let before = Clock::System.now_ms();
        let row = row(&here, &["noop", "--delay", form]);
        let after = Clock::System.now_ms();
        let at = row["run_at"].as_i64().unwrap();
        assert!((before + ms..=after + ms).contains(&at) && row["status"] == "delayed", "{form}: {row}");
    }
    assert_eq!(row(&here, &["noop", "--delay", "0"])["status"], "ready");
}

#[test]
fn a_key_stands_for_one_unsettled_task() {
    let here = Installation::new("");
    let first = row(&here, &["noop", "--unique", "report"]);
    let second = here.run(&["enqueue", "noop", "{}", "--unique", "report"]);
    assert_eq!((second.code, second.out), (Some(0), "1\n".to_string()));
    assert_eq!(second.err, "note: task 1 has the key `report` and is not settled yet; nothing was added\n");
    assert_eq!(here.json(&["task", "1"]), first, "it is left as it was");
    here.run(&["drain"]).well();
    let third = row(&here, &["noop", "--unique", "report"]);
    assert_ne!(third["id"], first["id"], "settled, so the key is free");
}

#[test]
fn an_unknown_job_is_taken_with_a_note() {
    let here = Installation::new("");
    let said = here.run(&["enqueue", "stranger"]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), "1\n"));
    assert_eq!(said.err, "note: no job `stranger` is known here; the task is parked until a worker knows it\n");
    here.script("known", "");
    here.run(&["enqueue", "known"]).well();
}

#[test]
fn the_database_is_found_by_flag_variable_and_configuration_in_this_order() {
    let here = Installation::new("database = \"configured.db\"\n");
    for (name, id) in [("flag.db", "sqlite:flag.db"), ("variable.db", "variable.db")] {
        here.run(&["migrate", "--database", id]).well();
        assert!(here.path(name).exists());
    }
    let enqueue = |variable: &str, args: &[&str]| {
        let mut command = here.command(&[&["enqueue", "noop"], args].concat());
        command.env("ROWMILL_DATABASE", variable);
        crate::installation::to_its_end(command).well()
    };
    let tasks = |database: &str| here.json(&["tasks", "--database", database]).as_array().unwrap().len();
    enqueue("variable.db", &["--database", "flag.db"]);
    assert_eq!(["flag.db", "variable.db", "configured.db"].map(tasks), [1, 0, 0]);
    enqueue("variable.db", &[]);
    assert_eq!(["flag.db", "variable.db", "configured.db"].map(tasks), [1, 1, 0]);
    enqueue("", &[]);
    assert_eq!(["flag.db", "variable.db", "configured.db"].map(tasks), [1, 1, 1]);
}
