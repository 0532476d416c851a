//! The bare loop: the layout that rowmill uses, and the least that one can do on it.
//!
//! Fetch the first k keys of the partition with their jobs and params; then, in one transaction, see that the epoch is
//! still ours, delete the keys from the clustered order and insert the outcomes, clustered by partition. No fold, no
//! log lines, no retries, no notes, no other kinds of outcome.

use std::error::Error;
use std::hint::black_box;

use rusqlite::{Connection, params};

use super::gate::Gate;
use crate::rig::{now_ms, param_of, priority_of};

/// Tasks a transaction.
const BATCH: u32 = 500;

const TABLES: &str = "
    CREATE TABLE queue (
      id         INTEGER PRIMARY KEY AUTOINCREMENT,
      job        TEXT NOT NULL,
      param      TEXT NOT NULL,
      priority   INTEGER NOT NULL,
      status     TEXT NOT NULL DEFAULT 'ready',
      created_at INTEGER NOT NULL
    );
    CREATE TABLE ready (
      partition INTEGER NOT NULL,
      priority  INTEGER NOT NULL,
      id        INTEGER NOT NULL,
      PRIMARY KEY (partition, priority DESC, id)
    ) WITHOUT ROWID;
    CREATE TABLE settled (
      partition   INTEGER NOT NULL,
      id          INTEGER NOT NULL,
      attempt     INTEGER NOT NULL,
      started_at  INTEGER NOT NULL,
      finished_at INTEGER NOT NULL,
      worker      INTEGER NOT NULL,
      result      BLOB,
      PRIMARY KEY (partition, id)
    ) WITHOUT ROWID;
    CREATE TABLE hold (partition INTEGER PRIMARY KEY, epoch INTEGER NOT NULL)";

const FETCH: &str = "
    SELECT r.priority, r.id, q.job, q.param
      FROM ready r CROSS JOIN queue q ON q.id = r.id
     WHERE r.partition = ?1
     ORDER BY r.priority DESC, r.id
     LIMIT ?2";

const EPOCH: &str = "SELECT epoch FROM hold WHERE partition = ?1";

const LEAVE: &str = "DELETE FROM ready WHERE partition = ?1 AND priority = ?2 AND id = ?3";

const SETTLE: &str = "
    INSERT INTO settled (partition, id, attempt, started_at, finished_at, worker) VALUES (?1, ?2, 1, ?3, ?4, ?1)";

pub(crate) fn load(conn: &Connection, partitions: u32, tasks: i64) -> Result<(), Box<dyn Error>> {
    conn.execute_batch(TABLES)?;
    for partition in 0..partitions {
        conn.execute("INSERT INTO hold (partition, epoch) VALUES (?1, 1)", [partition])?;
    }
    let mut row = conn.prepare("INSERT INTO queue (job, param, priority, created_at) VALUES ('noop', ?1, ?2, ?3)")?;
    let mut key = conn.prepare("INSERT INTO ready (partition, priority, id) VALUES (?1, ?2, ?3)")?;
    for first in (0..tasks).step_by(1000) {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        for n in first..tasks.min(first + 1000) {
            row.execute(params![param_of(n), priority_of(n), now_ms()])?;
            let id = conn.last_insert_rowid();
            key.execute(params![id % i64::from(partitions), priority_of(n), id])?;
        }
        conn.execute_batch("COMMIT")?;
    }
    Ok(())
}

/// Drains the partition; `start` returns when all processes may begin. Answers the number of tasks.
pub(crate) fn work(
    conn: &Connection,
    mut gate: Gate,
    partition: u32,
    start: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> Result<i64, Box<dyn Error>> {
    let mut fetch = conn.prepare(FETCH)?;
    let mut epoch = conn.prepare(EPOCH)?;
    let mut leave = conn.prepare(LEAVE)?;
    let mut settle = conn.prepare(SETTLE)?;
    let mut keys: Vec<(i64, i64)> = Vec::with_capacity(BATCH as usize);
    let mut done = 0;
    start()?;
    loop {
        keys.clear();
        let started_at = now_ms();
        let mut rows = fetch.query(params![partition, BATCH])?;
        while let Some(row) = rows.next()? {
            black_box((row.get::<_, String>(2)?, row.get::<_, String>(3)?));
            keys.push((row.get(0)?, row.get(1)?));
        }
        drop(rows);
        if keys.is_empty() {
            return Ok(done);
        }
        let finished_at = now_ms();
        gate.transaction(conn, || {
            if epoch.query_row([partition], |row| row.get::<_, i64>(0))? != 1 {
                return Err("the epoch has moved on".into());
            }
            for (priority, id) in &keys {
                if leave.execute(params![partition, priority, id])? != 1 {
                    return Err(format!("key {id} was gone").into());
                }
                settle.execute(params![partition, id, started_at, finished_at])?;
            }
            Ok(())
        })?;
        done += keys.len() as i64;
    }
}

/// Keys left, and outcomes.
pub(crate) fn count(conn: &Connection) -> Result<(i64, i64), Box<dyn Error>> {
    let sql = "SELECT (SELECT count(*) FROM ready), (SELECT count(*) FROM settled)";
    Ok(conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
}
