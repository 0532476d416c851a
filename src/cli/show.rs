//! How answers look: times, numbers, tables and JSON.

use crate::clock::Millis;
use crate::log::is_steering;
use crate::store::Row;
use crate::task::span_text;
use chrono::{DateTime, LocalResult, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};
use std::borrow::Cow;

/// How an instant is written for people.
const WRITTEN: &str = "%Y-%m-%d %H:%M:%S %:z";

/// An instant in a zone, to the second.
pub(super) fn time(at_ms: Millis, zone: Tz) -> String {
    match DateTime::<Utc>::from_timestamp_millis(at_ms) {
        Some(at) => at.with_timezone(&zone).format(WRITTEN).to_string(),
        None => format!("{at_ms} ms"),
    }
}

/// An instant as seen from now: `in 5m`, `3s ago`.
pub(super) fn from_now(at_ms: Millis, now_ms: Millis) -> String {
    if at_ms > now_ms { format!("in {}", span(at_ms - now_ms)) } else { format!("{} ago", span(now_ms - at_ms)) }
}

/// A span in milliseconds, for people; one below zero (the clock was set back) is none.
pub(super) fn span(ms: Millis) -> String {
    span_text(u64::try_from(ms).unwrap_or(0))
}

/// Reads a time: RFC 3339, what [`time`] writes, `2026-12-01 02:00[:30]` in `zone`, or UTC milliseconds. A local time that a clock change
/// leaves out is refused; of one that it repeats, the first is meant.
pub(super) fn read_time(text: &str, zone: Tz) -> Result<Millis, String> {
    let text = text.trim();
    if let Ok(ms) = text.parse::<Millis>() {
        return if ms >= 100_000_000_000 {
            Ok(ms)
        } else {
            Err(format!("`{text}` looks like seconds; a number is taken as UTC milliseconds"))
        };
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_str(text, WRITTEN)) {
        return Ok(at.timestamp_millis());
    }
    let forms = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"];
    let Some(local) = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()) else {
        return Err(format!("`{text}` is not a time; write it like 2026-12-01T02:00:00Z or '2026-12-01 02:00'"));
    };
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Ok(at.timestamp_millis()),
        LocalResult::None => Err(format!("there is no {text} in {zone}: the clock is set forward over it")),
    }
}

/// A count with its thousands set apart.
pub(super) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes, for people: units are powers of 1024.
pub(super) fn size(bytes: u64) -> String {
    let units = ["KB", "MB", "GB", "TB"];
    let Some(last) = (0..units.len()).rev().find(|power| bytes >> (10 * (power + 1)) > 0) else {
        return format!("{bytes} B");
    };
    let unit = 1u64 << (10 * (last + 1));
    format!("{}.{} {}", bytes / unit, (bytes % unit) * 10 / unit, units[last])
}

/// A plain table with these heads.
pub(super) fn table(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(heads);
    table
}

/// A table's text, without blanks at the ends of lines.
pub(super) fn text(table: &Table) -> String {
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// What others wrote, on one line of at most `width` characters, with nothing in it that steers a terminal.
pub(super) fn excerpt(bytes: &[u8], width: usize) -> String {
    let mut text = String::new();
    for (count, c) in String::from_utf8_lossy(bytes).chars().enumerate() {
        if count >= width {
            text.push('…');
            break;
        }
        put_harmless(&mut text, c);
    }
    text
}

/// What others wrote, on one line, with nothing in it that steers a terminal.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    text.chars().for_each(|c| put_harmless(&mut line, c));
    line
}

fn put_harmless(text: &mut String, c: char) {
    if is_steering(c) { text.extend(c.escape_default()) } else { text.push(c) }
}

/// An answer as it may be printed. What steers a terminal can only stand in what others wrote, and in JSON only within
/// texts: there `\u009b` says the same.
pub(super) fn harmless(answer: &str) -> Cow<'_, str> {
    let steers = |c: char| is_steering(c) && !matches!(c, '\n' | '\t');
    if !answer.contains(steers) {
        return answer.into();
    }
    let mut text = String::with_capacity(answer.len());
    for c in answer.chars() {
        if steers(c) { text += &format!("\\u{:04x}", u32::from(c)) } else { text.push(c) }
    }
    text.into()
}

/// Bytes as JSON: text where they are text, else hexadecimal.
fn bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "hex": bytes.iter().map(|b| format!("{b:02x}")).collect::<String>() }),
    }
}

/// A task as JSON, under the column names of the row contract.
pub(super) fn task(row: &Row) -> Value {
    json!({
        "id": row.id, "job": row.job, "param": bytes(&row.param), "codec": row.codec, "priority": row.priority,
        "status": row.status.word(), "attempt": row.attempt, "max_attempts": row.max_attempts, "run_at": row.run_at,
        "unique_key": row.unique_key, "created_at": row.created_at, "started_at": row.started_at,
        "finished_at": row.finished_at, "worker": row.worker, "result": row.result.as_deref().map(bytes),
        "error": row.error, "cause": row.cause, "parent": row.parent, "partition": row.partition.index,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::Europe::Berlin;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (n, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(number(n), text);
        }
    }

    #[test]
    fn sizes_have_the_largest_unit_that_fits() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KB"), (33_554_432, "32.0 MB"), (u64::MAX, "16777215.9 TB")]
        {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn local_times_are_read_in_the_zone_and_gaps_are_refused() {
        assert_eq!(read_time("2026-12-01 02:00", Berlin), Ok(1_796_086_800_000));
        assert_eq!(read_time("2026-12-01T01:00:00Z", Berlin), Ok(1_796_086_800_000));
        assert_eq!(read_time("1796086800000", Berlin), Ok(1_796_086_800_000));
        assert!(read_time("2026-03-29 02:30", Berlin).unwrap_err().contains("set forward"));
        assert!(read_time("1796086800", Berlin).unwrap_err().contains("seconds"));
        assert!(read_time("tomorrow", Berlin).is_err());
    }

    #[test]
    fn what_others_wrote_cannot_steer_a_terminal() {
        assert_eq!(excerpt(b"a\x1b[31m\nb", 80), "a\\u{1b}[31m\\nb");
        assert_eq!(excerpt("äöüß".as_bytes(), 2), "äö…");
        assert_eq!(excerpt("a\u{202e}b\u{2028}".as_bytes(), 80), "a\\u{202e}b\\u{2028}");
        assert_eq!(one_line("a\nb\t\u{9b}"), "a\\nb\\t\\u{9b}");
        let answer = json!({ "job": "a\u{7f}\u{9b}2J\u{202e}\u{1b}\n" });
        let shown = format!("{answer}\n");
        assert_eq!(harmless(&shown), "{\"job\":\"a\\u007f\\u009b2J\\u202e\\u001b\\n\"}\n");
        assert_eq!(serde_json::from_str::<Value>(&harmless(&shown)).unwrap(), answer);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_to_the_second(
            at_s in 100_000_000i64..250_000_000_000, zone in prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec()), ms in 0i64..1_000,
        ) {
            // From 1973 to the year 9892. Until 1972 Liberia was some seconds off, which `%:z` has no room for.
            let written = time(at_s * 1_000 + ms, zone);
            prop_assert_eq!(read_time(&written, Berlin), Ok(at_s * 1_000), "{}", written);
        }

        #[test]
        fn a_time_is_read_or_refused(any in "\\PC{0,24}", timelike in "[+-]?[0-9]{1,6}[0-9:.TZ +-]{0,24}") {
            for text in [any, timelike] {
                if let Ok(at_ms) = read_time(&text, Berlin) {
                    let (written, year) = (time(at_ms, Berlin), "2026-12-01 02:00:00 +01:00".len());
                    // Chrono writes years of more than four digits with a sign, and reads them with one only.
                    prop_assert!(written.len() != year || read_time(&written, Berlin) == Ok(at_ms.div_euclid(1_000) * 1_000));
                }
            }
        }
    }
}
