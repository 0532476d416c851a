//! Settlement: the transaction in which finished tasks leave the order and their outcomes are recorded.
//!
//! It first checks that the hold's epoch is still the partition's. The usual case, a done task whose row nobody
//! touched, costs the delete of one clustered key and the insert of one clustered outcome. Everything else (a retry, a
//! death, a key to free, a row that an application changed meanwhile) is written into its row of `queue` at once.
//! The key always moves before the status, because the triggers refuse a status that its key contradicts.

use super::Sqlite;
use crate::clock::Millis;
use crate::error::Result;
use crate::store::{Hold, Settled, Settling, Verdict};
use crate::task::{Cause, Right, Settlement};
use rusqlite::{OptionalExtension, Transaction, params};

pub(super) fn settle(store: &mut Sqlite, hold: &Hold, settled: &[Settled], orphans: &[Right]) -> Result<Settling> {
    store.write(|tx| {
        let epoch = "SELECT epoch FROM rowmill_partition WHERE generation = ?1 AND partition = ?2";
        let place = params![hold.partition.generation, hold.partition.index];
        let epoch: Option<i64> = tx.prepare_cached(epoch)?.query_row(place, |r| r.get(0)).optional()?;
        if epoch != Some(hold.epoch) {
            return Ok(Settling::Lost);
        }
        let mut verdicts = Vec::with_capacity(settled.len());
        for one in settled {
            verdicts.push(settle_one(tx, hold, one)?);
        }
        for orphan in orphans {
            leave_order(tx, orphan, orphan.priority)?;
        }
        Ok(Settling::Committed(verdicts))
    })
}

fn settle_one(tx: &Transaction<'_>, hold: &Hold, one: &Settled) -> Result<Verdict> {
    let right = &one.right;
    if one.settlement == Settlement::Untouched {
        return Ok(Verdict::Written);
    }
    let untouched = leave_order(tx, right, right.priority)?;
    match &one.settlement {
        Settlement::Done { attempt, result } if untouched && !right.keyed => {
            let fresh = "INSERT INTO rowmill_settled
                           (generation, partition, id, attempt, started_at, finished_at, worker, result)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            let p = right.partition;
            let values = (one.started_at_ms, one.finished_at_ms, hold.worker, result);
            tx.prepare_cached(fresh)?.execute(params![
                p.generation,
                p.index,
                right.id,
                attempt,
                values.0,
                values.1,
                values.2,
                values.3
            ])?;
            Ok(Verdict::Written)
        }
        settlement => {
            let run_at = match standing(tx, right, untouched)? {
                Standing::Ready => None,
                Standing::PutOff(run_at) => Some(run_at),
                Standing::Cancelled => return Ok(Verdict::Cancelled),
                Standing::Gone => return Ok(Verdict::Gone),
            };
            write_row(tx, hold, one, settlement, run_at)?;
            Ok(Verdict::Written)
        }
    }
}

/// Takes a key out of the order; whether it was there.
fn leave_order(tx: &Transaction<'_>, right: &Right, priority: i64) -> Result<bool> {
    let leave = "DELETE FROM rowmill_ready WHERE generation = ?1 AND partition = ?2 AND priority = ?3 AND id = ?4";
    let p = right.partition;
    Ok(tx.prepare_cached(leave)?.execute(params![p.generation, p.index, priority, right.id])? == 1)
}

/// How a row stands now.
enum Standing {
    /// Ready, maybe at another priority; its key has left the order now.
    Ready,
    /// Put off to this time by an application; its key has left the delayed order now.
    PutOff(Millis),
    /// Cancelled by an application.
    Cancelled,
    /// Deleted, or settled already.
    Gone,
}

/// Looks at the row, also when its key was where the fetch had seen it (`untouched`): an application's REPLACE deletes a
/// row and leaves its key.
fn standing(tx: &Transaction<'_>, right: &Right, untouched: bool) -> Result<Standing> {
    let look = "SELECT status, priority, coalesce(run_at, 0) FROM queue WHERE id = ?1";
    let row = tx
        .prepare_cached(look)?
        .query_row([right.id], |r| Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?, r.get::<_, i64>(2)?)))
        .optional()?;
    let Some((status, priority, run_at)) = row else { return Ok(Standing::Gone) };
    Ok(match status.as_str() {
        "ready" if untouched || leave_order(tx, right, priority)? => Standing::Ready,
        "delayed" => {
            let leave = "DELETE FROM rowmill_delayed WHERE run_at = ?1 AND id = ?2";
            match tx.prepare_cached(leave)?.execute(params![run_at, right.id])? {
                1 => Standing::PutOff(run_at),
                _ => Standing::Gone,
            }
        }
        "cancelled" => Standing::Cancelled,
        _ => Standing::Gone,
    })
}

/// Writes a settlement into its row of `queue`. `put_off` is the time that an application gave the row meanwhile: a
/// task that is to run again does so no sooner.
fn write_row(
    tx: &Transaction<'_>,
    hold: &Hold,
    one: &Settled,
    settlement: &Settlement,
    put_off: Option<Millis>,
) -> Result<()> {
    let id = one.right.id;
    let (worker, started_at, finished_at) = (hold.worker, one.started_at_ms, one.finished_at_ms);
    match settlement {
        Settlement::Done { attempt, result } => {
            let done = "UPDATE queue SET status = 'done', attempt = ?2, started_at = ?3, finished_at = ?4, worker = ?5,
                          result = ?6, error = NULL, cause = NULL WHERE id = ?1";
            tx.prepare_cached(done)?.execute(params![id, attempt, started_at, finished_at, worker, result])?;
        }
        Settlement::Dead { attempt, cause } => {
            let dead = "UPDATE queue SET status = 'dead', attempt = ?2, started_at = ?3, finished_at = ?4, worker = ?5,
                          error = ?6, cause = ?7 WHERE id = ?1";
            let (text, word) = (cause.text(), cause.word());
            tx.prepare_cached(dead)?.execute(params![id, attempt, started_at, finished_at, worker, text, word])?;
        }
        Settlement::Delayed { attempt, run_at_ms, cause } => {
            let run_at = put_off.map_or(*run_at_ms, |other| other.max(*run_at_ms));
            let key = "INSERT INTO rowmill_delayed (run_at, id) VALUES (?1, ?2)";
            tx.prepare_cached(key)?.execute(params![run_at, id])?;
            let delayed =
                "UPDATE queue SET status = 'delayed', attempt = ?2, started_at = ?3, run_at = ?4, worker = ?5,
                             error = ?6, cause = ?7 WHERE id = ?1";
            let (text, word) = (cause.as_ref().map(Cause::text), cause.as_ref().map(Cause::word));
            tx.prepare_cached(delayed)?.execute(params![id, attempt, started_at, run_at, worker, text, word])?;
        }
        Settlement::Parked { cause, reason } => {
            let parked = "UPDATE queue SET status = 'parked', error = ?2, cause = ?3 WHERE id = ?1";
            tx.prepare_cached(parked)?.execute(params![id, reason, cause])?;
        }
        Settlement::Untouched => {}
    }
    Ok(())
}
