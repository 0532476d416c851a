//! The layout that most queues on SQLite use: one table, a claim by UPDATE … RETURNING, a finish by UPDATE.
//!
//! Every row is rewritten twice, with its index entry each time. The same gate, the same bound of the log and the same
//! durability as the bare loop, so that only the layout differs; the partitions keep the processes from taking each
//! other's rows.

use std::error::Error;
use std::hint::black_box;

use rusqlite::{Connection, params};

use super::gate::Gate;
use crate::rig::{now_ms, param_of, priority_of};

/// Tasks a claim.
const BATCH: u32 = 100;

const TABLES: &str = "
    CREATE TABLE queue (
      id          INTEGER PRIMARY KEY AUTOINCREMENT,
      job         TEXT NOT NULL,
      param       TEXT NOT NULL,
      priority    INTEGER NOT NULL,
      status      TEXT NOT NULL DEFAULT 'ready',
      attempt     INTEGER NOT NULL DEFAULT 0,
      worker      INTEGER,
      created_at  INTEGER NOT NULL,
      started_at  INTEGER,
      finished_at INTEGER
    );
    CREATE INDEX queue_order ON queue (status, priority DESC, id)";

const CLAIM: &str = "
    UPDATE queue SET status = 'running', attempt = attempt + 1, worker = ?1, started_at = ?4
     WHERE id IN (SELECT id FROM queue WHERE status = 'ready' AND id % ?2 = ?1 ORDER BY priority DESC, id LIMIT ?3)
    RETURNING id, job, param";

const FINISH: &str = "UPDATE queue SET status = 'done', finished_at = ?2 WHERE id = ?1 AND status = 'running'";

pub(crate) fn load(conn: &Connection, tasks: i64) -> Result<(), Box<dyn Error>> {
    conn.execute_batch(TABLES)?;
    let mut row = conn.prepare("INSERT INTO queue (job, param, priority, created_at) VALUES ('noop', ?1, ?2, ?3)")?;
    for first in (0..tasks).step_by(1000) {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        for n in first..tasks.min(first + 1000) {
            row.execute(params![param_of(n), priority_of(n), now_ms()])?;
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
    partitions: u32,
    start: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> Result<i64, Box<dyn Error>> {
    let mut claim = conn.prepare(CLAIM)?;
    let mut finish = conn.prepare(FINISH)?;
    let mut ids: Vec<i64> = Vec::with_capacity(BATCH as usize);
    let mut done = 0;
    start()?;
    loop {
        ids.clear();
        gate.transaction(conn, || {
            let mut rows = claim.query(params![partition, partitions, BATCH, now_ms()])?;
            while let Some(row) = rows.next()? {
                black_box((row.get::<_, String>(1)?, row.get::<_, String>(2)?));
                ids.push(row.get(0)?);
            }
            Ok(())
        })?;
        if ids.is_empty() {
            return Ok(done);
        }
        gate.transaction(conn, || {
            let finished_at = now_ms();
            for id in &ids {
                if finish.execute(params![id, finished_at])? != 1 {
                    return Err(format!("task {id} was not running").into());
                }
            }
            Ok(())
        })?;
        done += ids.len() as i64;
    }
}

/// Rows not done, and done.
pub(crate) fn count(conn: &Connection) -> Result<(i64, i64), Box<dyn Error>> {
    let sql = "SELECT count(*) FILTER (WHERE status <> 'done'), count(*) FILTER (WHERE status = 'done') FROM queue";
    Ok(conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
}
