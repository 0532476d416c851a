//! Enqueueing: plain inserts, as applications do them, so that the same triggers and CHECKs see to everything.

use super::Sqlite;
use crate::error::{Error, Result};
use crate::store::Enqueued;
use crate::task::NewTask;
use rusqlite::types::Value;
use rusqlite::{ErrorCode, OptionalExtension, Transaction, params};

pub(super) fn enqueue(store: &mut Sqlite, tasks: &[NewTask]) -> Result<Vec<Enqueued>> {
    store.write(|tx| tasks.iter().map(|task| insert(tx, task)).collect())
}

/// Inserts one task in a transaction of the caller's.
pub(super) fn insert(tx: &Transaction<'_>, task: &NewTask) -> Result<Enqueued> {
    let insert = "INSERT INTO queue (job, param, codec, priority, run_at, unique_key, max_attempts)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
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
    let row =
        params![task.job, param, task.codec.word(), task.priority, task.run_at_ms, task.unique_key, task.max_attempts];
    match tx.prepare_cached(insert)?.execute(row) {
        Ok(_) => Ok(Enqueued::New(tx.last_insert_rowid())),
        Err(e) if e.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            let text = e.to_string();
            let words = text.strip_prefix("CHECK constraint failed: ").unwrap_or(&text);
            Err(Error::usage(format!("the task was refused: {words}")))
        }
        Err(e) => Err(e.into()),
    }
}

/// The unsettled task that has this key.
fn holder_of(tx: &Transaction<'_>, key: &str) -> Result<Option<i64>> {
    let look = "SELECT id FROM queue WHERE unique_key = ?1 AND unique_key IS NOT NULL
                   AND status <> 'done' AND status <> 'dead' AND status <> 'cancelled'";
    Ok(tx.prepare_cached(look)?.query_row([key], |r| r.get(0)).optional()?)
}
