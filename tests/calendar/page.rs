//! The tables of `docs/schedules.md`, read out of the page: it cannot say what is not so.

use chrono::{DateTime, Datelike, FixedOffset, TimeZone};
use chrono_tz::Tz;
use rowmill::cron::Timing;
use std::fs;
use std::path::Path;

/// The end of a list of due times behind which none follows.
const NONE: &str = "then never";

pub(crate) fn text() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schedules.md")).unwrap()
}

/// The rows of all tables whose heads begin with `first`, each with its cells, and with the number of its line.
fn rows(page: &str, first: &str) -> Vec<(usize, Vec<String>)> {
    let mut inside = false;
    let mut rows = Vec::new();
    for (i, line) in page.lines().enumerate() {
        let mut cells: Vec<String> = line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_string()).collect();
        cells[0] = cells[0].trim_matches('`').to_string();
        inside = line.starts_with('|') && (inside || cells[0] == first);
        if inside && cells[0] != first && !line.starts_with("|-") {
            rows.push((i + 1, cells));
        }
    }
    rows
}

/// `2026-03-29 00:30 +01:00`
fn after(text: &str) -> DateTime<FixedOffset> {
    let forms = ["%Y-%m-%d %H:%M %:z", "%Y-%m-%d %H:%M:%S %:z"];
    forms.iter().find_map(|form| DateTime::parse_from_str(text, form).ok()).expect(text)
}

/// The first due times after an instant, as the page writes them: the year where it is another one, seconds if there are
/// any.
fn due(timing: &Timing, zone: Tz, after: DateTime<FixedOffset>, count: usize) -> String {
    let mut times: Vec<String> = Vec::new();
    for at_ms in timing.due(after.timestamp_millis(), i64::MAX, zone).take(count) {
        let local = zone.timestamp_millis_opt(at_ms).unwrap();
        let year = if local.year() == after.year() { "" } else { "%Y-" };
        let seconds = if at_ms % 60_000 == 0 { "" } else { ":%S" };
        times.push(local.format(&format!("{year}%m-%d %H:%M{seconds} %:z")).to_string());
        let before_ms = timing.next_after(at_ms - 1, zone);
        assert_eq!((before_ms, timing.latest_due(at_ms - 1, at_ms, zone)), (Some(at_ms), Some(at_ms)), "{timing}");
    }
    if times.len() < count {
        times.push(NONE.to_string());
    }
    times.join(", ")
}

#[test]
fn every_row_of_the_tables_is_so() {
    let page = text();
    let rows = rows(&page, "schedule");
    assert!(rows.len() > 100, "the tables are not found: {} rows", rows.len());
    for (line, cells) in rows {
        let [written, zone, now, expected] = &cells[..] else { panic!("line {line}: {cells:?}") };
        let zone: Tz = zone.parse().unwrap();
        let now = after(now);
        let shown = now.with_timezone(&zone).naive_local();
        assert_eq!(shown, now.naive_local(), "line {line}: {zone} has another offset then");
        let timing =
            Timing::parse(written, now.timestamp_millis(), zone).unwrap_or_else(|e| panic!("line {line}: {e}"));
        let count = expected.split(", ").count();
        assert_eq!(&due(&timing, zone, now, count), expected, "docs/schedules.md:{line}: `{written}` in {zone}");
    }
}

#[test]
fn every_form_is_read_as_the_page_says() {
    let page = text();
    let rows = rows(&page, "written");
    assert!(rows.len() > 20, "the tables are not found: {} rows", rows.len());
    for (line, cells) in rows {
        let [written, expected] = &cells[..] else { panic!("line {line}: {cells:?}") };
        let found = match Timing::parse(written, 0, Tz::UTC) {
            Ok(timing) => timing.describe(),
            Err(e) => e.to_string(),
        };
        assert_eq!(&found, expected, "docs/schedules.md:{line}: `{written}`");
    }
}
