//! An oracle for what a change of the clock does: it looks at every minute, and asks a zone for nothing but the local time
//! of an instant. Days are in the simple forms only: what is tested is the clock.

use chrono::{Datelike, NaiveDateTime, TimeDelta, TimeZone, Timelike};
use chrono_tz::Tz;
use std::collections::BTreeSet;

/// An expression of the simple forms.
pub(super) struct Plain {
    pub(super) minutes: BTreeSet<u32>,
    pub(super) hours: BTreeSet<u32>,
    pub(super) weekdays: BTreeSet<u32>,
    pub(super) follows_the_clock: bool,
}

impl Plain {
    /// In a form that decides the same about following the clock; `Cron` decides by the hours and by a `*`.
    pub(super) fn text(&self) -> String {
        let all_hours = self.hours.len() == 24;
        let minutes = match self.step() {
            Some(step) if self.follows_the_clock && !all_hours => format!("*/{step}"),
            _ => list(&self.minutes),
        };
        format!("{minutes} {} * * {}", list(&self.hours), list(&self.weekdays))
    }

    /// The n of all multiples of n below 60.
    fn step(&self) -> Option<u32> {
        let n = self.minutes.iter().copied().nth(1)?;
        self.minutes.iter().copied().eq((0..60).step_by(n as usize)).then_some(n)
    }

    fn matches(&self, local: NaiveDateTime) -> bool {
        self.minutes.contains(&local.minute())
            && self.hours.contains(&local.hour())
            && self.weekdays.contains(&local.weekday().num_days_from_sunday())
    }

    /// Every due time in `(after, until]`, by looking at every minute. It begins `before_min` minutes earlier: long enough
    /// for what was repeated just before to be known as such.
    pub(super) fn due(&self, after: i64, until: i64, zone: Tz, before_min: i64) -> Vec<i64> {
        let minutes = (after.div_euclid(60_000) - before_min)..=until.div_euclid(60_000);
        let local = |ms: i64| zone.timestamp_millis_opt(ms).unwrap().naive_local();
        let shown: Vec<(i64, NaiveDateTime)> = minutes.map(|m| (m * 60_000, local(m * 60_000))).collect();
        let mut due = BTreeSet::new();
        let mut furthest = shown[0].1;
        for (at, local) in shown {
            if self.follows_the_clock {
                if self.matches(local) {
                    due.insert(at);
                }
                continue;
            }
            // Each local time that has not been, up to the one that the clock shows now.
            while furthest < local {
                furthest += TimeDelta::minutes(1);
                if self.matches(furthest) {
                    due.insert(at);
                }
            }
        }
        due.into_iter().filter(|at| *at > after && *at <= until).collect()
    }
}

fn list(values: &BTreeSet<u32>) -> String {
    values.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}
