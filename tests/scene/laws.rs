//! The laws of the data, as SQL over the whole file, and the raw view of one task.
//!
//! Each law is a query that finds what breaks it. They hold after every transaction, whoever wrote it, with one
//! exception that is stated: an application's REPLACE runs no delete trigger by default, so that keys without a row
//! remain until the next fetch drops them.

#![allow(dead_code, reason = "each test target that includes this file uses a part of it")]

use rusqlite::Connection;
use rusqlite::types::ValueRef;

/// The generation and partition of `q.id`.
macro_rules! place {
    () => {
        "(SELECT g.generation, q.id % g.partitions FROM rowmill_generation g
           WHERE g.first_id <= q.id ORDER BY g.generation DESC LIMIT 1)"
    };
}

/// What must find nothing: the law, and the ids that break it.
const LAWS: &[(&str, &str)] = &[
    (
        "a ready row without a fresh outcome has its key in the order of work",
        concat!(
            "SELECT q.id FROM queue q WHERE q.status = 'ready'
                AND NOT EXISTS (SELECT 1 FROM rowmill_settled s WHERE s.id = q.id)
                AND NOT EXISTS (SELECT 1 FROM rowmill_ready r
                     WHERE (r.generation, r.partition) = ",
            place!(),
            " AND r.priority = q.priority AND r.id = q.id)"
        ),
    ),
    (
        "a key in the order of work has a ready row, at its place and priority",
        concat!(
            "SELECT r.id FROM rowmill_ready r JOIN queue q ON q.id = r.id
              WHERE q.status <> 'ready' OR r.priority <> q.priority OR (r.generation, r.partition) <> ",
            place!()
        ),
    ),
    (
        "a row in the order of work has no fresh outcome",
        "SELECT r.id FROM rowmill_ready r JOIN rowmill_settled s ON s.id = r.id",
    ),
    ("a row has one key in the order of work", "SELECT id FROM rowmill_ready GROUP BY id HAVING count(*) > 1"),
    (
        "a delayed row has its key in the delayed order",
        "SELECT q.id FROM queue q WHERE q.status = 'delayed' AND NOT EXISTS
           (SELECT 1 FROM rowmill_delayed d WHERE d.run_at = coalesce(q.run_at, 0) AND d.id = q.id)",
    ),
    (
        "a key in the delayed order has a delayed row, at its time",
        "SELECT d.id FROM rowmill_delayed d JOIN queue q ON q.id = d.id
          WHERE q.status <> 'delayed' OR d.run_at <> coalesce(q.run_at, 0)",
    ),
    ("a row has one key in the delayed order", "SELECT id FROM rowmill_delayed GROUP BY id HAVING count(*) > 1"),
    (
        "a fresh outcome belongs to a ready row, at its place",
        concat!(
            "SELECT s.id FROM rowmill_settled s JOIN queue q ON q.id = s.id
              WHERE q.status <> 'ready' OR (s.generation, s.partition) <> ",
            place!()
        ),
    ),
    (
        "one unsettled task has a given unique_key",
        "SELECT max(id) FROM task WHERE unique_key IS NOT NULL AND status NOT IN ('done', 'dead', 'cancelled')
          GROUP BY unique_key HAVING count(*) > 1",
    ),
    (
        "a row has finished_at exactly when it is final",
        "SELECT id FROM queue WHERE (status IN ('done', 'dead', 'cancelled')) <> (finished_at IS NOT NULL)",
    ),
    (
        "a running row has a claim, by a worker process that is written down",
        "SELECT id FROM queue WHERE status = 'running' AND id NOT IN
           (SELECT c.id FROM rowmill_claim c JOIN rowmill_worker w USING (incarnation))",
    ),
    (
        "a claimed row is running, or taken back by an application",
        "SELECT c.id FROM rowmill_claim c JOIN queue q ON q.id = c.id WHERE q.status NOT IN ('running', 'cancelled')",
    ),
    (
        "a fresh outcome is of a task without unique_key, which would not be free",
        "SELECT s.id FROM rowmill_settled s JOIN queue q ON q.id = s.id WHERE q.unique_key IS NOT NULL",
    ),
    (
        "the counts are those of the rows up to the one that was counted last",
        "SELECT coalesce((SELECT min(id) FROM queue q WHERE q.job = c.job), 0) FROM (
               SELECT job, 'ready' AS status, ready AS count FROM rowmill_count
               UNION ALL SELECT job, 'delayed', delayed FROM rowmill_count
               UNION ALL SELECT job, 'running', running FROM rowmill_count
               UNION ALL SELECT job, 'parked', parked FROM rowmill_count
               UNION ALL SELECT job, 'done', done FROM rowmill_count
               UNION ALL SELECT job, 'dead', dead FROM rowmill_count
               UNION ALL SELECT job, 'cancelled', cancelled FROM rowmill_count
               UNION ALL SELECT job, status, -1 FROM task WHERE id <= (SELECT up_to FROM rowmill_counted)) c
              GROUP BY job, status HAVING sum(count) <> 0",
    ),
    ("no id is beyond those that were given", "SELECT id FROM queue WHERE id > (SELECT max(seq) FROM sqlite_sequence)"),
];

/// What only an application's REPLACE leaves behind.
const ORPHANS: &str = "SELECT id FROM (SELECT id FROM rowmill_ready UNION ALL SELECT id FROM rowmill_delayed
     UNION ALL SELECT id FROM rowmill_settled) WHERE id NOT IN (SELECT id FROM queue)";

fn breakers(conn: &Connection, sql: &str) -> Vec<i64> {
    let mut query = conn.prepare_cached(sql).unwrap();
    query.query_map([], |r| r.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Every breach, in words.
pub(crate) fn breaches(conn: &Connection) -> Vec<String> {
    let found = LAWS.iter().map(|(law, sql)| (law, breakers(conn, sql))).filter(|(_, ids)| !ids.is_empty());
    found.map(|(law, ids)| format!("{law}: broken by {ids:?}, {:?}", raw(conn, ids[0]))).collect()
}

/// Keys and outcomes whose row is gone.
pub(crate) fn orphans(conn: &Connection) -> Vec<i64> {
    breakers(conn, ORPHANS)
}

/// Fails when a law is broken, or a key has no row.
#[track_caller]
pub(crate) fn hold(conn: &Connection) {
    let mut found = breaches(conn);
    let orphans = orphans(conn);
    if !orphans.is_empty() {
        found.push(format!("a key or an outcome has a row: broken by {orphans:?}"));
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
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
