//! What becomes of the due times of a schedule that have passed. Pure: the same answer for every tick that asks at the
//! same instant.
//!
//! Each due time is judged by how late it is and by the schedule's `catch_up`. What is not enqueued is put together into
//! runs, so that the work is bounded however long nobody looked.

use crate::clock::Millis;
use crate::cron::Timing;
use crate::store::{CatchUp, Kept, MOST_AT_ONCE, MOST_COUNTED, Passed, Schedule};
use crate::task::span_text;

/// An occurrence that is no later than this is in time: cron may miss a minute.
pub(super) const IN_TIME_MS: u64 = 120_000;

/// What is to be done about a schedule that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged {
    /// Due times to enqueue, ascending.
    pub(super) due: Vec<Millis>,
    /// The others.
    pub(super) passed: Vec<Passed>,
    /// Where it goes on.
    pub(super) next_at: Option<Millis>,
}

/// When the schedule is due for the first time after `now_ms`; `None` when it is never due, or switched off.
pub(super) fn first(schedule: &Schedule, timing: &Timing, now_ms: Millis) -> Option<Millis> {
    let next = timing.next_after(now_ms, schedule.zone).filter(|_| schedule.enabled)?;
    Some(next).filter(|next| schedule.until_ms.is_none_or(|until| *next <= until))
}

/// Judges all due times from `next_at` on up to `now_ms`. `known` were enqueued before, ascending: they stay out of it.
pub(super) fn judge(kept: &Kept, timing: &Timing, known: &[Millis], now_ms: Millis) -> Judged {
    let schedule = &kept.schedule;
    let next_at = first(schedule, timing, now_ms);
    let Some(from) = kept.next_at else { return Judged { due: Vec::new(), passed: Vec::new(), next_at } };
    let until = schedule.until_ms.map_or(now_ms, |until| until.min(now_ms));
    let (most, latest_late) = match schedule.catch_up {
        CatchUp::Skip => (MOST_AT_ONCE, Some(IN_TIME_MS)),
        CatchUp::Window(ms) => (MOST_AT_ONCE, Some(ms)),
        CatchUp::Once => (1, None),
        CatchUp::All => (MOST_AT_ONCE, None),
    };
    let earliest = latest_late.map_or(from, |ms| now_ms.saturating_sub(ms.try_into().unwrap_or(Millis::MAX)));
    let mut due = Vec::new();
    let mut looked_at = 0;
    let mut upper = until;
    while looked_at < most
        && let Some(at) = timing.latest_due(from - 1, upper, schedule.zone).filter(|at| *at >= earliest)
    {
        if known.binary_search(&at).is_err() {
            due.push(at);
        }
        looked_at += 1;
        upper = at - 1;
    }
    due.reverse();
    Judged { due, passed: passed(kept, timing, known, (from - 1, upper)), next_at }
}

/// The runs of due times in `(after, upto]`: parted where the reason changes, and where something was enqueued before.
fn passed(kept: &Kept, timing: &Timing, known: &[Millis], (after, upto): (Millis, Millis)) -> Vec<Passed> {
    let mut cuts: Vec<Millis> = known.iter().copied().filter(|at| *at > after && *at <= upto).collect();
    let idle_until = kept.idle.as_ref().map(|(until, _)| *until).filter(|until| *until > after && *until < upto);
    cuts.extend(idle_until);
    cuts.push(upto);
    cuts.sort_unstable();
    cuts.dedup();
    let mut runs = Vec::new();
    let mut from = after;
    for cut in cuts {
        let upto = if known.binary_search(&cut).is_ok() { cut - 1 } else { cut };
        runs.extend(run(kept, timing, from, upto));
        from = cut;
    }
    runs
}

fn run(kept: &Kept, timing: &Timing, after: Millis, upto: Millis) -> Option<Passed> {
    let zone = kept.schedule.zone;
    let last_ms = timing.latest_due(after, upto, zone)?;
    let first_ms = timing.next_after(after, zone)?;
    let counted = timing.due(after, upto, zone).take(MOST_COUNTED as usize).count();
    let idle = kept.idle.as_ref().filter(|(until, _)| last_ms <= *until);
    let reason = match (idle, kept.schedule.catch_up) {
        (Some((_, why)), _) => why.clone(),
        (None, CatchUp::Skip) => format!("nobody ticked within {} (catch_up = skip)", span_text(IN_TIME_MS)),
        (None, CatchUp::Window(ms)) => format!("nobody ticked within {} (catch_up = window)", span_text(ms)),
        (None, CatchUp::Once) => "nobody ticked; a later one was made up for (catch_up = once)".to_string(),
        (None, CatchUp::All) => format!("nobody ticked; more than {MOST_AT_ONCE} were due (catch_up = all)"),
    };
    let count = u32::try_from(counted).unwrap_or(MOST_COUNTED);
    Some(Passed { first_ms, last_ms, count, skipped: idle.is_some(), reason })
}

#[cfg(test)]
mod tests;
