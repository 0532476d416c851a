//! What is in the database's schema against what this program makes.

use crate::error::Result;
use crate::store::sqlite::open;
use crate::store::{Example, Found};
use rusqlite::Connection;
use std::sync::OnceLock;

/// Tables, indexes, triggers and views with their text. Those that SQLite makes by itself have none.
const OBJECTS: &str =
    "SELECT type || ' ' || name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%'";

/// What this program makes, by name. Read off a database in memory, so that there is no second list to be kept.
static OURS: OnceLock<Vec<(String, String)>> = OnceLock::new();

fn ours() -> Result<&'static Vec<(String, String)>> {
    if let Some(made) = OURS.get() {
        return Ok(made);
    }
    let mut conn = Connection::open_in_memory()?;
    open::make(&mut conn)?;
    let made = objects(&conn)?;
    Ok(OURS.get_or_init(|| made))
}

fn objects(conn: &Connection) -> Result<Vec<(String, String)>> {
    let mut query = conn.prepare_cached(OBJECTS)?;
    let rows = query.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
}

/// Adds what is missing, or is not as this program made it. What an application has besides is its own.
pub(super) fn compare(conn: &Connection, found: &mut Found) -> Result<()> {
    let there = objects(conn)?;
    for (name, text) in ours()? {
        match there.iter().find(|(other, _)| other == name) {
            None => found.add(Example::Text(format!("{name} is missing"))),
            Some((_, other)) if other != text => found.add(Example::Text(format!("{name} was changed"))),
            Some(_) => {}
        }
    }
    Ok(())
}
