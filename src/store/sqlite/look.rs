//! Looking: what the reading verbs ask. Nothing here writes.

use super::Sqlite;
use crate::error::{Error, Result};
use crate::store::{Row, Store, Waiting};
use crate::task::{Partition, Plan, Status};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};

/// Keys that are looked at for the oldest task.
const LOOKS: usize = 5_000;

/// The partitions of a table that is clustered by them, one key read for each. (A comparison of both columns at once reads
/// on from the first key of the last partition: SQLite seeks by such a pair, but not beyond it.)
pub(super) fn partitions(conn: &Connection, table: &str) -> Result<Vec<(i64, i64)>> {
    let same =
        format!("SELECT partition FROM {table} WHERE generation = ?1 AND partition > ?2 ORDER BY partition LIMIT 1");
    let later = format!("SELECT generation FROM {table} WHERE generation > ?1 ORDER BY generation LIMIT 1");
    let (mut same, mut later) = (conn.prepare_cached(&same)?, conn.prepare_cached(&later)?);
    let mut found: Vec<(i64, i64)> = Vec::new();
    let (mut generation, mut partition) = (-1, -1);
    loop {
        if let Some(next) = same.query_row([generation, partition], |r| r.get(0)).optional()? {
            partition = next;
            found.push((generation, partition));
        } else if let Some(next) = later.query_row([generation], |r| r.get(0)).optional()? {
            (generation, partition) = (next, -1);
        } else {
            return Ok(found);
        }
    }
}

pub(super) fn waiting(store: &mut Sqlite) -> Result<Vec<Partition>> {
    let found = partitions(&store.conn, "rowmill_ready")?;
    Ok(found
        .into_iter()
        .map(|(generation, index)| Partition { generation, index: u32::try_from(index).unwrap_or(0) })
        .collect())
}

/// Ids rise with time, so the lowest one that is ready is the oldest. The lowest one of each priority in each partition is
/// one key read, so that a backlog costs nothing; priorities of which every task has its own would.
pub(super) fn oldest_ready(store: &mut Sqlite) -> Result<Option<Waiting>> {
    let next = "SELECT priority, id FROM rowmill_ready WHERE generation = ?1 AND partition = ?2 AND priority < ?3
                 ORDER BY priority DESC, id LIMIT 1";
    let partitions = waiting(store)?;
    let mut query = store.conn.prepare_cached(next)?;
    let (mut lowest, mut looks): (Option<i64>, usize) = (None, 0);
    for p in &partitions {
        let mut above = i64::MAX;
        while looks < LOOKS {
            looks += 1;
            let place = params![p.generation, p.index, above];
            let Some((priority, id)) = query.query_row(place, |r| Ok((r.get(0)?, r.get(1)?))).optional()? else {
                break;
            };
            above = priority;
            lowest = Some(lowest.map_or(id, |other| other.min(id)));
        }
    }
    let since = "SELECT max(coalesce(run_at, 0), created_at) FROM queue WHERE id = ?1";
    let mut query = store.conn.prepare_cached(since)?;
    let since_ms = query.query_row([lowest], |r| r.get(0)).optional()?;
    Ok(since_ms.map(|since_ms| Waiting { since_ms, at_least: looks == LOOKS }))
}

pub(super) const COLUMNS: &str =
    "id, job, param, codec, priority, status, attempt, max_attempts, run_at, unique_key, created_at,
                       started_at, finished_at, worker, result, error, cause, parent";

pub(super) fn task(store: &mut Sqlite, id: i64) -> Result<Option<Row>> {
    let plan = store.plan()?;
    let mut query = store.conn.prepare_cached(&format!("SELECT {COLUMNS} FROM task WHERE id = ?1"))?;
    let mut rows = query.query([id])?;
    rows.next()?.map(|r| read_row(r, &plan)).transpose()
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

pub(super) fn read_row(r: &rusqlite::Row<'_>, plan: &Plan) -> Result<Row> {
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
