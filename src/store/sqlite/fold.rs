//! Folding: fresh outcomes are written into their rows of `queue`, in id order over all partitions at once, so that
//! each page of the table is written once.
//!
//! One process folds at a time; the others settle meanwhile. The lock file's time of change says when it was last done.

use super::{Sqlite, lock};
use crate::clock::world;
use crate::error::Result;
use rusqlite::{Transaction, params};

/// The lock of whoever folds.
pub(super) const LOCK: &str = "fold";
/// The results that one transaction folds are about this long together, in bytes.
const FOLD_BYTES: usize = 8 << 20;

/// A fresh outcome.
struct Fresh {
    id: i64,
    attempt: i64,
    started_at: i64,
    finished_at: i64,
    worker: i64,
    result: Option<Vec<u8>>,
}

pub(super) fn fold(store: &mut Sqlite, limit: usize) -> Result<Option<usize>> {
    let Some(file) = lock::try_lock(&store.run, LOCK)? else { return Ok(None) };
    // The triggers guard `queue` against statuses that its keys contradict, and cost half of the fold, which writes one
    // status only, to rows whose keys are gone.
    let folded = match fresh_partitions(&store.conn)?.is_empty() {
        true => 0,
        false => store.write_without_triggers(|tx| fold_some(tx, limit))?,
    };
    lock::touch(&file);
    Ok(Some(folded))
}

/// The partitions that have fresh outcomes: one key read for each.
fn fresh_partitions(conn: &rusqlite::Connection) -> Result<Vec<(i64, i64)>> {
    super::look::partitions(conn, "rowmill_settled")
}

/// Folds every fresh outcome up to an id, chosen so that they are about `limit`.
fn fold_some(tx: &Transaction<'_>, limit: usize) -> Result<usize> {
    let partitions = fresh_partitions(tx)?;
    let share = (limit / partitions.len().max(1)).max(16);
    let share_bytes = FOLD_BYTES / partitions.len().max(1);
    let mut fresh = Vec::with_capacity(limit);
    let mut bound = i64::MAX;
    let read = "SELECT id, attempt, started_at, finished_at, worker, result FROM rowmill_settled
                 WHERE generation = ?1 AND partition = ?2 ORDER BY id LIMIT ?3";
    for (generation, partition) in &partitions {
        let (before, mut bytes) = (fresh.len(), 0);
        let mut query = tx.prepare_cached(read)?;
        let mut rows = query.query(params![generation, partition, share as i64])?;
        while let Some(r) = rows.next()? {
            let (id, attempt, started_at) = (r.get(0)?, r.get(1)?, r.get(2)?);
            let result: Option<Vec<u8>> = r.get(5)?;
            bytes += result.as_ref().map_or(0, Vec::len);
            fresh.push(Fresh { id, attempt, started_at, finished_at: r.get(3)?, worker: r.get(4)?, result });
            if bytes > share_bytes {
                break;
            }
        }
        // A partition that may have more than was read bounds the ids for all, so that none is passed over.
        if fresh.len() - before == share || bytes > share_bytes {
            bound = bound.min(fresh[fresh.len() - 1].id);
        }
    }
    fresh.retain(|f| f.id <= bound);
    fresh.sort_unstable_by_key(|f| f.id);
    write_rows(tx, &fresh)?;
    let empty = "DELETE FROM rowmill_settled WHERE generation = ?1 AND partition = ?2 AND id <= ?3";
    for (generation, partition) in &partitions {
        tx.prepare_cached(empty)?.execute(params![generation, partition, bound])?;
    }
    Ok(fresh.len())
}

/// A row that is gone takes its outcome with it; a row that is not `ready` has none (the triggers and settlement see
/// to it), and would be left as it is.
fn write_rows(tx: &Transaction<'_>, fresh: &[Fresh]) -> Result<()> {
    let done = "UPDATE queue SET status = 'done', attempt = ?2, started_at = ?3, finished_at = ?4, worker = ?5,
                  result = ?6, error = NULL, cause = NULL WHERE id = ?1 AND status = 'ready'";
    let done = if world::broken("fold overwrites") { done.trim_end_matches(" AND status = 'ready'") } else { done };
    let mut done = tx.prepare_cached(done)?;
    for f in fresh {
        done.execute(params![f.id, f.attempt, f.started_at, f.finished_at, f.worker, f.result])?;
    }
    Ok(())
}
