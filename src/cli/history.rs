//! `history`: how many tasks became final, by day and job.

use super::args::{Format, HistoryArgs};
use super::site::Site;
use super::{Verdict, print, show};
use crate::error::Result;
use crate::task::Status;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Milliseconds of a UTC day.
const DAY_MS: i64 = 86_400_000;

/// A day, a job, and how many of its tasks became final on that day in each way.
type Days = BTreeMap<(i64, String), BTreeMap<Status, u64>>;

pub(super) fn history(site: &Site, args: &HistoryArgs) -> Result<Verdict> {
    let today = site.clock.now_ms().div_euclid(DAY_MS);
    let mut days = Days::new();
    for count in site.existing_store()?.history(today - i64::from(args.days) + 1)? {
        days.entry((count.day, count.job)).or_default().insert(count.status, count.count);
    }
    let text = match args.format.format {
        Format::Json => format!("{}\n", as_json(&days)),
        Format::Table if days.is_empty() => "no task became final in these days\n".to_string(),
        Format::Table => {
            let mut table = show::table(&["day (UTC)", "job", "done", "dead", "cancelled"]);
            for ((day, job), of) in &days {
                let count = |status| show::number(of.get(&status).copied().unwrap_or(0));
                let job = show::excerpt(job.as_bytes(), 40);
                table.add_row([date(*day), job, count(Status::Done), count(Status::Dead), count(Status::Cancelled)]);
            }
            show::text(&table)
        }
    };
    print(&text)?;
    Ok(Verdict::Well)
}

fn as_json(days: &Days) -> Value {
    let row = |((day, job), of): (&(i64, String), &BTreeMap<Status, u64>)| {
        let count = |status| of.get(&status).copied().unwrap_or(0);
        let (done, dead, cancelled) = (count(Status::Done), count(Status::Dead), count(Status::Cancelled));
        json!({ "day": date(*day), "job": job, "done": done, "dead": dead, "cancelled": cancelled })
    };
    days.iter().map(row).collect()
}

fn date(day: i64) -> String {
    let at = DateTime::<Utc>::from_timestamp_millis(day.saturating_mul(DAY_MS));
    at.map_or_else(|| day.to_string(), |at| at.format("%Y-%m-%d").to_string())
}
