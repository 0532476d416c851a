//! Claims: tasks that run long, or carefully, written as running by one worker process.
//!
//! From the claim on, the claim itself is the proof, and the partition can go to somebody else. A settlement of a claimed
//! task first takes the claim away; whoever finds it gone has lost. So a worker that was taken for dead settles nothing.

use super::badge::{Standing, standing};
use super::history::Tally;
use super::settle::{self, Row};
use super::{Sqlite, body, look};
use crate::error::Result;
use crate::store::{Badge, Claim, Claiming, Ended, Hold, LostClaim, Verdict};
use crate::task::{Right, Settlement, Task};
use rusqlite::{OptionalExtension, Transaction, params};

pub(super) fn claim(
    store: &mut Sqlite,
    hold: &Hold,
    badge: &Badge,
    right: &Right,
    attempts_charged: u32,
    started_at: i64,
) -> Result<Claiming> {
    store.write(|tx| {
        if !settle::is_held(tx, hold)? {
            return Ok(Claiming::Lost);
        }
        let new = "INSERT INTO rowmill_claim (id, incarnation, claimed_at) VALUES (?1, ?2, ?3)";
        tx.prepare_cached(new)?.execute(params![right.id, badge.incarnation, started_at])?;
        // A row that was cancelled or deleted meanwhile stays so; its claim only fences the settlement that will say it.
        if let Row::Here { .. } = settle::take_key(tx, right)? {
            let run = "UPDATE queue SET status = 'running', attempt = ?2, started_at = ?3, worker = ?4, error = NULL,
                         cause = NULL WHERE id = ?1";
            let values = params![right.id, attempts_charged.saturating_add(1), started_at, badge.index];
            tx.prepare_cached(run)?.execute(values)?;
        }
        Ok(Claiming::Claimed(Claim {
            id: right.id,
            incarnation: badge.incarnation,
            worker: badge.index,
            attempts_charged,
        }))
    })
}

pub(super) fn settle_claim(store: &mut Sqlite, claim: &Claim, ended: &Ended) -> Result<Option<Verdict>> {
    store.write(|tx| {
        let take = "DELETE FROM rowmill_claim WHERE id = ?1 AND incarnation = ?2";
        if tx.prepare_cached(take)?.execute(params![claim.id, claim.incarnation])? == 0 {
            return Ok(None);
        }
        let row: Option<(String, String)> = tx
            .prepare_cached("SELECT status, job FROM queue WHERE id = ?1")?
            .query_row([claim.id], |r| Ok((r.get(0)?, look::text_of(r, 1)?.unwrap_or_default())))
            .optional()?;
        let job = match row {
            Some((status, job)) if status == "running" => job,
            Some((status, _)) if status == "cancelled" => return Ok(Some(Verdict::Cancelled)),
            _ => return Ok(Some(Verdict::Gone)),
        };
        match ended.settlement {
            Settlement::Untouched => put_back(tx, claim.id, claim.attempts_charged, None)?,
            Settlement::Suspect { attempt } => put_back(tx, claim.id, attempt, Some(crate::task::Cause::WorkerDied))?,
            _ => settle::write_row(tx, claim.id, claim.worker, ended, None)?,
        }
        let mut tally = Tally::default();
        tally.add(&job, ended);
        tally.write(tx)?;
        Ok(Some(Verdict::Written))
    })
}

/// Makes a running row ready again.
fn put_back(tx: &Transaction<'_>, id: i64, attempt: u32, cause: Option<crate::task::Cause>) -> Result<()> {
    let priority = tx.prepare_cached("SELECT priority FROM queue WHERE id = ?1")?.query_row([id], |r| r.get(0))?;
    super::timer::make_ready(tx, &super::plan(tx)?, id, priority)?;
    let say = "UPDATE queue SET attempt = ?2, error = ?3, cause = ?4 WHERE id = ?1";
    let (text, word) = (cause.as_ref().map(|c| c.text()), cause.as_ref().map(|c| c.word()));
    tx.prepare_cached(say)?.execute(params![id, attempt, text, word])?;
    Ok(())
}

pub(super) fn lost_claims(store: &mut Sqlite) -> Result<Vec<LostClaim>> {
    let claimants = "SELECT DISTINCT w.incarnation, w.worker, w.boot FROM rowmill_claim c
                       JOIN rowmill_worker w ON w.incarnation = c.incarnation";
    let claimants = store
        .conn
        .prepare_cached(claimants)?
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
        .collect::<rusqlite::Result<Vec<(i64, u32, String)>>>()?;
    let mut lost = Vec::new();
    for (incarnation, worker, boot) in claimants {
        let power_cut = match standing(store, incarnation, worker, &boot)? {
            Standing::Alive => continue,
            Standing::Died => false,
            Standing::PowerCut => true,
        };
        body::end(&store.run, incarnation)?;
        let claims = "SELECT c.id, q.job, q.codec, q.priority, q.attempt, q.max_attempts, c.claimed_at
                        FROM rowmill_claim c LEFT JOIN queue q ON q.id = c.id WHERE c.incarnation = ?1";
        let mut query = store.conn.prepare_cached(claims)?;
        let mut rows = query.query([incarnation])?;
        while let Some(r) = rows.next()? {
            let id = r.get(0)?;
            let attempts_charged = r.get::<_, Option<u32>>(4)?.unwrap_or(1).saturating_sub(1);
            let task = Task {
                id,
                job: r.get::<_, Option<String>>(1)?.unwrap_or_default(),
                param: Vec::new(),
                codec: crate::task::Codec::default(),
                priority: r.get::<_, Option<i64>>(3)?.unwrap_or(0),
                attempts_charged,
                max_attempts: r.get(5)?,
                careful: true,
            };
            let claim = Claim { id, incarnation, worker, attempts_charged };
            lost.push(LostClaim { task, claim, started_at_ms: r.get(6)?, power_cut });
        }
    }
    Ok(lost)
}
