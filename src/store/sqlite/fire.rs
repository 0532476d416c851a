//! Occurrences as rows, and the transaction in which a schedule moves on.
//!
//! An occurrence that is enqueued is a row with schedule and due time as its key, inserted with its task: so none is
//! enqueued twice, however many ticks there are and wherever the clock goes. What is not enqueued is written down in runs,
//! so that a year of missed minutes is one row.

use super::{Sqlite, enqueue, schedules};
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::store::{Enqueued, Fired, Firing, Kept, MOST_AT_ONCE, Occurrence, Overlap, Passed};
use crate::task::NewTask;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

/// How many of the latest tasks of a schedule are looked at to find one that is unsettled. Where overlaps are allowed
/// this only keeps the list of those short.
const LOOKED_AT: (i64, i64) = (1_000, 20);

/// Tasks of a schedule that may be unsettled, the latest first. (A join with the view would read all of `queue`.)
const OPEN: &str = "SELECT o.due_at, o.by_hand, o.task, (SELECT t.status FROM task t WHERE t.id = o.task)
                      FROM rowmill_occurrence o INDEXED BY rowmill_occurrence_open
                     WHERE o.open = 1 AND o.schedule = ?1 ORDER BY o.due_at DESC LIMIT ?2";
/// How many occurrences of a schedule wait.
const WAITING: &str = "SELECT count(*) FROM rowmill_occurrence INDEXED BY rowmill_occurrence_waiting
                        WHERE outcome = 'waiting' AND schedule = ?1";

pub(super) fn fire(store: &mut Sqlite, firings: &[Firing]) -> Result<Vec<Result<Option<Fired>>>> {
    store.write(|tx| firings.iter().map(|firing| alone(tx, firing)).collect())
}

/// One firing under its own savepoint: an error of its tasks undoes it and no other. The outer error is the transaction's.
fn alone(tx: &Transaction<'_>, firing: &Firing) -> Result<Result<Option<Fired>>> {
    tx.execute_batch("SAVEPOINT firing")?;
    let fired = move_on(tx, firing);
    match &fired {
        Ok(_) => tx.execute_batch("RELEASE firing")?,
        // A trigger of an application's may have ended all of it.
        Err(_) if tx.is_autocommit() => return fired.map(Ok),
        Err(_) => tx.execute_batch("ROLLBACK TO firing; RELEASE firing")?,
    }
    Ok(fired)
}

fn move_on(tx: &Transaction<'_>, firing: &Firing) -> Result<Option<Fired>> {
    let name = firing.name.as_str();
    let step = "UPDATE rowmill_schedule SET next_at = ?3, seen_at = ?4,
                  idle_until = iif(idle_until < ?3, NULL, idle_until)
                 WHERE name = ?1 AND next_at = ?2 AND seen_at = ?5 AND paused_since IS NULL RETURNING overlap";
    let place = params![name, firing.was.0, firing.next_at, firing.now_ms, firing.was.1];
    let step = tx.prepare_cached(step)?.query_row(place, |r| r.get::<_, String>(0));
    let Some(overlap) = step.optional()? else { return Ok(None) };
    let overlap = Overlap::from_word(&overlap).unwrap_or_default();
    let mut live = live_task(tx, name, overlap)?;
    let mut waiting = match overlap {
        Overlap::Queue => waiting_count(tx, name)?,
        Overlap::Allow | Overlap::Skip => 0,
    };
    let mut fired = Fired::default();
    for passed in &firing.passed {
        pass(tx, name, passed)?;
    }
    for (due_at, task) in &firing.due {
        if is_known(tx, name, *due_at)? {
            continue;
        }
        let refusal = match (overlap, live) {
            (Overlap::Skip, Some(task)) => Some(format!("overlap: task {task} was not settled")),
            (Overlap::Queue, _) if (live.is_some() || waiting > 0) && waiting >= MOST_AT_ONCE => {
                Some(format!("overlap: {MOST_AT_ONCE} wait already"))
            }
            (Overlap::Queue, _) if live.is_some() || waiting > 0 => {
                let wait = "INSERT INTO rowmill_occurrence (schedule, due_at, outcome, last_at)
                            VALUES (?1, ?2, 'waiting', ?2)";
                tx.prepare_cached(wait)?.execute(params![name, due_at])?;
                waiting += 1;
                fired.waiting += 1;
                continue;
            }
            _ => match enqueue::insert(tx, task)? {
                Enqueued::New(id) => {
                    note(tx, name, *due_at, false, id, firing.now_ms)?;
                    live = Some(id);
                    fired.tasks.push((*due_at, id));
                    None
                }
                Enqueued::Exists(id) => Some(format!("unique_key: task {id} has it")),
            },
        };
        if let Some(reason) = refusal {
            let (first_ms, last_ms) = (*due_at, *due_at);
            pass(tx, name, &Passed { first_ms, last_ms, count: 1, skipped: true, reason: reason.clone() })?;
            fired.skipped.push((*due_at, reason));
        }
    }
    Ok(Some(fired))
}

/// Whether this due time was enqueued or waits. What stands there as missed or skipped gives way.
fn is_known(tx: &Transaction<'_>, name: &str, due_at: Millis) -> Result<bool> {
    let look = "SELECT outcome = 'fired' OR outcome = 'waiting' FROM rowmill_occurrence
                 WHERE schedule = ?1 AND due_at = ?2 AND by_hand = 0";
    match tx.prepare_cached(look)?.query_row(params![name, due_at], |r| r.get(0)).optional()? {
        Some(true) => Ok(true),
        None => Ok(false),
        Some(false) => {
            let away = "DELETE FROM rowmill_occurrence WHERE schedule = ?1 AND due_at = ?2 AND by_hand = 0";
            tx.prepare_cached(away)?.execute(params![name, due_at])?;
            Ok(false)
        }
    }
}

/// The latest task of the schedule that is unsettled. Those that are settled for good are looked at once only; a dead one
/// can be put back.
fn live_task(tx: &Transaction<'_>, name: &str, overlap: Overlap) -> Result<Option<i64>> {
    let limit = if overlap == Overlap::Allow { LOOKED_AT.1 } else { LOOKED_AT.0 };
    let mut query = tx.prepare_cached(OPEN)?;
    let mut rows = query.query(params![name, limit])?;
    let mut live = None;
    while let Some(row) = rows.next()? {
        let (due_at, by_hand, task): (Millis, bool, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        match row.get::<_, Option<String>>(3)?.as_deref() {
            None | Some("done" | "cancelled") => {
                let close =
                    "UPDATE rowmill_occurrence SET open = 0 WHERE schedule = ?1 AND due_at = ?2 AND by_hand = ?3";
                tx.prepare_cached(close)?.execute(params![name, due_at, by_hand])?;
            }
            Some("dead") => {}
            Some(_) => live = live.or(Some(task)),
        }
    }
    Ok(live)
}

/// Whether a task of the schedule is unsettled, as [`live_task`] finds it where occurrences wait.
pub(super) fn is_live(conn: &Connection, name: &str) -> Result<bool> {
    let mut query = conn.prepare_cached(OPEN)?;
    let mut rows = query.query(params![name, LOOKED_AT.0])?;
    while let Some(row) = rows.next()? {
        if !matches!(row.get::<_, Option<String>>(3)?.as_deref(), None | Some("done" | "cancelled" | "dead")) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn waiting_count(tx: &Transaction<'_>, name: &str) -> Result<usize> {
    Ok(tx.prepare_cached(WAITING)?.query_row([name], |r| r.get(0))?)
}

/// Writes down that an occurrence was enqueued.
fn note(tx: &Transaction<'_>, name: &str, due_at: Millis, by_hand: bool, task: i64, now_ms: Millis) -> Result<()> {
    let row = "INSERT INTO rowmill_occurrence (schedule, due_at, by_hand, outcome, task, open, last_at)
               VALUES (?1, ?2, ?3, 'fired', ?4, 1, ?2)
               ON CONFLICT DO UPDATE SET outcome = 'fired', task = ?4, open = 1";
    tx.prepare_cached(row)?.execute(params![name, due_at, by_hand, task])?;
    let last = "UPDATE rowmill_schedule SET last_due_at = ?2, last_fired_at = ?3, last_task = ?4 WHERE name = ?1";
    tx.prepare_cached(last)?.execute(params![name, due_at, now_ms, task])?;
    Ok(())
}

/// Writes down what was not enqueued. It joins the row before it when that says the same of what went before.
fn pass(tx: &Transaction<'_>, name: &str, passed: &Passed) -> Result<()> {
    let outcome = if passed.skipped { "skipped" } else { "missed" };
    let before = "SELECT due_at, outcome, reason FROM rowmill_occurrence
                   WHERE schedule = ?1 AND due_at < ?2 AND by_hand = 0 ORDER BY due_at DESC LIMIT 1";
    let before = tx.prepare_cached(before)?.query_row(params![name, passed.first_ms], |r| {
        Ok((r.get::<_, Millis>(0)?, r.get::<_, String>(1)?, r.get::<_, Option<String>>(2)?))
    });
    match before.optional()? {
        Some((due_at, was, reason)) if was == outcome && reason.as_ref() == Some(&passed.reason) => {
            let join = "UPDATE rowmill_occurrence SET last_at = ?3, count = min(count + ?4, ?5)
                         WHERE schedule = ?1 AND due_at = ?2 AND by_hand = 0";
            let most = crate::store::MOST_COUNTED;
            tx.prepare_cached(join)?.execute(params![name, due_at, passed.last_ms, passed.count, most])?;
        }
        _ => {
            // What stands there already was enqueued.
            let row = "INSERT OR IGNORE INTO rowmill_occurrence (schedule, due_at, outcome, last_at, count, reason)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let (first, last) = (passed.first_ms, passed.last_ms);
            tx.prepare_cached(row)?.execute(params![name, first, outcome, last, passed.count, passed.reason])?;
        }
    }
    let last = "UPDATE rowmill_schedule SET last_missed_at = ?2, last_missed_why = ?3 WHERE name = ?1";
    tx.prepare_cached(last)?.execute(params![name, passed.last_ms, passed.reason])?;
    Ok(())
}

pub(super) fn by_hand(store: &mut Sqlite, name: &str, task: &NewTask, now_ms: Millis) -> Result<Option<i64>> {
    store.write(|tx| {
        if schedules::one(tx, name)?.is_none() {
            return Ok(None);
        }
        let Enqueued::New(id) = enqueue::insert(tx, task)? else { return Ok(None) };
        // Two of one millisecond are two.
        let free =
            "SELECT max(due_at) + 1 FROM rowmill_occurrence WHERE schedule = ?1 AND due_at >= ?2 AND by_hand = 1";
        let free: Option<Millis> = tx.prepare_cached(free)?.query_row(params![name, now_ms], |r| r.get(0))?;
        let row = "INSERT INTO rowmill_occurrence (schedule, due_at, by_hand, outcome, task, open, last_at)
                   VALUES (?1, ?2, 1, 'fired', ?3, 1, ?2)";
        tx.prepare_cached(row)?.execute(params![name, free.unwrap_or(now_ms), id])?;
        Ok(Some(id))
    })
}

pub(super) fn waiting(
    store: &mut Sqlite,
    name: &str,
    due_at: Millis,
    task: &NewTask,
    now_ms: Millis,
) -> Result<Option<i64>> {
    store.write(|tx| {
        let waits = "SELECT 1 FROM rowmill_occurrence WHERE schedule = ?1 AND due_at = ?2 AND by_hand = 0
                        AND outcome = 'waiting'";
        let waits = tx.prepare_cached(waits)?.exists(params![name, due_at])?;
        if !waits || live_task(tx, name, Overlap::Queue)?.is_some() {
            return Ok(None);
        }
        match enqueue::insert(tx, task)? {
            Enqueued::New(id) => {
                note(tx, name, due_at, false, id, now_ms)?;
                Ok(Some(id))
            }
            // It waits on: somebody else's task has its key.
            Enqueued::Exists(_) => Ok(None),
        }
    })
}

pub(super) fn rewind(store: &mut Sqlite, kept: &Kept, next_at: Option<Millis>, now_ms: Millis) -> Result<bool> {
    let name = &kept.schedule.name;
    store.write(|tx| {
        let back = "UPDATE rowmill_schedule SET next_at = iif(enabled, ?3, NULL), seen_at = ?4,
                      idle_until = iif(idle_until > ?4, NULL, idle_until),
                      last_missed_why = iif(last_missed_at > ?4, NULL, last_missed_why),
                      last_missed_at = iif(last_missed_at > ?4, NULL, last_missed_at)
                     WHERE name = ?1 AND seen_at = ?2";
        if tx.execute(back, params![name, kept.seen_at, next_at, now_ms])? == 0 {
            return Ok(false);
        }
        let untrue = "DELETE FROM rowmill_occurrence WHERE schedule = ?1 AND due_at > ?2 AND outcome <> 'fired'";
        tx.execute(untrue, params![name, now_ms])?;
        // The run that the present stands in ends here; how many of it are past is not known by this row.
        let cut = "UPDATE rowmill_occurrence SET last_at = ?2, reason = reason || '; the clock was set back'
                    WHERE schedule = ?1 AND due_at <= ?2 AND last_at > ?2 AND outcome <> 'fired'";
        tx.execute(cut, params![name, now_ms])?;
        Ok(true)
    })
}

pub(super) fn known_from(conn: &Connection, name: &str, from_ms: Millis) -> Result<Vec<Millis>> {
    let known = "SELECT due_at FROM rowmill_occurrence WHERE schedule = ?1 AND due_at >= ?2 AND by_hand = 0
                    AND (outcome = 'fired' OR outcome = 'waiting') ORDER BY due_at";
    let mut query = conn.prepare_cached(known)?;
    let rows = query.query_map(params![name, from_ms], |r| r.get(0))?;
    rows.collect::<rusqlite::Result<Vec<_>>>().map_err(Error::from)
}

pub(super) fn occurrences(conn: &Connection, name: &str, limit: u32) -> Result<Vec<Occurrence>> {
    let all = "SELECT due_at, last_at, count, by_hand, outcome, task, reason FROM rowmill_occurrence
                WHERE schedule = ?1 ORDER BY due_at DESC LIMIT ?2";
    let mut query = conn.prepare_cached(all)?;
    let rows = query.query_map(params![name, limit], |r| {
        Ok(Occurrence {
            due_at: r.get(0)?,
            last_at: r.get(1)?,
            count: r.get(2)?,
            by_hand: r.get(3)?,
            outcome: r.get(4)?,
            task: r.get(5)?,
            reason: r.get(6)?,
        })
    })?;
    rows.collect::<rusqlite::Result<Vec<_>>>().map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Durability, sqlite::Create};

    #[test]
    fn what_every_firing_asks_reads_no_table_through() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("q.db");
        let store = Sqlite::open(&file, Durability::Normal, Create::WithPartitions(1)).unwrap();
        for sql in [OPEN, WAITING] {
            let explain = format!("EXPLAIN QUERY PLAN {}", sql.replace("?1", "'a'").replace("?2", "9"));
            let mut query = store.conn.prepare(&explain).unwrap();
            let steps = query.query_map([], |r| r.get(3)).unwrap().collect::<rusqlite::Result<Vec<String>>>().unwrap();
            let through = |step: &String| step.starts_with("SCAN") || step.starts_with("MATERIALIZE");
            assert!(!steps.is_empty() && !steps.iter().any(through), "{steps:#?}");
        }
    }
}
