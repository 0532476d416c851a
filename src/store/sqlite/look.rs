//! Looking: what the reading verbs ask. Nothing here writes.

use super::Sqlite;
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::store::{Counts, Filter, Row, Store};
use crate::task::{Partition, Plan, Status};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

/// Walks over a clustered key by its first two columns, one key read for each pair.
pub(super) fn skip_scan(conn: &Connection, next: &str) -> Result<Vec<(i64, i64)>> {
    let mut query = conn.prepare_cached(next)?;
    let mut found: Vec<(i64, i64)> = Vec::new();
    let mut last = (-1, -1);
    loop {
        let mut rows = query.query(params![last.0, last.1])?;
        let Some(row) = rows.next()? else { return Ok(found) };
        last = (row.get(0)?, row.get(1)?);
        found.push(last);
    }
}

pub(super) fn waiting(store: &mut Sqlite) -> Result<Vec<Partition>> {
    let next = "SELECT generation, partition FROM rowmill_ready WHERE (generation, partition) > (?1, ?2)
                ORDER BY generation, partition LIMIT 1";
    let found = skip_scan(&store.conn, next)?;
    Ok(found
        .into_iter()
        .map(|(generation, index)| Partition { generation, index: u32::try_from(index).unwrap_or(0) })
        .collect())
}

pub(super) fn counts(store: &mut Sqlite) -> Result<Counts> {
    let mut query =
        store.conn.prepare_cached("SELECT job, status, count(*) FROM task GROUP BY job, status ORDER BY job")?;
    let mut rows = query.query([])?;
    let mut counts = Counts::default();
    while let Some(row) = rows.next()? {
        let job = String::from_utf8_lossy(row.get_ref(0)?.as_bytes().unwrap_or_default()).into_owned();
        let (status, count): (String, u64) = (row.get(1)?, row.get(2)?);
        // Two names that differ only in what is no text are one here.
        *counts.jobs.entry(job).or_default().entry(status_of(&status)?).or_default() += count;
    }
    Ok(counts)
}

pub(super) fn ready_count(store: &mut Sqlite) -> Result<u64> {
    Ok(store.conn.prepare_cached("SELECT count(*) FROM rowmill_ready")?.query_row([], |r| r.get(0))?)
}

/// Ids rise with time, so the lowest one that is ready is the oldest; every key of the order is looked at.
pub(super) fn oldest_ready(store: &mut Sqlite) -> Result<Option<Millis>> {
    let oldest = "SELECT max(coalesce(run_at, 0), created_at) FROM queue
                   WHERE id = (SELECT min(id) FROM rowmill_ready)";
    let mut query = store.conn.prepare_cached(oldest)?;
    let mut rows = query.query([])?;
    Ok(rows.next()?.map(|r| r.get(0)).transpose()?)
}

pub(super) fn casualties(store: &mut Sqlite, since_ms: Millis) -> Result<(u64, u64)> {
    let dead = "SELECT count(*) FROM queue WHERE status = 'dead' AND finished_at >= ?1";
    let dead = store.conn.prepare_cached(dead)?.query_row([since_ms], |r| r.get(0))?;
    let parked = "SELECT count(*) FROM queue WHERE status = 'parked'";
    let parked = store.conn.prepare_cached(parked)?.query_row([], |r| r.get(0))?;
    Ok((dead, parked))
}

const COLUMNS: &str = "id, job, param, codec, priority, status, attempt, max_attempts, run_at, unique_key, created_at,
                       started_at, finished_at, worker, result, error, cause, parent";

pub(super) fn task(store: &mut Sqlite, id: i64) -> Result<Option<Row>> {
    let plan = store.plan()?;
    let mut query = store.conn.prepare_cached(&format!("SELECT {COLUMNS} FROM task WHERE id = ?1"))?;
    let mut rows = query.query([id])?;
    rows.next()?.map(|r| read_row(r, &plan)).transpose()
}

pub(super) fn tasks(store: &mut Sqlite, filter: &Filter) -> Result<Vec<Row>> {
    let plan = store.plan()?;
    let list = format!(
        "SELECT {COLUMNS} FROM task
          WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR job = ?2) AND (?3 IS NULL OR created_at >= ?3)
          ORDER BY id DESC LIMIT ?4"
    );
    let mut query = store.conn.prepare_cached(&list)?;
    let status = filter.status.map(Status::word);
    let mut rows = query.query(params![status, filter.job, filter.since_ms, filter.limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read_row(row, &plan)?);
    }
    Ok(found)
}

/// A text that an application wrote: it may be no UTF-8, and still stops nobody.
pub(super) fn text_of(r: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    let bytes = r.get_ref(column)?.as_bytes_or_null().ok().flatten();
    Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
}

pub(super) fn status_of(word: &str) -> Result<Status> {
    Status::from_word(word)
        .ok_or_else(|| Error::failed(format!("a task has the status `{word}`, which its CHECK forbids")))
}

fn read_row(r: &rusqlite::Row<'_>, plan: &Plan) -> Result<Row> {
    let id = r.get(0)?;
    let bytes = |column: usize| -> Result<Option<Vec<u8>>> {
        Ok(match r.get_ref(column)? {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec()),
            _ => None,
        })
    };
    // Applications write what they like into text: a row in another encoding must not hide the others.
    let text = |column: usize| -> Result<Option<String>> {
        Ok(bytes(column)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    Ok(Row {
        id,
        job: text(1)?.unwrap_or_default(),
        param: bytes(2)?.unwrap_or_default(),
        codec: r.get(3)?,
        priority: r.get(4)?,
        status: status_of(&r.get::<_, String>(5)?)?,
        attempt: r.get(6)?,
        max_attempts: r.get(7)?,
        run_at: r.get(8)?,
        unique_key: text(9)?,
        created_at: r.get(10)?,
        started_at: r.get(11)?,
        finished_at: r.get(12)?,
        worker: r.get(13)?,
        result: bytes(14)?,
        error: text(15)?,
        cause: text(16)?,
        parent: r.get(17)?,
        partition: plan.partition_of(id),
    })
}
