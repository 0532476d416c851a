//! Schedules as rows: which there are, what they ask for, who has switched them off. `fire` moves them.

use super::{Sqlite, fire};
use crate::clock::Millis;
use crate::error::{Error, Kind, Result};
use crate::store::{
    CatchUp, Fired, Firing, First, Kept, LastFired, Occurrence, Order, Origin, Overlap, Schedule, Timetable,
};
use crate::task::NewTask;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, Transaction, params};
use std::collections::BTreeMap;

/// Schedules that one transaction compares and writes.
const STEP: usize = 500;

impl Timetable for Sqlite {
    fn schedules(&mut self) -> Result<Vec<Kept>> {
        select(&self.conn, "ORDER BY name", &[])
    }

    fn schedule(&mut self, name: &str) -> Result<Option<Kept>> {
        Ok(select(&self.conn, "WHERE name = ?1", &[&name])?.pop())
    }

    fn due_schedules(&mut self, now_ms: Millis) -> Result<Vec<Kept>> {
        select(
            &self.conn,
            "WHERE next_at IS NOT NULL AND paused_since IS NULL AND next_at <= ?1 ORDER BY next_at",
            &[&now_ms],
        )
    }

    fn known_from(&mut self, name: &str, from_ms: Millis) -> Result<Vec<Millis>> {
        fire::known_from(&self.conn, name, from_ms)
    }

    fn occurrences(&mut self, name: &str, limit: u32) -> Result<Vec<Occurrence>> {
        fire::occurrences(&self.conn, name, limit)
    }

    fn set_schedules(&mut self, wanted: &[Schedule], digest: i64, now_ms: Millis, first: &First<'_>) -> Result<()> {
        set(self, wanted, digest, now_ms, first)
    }

    fn add_schedule(&mut self, schedule: &Schedule, next_at: Option<Millis>, now_ms: Millis) -> Result<bool> {
        self.write(|tx| {
            if one(tx, &schedule.name)?.is_some() {
                return Ok(false);
            }
            put(tx, schedule, (next_at, now_ms), true)?;
            Ok(true)
        })
    }

    fn remove_schedule(&mut self, name: &str) -> Result<bool> {
        self.write(|tx| {
            let is_a_persons = one(tx, name)?.is_some_and(|kept| kept.schedule.origin == Origin::Person);
            if is_a_persons {
                remove(tx, name)?;
            }
            Ok(is_a_persons)
        })
    }

    fn pause_schedule(&mut self, name: &str, by_whom: &str, now_ms: Millis) -> Result<Option<Order>> {
        self.write(|tx| {
            let pause = "UPDATE rowmill_schedule SET paused_since = ?2, paused_by = ?3
                          WHERE name = ?1 AND paused_since IS NULL";
            tx.execute(pause, params![name, now_ms, by_whom])?;
            Ok(one(tx, name)?.and_then(|kept| kept.paused))
        })
    }

    fn resume_schedule(&mut self, name: &str, now_ms: Millis) -> Result<Option<Order>> {
        self.write(|tx| {
            let Some(order) = one(tx, name)?.and_then(|kept| kept.paused) else { return Ok(None) };
            let resume =
                "UPDATE rowmill_schedule SET paused_since = NULL, paused_by = NULL, idle_until = ?2, idle_why = ?3
                           WHERE name = ?1";
            tx.execute(resume, params![name, now_ms, format!("it was paused by {}", order.by_whom)])?;
            Ok(Some(order))
        })
    }

    fn run_schedule(&mut self, name: &str, task: &NewTask, now_ms: Millis) -> Result<Option<i64>> {
        fire::by_hand(self, name, task, now_ms)
    }

    fn fire(&mut self, firings: &[Firing]) -> Result<Vec<Result<Option<Fired>>>> {
        fire::fire(self, firings)
    }

    fn waiting_occurrences(&mut self) -> Result<Vec<(Kept, Millis)>> {
        let next = "SELECT schedule, min(due_at) FROM rowmill_occurrence WHERE outcome = 'waiting' GROUP BY schedule";
        let mut query = self.conn.prepare_cached(next)?;
        let rows = query.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?;
        let rows = rows.collect::<rusqlite::Result<Vec<(String, Millis)>>>()?;
        drop(query);
        let mut waiting = Vec::with_capacity(rows.len());
        for (name, due_at) in rows {
            if !fire::is_live(&self.conn, &name)? {
                waiting.extend(one(&self.conn, &name)?.filter(|kept| kept.paused.is_none()).map(|kept| (kept, due_at)));
            }
        }
        Ok(waiting)
    }

    fn fire_waiting(&mut self, name: &str, due_at: Millis, task: &NewTask, now_ms: Millis) -> Result<Option<i64>> {
        fire::waiting(self, name, due_at, task, now_ms)
    }

    fn ahead_schedules(&mut self, now_ms: Millis) -> Result<Vec<Kept>> {
        select(&self.conn, "WHERE seen_at > ?1 ORDER BY seen_at", &[&now_ms])
    }

    fn rewind(&mut self, kept: &Kept, next_at: Option<Millis>, now_ms: Millis) -> Result<bool> {
        fire::rewind(self, kept, next_at, now_ms)
    }
}

/// Notes in every schedule that came due meanwhile that nobody was to see to it.
pub(super) fn stood_still(tx: &Transaction<'_>, order: &Order, now_ms: Millis) -> Result<()> {
    let note =
        "UPDATE rowmill_schedule SET idle_until = ?1, idle_why = ?2 WHERE next_at <= ?1 AND paused_since IS NULL";
    tx.execute(note, params![now_ms, format!("everything was stopped by {}", order.by_whom)])?;
    Ok(())
}

const COLUMNS: &str = "name, origin, timing, timezone, job, param, priority, unique_key, catch_up, overlap, guarded,
    jitter_ms, until_at, enabled, made_at, next_at, seen_at, idle_until, idle_why, paused_since, paused_by,
    last_due_at, last_fired_at, last_task, last_missed_at, last_missed_why";

pub(super) fn one(conn: &Connection, name: &str) -> Result<Option<Kept>> {
    Ok(select(conn, "WHERE name = ?1", &[&name])?.pop())
}

fn select(conn: &Connection, which: &str, with: &[&dyn ToSql]) -> Result<Vec<Kept>> {
    let mut query = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM rowmill_schedule {which}"))?;
    let mut rows = query.query(with)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        match read(row) {
            Ok(kept) => found.push(kept),
            Err(e) if e.kind() == Kind::TryAgain => return Err(e),
            // A row that somebody wrote into by hand, or a zone that this program is too old for, stops no other.
            Err(e) => log::error!("a schedule is passed over: {e}"),
        }
    }
    Ok(found)
}

fn read(r: &Row<'_>) -> Result<Kept> {
    let name: String = r.get(0)?;
    let odd = |what: &str| Error::failed(format!("the stored schedule `{}` has an odd {what}", name.escape_debug()));
    let (origin, zone, catch_up, overlap): (String, String, String, String) =
        (r.get(1)?, r.get(3)?, r.get(8)?, r.get(9)?);
    let schedule = Schedule {
        origin: Origin::from_word(&origin).ok_or_else(|| odd("origin"))?,
        timing: r.get(2)?,
        zone: zone.parse().map_err(|_| odd("time zone"))?,
        job: r.get(4)?,
        param: r.get(5)?,
        priority: r.get(6)?,
        unique_key: r.get(7)?,
        catch_up: CatchUp::parse(&catch_up).map_err(|_| odd("catch_up"))?,
        overlap: Overlap::from_word(&overlap).ok_or_else(|| odd("overlap"))?,
        guarded: r.get(10)?,
        jitter_ms: r.get(11)?,
        until_ms: r.get(12)?,
        enabled: r.get(13)?,
        name,
    };
    let pair = |a: usize, b: usize| -> rusqlite::Result<Option<(Millis, String)>> {
        Ok(r.get::<_, Option<Millis>>(a)?.zip(r.get::<_, Option<String>>(b)?))
    };
    let last = match (r.get(21)?, r.get(22)?, r.get(23)?) {
        (Some(due_at), Some(fired_at), Some(task)) => Some(LastFired { due_at, fired_at, task }),
        _ => None,
    };
    Ok(Kept {
        schedule,
        made_at: r.get(14)?,
        next_at: r.get(15)?,
        seen_at: r.get(16)?,
        idle: pair(17, 18)?,
        paused: pair(19, 20)?.map(|(since, by_whom)| Order { since, by_whom }),
        last,
        missed: pair(24, 25)?,
    })
}

fn set(store: &mut Sqlite, wanted: &[Schedule], digest: i64, now_ms: Millis, first: &First<'_>) -> Result<()> {
    let look = "SELECT digest FROM rowmill_schedule_source";
    let known: Option<i64> = store.conn.prepare_cached(look)?.query_row([], |r| r.get(0)).optional()?;
    if known == Some(digest) || (known.is_none() && wanted.is_empty()) {
        return Ok(());
    }
    let stored = store.schedules()?;
    let by_name: BTreeMap<&str, &Kept> = stored.iter().map(|kept| (kept.schedule.name.as_str(), kept)).collect();
    let names: BTreeMap<&str, ()> = wanted.iter().map(|schedule| (schedule.name.as_str(), ())).collect();
    let gone = stored
        .iter()
        .filter(|kept| kept.schedule.origin != Origin::Person && !names.contains_key(kept.schedule.name.as_str()));
    let gone: Vec<&str> = gone.map(|kept| kept.schedule.name.as_str()).collect();
    let changed = wanted.iter().filter_map(|schedule| match by_name.get(schedule.name.as_str()) {
        Some(kept) if kept.schedule == *schedule => None,
        kept => Some((schedule, !kept.is_some_and(|kept| same_times(&kept.schedule, schedule)))),
    });
    let changed: Vec<(&Schedule, bool)> = changed.collect();
    for some in gone.chunks(STEP) {
        store.write(|tx| some.iter().try_for_each(|name| remove(tx, name)))?;
    }
    for some in changed.chunks(STEP) {
        // Whoever keeps his place needs no first time.
        let first = |schedule: &Schedule, anew: bool| anew.then(|| first(schedule, now_ms)).flatten();
        let begun: Vec<_> = some.iter().map(|(schedule, anew)| (first(schedule, *anew), now_ms)).collect();
        store.write(|tx| some.iter().zip(&begun).try_for_each(|((s, anew), begun)| put(tx, s, *begun, *anew)))?;
    }
    store.write(|tx| {
        let note = "INSERT INTO rowmill_schedule_source (one, digest) VALUES (1, ?1)
                    ON CONFLICT DO UPDATE SET digest = ?1";
        tx.execute(note, [digest])?;
        Ok(())
    })
}

/// Whether both are due at the same times; only then a changed schedule keeps its place.
fn same_times(a: &Schedule, b: &Schedule) -> bool {
    (&a.timing, a.zone, a.until_ms, a.enabled) == (&b.timing, b.zone, b.until_ms, b.enabled)
}

/// Writes what a schedule asks for, and where it begins if it is new or is to begin anew.
fn put(tx: &Transaction<'_>, s: &Schedule, (next_at, now_ms): (Option<Millis>, Millis), anew: bool) -> Result<()> {
    let put =
        "INSERT INTO rowmill_schedule (name, origin, timing, timezone, job, param, priority, unique_key, catch_up,
                 overlap, guarded, jitter_ms, until_at, enabled, next_at, made_at, seen_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?16)
               ON CONFLICT DO UPDATE SET origin = ?2, timing = ?3, timezone = ?4, job = ?5, param = ?6, priority = ?7,
                 unique_key = ?8, catch_up = ?9, overlap = ?10, guarded = ?11, jitter_ms = ?12, until_at = ?13,
                 enabled = ?14, next_at = iif(?17, ?15, next_at), made_at = iif(?17, ?16, made_at),
                 seen_at = iif(?17, ?16, seen_at)";
    tx.prepare_cached(put)?.execute(params![
        s.name,
        s.origin.word(),
        s.timing,
        s.zone.name(),
        s.job,
        s.param,
        s.priority,
        s.unique_key,
        s.catch_up.to_string(),
        s.overlap.word(),
        s.guarded,
        s.jitter_ms,
        s.until_ms,
        s.enabled,
        next_at,
        now_ms,
        anew,
    ])?;
    Ok(())
}

fn remove(tx: &Transaction<'_>, name: &str) -> Result<()> {
    tx.prepare_cached("DELETE FROM rowmill_schedule WHERE name = ?1")?.execute([name])?;
    let waiting = "UPDATE rowmill_occurrence SET outcome = 'skipped', reason = 'the schedule was removed'
                    WHERE schedule = ?1 AND outcome = 'waiting'";
    tx.prepare_cached(waiting)?.execute([name])?;
    Ok(())
}
