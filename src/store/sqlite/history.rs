//! Counts per day, job and final status, kept as they change, so that nobody who shows them scans.
//!
//! A transaction that makes tasks final counts them first, and writes one row for each day, job and status among them.
//! Cancellations are counted by the trigger that sees every one of them.

use super::look;
use crate::error::Result;
use crate::store::{DayCount, Ended};
use crate::task::{Settlement, Status};
use rusqlite::{Connection, Transaction, params};

/// Milliseconds of a day. UTC days have no other length in these clocks.
const DAY_MS: i64 = 86_400_000;

/// What one transaction has made final so far.
#[derive(Debug, Default)]
pub(super) struct Tally<'a>(Vec<(i64, &'a str, Status, i64)>);

impl<'a> Tally<'a> {
    /// Counts a task if its settlement is final.
    pub(super) fn add(&mut self, job: &'a str, ended: &Ended) {
        let status = match ended.settlement {
            Settlement::Done { .. } => Status::Done,
            Settlement::Dead { .. } => Status::Dead,
            _ => return,
        };
        let day = ended.finished_at_ms.div_euclid(DAY_MS);
        match self.0.iter_mut().find(|(d, j, s, _)| (*d, *j, *s) == (day, job, status)) {
            Some((.., count)) => *count += 1,
            None => self.0.push((day, job, status, 1)),
        }
    }

    /// Writes the counts.
    pub(super) fn write(self, tx: &Transaction<'_>) -> Result<()> {
        let add = "INSERT INTO rowmill_history (day, job, status, count) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT DO UPDATE SET count = count + ?4";
        for (day, job, status, count) in self.0 {
            tx.prepare_cached(add)?.execute(params![day, job, status.word(), count])?;
        }
        Ok(())
    }
}

pub(super) fn since(conn: &Connection, from_day: i64) -> Result<Vec<DayCount>> {
    let all = "SELECT day, job, status, count FROM rowmill_history WHERE day >= ?1 ORDER BY day, job, status";
    let mut query = conn.prepare_cached(all)?;
    let mut rows = query.query([from_day])?;
    let mut found = Vec::new();
    while let Some(r) = rows.next()? {
        let status = look::status_of(&r.get::<_, String>(2)?)?;
        let job = look::text_of(r, 1)?.unwrap_or_default();
        found.push(DayCount { day: r.get(0)?, job, status, count: r.get(3)? });
    }
    Ok(found)
}
