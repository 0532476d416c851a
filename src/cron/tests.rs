//! Expressions, their errors, and what the clock changes of a zone do to them.

use super::*;
use chrono::{NaiveDateTime, Timelike};
use proptest::prelude::*;

const BERLIN: Tz = Tz::Europe__Berlin;

/// `2026-03-29T01:00:00Z` in milliseconds.
fn utc(text: &str) -> i64 {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%SZ").unwrap().and_utc().timestamp_millis()
}

fn text_of(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).unwrap().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn due_texts(cron: &str, zone: Tz, after: &str, until: &str) -> Vec<String> {
    Cron::parse(cron).unwrap().due(utc(after), utc(until), zone).map(text_of).collect()
}

#[test]
fn every_form_is_understood() {
    for (cron, next) in [
        ("* * * * *", "2026-01-01T00:01:00Z"),
        ("*/10 * * * * *", "2026-01-01T00:00:10Z"),
        ("  5-20/5\t3 * * * ", "2026-01-01T03:05:00Z"),
        ("0 12 * feb,Apr MON", "2026-02-02T12:00:00Z"),
        ("0 12 13 * 5", "2026-01-02T12:00:00Z"),
        ("0 12 ? * 7", "2026-01-04T12:00:00Z"),
        ("0 12 * * sat-SUN", "2026-01-03T12:00:00Z"),
        ("0 12 L * *", "2026-01-31T12:00:00Z"),
        ("0 12 LW * *", "2026-01-30T12:00:00Z"),
        ("0 12 17W * *", "2026-01-16T12:00:00Z"),
        ("0 12 * * 5L", "2026-01-30T12:00:00Z"),
        ("0 12 * * TUE#2", "2026-01-13T12:00:00Z"),
        ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
        ("@hourly", "2026-01-01T01:00:00Z"),
        ("@Daily", "2026-01-02T00:00:00Z"),
        ("@midnight", "2026-01-02T00:00:00Z"),
        ("@weekly", "2026-01-04T00:00:00Z"),
        ("@monthly", "2026-02-01T00:00:00Z"),
        ("@yearly", "2027-01-01T00:00:00Z"),
        ("@annually", "2027-01-01T00:00:00Z"),
    ] {
        let next_ms = Cron::parse(cron).unwrap().next_after(utc("2026-01-01T00:00:00Z"), Tz::UTC);
        assert_eq!(next_ms.map(text_of).as_deref(), Some(next), "{cron}");
    }
}

#[test]
fn a_day_of_the_month_or_a_weekday_is_enough() {
    let days = due_texts("0 0 13 * FRI", Tz::UTC, "2026-03-01T00:00:00Z", "2026-03-20T00:00:00Z");
    assert_eq!(
        days,
        ["2026-03-06T00:00:00Z", "2026-03-13T00:00:00Z", "2026-03-20T00:00:00Z"],
        "the 13th of March 2026 is a Friday"
    );
    let days = due_texts("0 0 12 * FRI", Tz::UTC, "2026-03-11T00:00:00Z", "2026-03-14T00:00:00Z");
    assert_eq!(days, ["2026-03-12T00:00:00Z", "2026-03-13T00:00:00Z"]);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (cron, at, message) in [
        ("", None, "it is empty; 5 are needed: minute, hour, day of month, month, weekday; seconds may stand in front"),
        ("* * * *", None, "it has 4 fields; 5 are needed"),
        ("0 * * * * * 2030", Some(12), "it has 7 fields; 5 are needed"),
        ("61 * * * *", Some(0), "`61` is not a minute (0 to 59)"),
        ("0 24 * * *", Some(2), "`24` is not an hour (0 to 23)"),
        ("0 0 0 * *", Some(4), "`0` is not a day of the month (1 to 31)"),
        ("0 0 * JANUARY *", Some(6), "`JANUARY` is not a month (1 to 12, or JAN to DEC)"),
        ("0 0 * * 8", Some(8), "`8` is not a weekday (0 to 7, or SUN to SAT)"),
        ("MON * * * *", Some(0), "`MON` is not a minute (0 to 59)"),
        ("1,,2 * * * *", Some(2), "a minute is missing in the list"),
        ("1,* * * * *", Some(2), "`*` stands alone, not in a list"),
        ("5/10 * * * *", Some(0), "a step needs a range before it, as in */10 or 1-5/10"),
        ("*/0 * * * *", Some(2), "`0` is not a step (1 or more)"),
        ("*/99999 * * * *", Some(2), "`99999` is not a step (1 or more)"),
        ("30-10 * * * *", Some(0), "the range `30-10` runs backwards"),
        ("L * * * *", Some(0), "`L` is not a minute"),
        ("0 0 * * L", Some(8), "`L` needs a weekday before it"),
        ("0 0 * * 5#6", Some(10), "`6` must be 1 to 5: which one of the month"),
        ("? * * * *", Some(0), "`?` is not a minute"),
        ("0 0 1 * +5", Some(8), "`+5` is not a weekday"),
        ("@reboot", Some(0), "`@reboot` is not a nickname"),
        ("@daily 5", Some(7), "nothing may follow `@daily`"),
        ("0 0 * * ä", Some(8), "`\\u{e4}` has no meaning here"),
        ("0 0\n* * *", Some(3), "`\\n` has no meaning here"),
        ("0 0 30 2 *", None, "it is never due"),
    ] {
        let e = Cron::parse(cron).expect_err(cron);
        assert!(e.message().starts_with(message), "{cron}: {e}");
        assert_eq!(e.at(), at, "{cron}: {e}");
    }
    assert_eq!(Cron::parse("0 24 * * *").unwrap_err().to_string(), "`24` is not an hour (0 to 23) (at character 3)");
    assert!(Cron::parse(&"1,".repeat(600)).unwrap_err().message().starts_with("it is longer than 1000"));
}

#[test]
fn next_is_strictly_after() {
    let cron = Cron::parse("* * * * *").unwrap();
    let minute = utc("2026-01-01T00:01:00Z");
    assert_eq!(cron.next_after(minute - 1, Tz::UTC), Some(minute));
    assert_eq!(cron.next_after(minute, Tz::UTC), Some(minute + 60_000));
    assert_eq!(cron.next_after(minute + 1, Tz::UTC), Some(minute + 60_000));
    assert_eq!(cron.next_after(-1, Tz::UTC), Some(0));
}

#[test]
fn a_fixed_time_in_the_spring_gap_runs_once_right_after_it() {
    // On 2026-03-29 the clocks of Berlin go from 02:00 to 03:00, at 01:00 UTC.
    let days = due_texts("30 2 * * *", BERLIN, "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z");
    assert_eq!(days, ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
}

#[test]
fn a_fixed_time_in_the_autumn_overlap_runs_once_the_first_time() {
    // On 2026-10-25 they go from 03:00 back to 02:00, at 01:00 UTC.
    let days = due_texts("30 2 * * *", BERLIN, "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z");
    assert_eq!(days, ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
}

#[test]
fn hourly_runs_each_hour_that_passes() {
    for (from, to) in
        [("2026-03-28T22:00:00Z", "2026-03-29T04:00:00Z"), ("2026-10-24T22:00:00Z", "2026-10-25T04:00:00Z")]
    {
        for zone in [BERLIN, Tz::UTC] {
            let hours = due_texts("0 * * * *", zone, from, to);
            assert_eq!(hours.len(), 6, "{zone}: {hours:?}");
        }
    }
}

#[test]
fn several_times_of_day_follow_the_clock_through_its_changes() {
    let gap = due_texts("0,30 2 * * *", BERLIN, "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z");
    assert_eq!(gap, [""; 0], "02:00 and 02:30 do not exist on that day");
    let overlap = due_texts("0,30 2 * * *", BERLIN, "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z");
    assert_eq!(
        overlap,
        ["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"]
    );
}

#[test]
fn the_latest_due_time_is_found_across_years() {
    let after = utc("1996-01-01T00:00:00Z");
    for (cron, now, latest) in [
        ("* * * * * *", "2026-07-01T12:00:00Z", "2026-07-01T12:00:00Z"),
        ("30 2 * * *", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"),
        ("30 2 * * *", "2026-03-29T00:59:59Z", "2026-03-28T01:30:00Z"),
        ("30 2 * * *", "2026-10-25T01:45:00Z", "2026-10-25T00:30:00Z"),
        ("0 0 29 2 *", "2026-03-29T01:00:00Z", "2024-02-28T23:00:00Z"),
    ] {
        let found = Cron::parse(cron).unwrap().latest_due(after, utc(now), BERLIN);
        assert_eq!(found.map(text_of).as_deref(), Some(latest), "{cron} at {now}");
    }
    let daily = Cron::parse("@daily").unwrap();
    let midnight = utc("2026-01-02T00:00:00Z");
    assert_eq!(daily.latest_due(midnight, midnight + 3_600_000, Tz::UTC), None, "the start does not count");
    assert_eq!(daily.latest_due(midnight - 1, midnight, Tz::UTC), Some(midnight), "the end counts");
    assert_eq!(daily.latest_due(midnight + 5, midnight - 5, Tz::UTC), None, "a clock that went back");
}

fn field(min: u32, max: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        Just("*".to_string()),
        (min..=max).prop_map(|v| v.to_string()),
        (min..=max, min..=max).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        (1u32..20).prop_map(|step| format!("*/{step}")),
        prop::collection::vec(min..=max, 1..4).prop_map(|list| list
            .iter()
            .map(u32::to_string)
            .collect::<Vec<_>>()
            .join(",")),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    (field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 7))
        .prop_map(|(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}"))
}

fn zone() -> impl Strategy<Value = Tz> {
    prop::sample::select(vec![Tz::UTC, BERLIN, Tz::Australia__Lord_Howe, Tz::America__New_York, Tz::Asia__Shanghai])
}

/// Up to two days before one of the changes of 2026 in those zones.
fn near_a_change() -> impl Strategy<Value = i64> {
    let changes = ["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z", "2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"];
    let lord_howe = ["2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z"];
    let changes: Vec<i64> = changes.into_iter().chain(lord_howe).map(utc).collect();
    (prop::sample::select(changes), 0i64..172_800_000).prop_map(|(change, before)| change - before)
}

proptest! {
    #[test]
    fn arbitrary_text_is_read_or_refused(text in "\\PC{0,30}", cronlike in "[@0-9*/,#LW?+a-cA-Z -]{0,24}", ms in any::<i64>()) {
        for text in [text, cronlike] {
            match Cron::parse(&text) {
                Ok(cron) => {
                    let _ = cron.next_after(ms, BERLIN);
                    let _ = cron.latest_due(0, ms, BERLIN);
                }
                Err(e) => prop_assert!(e.at().is_none_or(|at| at < text.len()), "{text}: {e}"),
            }
        }
    }

    #[test]
    fn looking_back_finds_what_looking_forward_found(
        text in expression(), zone in zone(), start in near_a_change(), span in 0i64..400_000_000,
    ) {
        let cron = Cron::parse(&text).unwrap();
        let all: Vec<i64> = cron.due(start, start + span, zone).collect();
        prop_assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
        prop_assert_eq!(cron.latest_due(start, start + span, zone), all.last().copied());
    }

    #[test]
    fn what_is_not_one_fixed_time_runs_whenever_the_clock_shows_it(
        hour in field(0, 23), zone in zone(), start in near_a_change(),
    ) {
        let cron = Cron::parse(&format!("*/20 {hour} * * *")).unwrap();
        let end = start + 172_800_000;
        let shown: Vec<i64> = (start / 600_000 + 1..=end / 600_000)
            .map(|tens_of_minutes| tens_of_minutes * 600_000)
            .filter(|ms| {
                let local = zone.timestamp_millis_opt(*ms).unwrap();
                local.minute() % 20 == 0 && cron.pattern.pattern.hours.values().contains(&(local.hour() as u16))
            })
            .collect();
        prop_assert_eq!(cron.due(start, end, zone).collect::<Vec<_>>(), shown);
    }
}
