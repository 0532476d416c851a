//! Listing tasks, newest first, with as few reads as the filter allows.
//!
//! Ids rise with time, so the newest task has the highest id. There is an index of the few statuses that people look for,
//! and keys of what waits; done ones are found by reading the table from its end. How many there are to be found is known
//! from the counts, so that nobody looks for what is not there.

use super::look::{COLUMNS, read_row};
use super::{Sqlite, count};
use crate::clock::Millis;
use crate::error::Result;
use crate::store::{Counts, Filter, Row, Store};
use crate::task::Status;
use rusqlite::{Connection, OptionalExtension, params};

/// So many keys are read and sorted; more are not.
const KEYS: u64 = 100_000;
/// Clocks of applications may be that far behind.
const SLACK_MS: Millis = 3_600_000;

pub(super) fn tasks(store: &mut Sqlite, filter: &Filter) -> Result<Vec<Row>> {
    let counts = count::counts(&store.conn)?;
    let limit = u64::from(filter.limit).min(matching(&counts, filter));
    if limit == 0 {
        return Ok(Vec::new());
    }
    let lowest = filter.since_ms.map_or(Ok(0), |since_ms| lowest_since(&store.conn, since_ms))?;
    match filter.status {
        Some(status @ (Status::Running | Status::Parked | Status::Dead | Status::Cancelled)) => {
            let ids = by_index(&store.conn, status, filter, limit, lowest)?;
            by_ids(store, &ids, filter, limit)
        }
        Some(status @ (Status::Ready | Status::Delayed)) if counts.total(status) <= KEYS => {
            let ids = by_keys(&store.conn, status, lowest)?;
            by_ids(store, &ids, filter, limit)
        }
        _ => by_table(store, filter, limit, lowest),
    }
}

/// How many tasks there are in this status and of this job, however old.
fn matching(counts: &Counts, filter: &Filter) -> u64 {
    let jobs = counts.jobs.iter().filter(|(job, _)| filter.job.as_ref().is_none_or(|only| only == *job));
    let of = jobs.flat_map(|(_, of)| of.iter().filter(|(status, _)| filter.status.is_none_or(|only| only == **status)));
    of.map(|(_, count)| count).sum()
}

/// An id below which every row was inserted before `since_ms`: found by halving, since times rise with the ids, but for
/// clocks that were set.
fn lowest_since(conn: &Connection, since_ms: Millis) -> Result<i64> {
    let next = "SELECT id, created_at FROM queue WHERE id >= ?1 ORDER BY id LIMIT 1";
    let mut query = conn.prepare_cached(next)?;
    let newest = conn.prepare_cached("SELECT coalesce(max(id), 0) FROM queue")?.query_row([], |r| r.get(0))?;
    let (mut low, mut high): (i64, i64) = (0, newest);
    while low < high {
        let middle = low + (high - low) / 2;
        match query.query_row([middle], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, i64>(1)?))).optional()? {
            Some((id, created_at)) if created_at < since_ms.saturating_sub(SLACK_MS) => low = id + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// The newest ids by the index of exceptions, which has them in order for each job: the names of the jobs are found by one
/// look each, and some ids of each are read. A literal status leads to that index.
fn by_index(conn: &Connection, status: Status, filter: &Filter, limit: u64, lowest: i64) -> Result<Vec<i64>> {
    let word = status.word();
    let list = format!(
        "WITH RECURSIVE jobs (job) AS (
           SELECT coalesce(?2, (SELECT min(job) FROM queue WHERE status = '{word}'))
           UNION ALL
           SELECT (SELECT min(q.job) FROM queue q WHERE q.status = '{word}' AND q.job > jobs.job) FROM jobs
            WHERE ?2 IS NULL AND jobs.job IS NOT NULL)
         SELECT q.id FROM jobs CROSS JOIN queue q
          WHERE q.id IN (SELECT x.id FROM queue x
                          WHERE x.status = '{word}' AND x.job = jobs.job AND x.id >= ?4
                            AND (?1 IS NULL OR x.created_at >= ?1)
                          ORDER BY x.id DESC LIMIT ?3)
          ORDER BY q.id DESC LIMIT ?3"
    );
    let mut query = conn.prepare_cached(&list)?;
    let rows = query.query_map(params![filter.since_ms, filter.job, limit.cast_signed(), lowest], |r| r.get(0))?;
    Ok(rows.collect::<rusqlite::Result<Vec<i64>>>()?)
}

fn by_keys(conn: &Connection, status: Status, lowest: i64) -> Result<Vec<i64>> {
    let table = if status == Status::Ready { "rowmill_ready" } else { "rowmill_delayed" };
    let list = format!("SELECT id FROM {table} WHERE id >= ?1 ORDER BY id DESC");
    let mut query = conn.prepare_cached(&list)?;
    let rows = query.query_map([lowest], |r| r.get(0))?;
    Ok(rows.collect::<rusqlite::Result<Vec<i64>>>()?)
}

/// The first of these tasks that match, as they now stand.
fn by_ids(store: &mut Sqlite, ids: &[i64], filter: &Filter, limit: u64) -> Result<Vec<Row>> {
    let plan = store.plan()?;
    let one = format!(
        "SELECT {COLUMNS} FROM task
          WHERE id = ?5 AND (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR job = ?2) AND (?3 IS NULL OR created_at >= ?3)
          LIMIT ?4"
    );
    let mut query = store.conn.prepare_cached(&one)?;
    let mut found = Vec::new();
    for id in ids {
        let mut rows = query.query(params![filter.status.map(Status::word), filter.job, filter.since_ms, 1, id])?;
        if let Some(row) = rows.next()? {
            found.push(read_row(row, &plan)?);
        }
        if found.len() as u64 >= limit {
            break;
        }
    }
    Ok(found)
}

/// Reads the table from its end, until enough is found.
fn by_table(store: &mut Sqlite, filter: &Filter, limit: u64, lowest: i64) -> Result<Vec<Row>> {
    let plan = store.plan()?;
    let list = format!(
        "SELECT {COLUMNS} FROM task
          WHERE id >= ?5 AND (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR job = ?2)
            AND (?3 IS NULL OR created_at >= ?3)
          ORDER BY id DESC LIMIT ?4"
    );
    let mut query = store.conn.prepare_cached(&list)?;
    let status = filter.status.map(Status::word);
    let mut rows = query.query(params![status, filter.job, filter.since_ms, limit.cast_signed(), lowest])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read_row(row, &plan)?);
    }
    Ok(found)
}
