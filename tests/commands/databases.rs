//! From an empty folder to a database, and files that are not ours: refused with words and left as they are.
//!
//! What would be found here: a file that is overwritten, a foreign database that is changed by being looked at, tables
//! of a newer version that are worked on, and an error that does not say what to do.

use crate::installation::{Installation, Said, to_its_end};
use crate::needs;
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// What works with a database, and what only looks.
const WORK: [&[&str]; 4] = [&["migrate"], &["tick"], &["drain"], &["work", "--index", "0", "--drain"]];
const LOOK: [&[&str]; 4] = [&["enqueue", "noop"], &["status"], &["tasks"], &["task", "1"]];

/// Asserts that every command refuses the database with these words, and that not a byte of it changes.
#[track_caller]
fn refused(here: &Installation, commands: &[&[&str]], code: i32, error: &str, hint: &str) {
    let before = fs::read(here.path("rowmill.db")).ok();
    for args in commands {
        let said = here.run(args);
        complains(&said, code, error, hint);
    }
    assert!(fs::read(here.path("rowmill.db")).ok() == before, "the file was changed");
    assert!(here.processes().is_empty());
}

#[track_caller]
fn complains(said: &Said, code: i32, error: &str, hint: &str) {
    let lines: Vec<&str> = said.err.lines().collect();
    let right = matches!(lines[..], [e, h] if e.starts_with("error: ") && e.contains(error) && h.starts_with("hint: ") && h.contains(hint));
    assert!(right && said.code == Some(code) && said.out.is_empty(), "{said:?}");
}

fn both() -> Vec<&'static [&'static str]> {
    [WORK, LOOK].concat()
}

#[test]
fn init_makes_an_installation_that_works_and_never_overwrites() {
    let here = Installation::empty();
    let said = here.run(&["init", "new/shop"]).well();
    for line in ["wrote new/shop/rowmill.toml\n", "wrote new/shop/scripts/hello\n", "made ", "  cd new/shop\n"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let shop = |args: &[&str]| {
        let mut command = here.command(args);
        command.current_dir(here.path("new/shop"));
        to_its_end(command)
    };
    assert_eq!(shop(&["enqueue", "hello", "\"world\""]).well(), "1\n");
    shop(&["drain"]).well();
    assert!(shop(&["logs", "--task", "1"]).well().contains("hello from task 1, which was given: \"world\"\n"));

    here.write("new/shop/rowmill.toml", "workers = 9\n");
    fs::remove_file(here.path("new/shop/scripts/hello")).unwrap();
    here.write("new/shop/scripts/hello", "mine");
    let again = here.run(&["init", "new/shop"]).well();
    assert_eq!(again.matches("left as it is: ").count(), 3, "{again}");
    assert_eq!(
        (here.read("new/shop/rowmill.toml"), here.read("new/shop/scripts/hello")),
        ("workers = 9\n".into(), "mine".into())
    );
    assert!(shop(&["status"]).well().contains("partitions  4"), "the database is the old one");
    let in_a_file = here.run(&["init", "new/shop/rowmill.toml"]);
    complains(&in_a_file, 1, "cannot write", "rowmill init DIR");
}

#[test]
fn migrate_may_be_called_again() {
    let here = Installation::new("workers = 6\n");
    here.run(&["enqueue", "noop"]).well();
    let before = fs::read(here.path("rowmill.db")).unwrap();
    let said = here.run(&["migrate"]).well();
    assert!(said.ends_with("rowmill.db is up to date (6 partitions)\n"), "{said}");
    assert!(fs::read(here.path("rowmill.db")).unwrap() == before && here.count("1") == 1);
}

#[test]
fn a_folder_is_not_a_database() {
    let here = Installation::empty();
    fs::create_dir(here.path("rowmill.db")).unwrap();
    refused(&here, &both(), 2, "is a folder, not a database", "name a file in it");
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let here = Installation::empty();
    here.write("rowmill.db", &"precious text\n".repeat(1_000));
    refused(&here, &both(), 1, "the file is not an SQLite database", "move this one away");
}

#[test]
fn tables_of_others_with_our_names_are_left_alone() {
    for table in ["queue", "Queue", "task", "rowmill_mine"] {
        let here = Installation::empty();
        execute(&here.path("rowmill.db"), &format!("CREATE TABLE {table} (x); INSERT INTO {table} VALUES (1)"));
        refused(
            &here,
            &both(),
            1,
            &format!("the database has a `{table}` that is not Rowmill's"),
            "it was not touched",
        );
    }
}

#[test]
fn an_application_s_database_is_changed_by_nothing_but_work() {
    let here = Installation::empty();
    let file = here.path("rowmill.db");
    execute(&file, "CREATE TABLE users (name); INSERT INTO users VALUES ('ann')");
    refused(&here, &LOOK, 2, "has no tables of Rowmill's", "`rowmill migrate` makes them");
    here.run(&["migrate"]).well();
    here.run(&["enqueue", "noop"]).well();
    here.run(&["drain"]).well();
    let name: String = here.sql().query_row("SELECT name FROM users", [], |r| r.get(0)).unwrap();
    assert_eq!((name.as_str(), here.done()), ("ann", 1));
}

#[test]
fn looking_at_a_foreign_database_changes_nothing_and_makes_nothing_beside_it() {
    let words = "CREATE TABLE users (name); INSERT INTO users VALUES ('ann')";
    for mode in ["DELETE", "WAL", "left by a crash", "open elsewhere"] {
        let here = Installation::empty();
        let file = here.path("rowmill.db");
        let wal = if mode == "DELETE" { "DELETE" } else { "WAL" };
        let other = Connection::open(here.path("other.db")).unwrap();
        other.query_row(&format!("PRAGMA journal_mode = {wal}"), [], |_| Ok(())).unwrap();
        other.execute_batch(words).unwrap();
        if mode == "left by a crash" {
            // Its last commits are in its log alone, and nobody has it open.
            fs::copy(here.path("other.db"), &file).unwrap();
            fs::copy(here.path("other.db-wal"), here.path("rowmill.db-wal")).unwrap();
            drop(other);
        } else {
            drop(other);
            fs::rename(here.path("other.db"), &file).unwrap();
        }
        let application = (mode == "open elsewhere").then(|| {
            let conn = Connection::open(&file).unwrap();
            conn.execute_batch("INSERT INTO users VALUES ('bob')").unwrap();
            conn
        });
        let before = contents(&here);
        refused(&here, &LOOK, 2, "has no tables of Rowmill's", "`rowmill migrate` makes them");
        assert_eq!(contents(&here), before, "{mode}");
        drop(application);
    }
}

/// What is in the folder, without the logs and without SQLite's shared memory, which is no part of a database.
fn contents(here: &Installation) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(here.folder()).unwrap().map(Result::unwrap);
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut names: Vec<String> = entries.map(name).filter(|n| n != "logs" && !n.ends_with("-shm")).collect();
    names.sort();
    names.into_iter().map(|n| (n.clone(), fs::read(here.path(&n)).unwrap_or_default())).collect()
}

#[test]
fn a_newer_or_other_version_is_left_alone() {
    let here = Installation::new("");
    execute(&here.path("rowmill.db"), "INSERT INTO rowmill_migration (version, checksum) VALUES (2, 5)");
    refused(&here, &both(), 1, "the database is of version 2, newer than this program's", "use the newer program");
    execute(
        &here.path("rowmill.db"),
        "DELETE FROM rowmill_migration WHERE version = 2; UPDATE rowmill_migration SET checksum = 7",
    );
    refused(&here, &both(), 1, "version 1 of the tables in this database is not this program's", "other sources");
}

#[test]
fn many_at_once_make_one_database() {
    let here = Installation::empty();
    let start = |_| here.start(&["migrate"]);
    let mut all: Vec<_> = (0..20).map(start).collect();
    for one in &mut all {
        assert_eq!(one.code(), Some(0));
    }
    assert_eq!(here.json(&["status"])["partitions"], 4);
}

#[test]
fn a_folder_that_may_not_be_written_to_is_said() {
    let here = Installation::empty();
    // Root may write anywhere, so another user is asked to, with a copy of the program that it may run.
    let mut copy = Command::new("cp");
    copy.args([env!("CARGO_BIN_EXE_rowmill"), "rowmill"]).current_dir(here.folder());
    to_its_end(copy).well();
    fs::create_dir(here.path("closed")).unwrap();
    here.write("closed/rowmill.toml", "");
    fs::set_permissions(here.path("closed"), fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(here.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    let call = |args: &[&str]| {
        let mut command = Command::new(here.path("rowmill"));
        command.args(args).current_dir(here.path("closed")).env_remove("ROWMILL_DATABASE");
        if rustix::process::geteuid().is_root() {
            command.uid(65_534).gid(65_534);
        }
        command
    };
    let reached = call(&["--version"]).output().is_ok_and(|output| output.status.success());
    if !needs::that(reached, "another-user", "let nobody run programs in the folder for temporary files") {
        return;
    }
    complains(
        &to_its_end(call(&["migrate"])),
        1,
        "rowmill.db: Permission denied",
        "this user must be able to write to the folder of the database",
    );
    complains(&to_its_end(call(&["init"])), 1, "cannot write ./scripts/hello: Permission denied", "rowmill init DIR");
    assert_eq!(fs::read_dir(here.path("closed")).unwrap().count(), 1);
}

/// Changes a file as another program would, and leaves no log beside it.
fn execute(file: &Path, text: &str) {
    let conn = Connection::open(file).unwrap();
    conn.execute_batch(text).unwrap();
}
