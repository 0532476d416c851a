//! When a schedule is due: cron expressions, one-off times, fixed intervals.
//!
//! Pure: `now` is an argument, and so is the zone. Instants are UTC milliseconds; all due times are whole seconds.
//! `docs/schedules.md` says what each form means, and what the changes of a zone's clock do to it; its tables are tests.

mod at;
mod describe;
mod every;
mod expression;
mod grammar;
mod piece;
mod zone;

pub use at::At;
pub use every::Every;
pub use expression::Cron;
#[cfg(test)]
pub(crate) use expression::patterns;

use chrono_tz::Tz;
use std::fmt;
use std::iter;

/// Years outside of these are not evaluated: 1900-01-01 to 4900-01-01 UTC, in milliseconds.
const EVALUATED_MS: std::ops::Range<i64> = -2_208_988_800_000..92_461_910_400_000;

/// When something is due: again and again, or once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timing {
    /// At the local times that a cron expression names.
    Cron(Cron),
    /// Once, at a local date and time.
    At(At),
    /// At a fixed interval, whatever clocks on walls show.
    Every(Every),
}

impl Timing {
    /// Reads a cron expression. See [`Cron::parse`].
    pub fn parse_cron(text: &str) -> Result<Timing, TimingError> {
        Cron::parse(text).map(Timing::Cron)
    }

    /// Reads a one-off time. See [`At::parse`].
    pub fn parse_at(text: &str, made_ms: i64, zone: Tz) -> Result<Timing, TimingError> {
        At::parse(text, made_ms, zone).map(Timing::At)
    }

    /// Reads an interval. See [`Every::parse`].
    pub fn parse_every(text: &str) -> Result<Timing, TimingError> {
        Every::parse(text).map(Timing::Every)
    }

    /// Reads what [`Timing`] displays: `at 2026-11-09 02:01`, `every 15m`, or else a cron expression.
    pub fn parse(text: &str, made_ms: i64, zone: Tz) -> Result<Timing, TimingError> {
        let begun = |word: &str| text.strip_prefix(word).map(|rest| (rest, word.len()));
        if let Some((rest, from)) = begun("at ") {
            return Timing::parse_at(rest, made_ms, zone).map_err(|e| e.further(from));
        }
        if let Some((rest, from)) = begun("every ") {
            return Timing::parse_every(rest).map_err(|e| e.further(from));
        }
        Timing::parse_cron(text)
    }

    /// What it is called in the configuration: `cron`, `at` or `every`.
    pub fn kind(&self) -> &'static str {
        match self {
            Timing::Cron(_) => "cron",
            Timing::At(_) => "at",
            Timing::Every(_) => "every",
        }
    }

    /// As it was written, without its kind.
    pub fn text(&self) -> &str {
        match self {
            Timing::Cron(cron) => cron.text(),
            Timing::At(at) => at.text(),
            Timing::Every(every) => every.text(),
        }
    }

    /// In plain language, to stand after "it is due": `at 02:00 on Monday to Friday`, `every 15 minutes`.
    pub fn describe(&self) -> String {
        match self {
            Timing::Cron(cron) => cron.describe(),
            Timing::At(at) => at.describe(),
            Timing::Every(every) => every.describe(),
        }
    }

    /// The first due time strictly after `now_ms`, in UTC milliseconds; `None` when it is never due again, and outside
    /// the years 1900 to 4899.
    pub fn next_after(&self, now_ms: i64, zone: Tz) -> Option<i64> {
        match self {
            Timing::Cron(cron) => cron.next_after(now_ms, zone),
            Timing::At(at) => at.instant(zone).filter(|at_ms| *at_ms > now_ms),
            Timing::Every(every) => every.next_after(now_ms),
        }
    }

    /// The last due time in `(after_ms, now_ms]`, in UTC milliseconds. The work does not grow with the gap.
    pub fn latest_due(&self, after_ms: i64, now_ms: i64, zone: Tz) -> Option<i64> {
        let latest = match self {
            Timing::Cron(cron) => return cron.latest_due(after_ms, now_ms, zone),
            Timing::At(at) => at.instant(zone).filter(|at_ms| *at_ms <= now_ms),
            Timing::Every(every) => every.latest_until(now_ms),
        };
        latest.filter(|latest_ms| *latest_ms > after_ms)
    }

    /// Every due time in `(after_ms, now_ms]`, earliest first, found one by one: take only as many as are wanted.
    pub fn due(&self, after_ms: i64, now_ms: i64, zone: Tz) -> impl Iterator<Item = i64> + '_ {
        iter::successors(self.next_after(after_ms, zone), move |last_ms| self.next_after(*last_ms, zone))
            .take_while(move |due_ms| *due_ms <= now_ms)
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Timing::Cron(cron) => f.write_str(cron.text()),
            Timing::At(_) | Timing::Every(_) => write!(f, "{} {}", self.kind(), self.text()),
        }
    }
}

/// Why a text is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimingError {
    message: String,
    at: Option<usize>,
}

impl TimingError {
    fn new(message: impl Into<String>, at: Option<usize>) -> TimingError {
        TimingError { message: message.into(), at }
    }

    /// The same, in a text that has `bytes` more in front.
    fn further(self, bytes: usize) -> TimingError {
        TimingError { at: self.at.map(|at| at + bytes), ..self }
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where in the text, in bytes from 0, if it is wrong in one place. A place behind the last byte means that
    /// something is missing there.
    pub fn at(&self) -> Option<usize> {
        self.at
    }
}

impl fmt::Display for TimingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "{} (at character {})", self.message, at + 1),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for TimingError {}

#[cfg(test)]
mod tests;
