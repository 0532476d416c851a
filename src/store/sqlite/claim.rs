//! Claims: tasks that run long, or carefully, written as running by one worker process.
//!
//! From the claim on, the claim itself is the proof, and the partition can go to somebody else. A settlement of a claimed
//! task first takes the claim away; whoever finds it gone has lost. So a worker that was taken for dead settles nothing.

use super::badge::{Standing, is_current, standing};
use super::company::{self, Failure};
use super::history::Tally;
use super::settle::{self, Row};
use super::{Sqlite, look, timer};
use crate::clock::{Millis, world};
use crate::error::{Error, Result};
use crate::store::{Badge, Claim, Claiming, Ended, Hold, LastWord, LostClaim, Verdict};
use crate::task::{Cause, Delivery, Ending, Right, Settlement, Task};
use rusqlite::{OptionalExtension, Transaction, params};

pub(super) fn claim(
    store: &mut Sqlite,
    hold: &Hold,
    badge: &Badge,
    right: &Right,
    attempts_charged: u32,
    started_at: i64,
    delivery: Delivery,
) -> Result<Claiming> {
    let write = |tx: &Transaction<'_>| {
        // A claim by a process that is taken for dead would be recovered while it runs, or by nobody.
        if !settle::is_held(tx, hold)? || !is_current(tx, badge.incarnation)? {
            return Ok(Claiming::Lost);
        }
        let claim = Claim { id: right.id, incarnation: badge.incarnation, worker: badge.index, attempts_charged };
        match write_claim(tx, &claim, right, started_at, delivery)? {
            true => Ok(Claiming::Claimed(claim)),
            false => Ok(Claiming::Lost),
        }
    };
    match delivery {
        Delivery::AtLeastOnce => store.write(write),
        Delivery::AtMostOnce => store.write_for_good(write),
    }
}

/// Writes a task of the order as taken by one worker process. A row that was cancelled or deleted meanwhile stays so; its
/// claim only fences the settlement that will say it.
fn write_claim(
    tx: &Transaction<'_>,
    claim: &Claim,
    right: &Right,
    started_at: Millis,
    delivery: Delivery,
) -> Result<bool> {
    // A claim by a process that is not written down any more would be recovered by nobody.
    let new = "INSERT INTO rowmill_claim (id, incarnation, claimed_at, delivery)
                 SELECT ?1, incarnation, ?3, ?4 FROM rowmill_worker WHERE incarnation = ?2";
    let values = params![claim.id, claim.incarnation, started_at, delivery.word()];
    if tx.prepare_cached(new)?.execute(values)? == 0 {
        return Ok(false);
    }
    if let Row::Here { .. } = settle::take_key(tx, right)? {
        // A suspect stays one until a run of it is settled.
        let run = "UPDATE queue SET status = 'running', attempt = ?2, started_at = ?3, worker = ?4,
                     error = CASE cause WHEN 'worker_died' THEN error END,
                     cause = CASE cause WHEN 'worker_died' THEN cause END WHERE id = ?1";
        let values = params![claim.id, claim.attempts_charged.saturating_add(1), started_at, claim.worker];
        tx.prepare_cached(run)?.execute(values)?;
    }
    Ok(true)
}

/// Claims a task that ran when `incarnation` died, for that one: something of the run lives on. Whoever recovers the claim
/// charges it when that is gone. `false` when nothing is known of that process any more.
pub(super) fn leave_to(
    tx: &Transaction<'_>,
    incarnation: i64,
    right: &Right,
    attempts_charged: u32,
    now_ms: Millis,
) -> Result<bool> {
    let who = "SELECT worker FROM rowmill_worker WHERE incarnation = ?1";
    let Some(worker) = tx.prepare_cached(who)?.query_row([incarnation], |r| r.get(0)).optional()? else {
        return Ok(false);
    };
    let claim = Claim { id: right.id, incarnation, worker, attempts_charged };
    // What runs at most once is claimed by its own worker, before it begins.
    write_claim(tx, &claim, right, now_ms, Delivery::AtLeastOnce)
}

pub(super) fn last_word(store: &mut Sqlite, claim: &Claim, word: LastWord) -> Result<()> {
    let (timeout_ms, interrupted) = match word {
        LastWord::TimedOut { after_ms } => (Some(after_ms), false),
        LastWord::Interrupted => (None, true),
    };
    store.write(|tx| {
        let say = "UPDATE rowmill_claim SET timeout_ms = ?3, interrupted = ?4 WHERE id = ?1 AND incarnation = ?2";
        tx.prepare_cached(say)?.execute(params![claim.id, claim.incarnation, timeout_ms, interrupted])?;
        Ok(())
    })
}

pub(super) fn settle_claim(store: &mut Sqlite, claim: &Claim, ended: &Ended) -> Result<Option<Verdict>> {
    let Some(company) = &ended.company else { return store.write(|tx| settle_in(tx, claim, ended)) };
    company::guarded(store, |store, guard| {
        let mut refused = None;
        let settled = store.write(|tx| {
            let verdict = settle_in(tx, claim, ended)?;
            if verdict == Some(Verdict::Written)
                && let Err(failure) = company::bring(tx, guard, claim.id, company)
            {
                // It settles nothing then, and the claim stands.
                return Err(match failure {
                    Failure::Grave(e) => e,
                    Failure::Refused(why) => {
                        let e = Error::failed(&why);
                        refused = Some(why);
                        e
                    }
                });
            }
            Ok(verdict)
        });
        match refused {
            Some(why) => Ok(Some(Verdict::Refused(why))),
            None => settled,
        }
    })
}

fn settle_in(tx: &Transaction<'_>, claim: &Claim, ended: &Ended) -> Result<Option<Verdict>> {
    let take = "DELETE FROM rowmill_claim WHERE id = ?1 AND incarnation = ?2";
    if tx.prepare_cached(take)?.execute(params![claim.id, claim.incarnation])? == 0 && !world::broken("claim not taken")
    {
        return Ok(None);
    }
    let look = "SELECT status, coalesce(run_at, 0), job FROM queue WHERE id = ?1";
    let row = tx
        .prepare_cached(look)?
        .query_row([claim.id], |r| Ok((r.get::<_, String>(0)?, r.get(1)?, look::text_of(r, 2)?.unwrap_or_default())));
    let (status, run_at, job) = row.optional()?.unwrap_or_default();
    match status.as_str() {
        "running" => {}
        "cancelled" => return Ok(Some(Verdict::Cancelled)),
        _ => return Ok(Some(Verdict::Gone)),
    }
    let now_ms = ended.finished_at_ms;
    match ended.settlement {
        Settlement::Untouched => put_back(tx, claim.id, claim.attempts_charged, None, now_ms)?,
        Settlement::Suspect { attempt } => put_back(tx, claim.id, attempt, Some(Cause::WorkerDied), now_ms)?,
        // Whenever it began is past: a time that lies ahead is one to which an application put it off meanwhile.
        _ => settle::write_row(tx, claim.id, claim.worker, ended, Some(run_at))?,
    }
    if let Settlement::Parked { .. } = ended.settlement {
        // The claim has charged an attempt that never was.
        let uncharge = "UPDATE queue SET attempt = ?2 WHERE id = ?1";
        tx.prepare_cached(uncharge)?.execute(params![claim.id, claim.attempts_charged])?;
    }
    let mut tally = Tally::default();
    tally.add(&job, ended);
    tally.write(tx)?;
    Ok(Some(Verdict::Written))
}

/// Makes a running row ready again, or delayed when an application has put it off meanwhile.
fn put_back(tx: &Transaction<'_>, id: i64, attempt: u32, cause: Option<Cause>, now_ms: Millis) -> Result<()> {
    let look = "SELECT priority, coalesce(run_at, 0) FROM queue WHERE id = ?1";
    let (priority, run_at) = tx.prepare_cached(look)?.query_row([id], |r| Ok((r.get(0)?, r.get(1)?)))?;
    if run_at > now_ms {
        timer::make_delayed(tx, id, run_at)?;
    } else {
        timer::make_ready(tx, &super::plan(tx)?, id, priority)?;
    }
    let say = "UPDATE queue SET attempt = ?2, error = coalesce(?3, error), cause = coalesce(?4, cause) WHERE id = ?1";
    let (text, word) = (cause.as_ref().map(|c| c.text()), cause.as_ref().map(|c| c.word()));
    tx.prepare_cached(say)?.execute(params![id, attempt, text, word])?;
    Ok(())
}

pub(super) fn lost_claims(store: &mut Sqlite) -> Result<Vec<LostClaim>> {
    let claimants = "SELECT DISTINCT w.incarnation, w.worker FROM rowmill_claim c
                       JOIN rowmill_worker w ON w.incarnation = c.incarnation";
    let claimants = store
        .conn
        .prepare_cached(claimants)?
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(i64, u32)>>>()?;
    let mut lost = Vec::new();
    store.stubborn.hold_up = false;
    for (incarnation, worker) in claimants {
        let power_cut = match standing(store, incarnation)? {
            Standing::Alive if !world::broken("living recovered") => continue,
            Standing::Alive => false,
            Standing::Died => false,
            Standing::PowerCut => true,
        };
        // What does not let itself be killed holds up its own tasks, and nobody else's.
        if !store.stubborn.end(&store.run, incarnation)? {
            store.stubborn.hold_up = true;
            continue;
        }
        let claims = "SELECT c.id, q.job, q.codec, q.priority, q.attempt, q.max_attempts, c.claimed_at,
                             c.delivery, c.timeout_ms, c.interrupted
                        FROM rowmill_claim c LEFT JOIN queue q ON q.id = c.id WHERE c.incarnation = ?1";
        let mut query = store.conn.prepare_cached(claims)?;
        let mut rows = query.query([incarnation])?;
        while let Some(r) = rows.next()? {
            let id = r.get(0)?;
            let attempts_charged = r.get::<_, Option<u32>>(4)?.unwrap_or(1).saturating_sub(1);
            let task = Task {
                id,
                job: look::text_of(r, 1)?.unwrap_or_default(),
                param: Vec::new(),
                codec: crate::task::Codec::default(),
                priority: r.get::<_, Option<i64>>(3)?.unwrap_or(0),
                attempts_charged,
                max_attempts: r.get(5)?,
                careful: true,
            };
            let claim = Claim { id, incarnation, worker, attempts_charged };
            let ending = match (r.get(8)?, r.get::<_, Option<bool>>(9)?) {
                (Some(after_ms), _) => Ending::Failed(Cause::Timeout { after_ms }),
                (None, Some(true)) => Ending::Interrupted,
                _ if power_cut => Ending::PowerCut,
                _ => Ending::Failed(Cause::WorkerDied),
            };
            // A word that is not known is taken for the careful one.
            let delivery = Delivery::from_word(&r.get::<_, String>(7)?).unwrap_or(Delivery::AtMostOnce);
            lost.push(LostClaim { task, claim, started_at_ms: r.get(6)?, ending, delivery });
        }
    }
    Ok(lost)
}
