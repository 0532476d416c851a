//! Databases that cannot be: read-only, in a folder that is gone, with a row that is too big. Each is said by whoever
//! would work with it, at once, and nothing is made or started.
//!
//! What would be found here: a `tick` that is silent while no worker can live, a `check` that finds all well, and a hint
//! that does not say what to mend.

use crate::installation::{Installation, Said, to_its_end};
use crate::needs;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Calls the program as somebody who may not write everywhere: the user of the test, or nobody if that is root.
fn call(here: &Installation, args: &[&str]) -> Said {
    let mut command = Command::new(here.path("rowmill"));
    command.args(args).current_dir(here.folder()).env_remove("ROWMILL_DATABASE");
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    to_its_end(command)
}

/// An installation of such a user's.
fn of_somebody() -> Option<Installation> {
    let here = Installation::new("workers = 2\n");
    here.insert(1, "noop", "");
    let mut prepare = Command::new("/bin/sh");
    let own = "chmod 755 . && cp \"$0\" rowmill && { [ \"$(id -u)\" != 0 ] || chown -R 65534:65534 .; }";
    prepare.args(["-c", own, env!("CARGO_BIN_EXE_rowmill")]).current_dir(here.folder());
    to_its_end(prepare).well();
    let reached = call(&here, &["status"]).code == Some(0);
    needs::that(reached, "another-user", "let nobody run programs in the folder for temporary files").then_some(here)
}

#[track_caller]
fn says(said: &Said, code: i32, error: &str, hint: &str) {
    let words = format!("{}{}", said.out, said.err);
    let (first, second) = words.split_once('\n').unwrap_or_default();
    let right = first.starts_with("error: ") && first.contains(error) && second.starts_with(&format!("hint: {hint}"));
    assert!(right && said.code == Some(code), "{said:?}");
}

#[test]
fn a_database_that_is_read_only_is_said_by_all_who_work_with_it() {
    let Some(here) = of_somebody() else { return };
    fs::set_permissions(here.path("rowmill.db"), fs::Permissions::from_mode(0o444)).unwrap();
    let before = fs::read(here.path("rowmill.db")).unwrap();
    let hint = "this user must be able to write to the file, to those beside it (-wal, -shm), and to its folder";
    for args in [
        &["migrate"][..],
        &["tick"],
        &["drain"],
        &["work", "--index", "0", "--drain"],
        &["enqueue", "noop"],
        &["cancel", "1"],
        &["stop"],
        &["scale", "3"],
    ] {
        says(&call(&here, args), 1, "the database is read-only", hint);
    }
    let found = call(&here, &["check"]);
    assert!(
        found.code == Some(2) && found.out.contains("cannot write") && found.out.contains("rowmill.db"),
        "{found:?}"
    );
    assert!(here.processes().is_empty());
    for args in [&["status"][..], &["tasks"], &["task", "1"]] {
        call(&here, args).well();
    }
    assert_eq!(fs::read(here.path("rowmill.db")).unwrap(), before);
    // Whoever looked has made files beside it, of the same mode.
    let writable = |name: &str| fs::set_permissions(here.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    writable("rowmill.db");
    says(&call(&here, &["tick"]), 1, "the database is read-only", hint);
    writable("rowmill.db-wal");
    writable("rowmill.db-shm");
    assert!(call(&here, &["check"]).well().ends_with("all well\n"));
    call(&here, &["drain"]).well();
    assert_eq!(call(&here, &["task", "1"]).well().matches("done").count(), 1);
}

#[test]
fn a_database_with_two_names_is_refused_by_every_command() {
    let here = Installation::new("");
    here.insert(1, "noop", "");
    fs::hard_link(here.path("rowmill.db"), here.path("other.db")).unwrap();
    for name in ["rowmill.db", "other.db"] {
        for args in [
            &["migrate"][..],
            &["tick"],
            &["drain"],
            &["work", "--index", "0", "--drain"],
            &["enqueue", "noop"],
            &["cancel", "1"],
            &["status"],
            &["tasks"],
            &["stop"],
            &["workers"],
        ] {
            let said = here.run(&[&["--database", name], args].concat());
            assert!(
                said.code == Some(2) && said.err.starts_with("error: ") && said.err.contains("hard links"),
                "{said:?}"
            );
        }
    }
    assert!(here.processes().is_empty() && !here.path("other.db-run").exists());
    fs::remove_file(here.path("other.db")).unwrap();
    here.run(&["drain"]).well();
    assert_eq!(here.done(), 1);
}

#[test]
fn a_database_whose_folder_is_gone_is_said_and_the_folder_is_not_made() {
    let here = Installation::empty();
    here.write("rowmill.toml", "database = 'gone/q.db'\n");
    let folder = here.path("gone");
    let words = format!("the folder of the database, {}", folder.display());
    for args in [&["migrate"][..], &["tick"], &["drain"], &["work", "--index", "0"], &["check"]] {
        says(&here.run(args), 2, &words, "make it first");
    }
    for args in [&["enqueue", "noop"][..], &["status"], &["tasks"], &["stop"]] {
        says(&here.run(args), 2, "there is no database at", "`rowmill init` makes one here");
    }
    assert!(here.processes().is_empty() && !folder.exists());
}

#[test]
fn a_row_that_is_too_big_is_refused_in_the_words_of_the_contract() {
    let here = Installation::new("");
    let words = "param must be text or bytes of at most 16777216 bytes";
    let big = format!("\"{}\"", "x".repeat(16_777_215));
    let lines = format!("{{\"job\":\"noop\"}}\n{{\"job\":\"echo\",\"param\":{big}}}\n");
    for said in [here.run_with_input(&["enqueue", "echo", "-"], &big), {
        here.write("rows.ndjson", &lines);
        here.run(&["enqueue", "--from", "rows.ndjson"])
    }] {
        assert!(said.code == Some(2) && said.err.starts_with("error: ") && said.err.contains(words), "{}", said.err);
    }
    assert_eq!(here.count("1"), 0);
    let fits = format!("\"{}\"", "x".repeat(16_777_214));
    assert_eq!(here.run_with_input(&["enqueue", "noop", "-"], &fits).well(), "1\n");
    here.insert(3, "noop", "");
    here.run(&["drain"]).well();
    assert_eq!(here.done(), 4);
}
