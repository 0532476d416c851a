//! The connection without triggers is opened when it is first needed, perhaps long after the other one.

use crate::error::Kind;
use crate::store::sqlite::{Create, Sqlite};
use crate::store::{Durability, Enqueued, Store};
use crate::task::NewTask;
use std::path::Path;

fn open(file: &Path) -> Sqlite {
    Sqlite::open(file, Durability::Full, Create::WithPartitions(1)).unwrap()
}

fn rows(file: &Path) -> i64 {
    let conn = rusqlite::Connection::open(file).unwrap();
    conn.query_row("SELECT count(*) FROM queue", [], |r| r.get(0)).unwrap()
}

/// Moves the database and what lies beside it.
fn rename(from: &Path, to: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let of = |file: &Path| format!("{}{suffix}", file.display());
        let _ = std::fs::rename(of(from), of(to));
    }
}

#[test]
fn it_is_not_that_of_another_database_which_was_put_in_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let [file, other, away] = ["a.db", "b.db", "c.db"].map(|name| folder.path().join(name));
    let mut store = open(&file);
    drop(open(&other));
    rename(&file, &away);
    rename(&other, &file);
    let refused = store.enqueue_many(&[NewTask::of("job", "1")]).unwrap_err();
    assert!(refused.kind() == Kind::Failed && refused.to_string().contains("was replaced"), "{refused}");
    assert!(!folder.path().join("a.db-shm").exists(), "nobody looked into it");
    rename(&file, &other);
    rename(&away, &file);
    // What is acknowledged is where it was asked for.
    assert!(matches!(store.enqueue_many(&[NewTask::of("job", "1")]).unwrap()[..], [Enqueued::New(1)]));
    drop(store);
    assert_eq!((rows(&file), rows(&other)), (1, 0));
}

#[test]
fn where_the_database_is_gone_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let [file, away] = ["a.db", "b.db"].map(|name| folder.path().join(name));
    let mut store = open(&file);
    rename(&file, &away);
    let refused = store.enqueue_many(&[NewTask::of("job", "1")]).unwrap_err();
    assert!(refused.kind() == Kind::Failed && refused.to_string().contains("was deleted or moved"), "{refused}");
    assert!(!file.exists());
}
