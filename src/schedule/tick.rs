//! What one pass does, in order.

use crate::clock::Millis;
use crate::cron::Cron;
use crate::error::{Error, Result};
use crate::store::{Ended, LostClaim, Schedule, Store};
use crate::task::{Partition, Settlement};
use chrono_tz::Tz;
use std::time::Duration;

/// Rows that one transaction makes ready, and how many such transactions a tick does at most.
const PROMOTE: (usize, usize) = (500, 20);
/// Outcomes that one transaction folds, and how many such transactions a tick does at most.
const FOLD: (usize, usize) = (2_000, 5);
/// New rows that one transaction counts, and how many transactions one tick makes of that.
const COUNT: (usize, usize) = (2_000, 50);
/// A tick folds only what workers have left lying for this long.
const FOLD_AFTER: Duration = Duration::from_secs(5);

/// A schedule as the configuration has it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name, unique.
    pub name: String,
    /// When it is due.
    pub cron: Cron,
    /// The zone in which it is due.
    pub zone: Tz,
    /// The job of its tasks.
    pub job: String,
    /// What the job is given, JSON.
    pub param: String,
    /// Larger runs first.
    pub priority: i64,
}

/// What a tick did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Another tick was under way: nothing was done.
    pub left_to_another: bool,
    /// A person has stopped everything: nothing was done. What has come due meanwhile is seen to after the start.
    pub stopped: bool,
    /// Occurrences that were enqueued: schedule, due time, task.
    pub fired: Vec<(String, Millis, i64)>,
    /// Indexes of the workers that were started.
    pub started: Vec<u32>,
}

/// One pass at `now_ms`. Workers without progress for `stall` are killed. `judge` says what becomes of a task whose worker
/// died while it ran. `start` starts worker `index` and returns at once. Of several occurrences that have come due since the
/// last pass, the latest is enqueued. A crash at any point leaves the rest to the next tick.
pub fn tick(
    store: &mut dyn Store,
    entries: &[Entry],
    workers: u32,
    now_ms: Millis,
    stall: Duration,
    judge: &dyn Fn(&LostClaim) -> Settlement,
    start: &mut dyn FnMut(u32) -> Result<()>,
) -> Result<Ticked> {
    let Some(_lock) = store.scheduler()? else { return Ok(Ticked { left_to_another: true, ..Ticked::default() }) };
    if store.stopped()?.is_some() {
        return Ok(Ticked { stopped: true, ..Ticked::default() });
    }
    let mut ticked = Ticked::default();
    let frozen = store.watchman(None, workers).look(stall);
    for one in frozen.iter().flatten() {
        let silent_s = one.silent.as_secs();
        log::error!("worker {} (pid {}) made no progress for {silent_s} s and was killed", one.index, one.pid);
    }
    // One step that fails keeps no other from being done, the start of workers above all; the first error is answered.
    let scheduled = fire_due(store, entries, now_ms, &mut ticked.fired);
    let kept = keep_house(store, workers, now_ms, judge, &ticked.fired);
    let started = start_missing(store, workers, start, &mut ticked.started);
    frozen.map(drop).and(scheduled).and(kept).and(started).map(|()| ticked)
}

fn keep_house(
    store: &mut dyn Store,
    workers: u32,
    now_ms: Millis,
    judge: &dyn Fn(&LostClaim) -> Settlement,
    fired: &[(String, Millis, i64)],
) -> Result<()> {
    let plan = store.plan()?;
    let mut touched: Vec<_> = fired.iter().map(|(_, _, id)| plan.partition_of(*id)).collect();
    touched.extend(recover(store, now_ms, judge)?);
    for _ in 0..PROMOTE.1 {
        let some = store.promote(now_ms, PROMOTE.0)?;
        if some.is_empty() {
            break;
        }
        touched.extend(some);
    }
    store.ring(&touched, workers);
    if store.since_fold()?.is_some_and(|past| past > FOLD_AFTER) {
        for _ in 0..FOLD.1 {
            if store.fold(FOLD.0)?.is_none_or(|folded| folded == 0) {
                break;
            }
        }
    }
    for _ in 0..COUNT.1 {
        if store.count(COUNT.0)? < COUNT.0 {
            break;
        }
    }
    Ok(())
}

fn start_missing(
    store: &mut dyn Store,
    workers: u32,
    start: &mut dyn FnMut(u32) -> Result<()>,
    started: &mut Vec<u32>,
) -> Result<()> {
    for index in 0..workers {
        if !store.is_alive(index)? {
            start(index)?;
            started.push(index);
        }
    }
    Ok(())
}

/// Settles the claims of workers that died; answers the partitions of their tasks. `judge` says what becomes of a task.
pub fn recover(
    store: &mut dyn Store,
    now_ms: Millis,
    judge: &dyn Fn(&LostClaim) -> Settlement,
) -> Result<Vec<Partition>> {
    let mut touched = Vec::new();
    let plan = store.plan()?;
    for lost in store.lost_claims()? {
        let settlement = judge(&lost);
        log::warn!(
            "task {} ({}) ran when its worker died; it is {} now",
            lost.task.id,
            lost.task.job,
            settlement.word()
        );
        let ended = Ended { settlement, started_at_ms: lost.started_at_ms, finished_at_ms: now_ms, company: None };
        if store.settle_claim(&lost.claim, &ended)?.is_some() {
            touched.push(plan.partition_of(lost.task.id));
        }
    }
    Ok(touched)
}

fn fire_due(
    store: &mut dyn Store,
    entries: &[Entry],
    now_ms: Millis,
    fired: &mut Vec<(String, Millis, i64)>,
) -> Result<()> {
    let wanted: Vec<Schedule> = entries.iter().filter_map(|entry| stored(entry, now_ms)).collect();
    store.set_schedules(&wanted)?;
    let mut result = Ok(());
    for schedule in store.schedules()?.into_iter().filter(|s| s.next_at <= now_ms) {
        let Some(entry) = entries.iter().find(|e| e.name == schedule.name) else { continue };
        let due = entry.cron.latest_due(schedule.next_at - 1, now_ms, entry.zone).unwrap_or(schedule.next_at);
        // An expression that is never due again stays where it is, beyond every clock.
        let next = entry.cron.next_after(now_ms, entry.zone).unwrap_or(Millis::MAX);
        match store.fire(&schedule, due, next) {
            Ok(Some(id)) => {
                log::info!("schedule {} is due, task {id} is enqueued", schedule.name);
                fired.push((schedule.name, due, id));
            }
            Ok(None) => {}
            Err(e) => result = result.and(Err(named(e, &schedule.name))),
        }
    }
    result
}

fn named(e: Error, name: &str) -> Error {
    e.during(format_args!("schedule `{name}`"))
}

/// The schedule as it is stored when it is new: due for the first time after now. One that is never due is left out.
fn stored(entry: &Entry, now_ms: Millis) -> Option<Schedule> {
    let Some(next_at) = entry.cron.next_after(now_ms, entry.zone) else {
        log::warn!("schedule {} is never due", entry.name);
        return None;
    };
    Some(Schedule {
        name: entry.name.clone(),
        cron: entry.cron.text().to_string(),
        timezone: entry.zone.name().to_string(),
        job: entry.job.clone(),
        param: entry.param.clone(),
        priority: entry.priority,
        next_at,
        last_at: None,
    })
}
