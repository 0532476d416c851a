//! Timings, their errors, and what the clock changes of a zone do to them.

mod changes;
mod every_zone;
mod expression;
mod oracle;
mod single;
mod words;

use super::Cron;
use chrono::{DateTime, NaiveDateTime};
use chrono_tz::Tz;
use proptest::prelude::*;

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

/// A field of values: any, one, a range, a step, a list.
fn field(min: u32, max: u32) -> impl Strategy<Value = String> {
    let range = move || (min..=max, min..=max).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b)));
    let item = prop_oneof![
        4 => (min..=max).prop_map(|v| v.to_string()),
        2 => range(),
        1 => (range(), 1u32..9).prop_map(|(range, step)| format!("{range}/{step}")),
    ];
    prop_oneof![
        2 => Just("*".to_string()),
        1 => (1u32..20).prop_map(|step| format!("*/{step}")),
        4 => prop::collection::vec(item, 1..4).prop_map(|items| items.join(",")),
    ]
}

fn day_field() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec!["L", "LW", "15W", "1W", "31W", "?", "1,L", "2-4,30W", "LW,10"]);
    prop_oneof![3 => field(1, 31), 1 => odd.prop_map(str::to_string)]
}

fn weekday_field() -> impl Strategy<Value = String> {
    let odd = vec!["5L", "MON#1", "7#5", "SAT-SUN", "0L,3#2", "?", "tue,THU", "1-5"];
    prop_oneof![3 => field(0, 7), 1 => prop::sample::select(odd).prop_map(str::to_string)]
}

/// An expression of five fields in every form, which is due at some time.
fn expression() -> impl Strategy<Value = String> {
    (field(0, 59), field(0, 23), day_field(), field(1, 12), weekday_field())
        .prop_map(|(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}"))
        .prop_filter("it is due at some time", |text| Cron::parse(text).is_ok())
}

/// The same, and some with seconds.
fn expression_or_seconds() -> impl Strategy<Value = String> {
    (prop::option::weighted(0.3, field(0, 59)), expression()).prop_map(|(second, rest)| match second {
        Some(second) => format!("{second} {rest}"),
        None => rest,
    })
}
