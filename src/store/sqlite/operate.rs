//! Retry, cancel and release: judged by the view `task`, written key first and status after it, 500 rows a transaction.
//!
//! The right state is looked at in the transaction that writes, so a task that settles meanwhile stays as it settled. A
//! task in a worker's hands is ready to everybody else: its settlement looks at the row again and finds what was done.

use super::enqueue::holder_of;
use super::timer::enter_order;
use super::{Sqlite, plan};
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::store::{Chosen, Fate, Filter, Operation, Tally, Tell};
use crate::task::{Partition, Plan, Status};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

/// Rows that one transaction changes.
const STEP: usize = 500;

/// A row as the verbs look at it.
struct Seen {
    id: i64,
    status: Status,
    priority: i64,
    run_at: Option<Millis>,
    unique_key: Option<String>,
}

pub(super) fn operate(
    store: &mut Sqlite,
    operation: Operation,
    chosen: &Chosen<'_>,
    now_ms: Millis,
    tell: &mut Tell<'_>,
) -> Result<Tally> {
    let mut tally = Tally::default();
    for step in ids(&store.conn, operation, chosen)?.chunks(STEP) {
        let (fates, plan) = store.write(|tx| {
            let plan = plan(tx)?;
            let change = |id: &i64| change(tx, &plan, operation, *id, now_ms);
            Ok((step.iter().map(change).collect::<Result<Vec<Fate>>>()?, plan))
        })?;
        let mut touched: Vec<Partition> = Vec::new();
        for (id, fate) in step.iter().zip(fates) {
            let partition = plan.partition_of(*id);
            if fate == Fate::Changed(Status::Ready) && !touched.contains(&partition) {
                touched.push(partition);
            }
            tally.add(fate);
            tell(*id, fate);
        }
        store.bell.ring(&store.run, &touched, plan.current().partitions);
    }
    Ok(tally)
}

pub(super) fn foresee(
    store: &mut Sqlite,
    operation: Operation,
    chosen: &Chosen<'_>,
    now_ms: Millis,
    tell: &mut Tell<'_>,
) -> Result<Tally> {
    let mut tally = Tally::default();
    for id in ids(&store.conn, operation, chosen)? {
        let fate = match see(&store.conn, id)? {
            None => Fate::Missing,
            Some(seen) => judge(&store.conn, operation, &seen, now_ms)?,
        };
        tally.add(fate);
        tell(id, fate);
    }
    Ok(tally)
}

/// The ids of the chosen tasks, by one read.
fn ids(conn: &Connection, operation: Operation, chosen: &Chosen<'_>) -> Result<Vec<i64>> {
    let filter = match chosen {
        Chosen::Ids(ids) => return Ok(ids.to_vec()),
        Chosen::Matching(filter) => filter,
    };
    let statuses: &[Status] = match &filter.status {
        None => operation.means(),
        Some(status) if operation.takes().contains(status) => std::slice::from_ref(status),
        Some(status) => return Err(wrong_status(operation, *status)),
    };
    let each: Vec<String> = statuses.iter().map(|status| select(*status, filter.job.is_some())).collect();
    let all = format!("{} ORDER BY 1 DESC LIMIT ?3", each.join(" UNION ALL "));
    let Filter { job, since_ms, limit, .. } = filter;
    let mut query = conn.prepare(&all)?;
    let rows = query.query_map(params![job, since_ms, limit], |r| r.get(0))?;
    Ok(rows.collect::<rusqlite::Result<Vec<i64>>>()?)
}

/// Reads the tasks of one status where they are few: ready and delayed ones by their keys, which only unsettled tasks
/// have; the others by the index of exceptions, which a literal status leads to and a bound one does not.
fn select(status: Status, of_a_job: bool) -> String {
    let (word, job) = (status.word(), if of_a_job { "AND q.job = ?1" } else { "" });
    let from = match status {
        Status::Ready => "rowmill_ready k CROSS JOIN queue q ON q.id = k.id",
        Status::Delayed => "rowmill_delayed k CROSS JOIN queue q ON q.id = k.id",
        _ => "queue q",
    };
    format!("SELECT q.id FROM {from} WHERE q.status = '{word}' {job} AND (?2 IS NULL OR q.created_at >= ?2)")
}

fn wrong_status(operation: Operation, status: Status) -> Error {
    let takes = operation.takes().iter().map(|s| s.word()).collect::<Vec<_>>().join(", ");
    Error::usage(format!("{} is not for tasks that are {status}", operation.word()))
        .hint(format!("it is for those that are {takes}"))
}

fn see(conn: &Connection, id: i64) -> Result<Option<Seen>> {
    let look = "SELECT status, priority, run_at, unique_key FROM task WHERE id = ?1";
    let row = |r: &rusqlite::Row<'_>| Ok((r.get::<_, String>(0)?, r.get(1)?, r.get(2)?, r.get(3)?));
    let Some((word, priority, run_at, unique_key)) = conn.prepare_cached(look)?.query_row([id], row).optional()? else {
        return Ok(None);
    };
    Ok(Some(Seen { id, status: super::look::status_of(&word)?, priority, run_at, unique_key }))
}

/// What becomes of a task by this operation. Looks, and changes nothing.
fn judge(conn: &Connection, operation: Operation, seen: &Seen, now_ms: Millis) -> Result<Fate> {
    if !operation.takes().contains(&seen.status) {
        return Ok(Fate::Unfit(seen.status));
    }
    Ok(match operation {
        Operation::Cancel => Fate::Changed(Status::Cancelled),
        Operation::Retry => match &seen.unique_key {
            Some(key) => holder_of(conn, key)?.map_or(Fate::Changed(Status::Ready), Fate::KeyTaken),
            None => Fate::Changed(Status::Ready),
        },
        Operation::Release if seen.status == Status::Parked && seen.run_at.is_some_and(|at| at > now_ms) => {
            Fate::Changed(Status::Delayed)
        }
        Operation::Release => Fate::Changed(Status::Ready),
    })
}

fn change(tx: &Transaction<'_>, plan: &Plan, operation: Operation, id: i64, now_ms: Millis) -> Result<Fate> {
    let Some(seen) = see(tx, id)? else { return Ok(Fate::Missing) };
    let fate = judge(tx, operation, &seen, now_ms)?;
    let Fate::Changed(status) = fate else { return Ok(fate) };
    match (operation, status) {
        (Operation::Cancel, _) => cancel(tx, id, now_ms)?,
        (Operation::Retry, _) => retry(tx, plan, &seen, now_ms)?,
        (Operation::Release, Status::Delayed) => put_off(tx, &seen)?,
        (Operation::Release, _) => release(tx, plan, &seen, now_ms)?,
    }
    Ok(fate)
}

/// The trigger takes whatever key the row has.
fn cancel(tx: &Transaction<'_>, id: i64, now_ms: Millis) -> Result<()> {
    let cancel = "UPDATE queue SET status = 'cancelled', finished_at = ?2 WHERE id = ?1";
    tx.prepare_cached(cancel)?.execute(params![id, now_ms])?;
    Ok(())
}

/// A time that lies ahead (an application gave it while the task ran) would contradict being ready.
fn retry(tx: &Transaction<'_>, plan: &Plan, seen: &Seen, now_ms: Millis) -> Result<()> {
    enter_order(tx, plan, seen.id, seen.priority)?;
    let anew = "UPDATE queue SET status = 'ready', attempt = 0, run_at = min(run_at, ?2), started_at = NULL,
                  finished_at = NULL, worker = NULL, result = NULL, error = NULL, cause = NULL WHERE id = ?1";
    tx.prepare_cached(anew)?.execute(params![seen.id, now_ms])?;
    Ok(())
}

/// Parked, and its time lies ahead.
fn put_off(tx: &Transaction<'_>, seen: &Seen) -> Result<()> {
    let key = "INSERT OR IGNORE INTO rowmill_delayed (run_at, id) VALUES (?1, ?2)";
    tx.prepare_cached(key)?.execute(params![seen.run_at, seen.id])?;
    let delayed = "UPDATE queue SET status = 'delayed', error = NULL, cause = NULL WHERE id = ?1";
    tx.prepare_cached(delayed)?.execute([seen.id])?;
    Ok(())
}

/// Parked or delayed. What a delayed one failed of the last time stays with it, as it does when its time comes.
fn release(tx: &Transaction<'_>, plan: &Plan, seen: &Seen, now_ms: Millis) -> Result<()> {
    let key = "DELETE FROM rowmill_delayed WHERE run_at = coalesce(?1, 0) AND id = ?2";
    tx.prepare_cached(key)?.execute(params![seen.run_at, seen.id])?;
    enter_order(tx, plan, seen.id, seen.priority)?;
    let ready = "UPDATE queue SET status = 'ready', run_at = min(run_at, ?2),
                   error = iif(status = 'parked', NULL, error), cause = iif(status = 'parked', NULL, cause)
                  WHERE id = ?1";
    tx.prepare_cached(ready)?.execute(params![seen.id, now_ms])?;
    Ok(())
}

#[cfg(test)]
mod tests;
