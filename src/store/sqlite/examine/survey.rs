//! One more walk over all tasks, which counts: what became final by day, job and status, and what waits by job.
//!
//! Every task is met once, at one instant. The history only grows and is read afterwards, so that it is not below what was met
//! here although both are not read at the same instant.

use super::walk::{Bounds, Place, Walk, bind};
use crate::error::Result;
use crate::store::{Backlog, Example, Found, Queued, Step};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::BTreeMap;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;
/// So many days, jobs and statuses together are counted. More are left out, so that memory is bounded.
const GROUPS: usize = 20_000;
/// So many names of jobs are kept of those that wait.
const NAMES: usize = 1_000;
/// So many tasks are named that wait longest.
const LONGEST: usize = 5;

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) waiting: Backlog,
    /// Final tasks by day, job (its bytes, whatever they are) and status.
    finals: BTreeMap<(i64, Vec<u8>, String), i64>,
    /// Whether some were left out.
    full: bool,
}

/// Counts all tasks.
pub(super) fn take(conn: &Connection, of: Option<u64>, step: &mut dyn FnMut(Step)) -> Result<Survey> {
    let mut survey = Survey::default();
    let mut place = Place::before(Walk::Queue);
    loop {
        let more = place.turn(conn, &mut |bounds| survey.look(conn, bounds))?;
        step(Step { part: "counts", done: place.id(), of });
        if !more {
            return Ok(survey);
        }
    }
}

impl Survey {
    fn look(&mut self, conn: &Connection, bounds: &Bounds) -> Result<()> {
        let all = "SELECT id, status, job, finished_at, max(coalesce(run_at, 0), created_at) FROM task
                    WHERE id > :k0 AND id <= :u0";
        let mut query = conn.prepare_cached(all)?;
        let mut rows = bind(&mut query, bounds)?;
        while let Some(row) = rows.next()? {
            self.meet(row)?;
        }
        Ok(())
    }

    fn meet(&mut self, row: &Row<'_>) -> Result<()> {
        let status = row.get_ref(1)?.as_bytes().unwrap_or_default();
        // One whose columns are not what they must be breaks another law.
        let job = row.get_ref(2)?.as_bytes().unwrap_or_default();
        match status {
            b"done" | b"dead" | b"cancelled" => {
                let Some(finished_at) = row.get_ref(3)?.as_i64().ok() else { return Ok(()) };
                let status = String::from_utf8_lossy(status).into_owned();
                let group = (finished_at.div_euclid(DAY_MS), job.to_vec(), status);
                if self.finals.len() < GROUPS || self.finals.contains_key(&group) {
                    *self.finals.entry(group).or_default() += 1;
                } else {
                    self.full = true;
                }
            }
            b"ready" | b"delayed" | b"parked" => {
                let name = String::from_utf8_lossy(job).into_owned();
                if self.waiting.jobs.len() < NAMES || self.waiting.jobs.contains_key(&name) {
                    let queued: &mut Queued = self.waiting.jobs.entry(name).or_default();
                    match status {
                        b"ready" => queued.ready += 1,
                        b"delayed" => queued.delayed += 1,
                        _ => queued.parked += 1,
                    }
                }
                if status == b"ready" && self.waiting.longest.len() < LONGEST {
                    self.waiting.longest.push((row.get(0)?, row.get_ref(4)?.as_i64().unwrap_or(0)));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Where the history is below what was counted.
pub(super) fn compare(conn: &Connection, survey: &Survey, found: &mut Found) -> Result<()> {
    // Names are compared by their bytes: not all that applications write is UTF-8.
    let counted = "SELECT count FROM rowmill_history WHERE day = ?1 AND job = CAST(?2 AS TEXT) AND status = ?3";
    let mut counted = conn.prepare_cached(counted)?;
    for ((day, job, status), there) in &survey.finals {
        let count: Option<i64> = counted.query_row(params![day, job, status], |r| r.get(0)).optional()?;
        let count = count.unwrap_or(0);
        if count < *there {
            let date =
                conn.query_row("SELECT date(?1 * 86400, 'unixepoch')", [day], |r| r.get::<_, Option<String>>(0))?;
            let (date, job) = (date.unwrap_or_else(|| format!("day {day}")), String::from_utf8_lossy(job));
            found.add(Example::Text(format!("{date} {job} {status}: {there} are there, {count} counted")));
        }
    }
    if survey.full {
        found.left_out = Some(format!("more than the first {GROUPS} days, jobs and statuses together"));
    }
    Ok(())
}
