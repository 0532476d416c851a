//! Paused jobs: their tasks are parked by whoever fetches them, and released in bounded steps.
//!
//! The transaction that parks looks again whether the job is still paused. So a task is parked either before the pause is
//! taken back, and then the release finds it, or not at all.

use super::{Sqlite, plan, settle, timer};
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::store::{Ended, Hold, Order, Released};
use crate::task::{Right, Settlement};
use rusqlite::{Connection, OptionalExtension, params};

pub(super) fn pause(store: &mut Sqlite, job: &str, by_whom: &str, now_ms: Millis) -> Result<Order> {
    if !(1..=200).contains(&job.chars().count()) {
        return Err(Error::usage("the name of a job has 1 to 200 characters"));
    }
    store.write(|tx| {
        let order = "INSERT INTO rowmill_pause (job, since, by_whom) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        tx.execute(order, params![job, now_ms, by_whom])?;
        one(tx, job)?.ok_or_else(|| Error::failed("the pause was not written"))
    })
}

pub(super) fn resume(store: &mut Sqlite, job: &str) -> Result<Option<Order>> {
    store.write(|tx| {
        let order = one(tx, job)?;
        tx.execute("DELETE FROM rowmill_pause WHERE job = ?1", [job])?;
        Ok(order)
    })
}

fn one(conn: &Connection, job: &str) -> Result<Option<Order>> {
    let mut query = conn.prepare_cached("SELECT since, by_whom FROM rowmill_pause WHERE job = ?1")?;
    Ok(query.query_row([job], |r| Ok(Order { since: r.get(0)?, by_whom: r.get(1)? })).optional()?)
}

pub(super) fn all(conn: &Connection) -> Result<Vec<(String, Order)>> {
    let mut query = conn.prepare_cached("SELECT job, since, by_whom FROM rowmill_pause ORDER BY job")?;
    let rows = query.query_map([], |r| Ok((r.get(0)?, Order { since: r.get(1)?, by_whom: r.get(2)? })))?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
}

/// The names of the paused jobs.
pub(super) fn jobs(conn: &Connection) -> Result<Vec<String>> {
    let mut query = conn.prepare_cached("SELECT job FROM rowmill_pause")?;
    let rows = query.query_map([], |r| r.get(0))?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
}

pub(super) fn park(store: &mut Sqlite, hold: &Hold, rights: &[Right]) -> Result<Option<usize>> {
    store.write(|tx| {
        if !settle::is_held(tx, hold)? {
            return Ok(None);
        }
        let mut parked = 0;
        for right in rights {
            let still = "SELECT q.job FROM queue q JOIN rowmill_pause p ON p.job = q.job WHERE q.id = ?1";
            let job: Option<String> = tx.prepare_cached(still)?.query_row([right.id], |r| r.get(0)).optional()?;
            let Some(job) = job else { continue };
            // A key that an application has moved is fetched again as it stands then.
            if settle::leave_order(tx, right, right.priority)? {
                let reason = format!("the job `{job}` is paused; `rowmill resume` makes the row ready again");
                let settlement = Settlement::Parked { cause: "paused", reason };
                let ended = Ended { settlement, started_at_ms: 0, finished_at_ms: 0, company: None };
                settle::write_row(tx, right.id, hold.worker, &ended, None)?;
                parked += 1;
            }
        }
        Ok(Some(parked))
    })
}

pub(super) fn release(store: &mut Sqlite, job: &str, after: i64, limit: usize) -> Result<Released> {
    store.write(|tx| {
        let plan = plan(tx)?;
        let next =
            "SELECT id, priority FROM queue WHERE status = 'parked' AND job = ?1 AND id > ?2 AND cause = 'paused'
                     ORDER BY id LIMIT ?3";
        let rows = tx
            .prepare_cached(next)?
            .query_map(params![job, after, limit as i64], |r| Ok((r.get(0)?, r.get(1)?)))?
            .collect::<rusqlite::Result<Vec<(i64, i64)>>>()?;
        let mut released = Released { count: rows.len(), last_id: after, partitions: Vec::new() };
        for (id, priority) in rows {
            timer::make_ready(tx, &plan, id, priority)?;
            tx.prepare_cached("UPDATE queue SET error = NULL, cause = NULL WHERE id = ?1")?.execute([id])?;
            released.last_id = id;
            let partition = plan.partition_of(id);
            if !released.partitions.contains(&partition) {
                released.partitions.push(partition);
            }
        }
        Ok(released)
    })
}
