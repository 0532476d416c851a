//! Enqueueing: plain inserts, as applications do them, so that the same triggers and CHECKs see to everything.
//!
//! Many at once are inserted with the triggers off and their keys written here, in the order of the tables that they go
//! to. What the insert triggers of schema.sql do, this has to do too; a property test holds the two against each other.

use super::{Sqlite, count, plan};
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::store::Enqueued;
use crate::task::NewTask;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, params};

pub(super) fn enqueue(store: &mut Sqlite, tasks: &[NewTask]) -> Result<Vec<Enqueued>> {
    store.write(|tx| tasks.iter().map(|task| insert(tx, task)).collect())
}

pub(super) fn enqueue_many(store: &mut Sqlite, tasks: &[NewTask]) -> Result<Vec<Enqueued>> {
    store.write_without_triggers(|tx| {
        // As in the triggers: the clock of SQLite, and the newest generation.
        let now = "SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)";
        let now_ms: Millis = tx.prepare_cached(now)?.query_row([], |r| r.get(0))?;
        let generation = plan(tx)?.current();
        let mut enqueued = Vec::with_capacity(tasks.len());
        let (mut ready, mut delayed) = (Vec::new(), Vec::new());
        let (counts, mut inserted) = (count::catch_up(tx)?, count::Inserted::default());
        for task in tasks {
            let later = task.run_at_ms.filter(|at| *at > now_ms);
            let one = insert_row(tx, task, if later.is_some() { "delayed" } else { "ready" })?;
            enqueued.push(one);
            if let Enqueued::New(id) = one {
                inserted.add(id, &task.job, later.is_some());
            }
            match (one, later) {
                (Enqueued::Exists(_), _) => {}
                (Enqueued::New(id), Some(run_at)) => delayed.push((run_at, id)),
                (Enqueued::New(id), None) => {
                    ready.push((id.rem_euclid(i64::from(generation.partitions)), -task.priority, id));
                }
            }
        }
        ready.sort_unstable();
        let key = "INSERT INTO rowmill_ready (generation, partition, priority, id) VALUES (?1, ?2, ?3, ?4)";
        let mut key = tx.prepare_cached(key)?;
        for (partition, lowered, id) in ready {
            key.execute(params![generation.number, partition, -lowered, id])?;
        }
        delayed.sort_unstable();
        let mut key = tx.prepare_cached("INSERT INTO rowmill_delayed (run_at, id) VALUES (?1, ?2)")?;
        for (run_at, id) in delayed {
            key.execute(params![run_at, id])?;
        }
        if counts {
            inserted.write(tx)?;
        }
        Ok(enqueued)
    })
}

/// Inserts one task in a transaction of the caller's. Its keys are the triggers' affair.
pub(super) fn insert(tx: &Transaction<'_>, task: &NewTask) -> Result<Enqueued> {
    insert_row(tx, task, "ready")
}

fn insert_row(tx: &Transaction<'_>, task: &NewTask, status: &str) -> Result<Enqueued> {
    let insert = "INSERT INTO queue (job, param, codec, priority, run_at, unique_key, max_attempts, status)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    // Text where it is text, so that people can read it in SQL; bytes stay bytes.
    let param = match std::str::from_utf8(&task.param) {
        Ok(text) if !text.contains('\0') => Value::Text(text.to_string()),
        _ => Value::Blob(task.param.clone()),
    };
    if let Some(key) = &task.unique_key
        && let Some(id) = holder_of(tx, key)?
    {
        return Ok(Enqueued::Exists(id));
    }
    let (codec, run_at) = (task.codec.word(), task.run_at_ms);
    let row = params![task.job, param, codec, task.priority, run_at, task.unique_key, task.max_attempts, status];
    match tx.prepare_cached(insert)?.execute(row) {
        Ok(_) => Ok(Enqueued::New(tx.last_insert_rowid())),
        Err(e) if e.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            let text = e.to_string();
            let words = text.strip_prefix("CHECK constraint failed: ").unwrap_or(&text);
            Err(Error::usage(format!("the task was refused: {words}")))
        }
        Err(e) if e.sqlite_error_code() == Some(ErrorCode::DiskFull) && has_given_all_ids(tx) => {
            Err(super::ids_are_used_up())
        }
        Err(e) => Err(e.into()),
    }
}

/// Whether the highest id there can be was given: SQLite says then that the disk is full.
fn has_given_all_ids(tx: &Transaction<'_>) -> bool {
    let highest = "SELECT seq FROM sqlite_sequence WHERE name = 'queue'";
    tx.query_row(highest, [], |r| r.get(0)).is_ok_and(|seq: i64| seq == i64::MAX)
}

/// The unsettled task that has this key.
pub(super) fn holder_of(conn: &Connection, key: &str) -> Result<Option<i64>> {
    let look = "SELECT id FROM queue WHERE unique_key = ?1 AND unique_key IS NOT NULL
                   AND status <> 'done' AND status <> 'dead' AND status <> 'cancelled'";
    Ok(conn.prepare_cached(look)?.query_row([key], |r| r.get(0)).optional()?)
}

#[cfg(test)]
mod tests;
