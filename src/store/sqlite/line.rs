//! Connections that outlive their process: the simulation starts thousands, and to read the tables and prepare the statements
//! anew would be most of what each of them does.

use super::presence::Presence;
use super::{Sqlite, guard, open};
use crate::error::Result;
use crate::store::Durability;
use rusqlite::Connection;
use std::path::PathBuf;

/// An open connection with its guard, and nothing that a process holds.
#[derive(Debug)]
pub(crate) struct Line {
    conn: Connection,
    bare: Option<Connection>,
    guard: guard::Guard,
    file: PathBuf,
    durability: Durability,
}

impl Line {
    /// Gives up all that a process holds besides, as its death does. `None` when a transaction is left open.
    pub(crate) fn of(store: Sqlite) -> Option<Line> {
        let Sqlite { mut conn, bare, guard, file, durability, .. } = store;
        if !conn.is_autocommit() || bare.as_ref().is_some_and(|bare| !bare.is_autocommit()) {
            return None;
        }
        // Who died in the midst of a verb may have left it otherwise.
        guard::Guard::unwatch(&mut conn).ok()?;
        open::set_durability(&conn, durability).ok()?;
        conn.set_prepared_statement_cache_capacity(512);
        Some(Line { conn, bare, guard, file, durability })
    }

    /// The store of another process.
    pub(crate) fn begin(self) -> Result<Sqlite> {
        let mut store = open::begin(self.conn, self.guard, self.file, self.durability)?;
        store.bare = self.bare;
        store.presence = Presence::of(&store.file);
        Ok(store)
    }
}
