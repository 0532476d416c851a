//! One-off times and intervals: what is read, what is refused, and when they are due.

use super::{text_of, utc};
use crate::cron::{At, Every, Timing};
use chrono::TimeDelta;
use chrono_tz::Tz;
use proptest::prelude::*;

const BERLIN: Tz = Tz::Europe__Berlin;

#[test]
fn a_one_off_time_is_due_once() {
    let made = utc("2026-11-01T00:00:00Z");
    for (text, due) in [
        ("2026-11-09 02:01", "2026-11-09T01:01:00Z"),
        (" 2026-11-09  2:01:30 ", "2026-11-09T01:01:30Z"),
        ("2026-11-09T02:01", "2026-11-09T01:01:00Z"),
        ("2020-07-01 02:01", "2020-07-01T00:01:00Z"),
        ("11-09 02:01", "2026-11-09T01:01:00Z"),
        ("1-9 02:01", "2027-01-09T01:01:00Z"),
        ("02-29 12:00", "2028-02-29T11:00:00Z"),
    ] {
        let timing = Timing::parse_at(text, made, BERLIN).unwrap();
        let at = utc(due);
        assert_eq!(timing.due(i64::MIN, i64::MAX, BERLIN).map(text_of).collect::<Vec<_>>(), [due], "{text}");
        assert_eq!((timing.next_after(at - 1, BERLIN), timing.next_after(at, BERLIN)), (Some(at), None), "{text}");
        assert_eq!(timing.latest_due(at - 1, i64::MAX, BERLIN), Some(at), "{text}");
        assert_eq!(timing.latest_due(at, i64::MAX, BERLIN), None, "the start does not count: {text}");
        assert_eq!(timing.latest_due(0, at - 1, BERLIN), None, "{text}");
        assert_eq!(timing.text(), text);
    }
}

#[test]
fn without_a_year_it_is_the_first_after_the_schedule_was_made() {
    let due = |text: &str, made: &str| {
        let timing = Timing::parse_at(text, utc(made), BERLIN).unwrap();
        text_of(timing.next_after(0, BERLIN).unwrap())
    };
    assert_eq!(due("11-09 02:01", "2026-11-09T01:00:59Z"), "2026-11-09T01:01:00Z");
    assert_eq!(due("11-09 02:01", "2026-11-09T01:01:00Z"), "2027-11-09T01:01:00Z", "at that very moment it is over");
    // The year is that of the zone, where the new one has begun already.
    assert_eq!(due("01-01 00:30", "2026-12-31T23:10:00Z"), "2026-12-31T23:30:00Z");
    assert_eq!(due("12-31 23:30", "2026-12-31T23:10:00Z"), "2027-12-31T22:30:00Z");
    assert_eq!(due("02-29 00:00", "2096-03-01T00:00:00Z"), "2104-02-28T23:00:00Z");
    // In the repeated hour the first half counts: in the second it is over.
    assert_eq!(due("10-25 02:30", "2026-10-25T00:29:00Z"), "2026-10-25T00:30:00Z");
    assert_eq!(due("10-25 02:30", "2026-10-25T01:10:00Z"), "2027-10-25T00:30:00Z");
}

#[test]
fn what_is_wrong_with_a_one_off_time_has_its_place() {
    for (text, at, message) in [
        ("", 0, "a one-off time is a date and a time of day"),
        ("2026-11-09", 0, "a one-off time is a date and a time of day"),
        ("02:01", 0, "a one-off time is a date and a time of day"),
        ("2026-11-09 ", 0, "a one-off time is a date and a time of day"),
        ("9 02:01", 0, "`9` is not a date"),
        ("26-11-09 02:01", 0, "`26` is too short: a year has 4 digits"),
        ("1969-11-09 02:01", 0, "`1969` is not a year (1970 to 4899)"),
        ("2026-13-09 02:01", 5, "`13` is not a month (1 to 12)"),
        ("2026-11-31 02:01", 8, "2026-11 has no day 31"),
        ("02-30 02:01", 3, "month 02 has no day 30"),
        ("2026-11-0x 02:01", 8, "`0x` is not a day of the month (1 to 31)"),
        ("2026-11-+9 02:01", 8, "`+9` is not a day of the month"),
        ("11-09 25:01", 6, "`25` is not an hour (0 to 23)"),
        ("11-09 24:00", 6, "`24` is not an hour (0 to 23); midnight is 00:00"),
        ("11-09 02:60", 9, "`60` is not a minute (0 to 59)"),
        ("11-09 02:1", 9, "`1` is too short: a minute has 2 digits"),
        ("11-09 02:01:60", 12, "`60` is not a second (0 to 59); a leap second"),
        ("11-09 02:01:00.5", 12, "`00.5` is not a second"),
        ("11-09 02:01:00:00", 6, "`02:01:00:00` is not a time of day"),
        ("11-09 02:01 UTC", 9, "`01 UTC` is not a minute"),
        ("11-09 02:01Z", 9, "`01Z` is not a minute"),
        ("11-09 02:01\n", 11, "`\\n` has no meaning here"),
    ] {
        let e = At::parse(text, 0, BERLIN).expect_err(text);
        assert!(e.message().starts_with(message), "{text}: {e}");
        assert_eq!(e.at(), Some(at), "{text}: {e}");
        let whole = Timing::parse(&format!("at {text}"), 0, BERLIN).expect_err(text);
        assert_eq!(whole.at(), Some(at + 3), "{text}");
    }
}

#[test]
fn an_interval_is_counted_from_1970() {
    for (text, every_s, words) in [
        ("1s", 1, "every second"),
        ("90s", 90, "every 90 seconds"),
        ("15m", 900, "every 15 minutes"),
        (" 1h 30m ", 5_400, "every 90 minutes"),
        ("60m", 3_600, "every hour"),
        ("6h", 21_600, "every 6 hours"),
        ("24h", 86_400, "every day"),
        ("2w", 1_209_600, "every 2 weeks"),
        ("366d", 31_622_400, "every 366 days"),
    ] {
        let every = Every::parse(text).unwrap();
        assert_eq!((every.every_s(), every.describe().as_str()), (every_s, words), "{text}");
        let timing = Timing::parse_every(text).unwrap();
        assert_eq!(timing.next_after(0, Tz::UTC), Some(every_s * 1_000), "{text}");
        assert_eq!(timing.next_after(-1, BERLIN), Some(0), "{text}");
        assert_eq!(timing.latest_due(-1, every_s * 1_000 - 1, BERLIN), Some(0), "{text}");
    }
}

#[test]
fn what_is_wrong_with_an_interval_has_its_place() {
    for (text, at, message) in [
        ("", 0, "it is empty"),
        ("15", 2, "a unit must stand here"),
        ("m", 0, "a whole number must stand here"),
        ("-5m", 0, "a whole number must stand here"),
        ("1.5h", 1, "a unit must stand here"),
        ("1h30", 4, "a unit must stand here"),
        ("1h 5 m", 4, "a unit must stand here"),
        ("2mo", 1, "`mo` is not a unit"),
        ("5M", 1, "`M` is not a unit"),
        ("500ms", 3, "an interval is of whole seconds"),
        ("0s", 0, "an interval is of one second or more"),
        ("1h0m367d", 4, "an interval is of at most 366 days"),
        ("99999999999999999999s", 0, "an interval is of at most 366 days"),
        ("5m\u{a0}", 2, "`\\u{a0}` has no meaning here"),
    ] {
        let e = Every::parse(text).expect_err(text);
        assert!(e.message().starts_with(message), "{text}: {e}");
        assert_eq!(e.at(), Some(at), "{text}: {e}");
    }
}

#[test]
fn what_is_displayed_reads_back() {
    for text in ["0 2 * * *", "@daily", "at 2026-11-09 02:01", "at 11-09 02:01", "every 1h30m"] {
        let timing = Timing::parse(text, 0, BERLIN).unwrap();
        assert_eq!(timing.to_string(), text);
        assert_eq!(text.strip_prefix(timing.kind()).map_or(text, str::trim_start), timing.text());
    }
}

#[test]
fn beyond_the_years_nothing_is_due_and_nothing_breaks() {
    for text in ["* * * * * *", "0 0 29 2 *", "at 2026-11-09 02:01", "every 1s", "every 366d"] {
        let timing = Timing::parse(text, i64::MAX, BERLIN).unwrap();
        for now in [i64::MIN, i64::MIN + 1, -3_000_000_000_000, 92_461_910_400_000, i64::MAX - 1, i64::MAX] {
            let (next, latest) = (timing.next_after(now, Tz::Pacific__Apia), timing.latest_due(i64::MIN, now, BERLIN));
            let is_at = matches!(timing, Timing::At(_));
            assert!(is_at || next.is_none(), "{text} after {now}: {next:?}");
            assert!(is_at || latest.is_none_or(|at| at < 92_461_910_400_000), "{text} until {now}: {latest:?}");
        }
    }
    let end = utc("4899-12-31T23:59:59Z");
    for zone in [Tz::UTC, BERLIN, Tz::Pacific__Apia] {
        let timing = Timing::parse_cron("* * * * * *").unwrap();
        assert_eq!(timing.next_after(end - 1, zone), Some(end));
        assert_eq!(timing.next_after(end, zone), None);
        assert_eq!(timing.latest_due(0, end, zone), Some(end));
    }
}

fn span_text() -> impl Strategy<Value = String> {
    prop::collection::vec((0u32..40, prop::sample::select(vec!["s", "m", "h", "d"])), 1..4)
        .prop_map(|parts| parts.iter().map(|(n, unit)| format!("{n}{unit}")).collect())
}

proptest! {
    #[test]
    fn arbitrary_text_is_read_or_refused_with_a_place(
        any in "\\PC{0,24}", timelike in "(at |every )?[0-9 T:.wdhms-]{0,20}", ms in any::<i64>(),
    ) {
        for text in [any, timelike] {
            for read in [Timing::parse_at(&text, ms, BERLIN), Timing::parse_every(&text), Timing::parse(&text, ms, BERLIN)] {
                match read {
                    Ok(timing) => {
                        let _ = (timing.next_after(ms, BERLIN), timing.latest_due(0, ms, BERLIN), timing.describe());
                        prop_assert_eq!(Timing::parse(&timing.to_string(), ms, BERLIN), Ok(timing));
                    }
                    Err(e) => prop_assert!(e.at().is_some_and(|at| text.is_char_boundary(at)), "{text}: {e}"),
                }
            }
        }
    }

    #[test]
    fn an_interval_is_what_the_rest_of_the_program_reads(text in span_text()) {
        match Every::parse(&text) {
            Ok(every) => prop_assert_eq!(crate::task::parse_span(&text), Ok(every.every_s() as u64 * 1_000)),
            Err(e) => prop_assert!(e.message().contains("one second or more"), "{text}: {e}"),
        }
    }

    #[test]
    fn an_interval_never_drifts(text in span_text(), after in -1_000_000_000_000i64..4_000_000_000_000, span in 0i64..90_000_000) {
        let Ok(every) = Every::parse(&text) else { return Ok(()) };
        let timing = Timing::Every(every.clone());
        let every_ms = every.every_s() * 1_000;
        let all: Vec<i64> = timing.due(after, after + span, BERLIN).take(50).collect();
        prop_assert!(all.windows(2).all(|pair| pair[1] - pair[0] == every_ms));
        prop_assert!(all.iter().all(|at| at.rem_euclid(every_ms) == 0 && *at > after && *at <= after + span));
        prop_assert!(all.len() == 50 || all.len() as i64 == (after + span).div_euclid(every_ms) - after.div_euclid(every_ms));
        let latest = (after + span).div_euclid(every_ms) * every_ms;
        prop_assert_eq!(timing.latest_due(after, after + span, BERLIN), Some(latest).filter(|at| *at > after));
    }

    #[test]
    fn a_one_off_time_is_what_a_yearly_expression_has_first(
        day in 0i64..1_460, minute in 0i64..1_440, made in 0i64..3_000_000_000, zone in super::changes::near_a_change(),
    ) {
        let (zone, made) = (zone.0, made * 1_000);
        let start = chrono::NaiveDate::from_ymd_opt(2025, 1, 1).unwrap().and_time(chrono::NaiveTime::MIN);
        let local = start + TimeDelta::days(day) + TimeDelta::minutes(minute);
        let at = Timing::parse_at(&local.format("%m-%d %H:%M").to_string(), made, zone).unwrap();
        let cron = Timing::parse_cron(&local.format("%M %H %d %m *").to_string()).unwrap();
        prop_assert_eq!(at.next_after(made, zone), cron.next_after(made, zone));
        prop_assert_eq!(at.due(0, i64::MAX, zone).count(), 1);
    }
}
