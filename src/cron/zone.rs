//! Local times and instants of a zone, in whole seconds.
//!
//! When a zone's clock is set forward, some local times never are (a *gap*); when it is set back, some are twice (a
//! *repeat*). Everything rests on two questions to chrono-tz: what is local at an instant, and which instants have a
//! local time. The edges of gaps and repeats are found by bisecting.

use chrono::{DateTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;

/// Longer than any gap or repeat: a zone that crosses the date line leaves out a day, or has one twice.
const MOST_S: i64 = 2 * 86_400;

/// Where a local time is found among the instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// There is one such instant.
    Once(i64),
    /// There are two, the earlier first.
    Twice(i64, i64),
    /// There is none: the first instant after the gap.
    Gap(i64),
}

impl Found {
    /// The first of the instants that have the local time, from `from_s` on.
    pub(super) fn first_from(self, from_s: i64) -> Option<i64> {
        self.instants().into_iter().flatten().find(|at_s| *at_s >= from_s)
    }

    /// The last of the instants that have the local time, up to `until_s`.
    pub(super) fn last_until(self, until_s: i64) -> Option<i64> {
        self.instants().into_iter().flatten().rfind(|at_s| *at_s <= until_s)
    }

    fn instants(self) -> [Option<i64>; 2] {
        match self {
            Found::Once(at_s) => [Some(at_s), None],
            Found::Twice(earlier_s, later_s) => [Some(earlier_s), Some(later_s)],
            Found::Gap(_) => [None, None],
        }
    }
}

/// The local time at an instant; `None` beyond the years that chrono knows.
pub(super) fn local(at_s: i64, zone: Tz) -> Option<NaiveDateTime> {
    let utc = DateTime::from_timestamp(at_s, 0)?.naive_utc();
    utc.checked_add_signed(TimeDelta::try_seconds(offset_s(utc, zone))?)
}

/// The instants that have a local time.
pub(super) fn find(local_time: NaiveDateTime, zone: Tz) -> Option<Found> {
    use chrono::LocalResult;
    match zone.from_local_datetime(&local_time) {
        LocalResult::Single(at) => Some(Found::Once(at.timestamp())),
        LocalResult::Ambiguous(a, b) => {
            let (a, b) = (a.timestamp(), b.timestamp());
            Some(Found::Twice(a.min(b), a.max(b)))
        }
        LocalResult::None => {
            let about_s = local_time.and_utc().timestamp();
            let is_past = |at_s| local(at_s, zone).is_none_or(|then| then > local_time);
            Some(Found::Gap(first(about_s - MOST_S, about_s + MOST_S, is_past)))
        }
    }
}

/// The one instant that a local time stands for: the first of two, the first after a gap. It never goes back when the
/// local time goes on.
pub(super) fn once(local_time: NaiveDateTime, zone: Tz) -> Option<i64> {
    find(local_time, zone).map(|found| match found {
        Found::Once(at_s) | Found::Twice(at_s, _) | Found::Gap(at_s) => at_s,
    })
}

/// A stretch of local times that is there twice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Repeat {
    /// Its first local time.
    pub(super) from: NaiveDateTime,
    /// Its last local time, to the second.
    pub(super) last: NaiveDateTime,
    /// The instant at which its second half begins.
    pub(super) change_s: i64,
    /// Whether the instant that was asked about is in its second half.
    pub(super) is_second: bool,
}

/// The repeat that an instant is in, if it is in one.
pub(super) fn repeat(at_s: i64, zone: Tz) -> Option<Repeat> {
    let Found::Twice(earlier_s, later_s) = find(local(at_s, zone)?, zone)? else { return None };
    let before = DateTime::from_timestamp(earlier_s, 0)?.naive_utc();
    let has_changed = |s| {
        DateTime::from_timestamp(s, 0).is_none_or(|then| offset_s(then.naive_utc(), zone) != offset_s(before, zone))
    };
    let change_s = first(earlier_s, later_s, has_changed);
    let (from, last) = (local(change_s, zone)?, local(change_s - 1, zone)?);
    Some(Repeat { from, last, change_s, is_second: at_s >= change_s })
}

/// How far local time is ahead of UTC.
fn offset_s(utc: NaiveDateTime, zone: Tz) -> i64 {
    zone.offset_from_utc_datetime(&utc).fix().local_minus_utc().into()
}

/// The first second after `low` for which `holds`, which does not hold at `low` and does at `high`.
pub(super) fn first(mut low: i64, mut high: i64, holds: impl Fn(i64) -> bool) -> i64 {
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}
