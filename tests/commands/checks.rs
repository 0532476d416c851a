//! `check`: what is wrong and where, with nothing started, made or changed.
//!
//! What would be found here: a mistake that only a worker notices in the night, a line number that is not the mistake's,
//! a check that makes a database or fails for the want of one.

use crate::installation::Installation;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[track_caller]
fn wrong(here: &Installation, wanted: &str) {
    let said = here.run(&["check"]);
    assert!(said.code == Some(2) && said.err.is_empty() && !said.out.contains("all well"), "{said:?}");
    let folder = format!("{}/", here.folder().display());
    assert_eq!(said.out.replace(&folder, ""), wanted);
}

#[test]
fn a_good_installation_is_all_well() {
    let here = Installation::empty();
    here.run(&["init"]).well();
    let said = here.run(&["check"]).well();
    assert!(
        said.contains("deliver_message, echo, fail, hello, noop, send_message, sleep") && said.ends_with("all well\n"),
        "{said}"
    );
    assert_eq!(here.json(&["check"]), json!({ "ok": true, "found": [] }));
    assert!(!here.path("logs").exists() && here.processes().is_empty(), "it starts nothing");
}

#[test]
fn mistakes_are_named_by_their_lines() {
    let here = Installation::new("");
    here.write("rowmill.toml", "workers = 2\nliner = \"5s\"\n");
    wrong(&here, "error: rowmill.toml:2:1: unknown key `liner` in the file\nhint: did you mean `linger`?\n");
    here.write("rowmill.toml", "[[schedule]]\nname = \"s\"\ncron = \"61 * * * *\"\njob = \"noop\"\n");
    let said = here.run(&["check"]);
    assert!(said.code == Some(2) && said.out.starts_with("error: rowmill.toml:3:"), "{said:?}");
    here.write("rowmill.toml", "[[schedule]]\nname = \"s\"\ncron = \"@daily\"\njob = \"nop\"\n");
    wrong(
        &here,
        "error: rowmill.toml:4:7: the schedule `s` asks for the job `nop`, which nobody has\nhint: did you mean `noop`?\n",
    );
    here.write("rowmill.toml", "workers = \n");
    let said = here.run(&["check"]);
    assert!(said.code == Some(2) && said.out.starts_with("error: rowmill.toml:1:"), "{said:?}");
    let found = serde_json::from_str::<Value>(&here.run(&["check", "--format", "json"]).out).unwrap();
    assert_eq!((&found["ok"], &found["found"][0]["level"]), (&json!(false), &json!("error")));
    assert!(found["found"][0].as_object().unwrap().keys().eq(["hint", "level", "message"]), "{found}");
}

#[test]
fn a_missing_database_is_a_note() {
    let here = Installation::empty();
    here.write("rowmill.toml", "");
    let said = here.run(&["check"]).well();
    assert!(said.starts_with("note: there is no database at ") && said.ends_with("all well\n"), "{said}");
    let found = here.json(&["check"]);
    assert_eq!((&found["ok"], &found["found"][0]["level"]), (&json!(true), &json!("note")));
    assert!(!here.path("rowmill.db").exists() && !here.path("rowmill.db-run").exists(), "it makes nothing");
}

#[test]
fn a_number_of_workers_that_counts_no_more_is_a_note() {
    let here = Installation::new("workers = 2\n");
    here.write("rowmill.toml", "workers = 3\n");
    let said = here.run(&["check"]).well();
    assert!(
        said.starts_with("note: the database has 2 partitions; `workers = 3` only counts when it is made\n"),
        "{said}"
    );
    here.run(&["tick"]).well();
    here.await_workers(2);
}

#[test]
fn keys_of_schedules_are_looked_at_and_so_are_schedules_of_persons() {
    let here = Installation::new("");
    here.run(&["schedule", "add", "mine", "--every", "1h", "--job", "noop"]).well();
    assert_eq!(here.json(&["check"]), json!({ "ok": true, "found": [] }));
    assert!(
        here.run(&["schedule", "add", "lost", "--every", "1h", "--job", "nop"]).err.starts_with("note: no job `nop`")
    );
    let said = here.run(&["check"]).well();
    assert!(
        said.starts_with(
            "note: the schedule `lost` (made by `schedule add`) asks for the job `nop`, which nobody here has\n"
        ),
        "{said}"
    );
    here.run(&["schedule", "remove", "lost"]).well();
    here.write("rowmill.toml", "[[schedule]]\nname = \"s\"\nat = \"2027-02-30 01:00\"\njob = \"noop\"\n");
    wrong(&here, "error: rowmill.toml:3:15: at `2027-02-30 01:00`: 2027-02 has no day 30\n");
    let once = "[[schedule]]\nname = \"s\"\nat = \"2027-02-01 01:00\"\njob = \"noop\"\noverlap = \"skip\"\n";
    here.write("rowmill.toml", once);
    let said = here.run(&["check"]).well();
    let remark = ":5:11: `overlap` says nothing about a schedule that is due once\nhint: take it away\n";
    assert!(said.starts_with("note: ") && said.contains(remark) && said.ends_with("all well\n"), "{said}");
}

#[test]
fn a_database_that_is_none_is_an_error() {
    let here = Installation::empty();
    here.write("rowmill.toml", "");
    here.write("rowmill.db", &"this is not a database\n".repeat(100));
    let said = here.run(&["check"]);
    assert!(
        said.code == Some(2) && said.out.contains("error: ") && said.out.contains("not an SQLite database"),
        "{said:?}"
    );
}

#[test]
fn what_everybody_may_change_of_what_is_run_is_a_note() {
    let mode = |here: &Installation, path: &str, mode| {
        fs::set_permissions(here.path(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    let here = Installation::new("[[job]]\nname = 'a'\ncommand = ['bin/prog', 'lib/part.php', '{param}']\n");
    for file in ["bin/prog", "lib/part.php", "lib/other.php"] {
        fs::create_dir_all(here.path(file).parent().unwrap()).unwrap();
        fs::write(here.path(file), "#!/bin/sh\n").unwrap();
        mode(&here, file, 0o755);
    }
    here.script("hello", "");
    here.run(&["migrate"]).well();
    let notes = |here: &Installation| -> Vec<String> {
        let folder = format!("{}/", here.folder().canonicalize().unwrap().display());
        let said = here.run(&["check"]).well();
        let notes = said.lines().filter_map(|line| line.strip_prefix("note: everybody may write "));
        notes.map(|note| note.split(',').next().unwrap().replace(&folder, "")).collect()
    };
    assert_eq!(notes(&here), [""; 0], "the folder of scratch folders is everybody's, and keeps what is others'");
    let all =
        [("bin", 0o777), ("bin/prog", 0o757), ("lib/part.php", 0o666), ("rowmill.toml", 0o602), ("scripts", 0o733)];
    for (path, open) in all {
        mode(&here, path, open);
        assert_eq!(notes(&here), [path]);
        assert!(here.run(&["check"]).well().contains("hint: chmod o-w "));
        mode(&here, path, if here.path(path).is_dir() { 0o755 } else { 0o700 });
    }
    mode(&here, "bin", 0o1777);
    mode(&here, "lib/other.php", 0o777);
    assert_eq!(notes(&here), [""; 0], "others cannot put a file in its place; and nobody runs the other");
    // What a link leads to counts.
    fs::create_dir(here.path("far")).unwrap();
    fs::rename(here.path("scripts/hello"), here.path("far/hello")).unwrap();
    std::os::unix::fs::symlink("../far/hello", here.path("scripts/hello")).unwrap();
    mode(&here, "far", 0o777);
    assert_eq!(notes(&here), ["far"]);
}
