//! What a change of the clock does, against an oracle that looks at every minute.

use super::oracle::Plain;
use super::{due_texts, expression, text_of, utc};
use crate::cron::{Cron, Timing};
use chrono::TimeZone;
use chrono_tz::Tz;
use proptest::prelude::*;
use std::collections::BTreeSet;

const BERLIN: Tz = Tz::Europe__Berlin;

#[test]
fn a_named_time_in_the_spring_gap_is_due_once_right_after_it() {
    // On 2026-03-29 the clocks of Berlin go from 02:00 to 03:00, at 01:00 UTC.
    for cron in ["30 2 * * *", "0,30 2 * * *", "0-59/15 2 * * *"] {
        let days = due_texts(cron, BERLIN, "2026-03-29T00:00:00Z", "2026-03-29T23:00:00Z");
        assert_eq!(days, ["2026-03-29T01:00:00Z"], "{cron}");
    }
    let both = due_texts("30 2,3 * * *", BERLIN, "2026-03-29T00:00:00Z", "2026-03-29T23:00:00Z");
    assert_eq!(both, ["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]);
}

#[test]
fn a_named_time_in_the_autumn_overlap_is_due_once_the_first_time() {
    // On 2026-10-25 they go from 03:00 back to 02:00, at 01:00 UTC.
    let days = due_texts("30 2 * * *", BERLIN, "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z");
    assert_eq!(days, ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    let both = due_texts("0,30 2 * * *", BERLIN, "2026-10-24T22:00:00Z", "2026-10-25T22:00:00Z");
    assert_eq!(both, ["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"]);
    // Asked within the second half, the first is the last that was, and the next is a day away.
    let cron = Cron::parse("30 2 * * *").unwrap();
    let within = utc("2026-10-25T01:10:00Z");
    assert_eq!(cron.latest_due(0, within, BERLIN).map(text_of).as_deref(), Some("2026-10-25T00:30:00Z"));
    assert_eq!(cron.next_after(within, BERLIN).map(text_of).as_deref(), Some("2026-10-26T01:30:00Z"));
}

#[test]
fn every_hour_is_every_hour_that_passes() {
    for (from, to) in
        [("2026-03-28T22:00:00Z", "2026-03-29T04:00:00Z"), ("2026-10-24T22:00:00Z", "2026-10-25T04:00:00Z")]
    {
        for (cron, zone) in [("0 * * * *", BERLIN), ("0 0-23 * * *", BERLIN), ("0 * * * *", Tz::UTC)] {
            let hours = due_texts(cron, zone, from, to);
            assert_eq!(hours.len(), 6, "{cron} {zone}: {hours:?}");
        }
    }
}

#[test]
fn every_few_minutes_of_some_hours_follow_the_clock() {
    let gap = due_texts("*/30 2 * * *", BERLIN, "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z");
    assert_eq!(gap, [""; 0], "02:00 and 02:30 do not exist on that day");
    let overlap = due_texts("*/30 2 * * *", BERLIN, "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z");
    assert_eq!(
        overlap,
        ["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"]
    );
}

#[test]
fn a_gap_that_ends_on_another_day_loses_nothing() {
    // In Nuuk the clocks go from 23:00 on a Saturday to 00:00, in Samoa a whole Friday was left out.
    for (cron, zone, day, due) in [
        ("30 23 * * SAT", Tz::America__Nuuk, "2026-03-28", "2026-03-29T01:00:00Z"),
        ("30 23 28 3 *", Tz::America__Nuuk, "2026-03-28", "2026-03-29T01:00:00Z"),
        ("0 12 * * FRI", Tz::Pacific__Apia, "2011-12-30", "2011-12-30T10:00:00Z"),
        ("0 0 30 12 *", Tz::Pacific__Apia, "2011-12-30", "2011-12-30T10:00:00Z"),
    ] {
        let after = utc(&format!("{day}T00:00:00Z"));
        let found = Cron::parse(cron).unwrap().next_after(after, zone).map(text_of);
        assert_eq!(found.as_deref(), Some(due), "{cron} {zone}");
    }
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

/// Changes of odd kinds, at UTC, with their zones: half an hour, at midnight, the day before, backwards at noon UTC.
const CHANGES: [(Tz, &str); 14] = [
    (BERLIN, "2026-03-29T01:00:00Z"),
    (BERLIN, "2026-10-25T01:00:00Z"),
    (Tz::America__New_York, "2026-03-08T07:00:00Z"),
    (Tz::America__New_York, "2026-11-01T06:00:00Z"),
    (Tz::Australia__Lord_Howe, "2026-04-04T15:00:00Z"),
    (Tz::Australia__Lord_Howe, "2026-10-03T15:30:00Z"),
    (Tz::America__Nuuk, "2026-03-29T01:00:00Z"),
    (Tz::America__Nuuk, "2026-10-25T01:00:00Z"),
    (Tz::America__Sao_Paulo, "2018-11-04T03:00:00Z"),
    (Tz::America__Sao_Paulo, "2018-02-18T02:00:00Z"),
    (Tz::Pacific__Apia, "2011-12-30T10:00:00Z"),
    (Tz::Asia__Tehran, "2022-03-21T20:30:00Z"),
    (Tz::Asia__Tehran, "2022-09-21T19:30:00Z"),
    (Tz::Africa__Casablanca, "2026-02-15T02:00:00Z"),
];

/// Up to two days before a change, half of the time within the hours on both sides of it.
pub(super) fn near_a_change() -> impl Strategy<Value = (Tz, i64)> {
    let before = prop_oneof![0i64..172_800_000, -7_200_000i64..7_200_000];
    (prop::sample::select(CHANGES.to_vec()), before).prop_map(|((zone, change), before)| (zone, utc(change) - before))
}

#[test]
fn the_changes_are_changes() {
    for (zone, change) in CHANGES {
        let shown = |ms: i64| zone.timestamp_millis_opt(ms).unwrap().naive_local();
        let change = utc(change);
        assert_ne!(shown(change) - shown(change - 60_000), chrono::TimeDelta::minutes(1), "{zone}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_is_due_is_what_looking_at_every_minute_finds(
        minutes in prop::collection::btree_set(0u32..60, 1..4),
        hours in prop::collection::btree_set(prop_oneof![3 => 0u32..4, 1 => 22u32..24, 1 => 0u32..24], 1..5),
        weekdays in prop::collection::btree_set(0u32..7, 1..8),
        step in prop::option::of(prop::sample::select(vec![1u32, 7, 20])),
        all_hours in any::<bool>(),
        (zone, start) in near_a_change(),
        span in prop_oneof![0i64..7_200_000, 0i64..345_600_000],
    ) {
        let all: BTreeSet<u32> = if all_hours { (0..24).collect() } else { hours };
        let minutes = step.map_or(minutes, |step| (0..60).step_by(step as usize).collect());
        let plain = Plain { follows_the_clock: all_hours || step.is_some(), minutes, hours: all, weekdays };
        let timing = Timing::parse_cron(&plain.text()).unwrap();
        let found: Vec<i64> = timing.due(start, start + span, zone).collect();
        // Two days: the date line is crossed in one.
        prop_assert_eq!(&found, &plain.due(start, start + span, zone, 2_880), "{} {}", plain.text(), zone);
        prop_assert_eq!(timing.latest_due(start, start + span, zone), found.last().copied());
    }

    #[test]
    fn looking_back_finds_what_looking_forward_found(
        text in expression(), (zone, start) in near_a_change(), span in 0i64..400_000_000,
    ) {
        let cron = Cron::parse(&text).unwrap();
        let all: Vec<i64> = cron.due(start, start + span, zone).collect();
        prop_assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
        prop_assert!(all.iter().all(|at| *at > start && *at <= start + span));
        prop_assert_eq!(cron.latest_due(start, start + span, zone), all.last().copied());
        for pair in all.windows(2) {
            prop_assert_eq!(cron.latest_due(start, pair[1] - 1, zone), Some(pair[0]));
            prop_assert_eq!(cron.next_after(pair[0] + 1, zone), Some(pair[1]));
        }
    }

    #[test]
    fn arbitrary_text_is_read_or_refused(
        text in "\\PC{0,30}", cronlike in "[@0-9*/,#LW?+a-cA-Z -]{0,24}", ms in any::<i64>(),
    ) {
        for text in [text, cronlike] {
            match Cron::parse(&text) {
                Ok(cron) => {
                    let _ = cron.next_after(ms, BERLIN);
                    let _ = cron.latest_due(0, ms, BERLIN);
                }
                Err(e) => prop_assert!(e.at().is_none_or(|at| at <= text.len()), "{text}: {e}"),
            }
        }
    }
}
