//! One-off times: `2026-11-09 02:01`, or `11-09 02:01` without the year; seconds may follow.
//!
//! It is a time of the schedule's zone. What a clock change leaves out is due right after the change; of two equal
//! times the first is meant. Both are as for the times that a cron expression names.

use super::piece::{Piece, all_plain};
use super::{EVALUATED_MS, TimingError, zone};
use chrono::{Datelike, NaiveDate, NaiveDateTime};
use chrono_tz::Tz;
use std::ops::RangeInclusive;

const HOW: &str = "write it like 2026-11-09 02:01, or 11-09 02:01 for the next one";

/// Leap days are at most eight years apart, around a year such as 2100.
const YEARS_TO_TRY: i32 = 9;

/// A one-off time that was understood; its year is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    text: String,
    local: NaiveDateTime,
}

impl At {
    /// Reads a time. Without a year it is the first such time after `made_ms`, when the schedule was made: who reads the
    /// text again gives the same `made_ms` again, or it would come back each year.
    pub fn parse(text: &str, made_ms: i64, zone: Tz) -> Result<At, TimingError> {
        all_plain(text)?;
        let all = Piece::whole(text).trimmed();
        let Some((date, time)) = all.split_once(' ').or_else(|| all.split_once('T')) else {
            return all.wrong(format!("a one-off time is a date and a time of day; {HOW}"));
        };
        let time = clock_time(time.trimmed())?;
        let parts: Vec<Piece<'_>> = date.split('-').collect();
        let on = |year: i32, month: u32, day: u32| NaiveDate::from_ymd_opt(year, month, day).map(|d| d.and_time(time));
        let local = match parts[..] {
            [year, month_part, day_part] => {
                let year = number(year, "a year", 4..=4, 1970..=4_899)?;
                let (month, day) = month_and_day(month_part, day_part)?;
                match on(i32::try_from(year).unwrap_or(i32::MAX), month, day) {
                    Some(local) => local,
                    None => return day_part.wrong(format!("{year}-{} has no day {day}", month_part.text)),
                }
            }
            [month_part, day_part] => {
                let (month, day) = month_and_day(month_part, day_part)?;
                let made = zone::local(made_ms.div_euclid(1_000), zone);
                let made_year = made.map_or(1970, |local| local.year());
                let ahead = |local: &NaiveDateTime| zone::once(*local, zone).is_some_and(|at_s| at_s * 1_000 > made_ms);
                match (made_year..made_year + YEARS_TO_TRY).filter_map(|year| on(year, month, day)).find(ahead) {
                    Some(local) => local,
                    None => return day_part.wrong(format!("month {} has no day {day}", month_part.text)),
                }
            }
            _ => return date.wrong(format!("`{}` is not a date; {HOW}", date.text)),
        };
        Ok(At { text: text.to_string(), local })
    }

    /// The time as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// In plain language: `once, at 2026-11-09 02:01`.
    pub fn describe(&self) -> String {
        let seconds = if self.local.and_utc().timestamp() % 60 == 0 { "" } else { ":%S" };
        format!("once, at {}", self.local.format(&format!("%Y-%m-%d %H:%M{seconds}")))
    }

    /// The instant, in UTC milliseconds.
    pub(super) fn instant(&self, zone: Tz) -> Option<i64> {
        zone::once(self.local, zone).map(|at_s| at_s * 1_000).filter(|at_ms| EVALUATED_MS.contains(at_ms))
    }
}

fn month_and_day(month: Piece<'_>, day: Piece<'_>) -> Result<(u32, u32), TimingError> {
    Ok((number(month, "a month", 1..=2, 1..=12)?, number(day, "a day of the month", 1..=2, 1..=31)?))
}

fn clock_time(time: Piece<'_>) -> Result<chrono::NaiveTime, TimingError> {
    let parts: Vec<Piece<'_>> = time.split(':').collect();
    let (hour, minute, second) = match parts[..] {
        [hour, minute] => (hour, minute, None),
        [hour, minute, second] => (hour, minute, Some(second)),
        _ => return time.wrong(format!("`{}` is not a time of day; {HOW}", time.text)),
    };
    if hour.text == "24" {
        return hour.wrong("`24` is not an hour (0 to 23); midnight is 00:00 of the day that begins");
    }
    let (h, m) = (number(hour, "an hour", 1..=2, 0..=23)?, number(minute, "a minute", 2..=2, 0..=59)?);
    let s = match second {
        Some(second) if second.text == "60" => {
            return second.wrong("`60` is not a second (0 to 59); a leap second is no time of its own here");
        }
        Some(second) => number(second, "a second", 2..=2, 0..=59)?,
        None => 0,
    };
    chrono::NaiveTime::from_hms_opt(h, m, s).map_or_else(|| time.wrong(format!("it is not a time; {HOW}")), Ok)
}

fn number(
    piece: Piece<'_>,
    what: &str,
    digits: RangeInclusive<usize>,
    values: RangeInclusive<u32>,
) -> Result<u32, TimingError> {
    let (length, plain) = (piece.text.len(), piece.text.bytes().all(|b| b.is_ascii_digit()));
    match piece.text.parse::<u32>() {
        Ok(value) if plain && digits.contains(&length) && values.contains(&value) => Ok(value),
        Ok(_) if plain && length < *digits.start() => {
            piece.wrong(format!("`{}` is too short: {what} has {} digits here; {HOW}", piece.text, digits.start()))
        }
        _ => piece.wrong(format!("`{}` is not {what} ({} to {}); {HOW}", piece.text, values.start(), values.end())),
    }
}
