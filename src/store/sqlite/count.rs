//! Tasks by job and status, without a scan: counts that every transition keeps, of the rows up to an id.
//!
//! The triggers count what changes in `queue`; settlement counts what it makes done beside it, once for each job of a
//! batch. Inserts count nothing, because that would cost each of them as much as one more index: rows that came since are
//! counted in bulk by whoever folds, and until then by whoever asks.

use super::{Sqlite, look};
use crate::error::Result;
use crate::store::Counts;
use crate::task::Status;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::BTreeMap;

/// The columns of a count after its job: the words of [`Status::ALL`].
const COLUMNS: &str = "ready, delayed, running, parked, done, dead, cancelled";

/// What the tasks of a range of ids add to each column.
const SUMS: &str = "sum(status = 'ready'), sum(status = 'delayed'), sum(status = 'running'), sum(status = 'parked'),
                    sum(status = 'done'), sum(status = 'dead'), sum(status = 'cancelled')";

/// What is counted on the way of something else is no more than these rows.
const FEW: i64 = 5_000;

/// One statement, so that what is counted already and what is not are of the same instant.
pub(super) fn counts(conn: &Connection) -> Result<Counts> {
    let all = format!(
        "SELECT job, {COLUMNS} FROM rowmill_count
         UNION ALL SELECT job, {SUMS} FROM task WHERE id > (SELECT up_to FROM rowmill_counted) GROUP BY job"
    );
    let mut query = conn.prepare_cached(&all)?;
    let mut rows = query.query([])?;
    let mut counts = Counts::default();
    while let Some(row) = rows.next()? {
        let job = look::text_of(row, 0)?.unwrap_or_default();
        for (column, status) in Status::ALL.iter().enumerate() {
            // Two names that differ only in what is no text are one here.
            let count = u64::try_from(row.get::<_, i64>(column + 1)?).unwrap_or(0);
            if count > 0 {
                *counts.jobs.entry(job.clone()).or_default().entry(*status).or_default() += count;
            }
        }
    }
    Ok(counts)
}

pub(super) fn count(store: &mut Sqlite, limit: usize) -> Result<usize> {
    if behind(&store.conn)? < limit.max(1) as i64 {
        return Ok(0);
    }
    store.write(|tx| step(tx, limit))
}

/// Counts the next rows in a transaction of the caller's: as they stand in `queue`, and then those of them that are done beside
/// it. (The view `task` says both, at twice the price.)
fn step(tx: &Transaction<'_>, limit: usize) -> Result<usize> {
    let up_to = up_to(tx)?;
    let next = "SELECT count(*), max(id) FROM (SELECT id FROM queue WHERE id > ?1 ORDER BY id LIMIT ?2)";
    let (rows, last): (usize, Option<i64>) =
        tx.prepare_cached(next)?.query_row(params![up_to, limit as i64], |r| Ok((r.get(0)?, r.get(1)?)))?;
    let Some(last) = last else { return Ok(0) };
    let add = format!(
        "INSERT INTO rowmill_count (job, {COLUMNS})
           SELECT job, sum(n * (status = 'ready')), sum(n * (status = 'delayed')), sum(n * (status = 'running')),
                  sum(n * (status = 'parked')), sum(n * (status = 'done')), sum(n * (status = 'dead')),
                  sum(n * (status = 'cancelled'))
             FROM (SELECT job, status, count(*) AS n FROM queue WHERE id > ?1 AND id <= ?2 GROUP BY job, status)
            GROUP BY job
         ON CONFLICT DO UPDATE SET ready = ready + excluded.ready, delayed = delayed + excluded.delayed,
           running = running + excluded.running, parked = parked + excluded.parked, done = done + excluded.done,
           dead = dead + excluded.dead, cancelled = cancelled + excluded.cancelled"
    );
    tx.prepare_cached(&add)?.execute([up_to, last])?;
    let fresh = "UPDATE rowmill_count SET ready = ready - fresh.n, done = done + fresh.n
                   FROM (SELECT q.job, count(*) AS n FROM rowmill_settled s JOIN queue q ON q.id = s.id
                          WHERE s.generation = ?1 AND s.partition = ?2 AND s.id > ?3 AND s.id <= ?4 GROUP BY q.job) AS fresh
                  WHERE rowmill_count.job = fresh.job";
    let mut fresh = tx.prepare_cached(fresh)?;
    for (generation, partition) in look::partitions(tx, "rowmill_settled")? {
        fresh.execute([generation, partition, up_to, last])?;
    }
    note(tx, last)?;
    Ok(rows)
}

/// Whether every row is counted now: few rows that are not are counted here, in a transaction of the caller's.
pub(super) fn catch_up(tx: &Transaction<'_>) -> Result<bool> {
    match behind(tx)? {
        0 => Ok(true),
        few if few <= FEW => step(tx, FEW as usize).map(|_| true),
        _ => Ok(false),
    }
}

/// How many ids were given to rows that are not counted.
fn behind(conn: &Connection) -> Result<i64> {
    let newest = "SELECT id FROM queue ORDER BY id DESC LIMIT 1";
    let newest: Option<i64> = conn.prepare_cached(newest)?.query_row([], |r| r.get(0)).optional()?;
    Ok((newest.unwrap_or(0) - up_to(conn)?).max(0))
}

fn up_to(conn: &Connection) -> Result<i64> {
    Ok(conn.prepare_cached("SELECT up_to FROM rowmill_counted")?.query_row([], |r| r.get(0))?)
}

fn note(tx: &Transaction<'_>, last: i64) -> Result<()> {
    tx.prepare_cached("UPDATE rowmill_counted SET up_to = ?1")?.execute([last])?;
    Ok(())
}

/// What a transaction has inserted so far, of each job: ready ones, and delayed ones.
#[derive(Debug, Default)]
pub(super) struct Inserted<'a> {
    jobs: BTreeMap<&'a str, (i64, i64)>,
    last: i64,
}

impl<'a> Inserted<'a> {
    /// Counts a row.
    pub(super) fn add(&mut self, id: i64, job: &'a str, delayed: bool) {
        let (ready, later) = self.jobs.entry(job).or_default();
        *if delayed { later } else { ready } += 1;
        self.last = self.last.max(id);
    }

    /// Writes the counts. Only where every row before these is counted.
    pub(super) fn write(self, tx: &Transaction<'_>) -> Result<()> {
        let add = format!(
            "INSERT INTO rowmill_count (job, {COLUMNS}) VALUES (?1, ?2, ?3, 0, 0, 0, 0, 0)
             ON CONFLICT DO UPDATE SET ready = ready + ?2, delayed = delayed + ?3"
        );
        for (job, (ready, delayed)) in &self.jobs {
            tx.prepare_cached(&add)?.execute(params![job, ready, delayed])?;
        }
        if self.last > 0 { note(tx, self.last) } else { Ok(()) }
    }
}

/// What a transaction has made done beside the rows, which still say `ready`: how many tasks of each job.
#[derive(Debug)]
pub(super) struct Fresh<'a> {
    jobs: Vec<(&'a str, i64)>,
    up_to: i64,
}

impl<'a> Fresh<'a> {
    pub(super) fn begin(tx: &Transaction<'_>) -> Result<Fresh<'a>> {
        Ok(Fresh { jobs: Vec::new(), up_to: up_to(tx)? })
    }

    /// Counts a task. Of one that is not counted yet, the outcome will be seen when it is.
    pub(super) fn add(&mut self, id: i64, job: &'a str) {
        if id > self.up_to {
            return;
        }
        match self.jobs.iter_mut().find(|(name, _)| *name == job) {
            Some((_, count)) => *count += 1,
            None => self.jobs.push((job, 1)),
        }
    }

    /// Writes the counts.
    pub(super) fn write(self, tx: &Transaction<'_>) -> Result<()> {
        let done = "UPDATE rowmill_count SET ready = ready - ?2, done = done + ?2 WHERE job = ?1";
        for (job, count) in self.jobs {
            tx.prepare_cached(done)?.execute(params![job, count])?;
        }
        Ok(())
    }
}

/// Forgets the names of jobs that have no task any more.
pub(super) fn forget(tx: &Transaction<'_>) -> Result<()> {
    let none = "DELETE FROM rowmill_count WHERE (ready, delayed, running, parked, done, dead, cancelled)
                  = (0, 0, 0, 0, 0, 0, 0)";
    tx.prepare_cached(none)?.execute([])?;
    Ok(())
}
