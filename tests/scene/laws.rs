//! The laws of the data, as `doctor` examines them, and the raw view of one task.
//!
//! They hold after every transaction, whoever wrote it. What is only a note there (keys without a row, which an application's
//! REPLACE leaves until the next fetch drops them) is asked for apart.

#![allow(dead_code, reason = "each test target that includes this file uses a part of it")]

use rowmill::store::sqlite::examine;
use rowmill::store::{Example, Found};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

/// The notes that speak of keys and outcomes whose row is gone.
const ORPHANS: [&str; 3] = ["key-without-row", "delayed-key-without-row", "outcome-without-row"];

/// What breaks any law. The clock of these rows is not that of now.
fn found(conn: &Connection) -> Vec<Found> {
    conn.set_prepared_statement_cache_capacity(128);
    let examined = examine(conn, i64::MAX / 2, &mut |_| {}).unwrap();
    examined.found.into_iter().filter(|found| found.count > 0 || found.left_out.is_some()).collect()
}

/// Every breach, in words.
pub(crate) fn breaches(conn: &Connection) -> Vec<String> {
    in_words(conn, &found(conn))
}

fn in_words(conn: &Connection, found: &[Found]) -> Vec<String> {
    let words = |found: &Found| {
        let first = match found.examples.first() {
            Some(Example::Id(id)) => raw(conn, *id),
            _ => Vec::new(),
        };
        format!("{}: broken {} times, by {:?}, {first:?}", found.law.sentence, found.count, found.examples)
    };
    found.iter().filter(|found| found.is_breach() || found.left_out.is_some()).map(words).collect()
}

/// Keys and outcomes whose row is gone.
pub(crate) fn orphans(conn: &Connection) -> Vec<i64> {
    ids_of_orphans(&found(conn))
}

fn ids_of_orphans(found: &[Found]) -> Vec<i64> {
    let notes = found.iter().filter(|found| ORPHANS.contains(&found.law.name));
    let ids = notes.flat_map(|found| &found.examples).map(|example| match example {
        Example::Id(id) => *id,
        Example::Text(text) => panic!("{text} is no id"),
    });
    ids.collect()
}

/// Every breach, and keys without a row, in words.
pub(crate) fn wrongs(conn: &Connection) -> Vec<String> {
    let found = found(conn);
    let mut broken = in_words(conn, &found);
    let orphans = ids_of_orphans(&found);
    if !orphans.is_empty() {
        broken.push(format!("a key or an outcome has a row: broken by {orphans:?}"));
    }
    broken
}

/// Fails when a law is broken, or a key has no row.
#[track_caller]
pub(crate) fn hold(conn: &Connection) {
    let broken = wrongs(conn);
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// Rows as text, every cell with its type, so that 1 and '1' differ.
fn dump(conn: &Connection, sql: &str, id: i64) -> Vec<String> {
    let mut query = conn.prepare_cached(sql).unwrap();
    let columns: Vec<String> = query.column_names().map(String::from).collect();
    let mut rows = query.query([id]).unwrap();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let cells = columns.iter().enumerate().map(|(i, name)| match row.get_ref(i).unwrap() {
            ValueRef::Text(text) => format!("{name}={:?}", String::from_utf8_lossy(text)),
            other => format!("{name}={other:?}"),
        });
        lines.push(cells.collect::<Vec<_>>().join(" "));
    }
    lines
}

/// The keys of a task: in the order of work, in the delayed order, among the fresh outcomes.
pub(crate) fn keys(conn: &Connection, id: i64) -> Vec<String> {
    let mut query = conn
        .prepare_cached(
            "SELECT 'ready at ' || priority FROM rowmill_ready WHERE id = ?1
             UNION ALL SELECT 'delayed to ' || run_at FROM rowmill_delayed WHERE id = ?1
             UNION ALL SELECT 'fresh' FROM rowmill_settled WHERE id = ?1",
        )
        .unwrap();
    query.query_map([id], |r| r.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Everything that is stored about a task.
pub(crate) fn raw(conn: &Connection, id: i64) -> Vec<String> {
    let tables = ["queue", "rowmill_ready", "rowmill_delayed", "rowmill_settled"];
    tables.iter().flat_map(|table| dump(conn, &format!("SELECT * FROM {table} WHERE id = ?1"), id)).collect()
}

/// What a reader sees of a task.
pub(crate) fn seen(conn: &Connection, id: i64) -> Vec<String> {
    dump(conn, "SELECT * FROM task WHERE id = ?1", id)
}
