//! What `doctor` answers: exit codes, the keys of its JSON, words for people; and that it changes nothing.

use crate::installation::Installation;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;

/// Every file of the installation with its bytes.
fn everything(here: &Installation) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in [here.folder(), here.path("rowmill.db-run")] {
        for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                files.insert(entry.path().display().to_string(), fs::read(entry.path()).unwrap());
            }
        }
    }
    files
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Takes the key of the first task away, as nobody may.
fn break_it(here: &Installation) {
    here.insert(2, "noop", "");
    here.sql().execute("DELETE FROM rowmill_ready WHERE id = 1", []).unwrap();
}

#[test]
fn a_well_database_is_well_and_stays_as_it_is() {
    let here = Installation::new("workers = 2\n");
    here.insert(20, "noop", "");
    here.run(&["drain"]).well();
    here.insert(3, "noop", "");
    let before = everything(&here);
    let said = here.run(&["doctor", "--deep"]).well();
    assert!(said.contains("laws ") && said.contains("all well, in ") && !said.contains("breach"), "{said}");
    assert_eq!(everything(&here), before, "it writes nothing");
    let answer = here.json(&["doctor"]);
    assert_eq!(everything(&here), before, "it writes nothing");
    assert_eq!((&answer["ok"], &answer["breaches"], &answer["notes"]), (&json!(true), &json!(0), &json!([])));
    let wanted = [
        "breaches",
        "clock",
        "database",
        "dead_workers",
        "engine",
        "laws",
        "log",
        "notes",
        "ok",
        "run_folder",
        "took_ms",
        "waiting",
    ];
    assert_eq!(keys(&answer), wanted);
    let wanted = ["bytes", "file_system", "free_bytes", "path", "schema", "settings", "unused_bytes"];
    assert_eq!(keys(&answer["database"]), wanted);
    let wanted = ["application_id", "auto_vacuum", "encoding", "journal_mode", "page_size", "secure_delete"];
    assert_eq!(keys(&answer["database"]["settings"]), wanted);
    assert_eq!(answer["database"]["settings"]["journal_mode"], "wal");
    let law = &answer["laws"][0];
    assert_eq!(keys(law), ["broken", "examples", "hint", "law", "left_out", "sentence", "severity"]);
    assert_eq!(answer["engine"]["sqlite"], rusqlite::version());
    assert!(answer["engine"]["tzdata"].as_str().unwrap().starts_with("20"), "{answer}");
    assert_eq!(answer["database"]["schema"][0]["version"], 1);
    assert_eq!(answer["waiting"]["jobs"], json!({ "noop": { "ready": 3, "delayed": 0, "parked": 0, "known": true } }));
    assert_eq!(answer["waiting"]["longest"].as_array().unwrap().len(), 3);
}

#[test]
fn what_a_crash_left_in_the_log_stays_there() {
    let here = Installation::new("");
    let conn = here.sql();
    conn.execute("INSERT INTO queue (job) VALUES ('noop')", []).unwrap();
    // A copy of the files in the middle of it all is what a crash leaves.
    for end in ["", "-wal"] {
        fs::copy(here.path(&format!("rowmill.db{end}")), here.path(&format!("left.db{end}"))).unwrap();
    }
    let before = [fs::read(here.path("left.db")).unwrap(), fs::read(here.path("left.db-wal")).unwrap()];
    let said = here.run(&["doctor", "--database", "left.db", "--format", "json"]).well();
    assert!(said.contains("\"noop\""), "{said}");
    assert_eq!([fs::read(here.path("left.db")).unwrap(), fs::read(here.path("left.db-wal")).unwrap()], before);
    assert!(!here.path("left.db-run").exists());
}

#[test]
fn a_breach_is_named_and_fails() {
    let here = Installation::new("");
    break_it(&here);
    let said = here.run(&["doctor"]);
    assert!(said.code == Some(1) && said.err.is_empty(), "{said:?}");
    let words = "breach: it does not hold that a ready task without a fresh outcome has its key in the order of work \
                 (ready-has-key)\n  1 times: 1\nhint: it would never run";
    assert!(
        said.out.contains(words) && said.out.contains("\none law is broken\nhint: the engine leaves no breach behind"),
        "{said:?}"
    );
    let said = here.run(&["doctor", "--format", "json"]);
    let answer: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &answer["ok"], &answer["breaches"]), (Some(1), &json!(false), &json!(1)));
    let broken: Vec<&Value> = answer["laws"].as_array().unwrap().iter().filter(|law| law["broken"] != 0).collect();
    assert_eq!(broken.len(), 1);
    assert_eq!((&broken[0]["law"], &broken[0]["examples"]), (&json!("ready-has-key"), &json!([1])));
    // What the hint says is possible.
    here.run(&["cancel", "1"]).well();
    here.run(&["doctor"]).well();
}

#[test]
fn a_note_is_no_failure() {
    let here = Installation::new("");
    here.insert(1, "unheard-of", "");
    let said = here.run(&["doctor"]).well();
    assert!(said.contains("note: no job `unheard-of` is known here, and its tasks wait: 1 ready\n"), "{said}");
    let answer = here.json(&["doctor"]);
    assert_eq!((&answer["ok"], &answer["notes"][0]["about"]), (&json!(true), &json!("jobs")));
    assert_eq!(keys(&answer["notes"][0]), ["about", "hint", "message"]);
}

/// It ends with this code and these words, and changes nothing.
#[track_caller]
fn refused(here: &Installation, code: i32, words: &str) {
    let before = everything(here);
    let said = here.run(&["doctor"]);
    assert!(said.code == Some(code) && said.out.is_empty() && said.err.contains(words), "{said:?}");
    assert_eq!(everything(here), before);
}

#[test]
fn what_cannot_be_examined_is_refused() {
    let here = Installation::empty();
    here.write("rowmill.toml", "");
    refused(&here, 2, "rowmill init");
    here.write("rowmill.db", &"this is not a database\n".repeat(100));
    refused(&here, 1, "not an SQLite database");
    fs::remove_file(here.path("rowmill.db")).unwrap();
    Connection::open(here.path("rowmill.db")).unwrap().execute_batch("CREATE TABLE queue (a)").unwrap();
    refused(&here, 2, "a `queue` that is not Rowmill's");
    fs::remove_file(here.path("rowmill.db")).unwrap();
    Connection::open(here.path("rowmill.db")).unwrap().execute_batch("CREATE TABLE app (a)").unwrap();
    refused(&here, 2, "no tables of Rowmill's");
    assert!(!here.path("rowmill.db-run").exists());
}

#[test]
fn other_versions_are_not_examined() {
    let here = Installation::new("");
    here.sql().execute("INSERT INTO rowmill_migration (version, checksum) VALUES (2, 5)", []).unwrap();
    refused(&here, 2, "the database is of version 2, newer than this program's");
    here.sql().execute("DELETE FROM rowmill_migration", []).unwrap();
    refused(&here, 2, "the database is of version 0, older than this program's");
    here.sql().execute("INSERT INTO rowmill_migration (version, checksum) VALUES (1, 5)", []).unwrap();
    refused(&here, 2, "version 1 of the tables in this database is not this program's");
}

#[test]
fn a_database_that_somebody_has_for_himself_is_looked_at_later() {
    let here = Installation::new("");
    let conn = here.sql();
    conn.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; DELETE FROM rowmill_stop; COMMIT").unwrap();
    let said = here.run(&["doctor"]);
    assert!(said.code == Some(75) && said.out.is_empty() && said.err.contains("locked by another program"), "{said:?}");
}
