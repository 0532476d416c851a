//! The end of retention: old final rows are deleted in steps, in the order of the primary key.
//!
//! Ids rise with time, so the old rows are the first ones, and a pass is over where all rows of a step were inserted
//! within the retention: what lies behind them was, too. No index is needed, and young rows are never read.
//! A fresh outcome's row is still `ready` in `queue`, so that it is not final here before it is folded.

use super::{Sqlite, count};
use crate::clock::Millis;
use crate::error::Result;
use crate::store::Pruned;
use rusqlite::{Connection, OptionalExtension, params};

/// From the end of a pass of ticks to the beginning of the next.
const PASS_EVERY_MS: Millis = 3_600_000;

const OLD: &str = "FROM queue WHERE id > ?1 AND id <= ?2 AND finished_at < ?3
                    AND (status = 'done' OR status = 'dead' OR status = 'cancelled')";

/// Occurrences that nobody asks for any more: they do not wait, and their tasks are not there or final.
const PAST: &str = "last_at < ?1 AND outcome <> 'waiting' AND (open = 0 OR NOT EXISTS
                      (SELECT 1 FROM queue q WHERE q.id = o.task AND q.status <> 'done' AND q.status <> 'cancelled'
                          AND q.status <> 'dead'))";

pub(super) fn prune(store: &mut Sqlite, after: i64, cutoff_ms: Millis, limit: usize, dry: bool) -> Result<Pruned> {
    if dry {
        return step(&store.conn, after, cutoff_ms, limit, true);
    }
    store.write(|tx| step(tx, after, cutoff_ms, limit, false))
}

fn step(conn: &Connection, after: i64, cutoff_ms: Millis, limit: usize, dry: bool) -> Result<Pruned> {
    let range = "SELECT count(*), coalesce(max(id), 0), coalesce(min(created_at), 0)
                   FROM (SELECT id, created_at FROM queue WHERE id > ?1 ORDER BY id LIMIT ?2)";
    let (count, last, oldest): (usize, i64, i64) = conn
        .prepare_cached(range)?
        .query_row(params![after, limit as i64], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
    if count == 0 || oldest >= cutoff_ms {
        return Ok(Pruned { rows: 0, next: None });
    }
    let range = params![after, last, cutoff_ms];
    let rows = match dry {
        true => conn.prepare_cached(&format!("SELECT count(*) {OLD}"))?.query_row(range, |r| r.get(0))?,
        false => conn.prepare_cached(&format!("DELETE {OLD}"))?.execute(range)?,
    };
    Ok(Pruned { rows, next: (count == limit).then_some(last) })
}

pub(super) fn sweep(store: &mut Sqlite, cutoff_ms: Millis, now_ms: Millis, limit: usize) -> Result<Option<Pruned>> {
    if place(&store.conn, now_ms)?.is_none() {
        return Ok(None);
    }
    store.write(|tx| {
        // Another tick may have been here since.
        let Some(after) = place(tx, now_ms)? else { return Ok(None) };
        let pruned = step(tx, after, cutoff_ms, limit, false)?;
        let (after, next_at) = pruned.next.map_or((0, now_ms + PASS_EVERY_MS), |last| (last, now_ms));
        if pruned.next.is_none() {
            count::forget(tx)?;
        }
        let note = "INSERT INTO rowmill_sweep (one, after_id, next_at) VALUES (1, ?1, ?2)
                    ON CONFLICT DO UPDATE SET after_id = ?1, next_at = ?2";
        tx.prepare_cached(note)?.execute([after, next_at])?;
        Ok(Some(pruned))
    })
}

/// Where the pass goes on; `None` when it is not time for the next one. A clock that was set back waits no longer.
fn place(conn: &Connection, now_ms: Millis) -> Result<Option<i64>> {
    let mut query = conn.prepare_cached("SELECT after_id, next_at FROM rowmill_sweep")?;
    let place = query.query_row([], |r| Ok((r.get(0)?, r.get::<_, i64>(1)?))).optional()?;
    let (after, next_at) = place.unwrap_or((0, now_ms));
    Ok((next_at <= now_ms || next_at > now_ms + PASS_EVERY_MS).then_some(after))
}

pub(super) fn occurrences(store: &mut Sqlite, cutoff_ms: Millis, limit: usize, dry: bool) -> Result<usize> {
    if dry {
        let all = format!("SELECT count(*) FROM rowmill_occurrence o WHERE due_at < ?1 AND {PAST}");
        return Ok(store.conn.query_row(&all, [cutoff_ms], |r| r.get(0))?);
    }
    let mut deleted = 0;
    let mut schedule = String::new();
    loop {
        // One key read for each schedule, and none of its younger occurrences.
        let next = "SELECT schedule FROM rowmill_occurrence WHERE schedule > ?1 ORDER BY schedule LIMIT 1";
        match store.conn.prepare_cached(next)?.query_row([&schedule], |r| r.get(0)).optional()? {
            Some(name) => schedule = name,
            None => return Ok(deleted),
        }
        let oldest = "SELECT min(due_at) FROM rowmill_occurrence WHERE schedule = ?1";
        let oldest: i64 = store.conn.prepare_cached(oldest)?.query_row([&schedule], |r| r.get(0))?;
        if oldest < cutoff_ms {
            deleted += store.write(|tx| {
                let old = format!(
                    "DELETE FROM rowmill_occurrence WHERE schedule = ?2 AND (due_at, by_hand) IN
                       (SELECT due_at, by_hand FROM rowmill_occurrence o
                         WHERE schedule = ?2 AND due_at < ?1 AND {PAST} ORDER BY due_at LIMIT ?3)"
                );
                Ok(tx.prepare_cached(&old)?.execute(params![cutoff_ms, schedule, limit as i64])?)
            })?;
        }
    }
}

#[cfg(test)]
mod tests;
