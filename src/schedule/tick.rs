//! What one pass does, in order.

use super::calendar::{Calendar, Enqueued, Guarded, enqueue_due, enqueue_guarded, enqueue_waiting};
use crate::clock::Millis;
use crate::error::Result;
use crate::store::{Ended, LostClaim, Store};
use crate::task::{Partition, Settlement};
use std::time::Duration;

/// Rows that one transaction makes ready, and how many such transactions a tick does at most.
const PROMOTE: (usize, usize) = (500, 20);
/// Outcomes that one transaction folds, and how many such transactions a tick does at most.
const FOLD: (usize, usize) = (2_000, 5);
/// New rows that one transaction counts, and how many transactions one tick makes of that.
const COUNT: (usize, usize) = (2_000, 50);
/// A tick folds only what workers have left lying for this long.
const FOLD_AFTER: Duration = Duration::from_secs(5);

/// What a tick did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Another tick was under way: nothing was done.
    pub left_to_another: bool,
    /// A person has stopped everything: nothing was done. What has come due meanwhile is seen to after the start.
    pub stopped: bool,
    /// Occurrences that were enqueued: schedule, due time, task.
    pub fired: Vec<Enqueued>,
    /// Indexes of the workers that were started.
    pub started: Vec<u32>,
}

/// One pass at `now_ms`. Workers without progress for `stall` are killed. `judge` says what becomes of a task whose worker
/// died while it ran. `start` starts worker `index` and returns at once. What schedules have due is enqueued as each of
/// them says; what a command has to be asked about comes last, so that it keeps nothing else waiting. A crash at any point
/// leaves the rest to the next tick.
pub fn tick(
    store: &mut dyn Store,
    calendar: &mut Calendar<'_>,
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
    let mut guarded = Vec::new();
    let scheduled = enqueue_due(store, calendar, now_ms, &mut ticked.fired, &mut guarded);
    let kept = keep_house(store, workers, now_ms, judge, &mut ticked.fired);
    let started = start_missing(store, workers, start, &mut ticked.started);
    let asked = ask_last(store, calendar, guarded, workers, now_ms, &mut ticked.fired);
    frozen.map(drop).and(scheduled).and(kept).and(started).and(asked).map(|()| ticked)
}

/// What commands have to be asked about, once all else is done.
fn ask_last(
    store: &mut dyn Store,
    calendar: &mut Calendar<'_>,
    guarded: Guarded,
    workers: u32,
    now_ms: Millis,
    fired: &mut Vec<Enqueued>,
) -> Result<()> {
    let before = fired.len();
    let asked = enqueue_guarded(store, calendar, guarded, now_ms, fired);
    if fired.len() > before {
        let plan = store.plan()?;
        let touched: Vec<_> = fired[before..].iter().map(|(.., id)| plan.partition_of(*id)).collect();
        store.ring(&touched, workers);
    }
    asked
}

fn keep_house(
    store: &mut dyn Store,
    workers: u32,
    now_ms: Millis,
    judge: &dyn Fn(&LostClaim) -> Settlement,
    fired: &mut Vec<Enqueued>,
) -> Result<()> {
    let plan = store.plan()?;
    let recovered = recover(store, now_ms, judge);
    let released = enqueue_waiting(store, now_ms, fired);
    let mut touched = recovered?;
    touched.extend(fired.iter().map(|(_, _, id)| plan.partition_of(*id)));
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
    released
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
