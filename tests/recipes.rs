//! The recipes of `docs/enqueue.md`, taken from the page and run in their languages; and the sample scripts of `jobs/`.
//!
//! What would be found here: a recipe that has a typing error, that loses a quote or an umlaut on the way, or that fails
//! when another program is writing at that moment; a setting that somebody forgot; a block on the page that nobody runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first thing that cannot be"
)]

mod installation;
mod needs;

mod recipes {
    pub(super) mod ask;
    mod scripts;
}

use installation::{Installation, pause, to_its_end};
use rowmill::{Codec, decode};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What every recipe asks for.
#[derive(Debug, PartialEq, serde::Deserialize)]
struct Message {
    uid: u64,
    uids: Vec<u64>,
    content: String,
}

fn wanted() -> Message {
    Message { uid: 4, uids: vec![6, 34], content: "it's 5 o'clock & “tea”".to_string() }
}

/// The blocks of the page, in order: language and text.
fn blocks() -> Vec<(String, String)> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/enqueue.md")).unwrap();
    let mut blocks = Vec::new();
    let mut parts = page.split("```").skip(1);
    while let (Some(block), Some(_prose)) = (parts.next(), parts.next()) {
        let (language, text) = block.split_once('\n').unwrap();
        blocks.push((language.to_string(), text.to_string()));
    }
    blocks
}

/// The one block of a language that has a word in it.
#[track_caller]
fn block(language: &str, word: &str) -> String {
    let found: Vec<_> = blocks().into_iter().filter(|(l, text)| l == language && text.contains(word)).collect();
    let [(_, text)] = &found[..] else { panic!("{} blocks of {language} have `{word}`", found.len()) };
    text.clone()
}

/// An installation whose `send_message` keeps what it is given.
fn kitchen() -> Installation {
    let here = Installation::new("workers = 2");
    here.script("send_message", "cat > \"given-$ROWMILL_TASK_ID\"");
    here
}

/// Asks with a recipe, which answers with the task's id, while somebody else is in the middle of writing. Then looks at
/// the row, and whether a drain hands its param to the job as it is.
fn arrives_and_runs(here: &Installation, codec: Codec, ask: impl FnOnce() -> String + Send) {
    let other = here.sql();
    other.execute_batch("BEGIN IMMEDIATE; INSERT INTO queue (job) VALUES ('noop')").unwrap();
    let said = std::thread::scope(|scope| {
        let asking = scope.spawn(ask);
        pause(Duration::from_millis(700));
        other.execute_batch("COMMIT").unwrap();
        asking.join().unwrap()
    });
    assert_eq!(said, "2\n", "the id, behind the other's");
    let row = here.json(&["task", "2"]);
    let seen = ["job", "codec", "status", "priority"].map(|key| row[key].clone());
    assert_eq!(seen, [json!("send_message"), json!(codec.word()), json!("ready"), json!(0)]);
    let Value::String(param) = &row["param"] else { panic!("the param is no text: {row}") };
    assert_eq!(decode(codec, param.as_bytes()), Ok(wanted()), "{param}");
    here.run(&["drain"]).well();
    assert_eq!(here.json(&["task", "2"])["status"], "done");
    assert_eq!(&here.read("given-2"), param);
}

/// The same with a block, run by an interpreter.
fn runs(interpreter: &str, text: &str, codec: Codec) {
    let here = kitchen();
    here.write("recipe", text);
    let program = Path::new(env!("CARGO_BIN_EXE_rowmill")).parent().unwrap();
    let path = std::env::join_paths(
        std::iter::once(program.to_path_buf()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let mut command = Command::new(interpreter);
    command.arg("recipe").current_dir(here.folder()).env("PATH", path.unwrap()).env("NODE_NO_WARNINGS", "1");
    arrives_and_runs(&here, codec, || to_its_end(command).well());
}

#[test]
fn php_asks_by_pdo() {
    if needs::tool("php") && needs::extension("php-sqlite3", "php", "exit((int) !extension_loaded('pdo_sqlite'));") {
        runs("php", &block("php", "PDO"), Codec::Json);
    }
}

#[test]
fn php_asks_with_a_form() {
    if needs::tool("php") && needs::extension("php-sqlite3", "php", "exit((int) !extension_loaded('sqlite3'));") {
        runs("php", &block("php", "http_build_query"), Codec::Form);
    }
}

#[test]
fn python_asks() {
    if needs::tool("python3") {
        runs("python3", &block("python", "INSERT"), Codec::Json);
    }
}

#[test]
fn node_asks() {
    if needs::tool("node") && needs::extension("node-sqlite", "node", "require('node:sqlite')") {
        runs("node", &block("js", "node:sqlite"), Codec::Json);
    }
}

#[test]
fn node_asks_by_the_shell_of_sqlite() {
    if needs::tool("node") && needs::tool("sqlite3") {
        runs("node", &block("js", "execFileSync("), Codec::Json);
    }
}

#[test]
fn ruby_asks() {
    if needs::tool("ruby") && needs::extension("ruby-sqlite3", "ruby", "require 'sqlite3'") {
        runs("ruby", &block("ruby", "INSERT"), Codec::Json);
    }
}

#[test]
fn the_shell_asks_by_the_program() {
    runs("sh", &block("sh", "rowmill enqueue"), Codec::Json);
}

#[test]
fn the_shell_asks_by_the_shell_of_sqlite() {
    if needs::tool("sqlite3") {
        runs("sh", &block("sh", "INSERT"), Codec::Json);
    }
}

#[test]
fn rust_asks() {
    let compiled = include_str!("recipes/ask.rs");
    assert!(compiled.contains(&block("rust", "INSERT")), "the recipe on the page is not the one that is compiled");
    let here = kitchen();
    let database = here.path("rowmill.db");
    arrives_and_runs(&here, Codec::Json, || format!("{}\n", recipes::ask::recipe(database.to_str().unwrap())));
}

#[test]
fn every_recipe_is_run_and_has_both_settings() {
    let languages: Vec<String> = blocks().into_iter().map(|(language, _)| language).collect();
    assert_eq!(languages, ["php", "php", "python", "js", "js", "ruby", "sh", "sh", "rust"], "each has its test above");
    for (language, text) in blocks().iter().filter(|(_, text)| text.contains("INSERT INTO")) {
        for setting in ["PRAGMA busy_timeout = 5000", "PRAGMA wal_autocheckpoint = 0"] {
            assert!(text.contains(setting), "{setting} is missing in {language}:\n{text}");
        }
        let why = text.to_lowercase();
        assert!(
            why.contains("wait for another writer") && why.contains("checkpoints are rowmill's") || language == "sh"
        );
    }
}
