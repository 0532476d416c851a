//! Plain language: right in each form, the same for the same sets, other for others.

use super::{expression, expression_or_seconds};
use crate::cron::grammar::{self, Fields};
use crate::cron::{Cron, Timing};
use chrono::{DateTime, Datelike, NaiveDateTime, Timelike};
use chrono_tz::Tz;
use proptest::prelude::*;

#[test]
fn expressions_in_plain_language() {
    for (cron, words) in [
        ("* * * * *", "every minute"),
        ("* * * * * *", "every second"),
        ("*/10 * * * * *", "every 10 seconds"),
        ("5 * * * * *", "at second 5 of every minute"),
        ("5,20 0,30 * * * *", "at seconds 5 and 20 in the minutes 0 and 30 of every hour"),
        ("* 30 2 * * *", "every second in the minute 30 from 02:00 to 02:59"),
        ("*/15 * 8-17 * * *", "every 15 seconds from 08:00 to 17:59"),
        ("0 0 2 * * *", "at 02:00 every day"),
        ("30 0 2 * * *", "at 02:00:30 every day"),
        ("*/5 * * * *", "every 5 minutes"),
        ("*/7 * * * *", "at minutes 0, 7, …, 56 of every hour"),
        ("*/40 * * * *", "at minutes 0 and 40 of every hour"),
        ("*/60 * * * *", "every hour"),
        ("0,15,30,45 * * * *", "every 15 minutes"),
        ("5-59/15 * * * *", "at minutes 5, 20, 35 and 50 of every hour"),
        ("0-29 * * * *", "at minutes 0 to 29 of every hour"),
        ("0 * * * *", "every hour"),
        ("17 * * * *", "at minute 17 of every hour"),
        ("*/5 8-17 * * MON-FRI", "every 5 minutes from 08:00 to 17:59 on Monday to Friday"),
        ("*/5 2 * * *", "every 5 minutes from 02:00 to 02:59"),
        ("* 2,4 * * *", "every minute in the hours 2 and 4"),
        ("0 */2 * * *", "every 2 hours from 00:00"),
        ("20 */3 * * *", "every 3 hours from 00:20"),
        ("20 1-23/3 * * *", "at minute 20 in the hours 1, 4, …, 22"),
        ("30 8-17 * * *", "every hour from 08:30 to 17:30"),
        ("0,20 8-17 * * *", "at minutes 0 and 20 in the hours 8 to 17"),
        ("0 */12 * * *", "at 00:00 and 12:00 every day"),
        ("0 2 * * 1-5", "at 02:00 on Monday to Friday"),
        ("0 2 * * 6,7", "at 02:00 on Saturday and Sunday"),
        ("0 2 * * sat-SUN", "at 02:00 on Saturday and Sunday"),
        ("0 2 * * 0-6", "at 02:00 every day"),
        ("0 2 * * */2", "at 02:00 on Tuesday, Thursday, Saturday and Sunday"),
        ("0,30 2 1,15 * *", "at 02:00 and 02:30 on the 1st and 15th of the month"),
        ("0 2 1-31 * 1", "at 02:00 every day"),
        ("0 2 13 * FRI", "at 02:00 on the 13th of the month and on every Friday"),
        ("0 2 1,11,21,31,L * *", "at 02:00 on the 1st, 11th, 21st, 31st and last day of the month"),
        ("0 2 2-4,22,23 * *", "at 02:00 on the 2nd to 4th, 22nd and 23rd of the month"),
        ("0 2 LW * *", "at 02:00 on the last workday of the month"),
        ("0 2 15W 6 *", "at 02:00 on the workday nearest to the 15th of June"),
        ("0 2 * * 5L", "at 02:00 on the last Friday of the month"),
        ("0 2 * * MON#1,5#3", "at 02:00 on the first Monday of the month and on the third Friday of the month"),
        ("0 2 * * 2#1,2#2,2#3,2#4,2#5", "at 02:00 on Tuesday"),
        ("0 0 1 1 *", "at 00:00 on the 1st of January"),
        ("0 0 L 2 *", "at 00:00 on the last day of February"),
        ("0 0 1 1,7 *", "at 00:00 on the 1st of the month in January and July"),
        ("0 0 * 6-8 *", "at 00:00 every day in June to August"),
        ("* * * 12 *", "every minute in December"),
        ("* * * 12 MON", "every minute on Monday in December"),
        ("0 0 1 12 MON", "at 00:00 on the 1st of December and on every Monday in December"),
        ("@hourly", "every hour"),
        ("@weekly", "at 00:00 on Sunday"),
        ("@monthly", "at 00:00 on the 1st of the month"),
        ("@yearly", "at 00:00 on the 1st of January"),
    ] {
        assert_eq!(Timing::parse_cron(cron).unwrap().describe(), words, "{cron}");
    }
}

/// The fields of an expression with every value written one by one, in another order.
fn spelt_out(text: &str) -> String {
    let bounds = [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
    let fields: Vec<&str> = text.split(' ').collect();
    let spelt = |field: &str, (min, max): (u32, u32)| {
        let number = |text: &str| text.parse::<u32>().ok();
        let mut all = Vec::new();
        for item in field.split(',') {
            let (range, step) = item.split_once('/').unwrap_or((item, "1"));
            let (from, to) = if range == "*" {
                (Some(min), Some(max))
            } else {
                let (from, to) = range.split_once('-').unwrap_or((range, range));
                (number(from), number(to))
            };
            match (from, to, number(step)) {
                (Some(from), Some(to), Some(step)) => {
                    all.extend((from..=to).step_by(step as usize).map(|v| v.to_string()))
                }
                _ => all.push(item.to_string()),
            }
        }
        all.reverse();
        all.join(",")
    };
    let whole = |field: &str| matches!(field, "*" | "?");
    let out = fields.iter().zip(&bounds[6 - fields.len()..]);
    out.map(|(field, bounds)| {
        let is_day = bounds.0 == 1 && bounds.1 == 31 || bounds.1 == 7;
        if is_day && (whole(field) || field.starts_with("*/")) { (*field).to_string() } else { spelt(field, *bounds) }
    })
    .collect::<Vec<_>>()
    .join(" ")
}

/// Whether the sets that the words are made of have this time.
fn has(fields: &Fields, at: NaiveDateTime) -> bool {
    let has = |set: u64, value: u32| set >> value & 1 == 1;
    let (day, month_end) = (at.day(), u32::from(at.num_days_in_month()));
    let weekday_of = |day: u32| at.with_day(day).unwrap().weekday();
    let is_workday = |day: u32| weekday_of(day).num_days_from_monday() < 5;
    // Nearest first, and the earlier of two; Saturday and Sunday are never as far from both sides.
    let nearest = |to: u32| {
        [0i64, -1, 1, -2, 2]
            .map(|by| i64::from(to) + by)
            .into_iter()
            .find(|day| (1..=i64::from(month_end)).contains(day) && is_workday(*day as u32))
    };
    let (days, weekdays) = (&fields.days, &fields.weekdays);
    let day_is = has(days.set, day)
        || days.last && day == month_end
        || days.last_workday && (1..=month_end).rfind(|day| is_workday(*day)) == Some(day)
        || (1..=month_end).any(|to| has(days.nearest_workday, to) && nearest(to) == Some(i64::from(day)));
    let weekday = at.weekday().num_days_from_sunday();
    let weekday_is = has(weekdays.set, weekday)
        || has(weekdays.nth[(day as usize - 1) / 7], weekday)
        || has(weekdays.last, weekday) && day + 7 > month_end;
    has(fields.seconds, at.second())
        && has(fields.minutes, at.minute())
        && has(fields.hours, at.hour())
        && has(fields.months, at.month())
        && (days.any && weekdays.any || day_is || weekday_is)
}

proptest! {
    #[test]
    fn the_words_speak_of_the_times_that_are_due(text in expression(), hours in 0i64..40_000) {
        let fields = grammar::read(&text).unwrap().fields;
        let start = super::utc("2026-01-01T00:00:00Z") + hours * 3_600_000;
        let end = start + 4 * 86_400_000;
        let cron = Cron::parse(&text).unwrap();
        let found: Vec<i64> = cron.due(start - 1, end, Tz::UTC).collect();
        let minutes = (start..=end).step_by(60_000);
        let expected: Vec<i64> =
            minutes.filter(|ms| has(&fields, DateTime::from_timestamp_millis(*ms).unwrap().naive_utc())).collect();
        prop_assert_eq!(found, expected, "{}", text);
    }

    #[test]
    fn another_way_to_write_the_same_has_the_same_words(text in expression_or_seconds()) {
        let other = spelt_out(&text);
        let words = |text: &str| Cron::parse(text).unwrap().describe();
        prop_assert_eq!(words(&text), words(&other), "{} and {}", text, other);
    }

    #[test]
    fn what_is_due_at_other_times_has_other_words(text in expression(), at in 0usize..5, other in expression()) {
        let fields: Vec<&str> = text.split(' ').collect();
        let mut changed = fields.clone();
        changed[at] = other.split(' ').nth(at).unwrap();
        let changed = changed.join(" ");
        let (Ok(one), Ok(two)) = (Cron::parse(&text), Cron::parse(&changed)) else { return Ok(()) };
        let after = super::utc("2026-01-01T00:00:00Z");
        // The first hundred tell most expressions apart; those that they do not may have the same words.
        let first = |cron: &Cron| cron.due(after, i64::MAX, Tz::UTC).take(100).collect::<Vec<_>>();
        if first(&one) != first(&two) {
            prop_assert_ne!(one.describe(), two.describe(), "{} and {}", text, changed);
        }
    }
}
