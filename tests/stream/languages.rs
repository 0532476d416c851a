//! The examples of `docs/stream.md`, taken from the page and run in their languages with the files of `jobs/stream/`.
//!
//! What would be found here: an example that does not run, a value that is lost or changed on its way through a language, output
//! of a job that is taken for an answer, and a block on the page that nobody runs.

use crate::installation::Installation;
use crate::{HOME, error_of, needs};
use serde_json::{Value, json};
use std::path::Path;

/// The blocks of the page: language and text.
fn blocks() -> Vec<(String, String)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/stream.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("```").skip(1).step_by(2);
    blocks.map(|block| block.split_once('\n').map(|(l, text)| (l.to_string(), text.to_string())).unwrap()).collect()
}

/// An installation with the example of a language as the job `greet`.
fn with_example(language: &str, interpreter: &str, file: &str, in_flight: u32) -> Installation {
    let text = blocks().into_iter().find(|(name, _)| name == language).unwrap().1;
    let here = with_program(interpreter, file, in_flight);
    here.write(file, &text);
    here
}

fn with_program(interpreter: &str, file: &str, in_flight: u32) -> Installation {
    let here = Installation::new(&format!(
        "workers = 1\n[[job]]\nname = 'greet'\nmode = 'stream'\ncommand = ['{interpreter}', '{file}']\nmax_attempts = 2\n\
         in_flight = {in_flight}\nenv = {{ PYTHONDONTWRITEBYTECODE = '1' }}\n"
    ));
    for entry in std::fs::read_dir(HOME).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), here.path(&entry.file_name().into_string().unwrap())).unwrap();
    }
    here
}

/// What every example does.
fn greets(here: &Installation, error: &str) {
    here.insert(3, "greet", "{\"name\": \"Ann “é\"}");
    here.insert(1, "greet", "{\"nom\": 1}");
    here.insert(1, "greet", "{\"name\": \"nobody\"}");
    here.insert(1, "greet", "{\"name\": \"Zoe\"}");
    assert_eq!(here.run(&["drain"]).code, Some(1), "{}", here.log());
    for id in ["1", "2", "3"] {
        let result = here.json(&["task", id])["result"].clone();
        let Value::String(result) = result else { panic!("{result}: {}", here.log()) };
        let value: Value = serde_json::from_str(&result).unwrap();
        assert_eq!(value, json!({ "greeting": "hello Ann “é" }));
    }
    assert_eq!(here.count("id = 4 AND status = 'dead' AND cause = 'rejected' AND attempt = 1"), 1, "{}", here.log());
    assert!(error_of(here, 4).ends_with("there is no name"), "{}", error_of(here, 4));
    assert_eq!(here.count("id = 5 AND status = 'delayed' AND cause = 'error' AND attempt = 1"), 1, "{}", here.log());
    assert!(error_of(here, 5).ends_with(error), "{}", error_of(here, 5));
    assert_eq!(here.count("id = 6 AND status = 'done' AND attempt = 1"), 1);
    assert_eq!((here.lines("greeting Ann “é"), here.lines("greeting Zoe")), (3, 1), "{}", here.log());
    let said = here.run(&["try", "greet", "{\"name\":\"Bo\"}"]);
    assert!(said.code == Some(0) && said.err.contains("hello Bo"), "{said:?}");
}

fn snoozes(here: &Installation) {
    here.insert(1, "greet", "{\"name\": \"later\"}");
    here.run(&["drain"]);
    assert_eq!(here.count("status = 'delayed' AND attempt = 0 AND run_at > 0 AND cause IS NULL"), 1, "{}", here.log());
}

#[test]
fn python_greets() {
    if needs::tool("python3") {
        for in_flight in [1, 16] {
            greets(&with_example("python", "python3", "greet.py", in_flight), "LookupError: nobody is at home");
        }
        snoozes(&with_example("python", "python3", "greet.py", 1));
    }
}

#[test]
fn php_greets() {
    if needs::tool("php") {
        for in_flight in [1, 16] {
            greets(&with_example("php", "php", "greet.php", in_flight), "RuntimeException: nobody is at home");
        }
        snoozes(&with_example("php", "php", "greet.php", 1));
    }
}

#[test]
fn node_greets() {
    if needs::tool("node") {
        for in_flight in [1, 16] {
            greets(&with_example("js", "node", "greet.mjs", in_flight), "Error: nobody is at home");
        }
        snoozes(&with_example("js", "node", "greet.mjs", 1));
    }
}

#[test]
fn the_shell_greets() {
    greets(&with_example("sh", "sh", "greet.sh", 1), "nobody is at home");
}

#[test]
fn the_protocol_can_be_spoken_without_those_files() {
    if needs::tool("python3") {
        let here = with_example("python plain", "python3", "echo.py", 1);
        here.insert(2, "greet", "[1, null]");
        here.run(&["drain"]).well();
        assert_eq!(here.json(&["task", "2"])["result"], "[1, null]");
    }
}

#[test]
fn every_block_is_run() {
    let languages: Vec<String> = blocks().into_iter().map(|(language, _)| language).collect();
    assert_eq!(languages, ["toml", "python", "php", "js", "sh", "python plain"], "each has its test above");
}

/// A function that gives back its param, and fails for one that it cannot have; bytes and texts of every kind.
fn values_pass(interpreter: &str, file: &str, text: &str) {
    let here = with_program(interpreter, file, 8);
    here.write(file, text);
    let conn = here.sql();
    let add = |codec: &str, param: &[u8]| {
        conn.execute("INSERT INTO queue (job, codec, param) VALUES ('greet', ?1, ?2)", rusqlite::params![codec, param])
            .unwrap();
    };
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = "ü\n\"\\".repeat(100_000);
    add("text", b"plain \xe2\x80\xa8 text\n");
    add("text", b"\xff\x00\xfe");
    add("text", long.as_bytes());
    add("form", b"a=1&b[]=2");
    add("json", b"\"\\u0000 \\ud83d\\ude00\"");
    add("json", b"");
    add("json", deep.as_bytes());
    add("json", b"\"after\"");
    assert_eq!(here.run(&["drain"]).code, Some(1), "{}", here.log());
    let result = |id: i64| -> Option<Vec<u8>> {
        here.sql().query_row("SELECT result FROM task WHERE id = ?1", [id], |row| row.get(0)).unwrap()
    };
    assert_eq!(result(1).as_deref(), Some("plain \u{2028} text\n".as_bytes()), "{}", here.log());
    assert_eq!(result(2).as_deref(), Some(&b"\xff\x00\xfe"[..]));
    assert_eq!(result(3).as_deref(), Some(long.as_bytes()));
    assert_eq!(result(4).as_deref(), Some(&b"a=1&b[]=2"[..]));
    assert_eq!(result(5).as_deref(), Some("\0 \u{1f600}".as_bytes()));
    assert_eq!(result(6), None);
    // What a language cannot read is its affair; the next task is not.
    assert_eq!(here.count("id = 7 AND status = 'dead' AND cause = 'rejected'"), 1, "{}", here.log());
    assert_eq!(result(8).as_deref(), Some(&b"after"[..]), "{}", here.log());
}

#[test]
fn values_pass_through_python() {
    if needs::tool("python3") {
        values_pass("python3", "p.py", "import rowmill_stream\nrowmill_stream.serve(lambda param, task: param)\n");
    }
}

#[test]
fn values_pass_through_php() {
    if needs::tool("php") {
        let text = "<?php\nrequire 'rowmill_stream.php';\nRowmill\\serve(fn ($param, $task) => $param);\n";
        values_pass("php", "p.php", text);
    }
}
