//! What lies around the data: the file, its settings, the disk, the run folder.

use super::{law, run_folder};
use crate::clock::Millis;
use crate::error::Result;
use crate::store::sqlite::{lock, open, place, write};
use crate::store::{Condition, Example, Found, Law, Severity};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::Path;

/// The pages of the file are whole, and agree with each other.
static SOUND: Law = law(
    "file-is-sound",
    Severity::Breach,
    "the pages of the database file are whole, and its indexes agree with its tables",
    "stop everything that writes to it, keep a copy, and see `.recover` of the sqlite3 shell; then ask what the disk did",
);
/// What refers to another row has it.
static REFER: Law = law(
    "foreign-keys-are-met",
    Severity::Note,
    "what refers to a row of another table by a foreign key has it",
    "Rowmill has no foreign keys: these are tables of the application's, which it may write with foreign_keys off",
);

/// The laws of the file.
pub(super) static LAWS: [&Law; 2] = [&SOUND, &REFER];

/// The settings that the file or its builder decides, each with the statement that asks for it.
const SETTINGS: [(&str, &str); 6] = [
    ("application_id", "PRAGMA application_id"),
    ("auto_vacuum", "PRAGMA auto_vacuum"),
    ("encoding", "PRAGMA encoding"),
    ("journal_mode", "PRAGMA journal_mode"),
    ("page_size", "PRAGMA page_size"),
    ("secure_delete", "PRAGMA secure_delete"),
];

pub(super) fn file(conn: &Connection) -> Result<Vec<Found>> {
    let (mut sound, mut refer) = (Found::nothing(&SOUND), Found::nothing(&REFER));
    let mut query = conn.prepare("PRAGMA integrity_check")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let word: String = row.get(0)?;
        if word != "ok" {
            sound.add(Example::Text(word));
        }
    }
    let mut query = conn.prepare("PRAGMA foreign_key_check")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let row_id = row.get::<_, Option<i64>>(1)?.map(|id| format!(" {id}")).unwrap_or_default();
        refer.add(Example::Text(format!("{}{row_id}", row.get::<_, String>(0)?)));
    }
    Ok(vec![sound, refer])
}

pub(super) fn condition(conn: &Connection, file: &Path, run: &Path) -> Result<Condition> {
    let number = |sql: &str| conn.query_row(sql, [], |r| r.get::<_, u64>(0));
    let length = |suffix: &str| std::fs::metadata(open::beside(file, suffix)).map_or(0, |about| about.len());
    let mut settings = BTreeMap::new();
    for (name, ask) in SETTINGS {
        let value = conn.query_row(ask, [], |r| r.get::<_, rusqlite::types::Value>(0))?;
        settings.insert(name, word(name, &value));
    }
    let mut schema = conn.prepare("SELECT version, checksum FROM rowmill_migration ORDER BY version")?;
    let schema = schema.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    let disk = rustix::fs::statvfs(file)?;
    let last_tick = lock::touched_at(run, crate::store::sqlite::SCHEDULER);
    Ok(Condition {
        engine: rusqlite::version().to_string(),
        schema,
        settings,
        file_bytes: length(""),
        unused_bytes: number("PRAGMA freelist_count")? * number("PRAGMA page_size")?,
        log_bytes: length("-wal"),
        log_bound: write::TRUNCATE_AT,
        free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
        file_system: place::file_system(file)?,
        run_file_system: place::file_system(run).ok(),
        last_tick,
        oldest_fresh: oldest_fresh(conn)?,
        dead: run_folder::dead(conn, run)?,
        run: run_folder::look(conn, run)?,
    })
}

/// Fresh outcomes are few, unless nobody folds.
fn oldest_fresh(conn: &Connection) -> Result<Option<Millis>> {
    Ok(conn.query_row("SELECT min(finished_at) FROM rowmill_settled", [], |r| r.get(0))?)
}

fn word(name: &str, value: &rusqlite::types::Value) -> String {
    use rusqlite::types::Value::{Integer, Text};
    match (name, value) {
        ("auto_vacuum", Integer(0)) => "none".into(),
        ("auto_vacuum", Integer(1)) => "full".into(),
        ("auto_vacuum", Integer(2)) => "incremental".into(),
        ("secure_delete", Integer(0)) => "off".into(),
        ("secure_delete", Integer(1)) => "on".into(),
        ("secure_delete", Integer(2)) => "fast".into(),
        (_, Integer(number)) => number.to_string(),
        (_, Text(text)) => text.clone(),
        (_, other) => format!("{other:?}"),
    }
}
