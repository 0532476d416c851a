//! The Rust recipe of `docs/enqueue.md`, word for word, so that it is compiled and run.
//!
//! The test that compares the two and calls it is in `tests/recipes.rs`.

use rusqlite::Connection;
use serde_json::json;

fn ask(database: &str) -> rusqlite::Result<i64> {
    let db = Connection::open(database)?;
    db.pragma_update(None, "busy_timeout", 5000)?; // PRAGMA busy_timeout = 5000: wait for another writer
    db.pragma_update(None, "wal_autocheckpoint", 0)?; // PRAGMA wal_autocheckpoint = 0: checkpoints are Rowmill's

    let param = json!({ "uid": 4, "uids": [6, 34], "content": "it's 5 o'clock & “tea”" });
    db.execute("INSERT INTO queue (job, param) VALUES ('send_message', ?1)", [param.to_string()])?;
    Ok(db.last_insert_rowid())
}

/// The recipe, for the test.
pub(crate) fn recipe(database: &str) -> i64 {
    ask(database).unwrap()
}
