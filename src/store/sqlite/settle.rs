//! Settlement: the transaction in which finished tasks leave the order and their outcomes are recorded.
//!
//! It first checks that the hold's epoch is still the partition's. The usual case, a done task whose row nobody
//! touched, costs the delete of one clustered key and the insert of one clustered outcome. Everything else (a retry, a
//! death, a key to free, a row that an application changed meanwhile) is written into its row of `queue` at once.
//! The key always moves before the status, because the triggers refuse a status that its key contradicts.
//! A group in which some tasks have company goes by way of [`company`].

use super::count::Fresh;
use super::history::Tally;
use super::known::{self, Asked};
use super::{Sqlite, company};
use crate::clock::{Millis, world};
use crate::error::Result;
use crate::store::{Ended, Hold, Settled, Settling, Verdict};
use crate::task::{Cause, Right, Settlement};
use rusqlite::{CachedStatement, OptionalExtension, Transaction, params};
use std::path::PathBuf;

pub(super) fn settle(store: &mut Sqlite, hold: &Hold, settled: &[Settled], orphans: &[Right]) -> Result<Settling> {
    if settled.iter().any(|one| one.ended.company.is_some()) {
        return company::settle(store, hold, settled, orphans);
    }
    let run = known::folder_to_ask(store, settled);
    store.write(|tx| settle_group(tx, hold, settled, orphans, run, &mut |pen, one| settle_one(pen, hold, one)))
}

/// A settling transaction, with the two statements that the usual case is made of: to look them up for each task would cost
/// as much as one of them.
pub(super) struct Pen<'a> {
    pub(super) tx: &'a Transaction<'a>,
    leave: CachedStatement<'a>,
    done: CachedStatement<'a>,
}

impl<'a> Pen<'a> {
    fn new(tx: &'a Transaction<'a>) -> Result<Pen<'a>> {
        Ok(Pen { tx, leave: tx.prepare_cached(LEAVE)?, done: tx.prepare_cached(DONE)? })
    }
}

/// Takes a key out of the order.
const LEAVE: &str = "DELETE FROM rowmill_ready WHERE generation = ?1 AND partition = ?2 AND priority = ?3 AND id = ?4";

/// Records that a task is done, beside its row.
const DONE: &str = "INSERT INTO rowmill_settled
                      (generation, partition, id, attempt, started_at, finished_at, worker, result)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// Settles a group in a transaction of the caller's, each task by `settle`. `run`, the run folder, is there
/// when some are to be parked because nobody knows their job.
pub(super) fn settle_group(
    tx: &Transaction<'_>,
    hold: &Hold,
    settled: &[Settled],
    orphans: &[Right],
    run: Option<PathBuf>,
    settle: &mut dyn FnMut(&mut Pen<'_>, &Settled) -> Result<Written>,
) -> Result<Settling> {
    if !is_held(tx, hold)? {
        return Ok(Settling::Lost);
    }
    let mut verdicts = Vec::with_capacity(settled.len());
    let (mut tally, mut counted) = (Tally::default(), Fresh::begin(tx)?);
    let mut asked = run.map(Asked::new);
    let mut pen = Pen::new(tx)?;
    for one in settled {
        let known = match &mut asked {
            Some(asked) => known::is_unknown(&one.ended) && asked.is_known(tx, &one.right.job)?,
            None => false,
        };
        let Written { verdict, fresh } = if known { Verdict::Known.into() } else { settle(&mut pen, one)? };
        if verdict == Verdict::Written {
            tally.add(&one.right.job, &one.ended);
            if fresh {
                counted.add(one.right.id, &one.right.job);
            }
        }
        verdicts.push(verdict);
    }
    tally.write(tx)?;
    counted.write(tx)?;
    for orphan in orphans {
        take_out(&mut pen.leave, orphan, orphan.priority)?;
    }
    Ok(Settling::Committed(verdicts))
}

/// Whether the hold is still good.
pub(super) fn is_held(tx: &Transaction<'_>, hold: &Hold) -> Result<bool> {
    let epoch = "SELECT epoch FROM rowmill_partition WHERE generation = ?1 AND partition = ?2";
    let place = params![hold.partition.generation, hold.partition.index];
    let epoch: Option<i64> = tx.prepare_cached(epoch)?.query_row(place, |r| r.get(0)).optional()?;
    Ok(epoch == Some(hold.epoch) || world::broken("no epoch check"))
}

/// What the settlement of one task came to.
pub(super) struct Written {
    pub(super) verdict: Verdict,
    /// Whether the outcome stands beside the row, which still says `ready`: no trigger has counted it.
    pub(super) fresh: bool,
}

impl From<Verdict> for Written {
    fn from(verdict: Verdict) -> Written {
        Written { verdict, fresh: false }
    }
}

pub(super) fn settle_one(pen: &mut Pen<'_>, hold: &Hold, one: &Settled) -> Result<Written> {
    let (tx, right) = (pen.tx, &one.right);
    if one.ended.settlement == Settlement::Untouched {
        return Ok(Verdict::Written.into());
    }
    let untouched = take_out(&mut pen.leave, right, right.priority)?;
    if let (true, Settlement::Delayed { attempt, .. }) = (world::broken("fold overwrites"), &one.ended.settlement) {
        let stale = "INSERT INTO rowmill_settled VALUES (?1, ?2, ?3, ?4, ?5, ?5, 0, NULL)";
        let (p, at) = (right.partition, one.ended.started_at_ms);
        tx.execute(stale, params![p.generation, p.index, right.id, attempt, at])?;
    }
    if let Settlement::Done { attempt, result } = &one.ended.settlement
        && untouched
        && (!right.keyed || world::broken("key kept"))
    {
        let (p, ended) = (right.partition, &one.ended);
        pen.done.execute(params![
            p.generation,
            p.index,
            right.id,
            attempt,
            ended.started_at_ms,
            ended.finished_at_ms,
            hold.worker,
            result
        ])?;
        return Ok(Written { verdict: Verdict::Written, fresh: true });
    }
    match stand(tx, right, untouched)? {
        Row::Cancelled => Ok(Verdict::Cancelled.into()),
        Row::Gone => Ok(Verdict::Gone.into()),
        Row::Here { put_off } => {
            write_row(tx, right.id, hold.worker, &one.ended, put_off)?;
            Ok(Verdict::Written.into())
        }
    }
}

/// Takes a key out of the order; whether it was there.
pub(super) fn leave_order(tx: &Transaction<'_>, right: &Right, priority: i64) -> Result<bool> {
    take_out(&mut tx.prepare_cached(LEAVE)?, right, priority)
}

fn take_out(leave: &mut CachedStatement<'_>, right: &Right, priority: i64) -> Result<bool> {
    let p = right.partition;
    Ok(leave.execute(params![p.generation, p.index, priority, right.id])? == 1)
}

/// How the row of a task in hand stands, its key taken out of the order that it was in.
pub(super) enum Row {
    /// It waits for its settlement.
    Here {
        /// The time to which an application put it off.
        put_off: Option<Millis>,
    },
    /// Cancelled by an application.
    Cancelled,
    /// Deleted, or settled already.
    Gone,
}

/// Takes the key of a task in hand out of whichever order it is in now.
pub(super) fn take_key(tx: &Transaction<'_>, right: &Right) -> Result<Row> {
    let untouched = leave_order(tx, right, right.priority)?;
    stand(tx, right, untouched)
}

/// Looks at the row, also when its key was where the fetch had seen it (`untouched`).
fn stand(tx: &Transaction<'_>, right: &Right, untouched: bool) -> Result<Row> {
    let look = "SELECT status, priority, coalesce(run_at, 0) FROM queue WHERE id = ?1";
    let row = tx
        .prepare_cached(look)?
        .query_row([right.id], |r| Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?, r.get::<_, i64>(2)?)))
        .optional()?;
    let Some((status, priority, run_at)) = row else { return Ok(Row::Gone) };
    Ok(match status.as_str() {
        "ready" if untouched || leave_order(tx, right, priority)? => Row::Here { put_off: None },
        "delayed" => {
            let leave = "DELETE FROM rowmill_delayed WHERE run_at = ?1 AND id = ?2";
            match tx.prepare_cached(leave)?.execute(params![run_at, right.id])? {
                1 => Row::Here { put_off: Some(run_at) },
                _ => Row::Gone,
            }
        }
        "cancelled" => Row::Cancelled,
        _ => Row::Gone,
    })
}

/// Writes a settlement into its row of `queue`. `put_off` is the time that an application gave the row meanwhile: a
/// task that is to run again does so no sooner.
pub(super) fn write_row(
    tx: &Transaction<'_>,
    id: i64,
    worker: u32,
    ended: &Ended,
    put_off: Option<Millis>,
) -> Result<()> {
    let (started_at, finished_at) = (ended.started_at_ms, ended.finished_at_ms);
    match &ended.settlement {
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
        // Both leave the row ready: whoever asks for them puts the key back, or never took it.
        Settlement::Suspect { .. } | Settlement::Untouched => {}
    }
    Ok(())
}
