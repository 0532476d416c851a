//! Schedules as rows, and their occurrences: an occurrence is a row with schedule and due time as its key, inserted in
//! the transaction that enqueues its task, so that none is enqueued twice, however many ticks there are.

use super::{Sqlite, enqueue};
use crate::clock::Millis;
use crate::error::Result;
use crate::store::{Look, Schedule};
use crate::task::NewTask;
use rusqlite::params;

pub(super) fn all(store: &mut Sqlite) -> Result<Vec<Schedule>> {
    let mut query = store.conn.prepare_cached(
        "SELECT name, cron, timezone, job, param, priority, next_at, last_at FROM rowmill_schedule ORDER BY name",
    )?;
    let rows = query.query_map([], |r| {
        Ok(Schedule {
            name: r.get(0)?,
            cron: r.get(1)?,
            timezone: r.get(2)?,
            job: r.get(3)?,
            param: r.get(4)?,
            priority: r.get(5)?,
            next_at: r.get(6)?,
            last_at: r.get(7)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
}

pub(super) fn set(store: &mut Sqlite, wanted: &[Schedule]) -> Result<()> {
    let stored = store.schedules()?;
    let gone: Vec<&Schedule> = stored.iter().filter(|s| wanted.iter().all(|w| w.name != s.name)).collect();
    let changed: Vec<(&Schedule, bool)> = wanted
        .iter()
        .filter_map(|w| match stored.iter().find(|s| s.name == w.name) {
            None => Some((w, true)),
            Some(s) if (&s.cron, &s.timezone) != (&w.cron, &w.timezone) => Some((w, true)),
            // Its next time lies beyond what the expression says: it was set by a clock that had jumped ahead.
            Some(s) if s.next_at > w.next_at => Some((w, true)),
            Some(s) if (&s.job, &s.param, s.priority) != (&w.job, &w.param, w.priority) => Some((w, false)),
            Some(_) => None,
        })
        .collect();
    if gone.is_empty() && changed.is_empty() {
        return Ok(());
    }
    store.write(|tx| {
        for s in &gone {
            tx.execute("DELETE FROM rowmill_schedule WHERE name = ?1", [&s.name])?;
        }
        for (s, anew) in &changed {
            tx.execute(
                "INSERT INTO rowmill_schedule (name, cron, timezone, job, param, priority, next_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT DO UPDATE SET cron = ?2, timezone = ?3, job = ?4, param = ?5, priority = ?6,
                   next_at = iif(?8, ?7, next_at)",
                params![s.name, s.cron, s.timezone, s.job, s.param, s.priority, s.next_at, anew],
            )?;
        }
        Ok(())
    })
}

pub(super) fn fire(
    store: &mut Sqlite,
    schedule: &Schedule,
    due_at_ms: Millis,
    next_at_ms: Millis,
) -> Result<Option<i64>> {
    store.write(|tx| {
        let moved = tx.execute(
            "UPDATE rowmill_schedule SET next_at = ?3, last_at = ?2 WHERE name = ?1 AND next_at = ?4",
            params![schedule.name, due_at_ms, next_at_ms, schedule.next_at],
        )?;
        let new = "INSERT OR IGNORE INTO rowmill_occurrence (schedule, due_at, task) VALUES (?1, ?2, 0)";
        if moved == 0 || tx.execute(new, params![schedule.name, due_at_ms])? == 0 {
            return Ok(None);
        }
        let task = NewTask {
            job: schedule.job.clone(),
            param: schedule.param.clone().into_bytes(),
            priority: schedule.priority,
            ..NewTask::default()
        };
        let id = enqueue::insert(tx, &task)?.id();
        let name = "UPDATE rowmill_occurrence SET task = ?3 WHERE schedule = ?1 AND due_at = ?2";
        tx.execute(name, params![schedule.name, due_at_ms, id])?;
        Ok(Some(id))
    })
}
