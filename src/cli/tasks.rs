//! `tasks` and `task`: looking at rows.

use super::args::{Format, TasksArgs};
use super::site::Site;
use super::{Verdict, print, show};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::store::{Filter, Row};
use crate::task::{Status, parse_span};
use chrono_tz::Tz;

pub(super) fn tasks(site: &Site, args: &TasksArgs) -> Result<Verdict> {
    let status = args.status.as_deref().map(status_of).transpose()?;
    let since_ms = since_ms(site, args.since.as_deref())?;
    let filter = Filter { status, job: args.job.clone(), since_ms, limit: args.limit };
    let rows = site.existing_store()?.tasks(&filter)?;
    match args.format.format {
        Format::Json => {
            print(&format!("{}\n", serde_json::Value::Array(rows.iter().map(show::task).collect())))?;
        }
        Format::Table => print(&list(&rows, &site.config))?,
    }
    Ok(Verdict::Well)
}

/// The instant before now by this span, if there is one.
pub(super) fn since_ms(site: &Site, span: Option<&str>) -> Result<Option<i64>> {
    let Some(span) = span else { return Ok(None) };
    let span_ms = i64::try_from(parse_span(span).map_err(Error::usage)?).unwrap_or(i64::MAX);
    Ok(Some(site.clock.now_ms().saturating_sub(span_ms)))
}

pub(super) fn status_of(word: &str) -> Result<Status> {
    let words = Status::ALL.map(Status::word).join(", ");
    let unknown = || Error::usage(format!("there is no status `{word}`")).hint(format!("it is one of {words}"));
    Status::from_word(word).ok_or_else(unknown)
}

/// Rows as a table. The params of redacted jobs are left out of it: they are for whoever asks for such a task by its id.
pub(super) fn list(rows: &[Row], config: &Config) -> String {
    if rows.is_empty() {
        return "no such tasks\n".to_string();
    }
    let mut table = show::table(&["id", "job", "status", "priority", "attempt", "inserted", "param", "error"]);
    let is_redacted = |row: &Row| config.jobs.iter().any(|job| job.command.redact && job.name == row.job);
    for row in rows {
        let param = if is_redacted(row) { "(redacted)".to_string() } else { show::excerpt(&row.param, 30) };
        table.add_row([
            row.id.to_string(),
            show::excerpt(row.job.as_bytes(), 30),
            row.status.to_string(),
            row.priority.to_string(),
            row.attempt.to_string(),
            show::time(row.created_at, config.timezone),
            param,
            show::excerpt(row.error.as_deref().unwrap_or_default().as_bytes(), 40),
        ]);
    }
    show::text(&table)
}

pub(super) fn task(site: &Site, id: i64, format: Format) -> Result<Verdict> {
    let missing = || Error::failed(format!("there is no task {id}")).hint("`rowmill tasks` lists the newest ones");
    let row = site.existing_store()?.task(id)?.ok_or_else(missing)?;
    match format {
        Format::Json => print(&format!("{}\n", show::task(&row)))?,
        Format::Table => print(&page(&row, site.config.timezone, site.clock.now_ms()))?,
    }
    Ok(Verdict::Well)
}

fn page(row: &Row, zone: Tz, now_ms: i64) -> String {
    let at = |at: Option<i64>| at.map(|at| format!("{} ({})", show::time(at, zone), show::from_now(at, now_ms)));
    let bytes = |bytes: &[u8]| show::excerpt(bytes, 2_000);
    let lines: [(&str, Option<String>); 17] = [
        ("task", Some(row.id.to_string())),
        ("job", Some(bytes(row.job.as_bytes()))),
        ("status", Some(row.status.to_string())),
        ("error", row.error.as_deref().map(|e| bytes(e.as_bytes()))),
        ("cause", row.cause.clone()),
        ("result", row.result.as_deref().map(bytes)),
        ("attempt", Some(row.attempt.to_string())),
        ("max attempts", row.max_attempts.map(|n| n.to_string())),
        ("priority", Some(row.priority.to_string())),
        ("partition", Some(row.partition.index.to_string())),
        ("worker", row.worker.map(|w| w.to_string())),
        ("parent", row.parent.map(|id| id.to_string())),
        ("unique key", row.unique_key.as_deref().map(|k| bytes(k.as_bytes()))),
        ("inserted", at(Some(row.created_at))),
        ("not before", at(row.run_at)),
        ("started", at(row.started_at)),
        ("finished", at(row.finished_at)),
    ];
    let mut text = String::new();
    for (name, value) in lines {
        if let Some(value) = value {
            text += &format!("{name:<14}{value}\n");
        }
    }
    text += &format!("{:<14}{} ({}, {} bytes)\n", "param", bytes(&row.param), row.codec, row.param.len());
    text
}
