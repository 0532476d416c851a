//! The time at the head of a line: `2026-11-21T21:14:03.123+08:00`, in the zone of the log.
//!
//! The zone is asked once per second; lines of the same second only get other milliseconds. A zone changes its offset
//! only on whole seconds, so the cached text can never be of the wrong side of such a change.

use crate::clock::Millis;
use chrono::{DateTime, Datelike, NaiveDate, Offset, TimeZone, Timelike};
use chrono_tz::Tz;

/// How many bytes a written time has.
pub(super) const WIDTH: usize = 29;

/// The years that four digits can say, less a day at each end for the zone's offset.
const FIRST_MS: Millis = -62_167_132_800_000;
const LAST_MS: Millis = 253_402_214_399_999;

/// Writes times of one zone, and remembers the last second it wrote.
#[derive(Debug, Clone)]
pub(super) struct Stamp {
    zone: Tz,
    /// The second that `text` and `date` are of.
    second: i64,
    date: NaiveDate,
    text: [u8; WIDTH],
}

impl Stamp {
    /// A writer of times in `zone`.
    pub(super) fn new(zone: Tz) -> Stamp {
        let text = *b"0000-00-00T00:00:00.000+00:00";
        Stamp { zone, second: i64::MIN, date: NaiveDate::MIN, text }
    }

    /// The text of an instant. One that four digits of a year cannot say is written as the nearest that they can.
    pub(super) fn text(&mut self, now_ms: Millis) -> &[u8; WIDTH] {
        let now_ms = self.turn_to(now_ms);
        put(&mut self.text[20..23], now_ms.rem_euclid(1000) as u32);
        &self.text
    }

    /// The local day of an instant.
    pub(super) fn date(&mut self, now_ms: Millis) -> NaiveDate {
        self.turn_to(now_ms);
        self.date
    }

    fn turn_to(&mut self, now_ms: Millis) -> Millis {
        let now_ms = now_ms.clamp(FIRST_MS, LAST_MS);
        let second = now_ms.div_euclid(1000);
        if second != self.second {
            self.rewrite(second);
        }
        now_ms
    }

    fn rewrite(&mut self, second: i64) {
        let utc = DateTime::from_timestamp(second, 0).unwrap_or_default().naive_utc();
        let offset = self.zone.offset_from_utc_datetime(&utc).fix();
        let local = utc.checked_add_offset(offset).unwrap_or(utc);
        let minutes = offset.local_minus_utc().unsigned_abs() / 60;
        self.second = second;
        self.date = local.date();
        put(&mut self.text[0..4], local.year().unsigned_abs());
        put(&mut self.text[5..7], local.month());
        put(&mut self.text[8..10], local.day());
        put(&mut self.text[11..13], local.hour());
        put(&mut self.text[14..16], local.minute());
        put(&mut self.text[17..19], local.second());
        self.text[23] = if offset.local_minus_utc() < 0 { b'-' } else { b'+' };
        put(&mut self.text[24..26], minutes / 60);
        put(&mut self.text[27..29], minutes % 60);
    }
}

/// The instant of the time that bytes begin with; `None` when they begin with none as it is written here.
pub(super) fn read(bytes: &[u8]) -> Option<Millis> {
    const SHAPE: &[u8; WIDTH] = b"0000-00-00T00:00:00.000+00:00";
    let bytes = bytes.get(..WIDTH)?;
    let fits = SHAPE.iter().zip(bytes).all(|(shape, byte)| match shape {
        b'0' => byte.is_ascii_digit(),
        b'+' => matches!(byte, b'+' | b'-'),
        _ => byte == shape,
    });
    if !fits {
        return None;
    }
    let number = |from: usize, to: usize| bytes[from..to].iter().fold(0, |sum, b| sum * 10 + u32::from(b - b'0'));
    let date = NaiveDate::from_ymd_opt(i32::try_from(number(0, 4)).ok()?, number(5, 7), number(8, 10))?;
    let local = date.and_hms_milli_opt(number(11, 13), number(14, 16), number(17, 19), number(20, 23))?;
    let offset_ms = Millis::from(number(24, 26) * 60 + number(27, 29)) * 60_000;
    let sign = if bytes[23] == b'-' { -1 } else { 1 };
    Some(local.and_utc().timestamp_millis() - sign * offset_ms)
}

/// Writes the last digits of a number over a field, filled up with zeros.
fn put(field: &mut [u8], mut number: u32) {
    for place in field.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(stamp: &mut Stamp, now_ms: Millis) -> String {
        String::from_utf8(stamp.text(now_ms).to_vec()).unwrap()
    }

    #[test]
    fn the_offset_is_the_one_of_the_instant() {
        let mut stamp = Stamp::new(chrono_tz::Europe::Berlin);
        // The night of 2026-10-25: at 01:00 UTC, 03:00 summer time becomes 02:00 winter time.
        let change_ms = 1_792_890_000_000;
        assert_eq!(text(&mut stamp, change_ms - 1), "2026-10-25T02:59:59.999+02:00");
        assert_eq!(text(&mut stamp, change_ms), "2026-10-25T02:00:00.000+01:00");
        assert_eq!(text(&mut stamp, change_ms - 1), "2026-10-25T02:59:59.999+02:00");
        let mut west = Stamp::new(chrono_tz::America::St_Johns);
        assert_eq!(text(&mut west, 1_774_000_000_007), "2026-03-20T07:16:40.007-02:30");
    }

    #[test]
    fn any_instant_has_a_text() {
        for now_ms in [Millis::MIN, -1, 0, Millis::MAX] {
            for zone in [chrono_tz::Etc::GMTPlus12, chrono_tz::Pacific::Kiritimati] {
                let mut stamp = Stamp::new(zone);
                let back = read(stamp.text(now_ms));
                // Offsets of old times have seconds, and those are not written.
                assert!(back.unwrap().abs_diff(now_ms.clamp(FIRST_MS, LAST_MS)) < 60_000, "{now_ms}");
            }
        }
        assert_eq!(text(&mut Stamp::new(Tz::UTC), Millis::MIN), "0000-01-02T00:00:00.000+00:00");
        assert_eq!(text(&mut Stamp::new(Tz::UTC), Millis::MAX), "9999-12-30T23:59:59.999+00:00");
        assert_eq!(text(&mut Stamp::new(Tz::UTC), -1), "1969-12-31T23:59:59.999+00:00");
    }

    proptest! {
        #[test]
        fn it_says_what_chrono_says(now_ms in 0i64..4_102_444_800_000, jump_ms in -5000i64..5000) {
            let mut stamp = Stamp::new(chrono_tz::Asia::Shanghai);
            for at_ms in [now_ms, now_ms + jump_ms, now_ms] {
                let theirs = DateTime::from_timestamp_millis(at_ms).unwrap().with_timezone(&chrono_tz::Asia::Shanghai);
                prop_assert_eq!(text(&mut stamp, at_ms), theirs.format("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string());
                prop_assert_eq!(stamp.date(at_ms), theirs.date_naive());
                prop_assert_eq!(read(stamp.text(at_ms)), Some(at_ms));
            }
        }
    }
}
