//! Cron expressions: when a schedule is due.
//!
//! Five fields (minute, hour, day of month, month, weekday), or six with seconds in front, or a nickname such as
//! `@daily`. A day counts when the day of month *or* the weekday matches, once both are given. Croner evaluates;
//! the reader in `grammar` reads the text first, so that what is wrong has a place, and nothing odd gets through.
//!
//! When a zone's clock jumps: an expression with one fixed time of day runs once, right after a gap or at the first of
//! two equal times; any other follows the clock, so what falls into a gap is left out, and what is repeated runs twice.

mod grammar;

use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;
use std::fmt;
use std::iter;

/// A cron expression that was understood and falls due at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
    pattern: croner::Cron,
}

/// Why a text is not a cron expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronError {
    message: String,
    at: Option<usize>,
}

impl CronError {
    fn new(message: impl Into<String>, at: Option<usize>) -> CronError {
        CronError { message: message.into(), at }
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where in the text, in bytes from 0, if it is wrong in one place.
    pub fn at(&self) -> Option<usize> {
        self.at
    }
}

impl fmt::Display for CronError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "{} (at character {})", self.message, at + 1),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for CronError {}

/// Years outside of these are not evaluated: 1900-01-01 to 4900-01-01 UTC, in milliseconds.
const EVALUATED_MS: std::ops::Range<i64> = -2_208_988_800_000..92_460_096_000_000;

impl Cron {
    /// Reads an expression. It is refused when it has another form than those above, and when it can never be due
    /// (`0 0 30 2 *`).
    pub fn parse(text: &str) -> Result<Cron, CronError> {
        let plain = grammar::plain(text)?;
        let pattern = croner::parser::CronParser::builder()
            .seconds(croner::parser::Seconds::Optional)
            .year(croner::parser::Year::Disallowed)
            .build()
            .parse(&plain)
            .map_err(|e| CronError::new(format!("this is not a cron expression: {e}"), None))?;
        let cron = Cron { text: text.to_string(), pattern };
        match cron.next_after(0, Tz::UTC) {
            Some(_) => Ok(cron),
            None => Err(CronError::new("it is never due: no month has such a day", None)),
        }
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first due time strictly after `now_ms`, in UTC milliseconds; `None` outside the years 1900 to 4899.
    pub fn next_after(&self, now_ms: i64, zone: Tz) -> Option<i64> {
        let next = self.pattern.find_next_occurrence(&instant(now_ms, zone)?, false).ok()?;
        // A search from the middle of a second begins at its start; nothing due can lie between the two.
        Some(next.timestamp_millis()).filter(|next_ms| *next_ms > now_ms && EVALUATED_MS.contains(next_ms))
    }

    /// The last due time in `(after_ms, now_ms]`, in UTC milliseconds. The work does not grow with the gap.
    pub fn latest_due(&self, after_ms: i64, now_ms: i64, zone: Tz) -> Option<i64> {
        let latest = self.pattern.find_previous_occurrence(&instant(now_ms, zone)?, true).ok()?.timestamp_millis();
        Some(latest).filter(|latest_ms| *latest_ms > after_ms)
    }

    /// Every due time in `(after_ms, now_ms]`, earliest first, found one by one: take only as many as are wanted.
    pub fn due(&self, after_ms: i64, now_ms: i64, zone: Tz) -> impl Iterator<Item = i64> + '_ {
        iter::successors(self.next_after(after_ms, zone), move |last_ms| self.next_after(*last_ms, zone))
            .take_while(move |due_ms| *due_ms <= now_ms)
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The start of the second that `ms` lies in, in `zone`.
fn instant(ms: i64, zone: Tz) -> Option<DateTime<Tz>> {
    if !EVALUATED_MS.contains(&ms) {
        return None;
    }
    zone.timestamp_opt(ms.div_euclid(1_000), 0).single()
}

#[cfg(test)]
mod tests;
