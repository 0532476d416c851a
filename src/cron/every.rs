//! Fixed intervals: `90s`, `15m`, `6h`, `1h30m`, `7d`.
//!
//! Counted from 1970-01-01 00:00 UTC, without end: due whenever the UTC seconds since then are a multiple. So nothing
//! drifts, no start or restart moves it, and every host has the same times. Daylight saving does not touch it.

use super::piece::{Piece, all_plain};
use super::{EVALUATED_MS, TimingError};

const UNITS: [(&str, &str, i64); 5] =
    [("w", "week", 604_800), ("d", "day", 86_400), ("h", "hour", 3_600), ("m", "minute", 60), ("s", "second", 1)];

/// The longest interval, in seconds: a year of 366 days. What is rarer is a cron expression.
const LONGEST_S: i64 = 366 * 86_400;

/// An interval that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Every {
    text: String,
    every_s: i64,
}

impl Every {
    /// Reads an interval: whole numbers with a unit (`s`, `m`, `h`, `d`, `w`), one after the other as in `1h30m`. From
    /// one second to 366 days.
    pub fn parse(text: &str) -> Result<Every, TimingError> {
        all_plain(text)?;
        let all = Piece::whole(text).trimmed();
        if all.text.is_empty() {
            return all.wrong(format!("it is empty; {HOW}"));
        }
        let mut rest = all;
        let mut every_s: i64 = 0;
        while !rest.text.is_empty() {
            let (number, after) = rest.split_while(|c| c.is_ascii_digit());
            let (unit, tail) = after.split_while(|c| c.is_ascii_alphabetic());
            if number.text.is_empty() {
                return number.wrong(format!("a whole number must stand here; {HOW}"));
            }
            let Some((_, _, factor)) = UNITS.iter().find(|(name, ..)| *name == unit.text) else {
                return match unit.text {
                    "" => unit.wrong(format!("a unit must stand here: s, m, h, d or w; {HOW}")),
                    "ms" => unit.wrong("an interval is of whole seconds: one second or more"),
                    other => unit.wrong(format!("`{other}` is not a unit: s, m, h, d or w; {HOW}")),
                };
            };
            let part_s = number.text.parse::<i64>().ok().and_then(|n| n.checked_mul(*factor));
            every_s = match part_s.and_then(|part_s| every_s.checked_add(part_s)) {
                Some(sum_s) if sum_s <= LONGEST_S => sum_s,
                _ => return number.wrong("an interval is of at most 366 days; what is rarer is a cron expression"),
            };
            rest = tail.trimmed();
        }
        if every_s == 0 {
            return all.wrong("an interval is of one second or more");
        }
        Ok(Every { text: text.to_string(), every_s })
    }

    /// The interval as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The interval, in seconds.
    pub fn every_s(&self) -> i64 {
        self.every_s
    }

    /// In plain language: `every 90 seconds`, `every hour`.
    pub fn describe(&self) -> String {
        let unit = UNITS.iter().find(|(.., factor)| self.every_s % factor == 0);
        let (_, name, factor) = unit.unwrap_or(&UNITS[4]);
        match self.every_s / factor {
            1 => format!("every {name}"),
            n => format!("every {n} {name}s"),
        }
    }

    pub(super) fn next_after(&self, now_ms: i64) -> Option<i64> {
        let next_s = (now_ms.div_euclid(1_000).div_euclid(self.every_s) + 1) * self.every_s;
        next_s.checked_mul(1_000).filter(|next_ms| EVALUATED_MS.contains(next_ms))
    }

    pub(super) fn latest_until(&self, now_ms: i64) -> Option<i64> {
        let latest_s = now_ms.div_euclid(1_000).div_euclid(self.every_s) * self.every_s;
        latest_s.checked_mul(1_000).filter(|latest_ms| EVALUATED_MS.contains(latest_ms))
    }
}

const HOW: &str = "write it like 90s, 15m, 6h or 1h30m";
