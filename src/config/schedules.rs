//! The `[[schedule]]` entries: when which job is asked for, and with what.
//!
//! Whether there is such a job is not looked at here: scripts and the program's own jobs are not known yet. A param is
//! whatever TOML can say, and is passed on as JSON.

use super::ScheduleEntry;
use super::jobs::note_twice;
use super::page::{Page, Wrong};
use super::section::Section;
use crate::cron::Cron;
use chrono_tz::Tz;
use std::collections::HashMap;
use toml::Spanned;
use toml::de::DeValue;

pub(super) const KEYS: &[&str] = &["name", "cron", "timezone", "job", "param", "priority", "enabled"];

/// Reads every entry; those that are wrong are noted and left out.
pub(super) fn read(top: &Section<'_, '_>, default_zone: Tz) -> Vec<ScheduleEntry> {
    let mut lines: HashMap<String, usize> = HashMap::new();
    let mut schedules = Vec::new();
    for section in top.sections("schedule", "[[schedule]]", KEYS) {
        let name = section.name("name");
        if let Some(name) = &name {
            note_twice(section.page(), &mut lines, name, "schedule");
        }
        let cron = cron(&section);
        let job = section.name("job");
        let timezone = section.zone("timezone").unwrap_or(default_zone);
        let param = section.raw("param").map_or(Some(String::new()), |value| param(section.page(), value));
        let priority = section.number("priority", i32::MIN.into(), i32::MAX.into()).unwrap_or(0);
        let enabled = section.flag("enabled").unwrap_or(true);
        if let (Some(name), Some(cron), Some(job), Some(param)) = (name, cron, job, param) {
            schedules.push(ScheduleEntry {
                name: name.into_inner(),
                cron_text: cron.text().to_string(),
                cron,
                timezone,
                place: section.page().place(job.span().start),
                job: job.into_inner(),
                param,
                priority,
                enabled,
            });
        }
    }
    schedules
}

fn cron(section: &Section<'_, '_>) -> Option<Cron> {
    if section.raw("cron").is_none() {
        section.lacks("cron", "add cron = \"0 2 * * *\": minute, hour, day of month, month, weekday");
    }
    let cron = section.parsed("cron", "a cron expression in quotes", |text| {
        Cron::parse(text).map_err(|e| Wrong::new(format!("cron `{}`: {}", text.escape_debug(), e.message())).at(e.at()))
    });
    cron.map(Spanned::into_inner)
}

/// The value as JSON text. What JSON has no word for is noted.
fn param(page: &Page<'_>, value: &Spanned<DeValue<'_>>) -> Option<String> {
    json(page, value).map(|json| json.to_string())
}

fn json(page: &Page<'_>, value: &Spanned<DeValue<'_>>) -> Option<serde_json::Value> {
    let wrong = |what: &str| {
        page.wrong(value.span().start, Wrong::new(what));
        None
    };
    match value.get_ref() {
        DeValue::String(text) => Some(text.as_ref().into()),
        DeValue::Boolean(flag) => Some((*flag).into()),
        DeValue::Datetime(date) => Some(date.to_string().into()),
        DeValue::Integer(i) => match i64::from_str_radix(i.as_str(), i.radix()) {
            Ok(number) => Some(number.into()),
            Err(_) => wrong("an integer in `param` has at most 64 bits"),
        },
        DeValue::Float(f) => match f.as_str().parse().ok().and_then(serde_json::Number::from_f64) {
            Some(number) => Some(number.into()),
            None => wrong("`param` is passed on as JSON, which has no such number"),
        },
        DeValue::Array(list) => {
            let items: Vec<_> = list.iter().map(|item| json(page, item)).collect();
            items.into_iter().collect::<Option<Vec<_>>>().map(Into::into)
        }
        DeValue::Table(table) => {
            let pairs: Vec<_> =
                table.iter().map(|(key, value)| Some((key.get_ref().to_string(), json(page, value)?))).collect();
            pairs.into_iter().collect::<Option<serde_json::Map<_, _>>>().map(Into::into)
        }
    }
}
