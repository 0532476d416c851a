//! What makes tasks ready again: the timer of delayed ones, and the return of a job that nobody knew.

use super::{Sqlite, plan};
use crate::clock::{Millis, world};
use crate::error::Result;
use crate::store::Store;
use crate::task::{Partition, Plan};
use rusqlite::{OptionalExtension, Transaction, params};

/// Rows that one transaction makes ready.
const STEP: i64 = 500;

pub(super) fn promote(store: &mut Sqlite, now_ms: Millis, limit: usize) -> Result<Vec<Partition>> {
    if store.next_delayed()?.is_none_or(|due| due > now_ms) {
        return Ok(Vec::new());
    }
    store.write(|tx| {
        let plan = plan(tx)?;
        let mut query = tx.prepare_cached(
            "SELECT d.run_at, d.id, q.priority
               FROM rowmill_delayed d LEFT JOIN queue q ON q.id = d.id AND q.status = 'delayed'
              WHERE d.run_at <= ?1 ORDER BY d.run_at, d.id LIMIT ?2",
        )?;
        let due = query
            .query_map(params![now_ms, limit as i64], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
            .collect::<rusqlite::Result<Vec<(i64, i64, Option<i64>)>>>()?;
        let mut touched = Vec::new();
        for (run_at, id, priority) in due {
            tx.prepare_cached("DELETE FROM rowmill_delayed WHERE run_at = ?1 AND id = ?2")?
                .execute(params![run_at, id])?;
            // A key without a delayed row is dropped.
            if let Some(priority) = priority.filter(|_| !world::broken("delayed key lost")) {
                make_ready(tx, &plan, id, priority)?;
                let partition = plan.partition_of(id);
                if !touched.contains(&partition) {
                    touched.push(partition);
                }
            }
        }
        Ok(touched)
    })
}

/// Puts a row's key into the order, then says so in the row.
pub(super) fn make_ready(tx: &Transaction<'_>, plan: &Plan, id: i64, priority: i64) -> Result<()> {
    enter_order(tx, plan, id, priority)?;
    tx.prepare_cached("UPDATE queue SET status = 'ready' WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// Puts a row's key into the order. Its status has to follow in the same transaction.
pub(super) fn enter_order(tx: &Transaction<'_>, plan: &Plan, id: i64, priority: i64) -> Result<()> {
    let p = plan.partition_of(id);
    let key = "INSERT OR IGNORE INTO rowmill_ready (generation, partition, priority, id) VALUES (?1, ?2, ?3, ?4)";
    tx.prepare_cached(key)?.execute(params![p.generation, p.index, priority, id])?;
    Ok(())
}

/// Puts a row's key into the delayed order, then says so in the row.
pub(super) fn make_delayed(tx: &Transaction<'_>, id: i64, run_at: Millis) -> Result<()> {
    let key = "INSERT OR IGNORE INTO rowmill_delayed (run_at, id) VALUES (?1, ?2)";
    tx.prepare_cached(key)?.execute(params![run_at, id])?;
    tx.prepare_cached("UPDATE queue SET status = 'delayed' WHERE id = ?1")?.execute([id])?;
    Ok(())
}

pub(super) fn next_delayed(store: &mut Sqlite) -> Result<Option<Millis>> {
    let mut query = store.conn.prepare_cached("SELECT run_at FROM rowmill_delayed ORDER BY run_at, id LIMIT 1")?;
    Ok(query.query_row([], |r| r.get(0)).optional()?)
}

pub(super) fn release_known(store: &mut Sqlite, jobs: &[&str]) -> Result<usize> {
    // An application may have put a row off while it was parked: that still holds.
    let look = "SELECT id, priority,
                       CASE WHEN run_at > CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)
                            THEN run_at END
                  FROM queue WHERE status = 'parked' AND job = ?1 AND cause = 'unknown_job' LIMIT ?2";
    let mut released = 0;
    for job in jobs {
        loop {
            let none_left =
                store.conn.prepare_cached(look)?.query_row(params![job, 1], |_| Ok(())).optional()?.is_none();
            if none_left {
                break;
            }
            released += store.write(|tx| {
                let plan = plan(tx)?;
                let rows = tx
                    .prepare_cached(look)?
                    .query_map(params![job, STEP], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
                    .collect::<rusqlite::Result<Vec<(i64, i64, Option<Millis>)>>>()?;
                for (id, priority, run_at) in &rows {
                    match run_at {
                        Some(run_at) => make_delayed(tx, *id, *run_at)?,
                        None => make_ready(tx, &plan, *id, *priority)?,
                    }
                    tx.prepare_cached("UPDATE queue SET error = NULL, cause = NULL WHERE id = ?1")?.execute([id])?;
                }
                Ok(rows.len())
            })?;
        }
    }
    Ok(released)
}
