//! What is read as a cron expression, and what is said about the rest.

use super::{day_field, due_texts, expression_or_seconds, field, text_of, utc, weekday_field};
use crate::cron::{Cron, grammar, patterns};
use chrono_tz::Tz;
use proptest::prelude::*;

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
        (
            "",
            Some(0),
            "it is empty; 5 are needed: minute, hour, day of month, month, weekday; seconds may stand in front",
        ),
        ("* * * *", Some(7), "it has 4 fields; 5 are needed"),
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
        ("30-10 * * * *", Some(0), "the range `30-10` runs backwards; write 30-59,0-10"),
        ("0 22-4/2 * * *", Some(2), "the range `22-4` runs backwards; write 22-23,0-4"),
        ("0 0 * * fri-mon", Some(8), "the range `FRI-MON` runs backwards; write FRI-SUN,MON"),
        ("60 0 0 * * *", Some(0), "`60` is not a second (0 to 59); a leap second is no time of its own here"),
        ("0 0 L,15W * *", Some(4), "`L` and a workday (`LW`, `15W`) cannot stand in one list"),
        ("@every 5m", Some(0), "an interval is not a cron expression: write every = \"15m\""),
        ("@at 11-09 02:01", Some(0), "a one-off time is not a cron expression: write at = "),
        ("@fortnightly", Some(0), "`@fortnightly` is not a nickname; there are @yearly"),
        ("L * * * *", Some(0), "`L` is not a minute"),
        ("0 0 * * L", Some(8), "`L` needs a weekday before it"),
        ("0 0 * * 5#6", Some(10), "`6` must be 1 to 5: which one of the month"),
        ("? * * * *", Some(0), "`?` is not a minute"),
        ("0 0 1 * +5", Some(8), "`+5` is not a weekday"),
        ("@reboot", Some(0), "`@reboot` is not a time; a service of the system"),
        ("@daily 5", Some(7), "nothing may follow `@daily`"),
        ("0 0 * * ä", Some(8), "`\\u{e4}` has no meaning here"),
        ("0 0\n* * *", Some(3), "`\\n` has no meaning here"),
        ("0 0 30 2 *", Some(4), "it is never due"),
    ] {
        let e = Cron::parse(cron).expect_err(cron);
        assert!(e.message().starts_with(message), "{cron}: {e}");
        assert_eq!(e.at(), at, "{cron}: {e}");
    }
    assert_eq!(
        Cron::parse("0 24 * * *").unwrap_err().to_string(),
        "`24` is not an hour (0 to 23); midnight is 0 (at character 3)"
    );
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
fn to_read_one_and_to_describe_it_makes_no_pattern() {
    let before = patterns::MADE.get();
    let cron = Cron::parse("0 12 LW * 5#2").unwrap();
    assert_eq!(cron.describe(), cron.clone().describe());
    assert!(Cron::parse("0 0 30 2 *").is_err(), "that it is never due is seen without one");
    assert_eq!(patterns::MADE.get(), before);
    for after in [0, 1_000_000_000_000] {
        assert!(cron.next_after(after, Tz::UTC).is_some());
    }
    assert_eq!(patterns::MADE.get(), before + 1, "one serves for all times");
}

/// Whether croner, which is asked late, finds a time for what is read here.
fn croner_finds_a_time(plain: &str) -> bool {
    let parser = croner::parser::CronParser::builder()
        .seconds(croner::parser::Seconds::Optional)
        .year(croner::parser::Year::Disallowed)
        .build();
    let pattern = parser.parse(plain).expect(plain);
    pattern.find_next_occurrence(&chrono::DateTime::UNIX_EPOCH, false).is_ok()
}

#[test]
fn every_day_of_every_month_is_due_as_croner_has_it() {
    for month in 1..=12 {
        for day in (1..=31).flat_map(|day| [format!("{day}"), format!("{day}W")]).chain(["L".into(), "LW".into()]) {
            let text = format!("0 0 {day} {month} *");
            assert_eq!(Cron::parse(&text).is_ok(), croner_finds_a_time(&text), "{text}");
        }
        for weekday in ["0", "7", "MON#1", "MON#5", "5L", "1-5"] {
            let text = format!("0 0 * {month} {weekday}");
            assert!(Cron::parse(&text).is_ok() && croner_finds_a_time(&text), "{text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_read_here_croner_reads_too(
        text in prop_oneof![
            expression_or_seconds(),
            (day_field(), field(1, 12), weekday_field())
                .prop_map(|(day, month, weekday)| format!("7 5 {day} {month} {weekday}")),
            "[0-9*/,#LW?A-Z -]{0,24}",
        ],
    ) {
        if let Ok(read) = grammar::read(&text) {
            prop_assert_eq!(Cron::parse(&text).is_ok(), croner_finds_a_time(&read.plain), "{}", text);
        }
    }
}
