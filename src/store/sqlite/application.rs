//! The other side of the row contract: a connection such as an application has.
//!
//! It knows nothing of the engine: no gate, no locks, no settings but those that its own statements make. The triggers
//! run in it as in any other program. What the demo and tests ask for by plain SQL goes this way, so that what they
//! show is what an application gets.

use super::explain;
use crate::error::{Error, Result};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// Runs `sql`, one statement or several, on a new plain connection to the database at `path`, and answers the id of the
/// row that was inserted last (0 when none was). The file is never made. Each statement commits by itself unless `sql`
/// says `BEGIN`; after an error the earlier ones stand. The error's words are SQLite's own, those of a CHECK or trigger
/// included.
///
/// Not for the engine: its writes go through the gate. Call it only while a [`Sqlite`](super::Sqlite) of this process
/// has the same file open: the last connection that is closed moves the write-ahead log into the database.
pub fn as_application(path: &Path, sql: &str) -> Result<i64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let run = || {
        let conn = Connection::open_with_flags(path, flags)?;
        conn.execute_batch(sql)?;
        Ok(conn.last_insert_rowid())
    };
    run().map_err(|e: rusqlite::Error| match e {
        rusqlite::Error::SqliteFailure(_, Some(words)) => Error::failed(words),
        other => explain(&other),
    })
}
