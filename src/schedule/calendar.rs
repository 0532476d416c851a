//! What a tick does about schedules: those that are due are moved on, and what they ask for is enqueued.
//!
//! Only schedules that are due are read, and only their times are understood. The others cost the look at an index, and
//! those of the configuration the comparison of one number.

use super::judge::{self, Judged};
use crate::clock::{Millis, Watch};
use crate::cron::Timing;
use crate::error::{Error, Result};
use crate::store::{Fired, Firing, Kept, Schedule, Store, release_waiting};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// Schedules and occurrences that one transaction moves on.
const AT_ONCE: (usize, usize) = (100, 1_000);
/// How long a tick goes on asking commands whether an occurrence is wanted; the rest is asked by the next tick.
const ASKING: Duration = Duration::from_secs(10);

/// The schedules of the configuration and of packs, and who asks the commands of those that have one.
pub struct Calendar<'a> {
    /// What there is to be; those that persons made are in the database.
    pub schedules: &'a [Schedule],
    /// Asks the `only_if` of the schedule with this name.
    pub ask: &'a mut dyn FnMut(&str) -> Answer,
}

/// What an `only_if` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The occurrence is wanted.
    Wanted,
    /// It is not, in these words.
    NotWanted(String),
    /// It cannot be told now, in these words: the next tick asks again.
    Later(String),
}

/// An occurrence that was enqueued: schedule, due time, task.
pub type Enqueued = (String, Millis, i64);

/// What the first look leaves for the end of the tick: schedules with a command that has to be asked.
pub(super) type Guarded = Vec<Kept>;

/// The first step: makes the stored schedules those of the calendar and enqueues what is due, but for what a command has to
/// be asked about: that is `guarded`. One schedule that fails keeps no other from being seen to; the first error is answered.
pub(super) fn enqueue_due(
    store: &mut dyn Store,
    calendar: &Calendar<'_>,
    now_ms: Millis,
    enqueued: &mut Vec<Enqueued>,
    guarded: &mut Guarded,
) -> Result<()> {
    set(store, calendar.schedules, now_ms)?;
    for kept in store.ahead_schedules(now_ms)? {
        let begins = match timing(&kept.schedule, kept.made_at) {
            Ok(timing) => judge::first(&kept.schedule, &timing, now_ms),
            Err(e) => {
                log::error!("{e}");
                continue;
            }
        };
        if store.rewind(&kept, begins, now_ms)? {
            log::warn!("the clock was set back: schedule {} is due at its times after now again", kept.schedule.name);
        }
    }
    let (asked, free): (Vec<Kept>, Vec<Kept>) =
        store.due_schedules(now_ms)?.into_iter().partition(|kept| kept.schedule.guarded);
    *guarded = asked;
    let mut result = Ok(());
    let mut group = Vec::new();
    let mut occurrences = 0;
    for kept in free {
        match firing(store, &kept, now_ms) {
            Ok(firing) => {
                occurrences += firing.due.len();
                group.push(firing);
            }
            Err(e) => result = result.and(Err(named(e, &kept.schedule.name))),
        }
        if group.len() >= AT_ONCE.0 || occurrences >= AT_ONCE.1 {
            result = result.and(fire(store, &std::mem::take(&mut group), enqueued));
            occurrences = 0;
        }
    }
    result.and(fire(store, &group, enqueued))
}

/// The last step: asks the commands of those that are left, one after the other, and enqueues what is wanted.
pub(super) fn enqueue_guarded(
    store: &mut dyn Store,
    calendar: &mut Calendar<'_>,
    guarded: Guarded,
    now_ms: Millis,
    enqueued: &mut Vec<Enqueued>,
) -> Result<()> {
    let watch = Watch::start();
    let mut result = Ok(());
    for kept in guarded {
        if watch.left_of(ASKING).is_zero() {
            log::warn!("commands of only_if take long: what is not asked yet is asked by the next tick");
            break;
        }
        let name = &kept.schedule.name;
        // A paused one, or one whose time nobody wants any more, needs no command.
        let wanted = match firing(store, &kept, now_ms) {
            Ok(firing) if firing.due.is_empty() => Ok(firing),
            Ok(firing) => match (calendar.ask)(name) {
                Answer::Wanted => Ok(firing),
                Answer::NotWanted(why) => Ok(unwanted(firing, &why)),
                Answer::Later(why) => {
                    log::warn!("schedule {name} is due, and its only_if cannot be asked now: {why}");
                    continue;
                }
            },
            Err(e) => Err(named(e, name)),
        };
        result = result.and(wanted.and_then(|firing| fire(store, &[firing], enqueued)));
    }
    result
}

/// The same firing with nothing to enqueue.
fn unwanted(mut firing: Firing, why: &str) -> Firing {
    let due = std::mem::take(&mut firing.due);
    firing.passed.extend(due.into_iter().map(|(at, _)| skipped(at, format!("only_if: {why}"))));
    firing
}

fn skipped(at: Millis, reason: String) -> crate::store::Passed {
    crate::store::Passed { first_ms: at, last_ms: at, count: 1, skipped: true, reason }
}

fn set(store: &mut dyn Store, schedules: &[Schedule], now_ms: Millis) -> Result<()> {
    let mut hasher = DefaultHasher::new();
    schedules.hash(&mut hasher);
    let begins = |schedule: &Schedule, now_ms: Millis| {
        let first = timing(schedule, now_ms).map(|timing| judge::first(schedule, &timing, now_ms));
        match first {
            Ok(None) if schedule.enabled => log::warn!("schedule {} is never due from now on", schedule.name),
            Ok(_) => {}
            Err(ref e) => log::error!("{e}"),
        }
        first.unwrap_or(None)
    };
    store.set_schedules(schedules, hasher.finish().cast_signed(), now_ms, &begins)
}

/// When a schedule is due that was made at `made_ms`. What is wrong with its text is an error that names it.
pub fn timing(schedule: &Schedule, made_ms: Millis) -> Result<Timing> {
    Timing::parse(&schedule.timing, made_ms, schedule.zone)
        .map_err(|e| named(Error::usage(format!("`{}`: {e}", schedule.timing.escape_debug())), &schedule.name))
}

/// The first due time of a schedule that is made at `now_ms`; `None` when it is never due, or switched off.
pub fn begins(schedule: &Schedule, now_ms: Millis) -> Result<Option<Millis>> {
    Ok(judge::first(schedule, &timing(schedule, now_ms)?, now_ms))
}

/// The task that a person asks for by hand: as if it were due at `now_ms`, without jitter.
pub fn task_now(schedule: &Schedule, now_ms: Millis) -> crate::task::NewTask {
    crate::task::NewTask { run_at_ms: None, ..schedule.task(now_ms, Millis::MAX) }
}

fn firing(store: &mut dyn Store, kept: &Kept, now_ms: Millis) -> Result<Firing> {
    let schedule = &kept.schedule;
    let was_next = kept.next_at.unwrap_or(now_ms);
    let known = store.known_from(&schedule.name, was_next)?;
    let Judged { due, passed, next_at } = judge::judge(kept, &timing(schedule, kept.made_at)?, &known, now_ms);
    Ok(Firing {
        name: schedule.name.clone(),
        was: (was_next, kept.seen_at),
        due: due.into_iter().map(|at| (at, schedule.task(at, now_ms))).collect(),
        passed,
        next_at,
        now_ms,
    })
}

fn fire(store: &mut dyn Store, firings: &[Firing], enqueued: &mut Vec<Enqueued>) -> Result<()> {
    if firings.is_empty() {
        return Ok(());
    }
    let answers = match store.fire(firings) {
        Ok(answers) => answers,
        // One of them has ended the transaction of all: each has one of its own now.
        Err(e) if firings.len() > 1 && e.kind() != crate::error::Kind::TryAgain => {
            let mut result = Ok(());
            for firing in firings {
                result = result.and(fire(store, std::slice::from_ref(firing), enqueued));
            }
            return result;
        }
        Err(e) => return Err(named(e, &firings[0].name)),
    };
    let mut result = Ok(());
    for (firing, answer) in firings.iter().zip(answers) {
        match answer {
            Ok(Some(fired)) => tell(firing, fired, enqueued),
            Ok(None) => {}
            Err(e) => result = result.and(Err(named(e, &firing.name))),
        }
    }
    result
}

/// Says in the log what became of a schedule that was due.
fn tell(firing: &Firing, fired: Fired, enqueued: &mut Vec<Enqueued>) {
    let name = &firing.name;
    // That a later one makes up for them is what was wanted.
    let level = if fired.tasks.is_empty() { log::Level::Warn } else { log::Level::Info };
    for passed in &firing.passed {
        let (what, count) = (if passed.skipped { "skipped" } else { "missed" }, passed.count);
        log::log!(level, "schedule {name}: occurrences {what}: {count}: {}", passed.reason);
    }
    for (_, reason) in &fired.skipped {
        log::info!("schedule {name} is due and skipped: {reason}");
    }
    if fired.waiting > 0 {
        log::info!("schedule {name}: {} occurrences wait for the task before them", fired.waiting);
    }
    for (due, task) in fired.tasks {
        log::info!("schedule {name} is due, task {task} is enqueued");
        enqueued.push((name.clone(), due, task));
    }
}

/// Enqueues what has waited for a task that is settled now, where no worker has done that.
pub(super) fn enqueue_waiting(store: &mut dyn Store, now_ms: Millis, enqueued: &mut Vec<Enqueued>) -> Result<()> {
    let mut result = Ok(());
    for (name, due_at, task) in release_waiting(store, now_ms)? {
        match task {
            Ok(id) => {
                log::info!("schedule {name} has waited, task {id} is enqueued");
                enqueued.push((name, due_at, id));
            }
            Err(e) => result = result.and(Err(named(e, &name))),
        }
    }
    result
}

fn named(e: Error, name: &str) -> Error {
    e.during(format_args!("schedule `{}`", name.escape_debug()))
}
