//! Cron expressions.
//!
//! Five fields (minute, hour, day of month, month, weekday), or six with seconds in front, or a nickname such as
//! `@daily`. A day counts when the day of month *or* the weekday matches, once both are given. The reader in `grammar`
//! reads the text first, so that what is wrong has a place, and nothing odd gets through; croner then says which local
//! times match, and knows no zone; what clock changes do to them is decided here. Croner is asked for its pattern when a
//! time is wanted for the first time: that is most of the work, and whoever reads thousands of expressions to see that they
//! are right wants no times of them.
//!
//! An expression of times of day (`30 2 * * *`, `0,30 2 * * *`, `0 */2 * * *`) is due once for each of them: right after
//! a gap, and at the first of two equal times. One that names every hour, or every or each n-th minute or second, follows
//! the clock: what is left out is left out, and what is repeated is due twice.

use super::grammar::{self, Fields, Read};
use super::zone::{self, Found};
use super::{EVALUATED_MS, TimingError, describe};
use chrono::{NaiveDateTime, TimeDelta};
use chrono_tz::Tz;
use std::fmt;
use std::iter;
use std::sync::OnceLock;

/// A cron expression that was understood and falls due at some time.
#[derive(Debug, Clone)]
pub struct Cron {
    text: String,
    /// In capitals and without nicknames, as croner reads it.
    plain: String,
    fields: Fields,
    // Boxed: it is many times the size of the other timings.
    pattern: OnceLock<Option<Box<croner::Cron>>>,
}

impl PartialEq for Cron {
    fn eq(&self, other: &Cron) -> bool {
        self.text == other.text
    }
}

impl Eq for Cron {}

impl Cron {
    /// Reads an expression. It is refused when it has another form than those above, and when it can never be due
    /// (`0 0 30 2 *`).
    pub fn parse(text: &str) -> Result<Cron, TimingError> {
        let Read { plain, fields, day_at } = grammar::read(text)?;
        match fields.has_a_day() {
            true => Ok(Cron { text: text.to_string(), plain, fields, pattern: OnceLock::new() }),
            false => Err(TimingError::new("it is never due: no month has such a day", Some(day_at))),
        }
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// In plain language: `at 02:00 on Monday to Friday`. Expressions of the same times have the same description.
    pub fn describe(&self) -> String {
        describe::fields(&self.fields)
    }

    /// The first due time strictly after `now_ms`, in UTC milliseconds; `None` outside the years 1900 to 4899.
    pub fn next_after(&self, now_ms: i64, zone: Tz) -> Option<i64> {
        let now_s = second(now_ms)?;
        let next_s =
            if self.fields.follows_the_clock { self.next_shown(now_s + 1, zone) } else { self.next_named(now_s, zone) };
        next_s.map(|next_s| next_s * 1_000).filter(|next_ms| EVALUATED_MS.contains(next_ms))
    }

    /// The last due time in `(after_ms, now_ms]`, in UTC milliseconds. The work does not grow with the gap.
    pub fn latest_due(&self, after_ms: i64, now_ms: i64, zone: Tz) -> Option<i64> {
        let now_s = second(now_ms)?;
        let latest_s =
            if self.fields.follows_the_clock { self.latest_shown(now_s, zone) } else { self.latest_named(now_s, zone) };
        let latest_ms = latest_s? * 1_000;
        Some(latest_ms).filter(|latest_ms| *latest_ms > after_ms && EVALUATED_MS.contains(latest_ms))
    }

    /// Every due time in `(after_ms, now_ms]`, earliest first, found one by one: take only as many as are wanted.
    pub fn due(&self, after_ms: i64, now_ms: i64, zone: Tz) -> impl Iterator<Item = i64> + '_ {
        iter::successors(self.next_after(after_ms, zone), move |last_ms| self.next_after(*last_ms, zone))
            .take_while(move |due_ms| *due_ms <= now_ms)
    }

    /// The first instant after `now_s` that a named time stands for.
    fn next_named(&self, now_s: i64, zone: Tz) -> Option<i64> {
        let mut local = passed(now_s, zone)?;
        loop {
            local = self.match_from(local + SECOND)?;
            let at_s = zone::once(local, zone)?;
            if at_s > now_s {
                return Some(at_s);
            }
        }
    }

    /// The last instant up to `now_s` that a named time stands for.
    fn latest_named(&self, now_s: i64, zone: Tz) -> Option<i64> {
        let mut local = passed(now_s, zone)?;
        loop {
            local = self.match_until(local)?;
            let at_s = zone::once(local, zone)?;
            if at_s <= now_s {
                return Some(at_s);
            }
            local -= SECOND;
        }
    }

    /// The first instant from `from_s` on at which the clock shows a time that matches.
    fn next_shown(&self, from_s: i64, zone: Tz) -> Option<i64> {
        let ahead = self.first_shown(zone::local(from_s, zone)?, from_s, zone);
        // Times that have passed on the clock come again, maybe before those that are ahead on it.
        let repeat = zone::repeat(from_s, zone).filter(|repeat| !repeat.is_second);
        let again = repeat.and_then(|repeat| self.first_shown(repeat.from, repeat.change_s, zone));
        ahead.into_iter().chain(again).min()
    }

    fn first_shown(&self, mut local: NaiveDateTime, from_s: i64, zone: Tz) -> Option<i64> {
        loop {
            local = self.match_from(local)?;
            let found = zone::find(local, zone)?;
            if let Some(at_s) = found.first_from(from_s) {
                return Some(at_s);
            }
            local = match found {
                Found::Gap(after_s) => zone::local(after_s, zone)?.max(local + SECOND),
                _ => local + SECOND,
            };
        }
    }

    /// The last instant up to `until_s` at which the clock shows a time that matches.
    fn latest_shown(&self, until_s: i64, zone: Tz) -> Option<i64> {
        let behind = self.last_shown(zone::local(until_s, zone)?, until_s, zone);
        let repeat = zone::repeat(until_s, zone).filter(|repeat| repeat.is_second);
        let before = repeat.and_then(|repeat| self.last_shown(repeat.last, repeat.change_s - 1, zone));
        behind.into_iter().chain(before).max()
    }

    fn last_shown(&self, mut local: NaiveDateTime, until_s: i64, zone: Tz) -> Option<i64> {
        loop {
            local = self.match_until(local)?;
            let found = zone::find(local, zone)?;
            if let Some(at_s) = found.last_until(until_s) {
                return Some(at_s);
            }
            local = match found {
                Found::Gap(after_s) => zone::local(after_s - 1, zone)?.min(local - SECOND),
                _ => local - SECOND,
            };
        }
    }

    /// The first local time that matches, from this one on.
    fn match_from(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        self.pattern()?.find_next_occurrence(&local.and_utc(), true).ok().map(|found| found.naive_utc())
    }

    /// The last local time that matches, up to this one.
    fn match_until(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        self.pattern()?.find_previous_occurrence(&local.and_utc(), true).ok().map(|found| found.naive_utc())
    }

    /// What croner makes of it: always something, since the grammar lets nothing through that croner refuses (a test).
    fn pattern(&self) -> Option<&croner::Cron> {
        let pattern = self.pattern.get_or_init(|| {
            #[cfg(test)]
            patterns::MADE.set(patterns::MADE.get() + 1);
            let parser = croner::parser::CronParser::builder()
                .seconds(croner::parser::Seconds::Optional)
                .year(croner::parser::Year::Disallowed)
                .build();
            parser.parse(&self.plain).ok().map(Box::new)
        });
        pattern.as_deref()
    }
}

const SECOND: TimeDelta = TimeDelta::seconds(1);

/// The last local time that had its first instant by `now_s`.
fn passed(now_s: i64, zone: Tz) -> Option<NaiveDateTime> {
    match zone::repeat(now_s, zone) {
        Some(repeat) if repeat.is_second => Some(repeat.last),
        _ => zone::local(now_s, zone),
    }
}

/// The second that `ms` lies in, if it is evaluated.
fn second(ms: i64) -> Option<i64> {
    EVALUATED_MS.contains(&ms).then(|| ms.div_euclid(1_000))
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// How many patterns this thread had croner make.
#[cfg(test)]
pub(crate) mod patterns {
    use std::cell::Cell;

    thread_local! {
        pub(crate) static MADE: Cell<u64> = const { Cell::new(0) };
    }
}
