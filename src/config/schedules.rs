//! The `[[schedule]]` entries: when which job is asked for, and with what.
//!
//! Whether there is such a job is not looked at here: scripts and the program's own jobs are not known yet. A param is
//! whatever TOML can say, and is passed on as JSON. A schedule with a command of its own is a job as well, of its own name.

use super::jobs::{self, note_twice};
use super::page::{Page, Wrong};
use super::section::Section;
use super::{Config, JobEntry, Lookup, ScheduleEntry};
use crate::cron::{Timing, TimingError};
use crate::store::{CatchUp, Origin, Overlap, Schedule};
use crate::work::exec::Command;
use chrono_tz::Tz;
use std::collections::HashMap;
use toml::Spanned;
use toml::de::DeValue;

pub(super) const KEYS: &[&str] = &[
    "name",
    "cron",
    "at",
    "every",
    "timezone",
    "job",
    "command",
    "param",
    "priority",
    "unique_key",
    "catch_up",
    "overlap",
    "only_if",
    "jitter",
    "until",
    "enabled",
];

/// What says when a schedule is due: one of them.
const TIMES: [&str; 3] = ["cron", "at", "every"];

/// Reads every entry; those that are wrong are noted and left out. Jobs that schedules carry themselves come second.
pub(super) fn read(top: &Section<'_, '_>, config: &Config, env: Lookup<'_>) -> (Vec<ScheduleEntry>, Vec<JobEntry>) {
    let keys: Vec<&str> = KEYS.iter().copied().chain(jobs::settings()).collect();
    let mut lines: HashMap<String, usize> = HashMap::new();
    let sections = top.sections("schedule", "[[schedule]]", &keys);
    let (mut schedules, mut own_jobs) = (Vec::with_capacity(sections.len()), Vec::new());
    for section in sections {
        let name = section.name("name");
        if let Some(name) = &name {
            note_twice(section.page(), &mut lines, name, "schedule");
        }
        let job = job(&section, name.as_ref(), config, env, &mut own_jobs);
        if let Some(entry) = entry(&section, name, job, config) {
            remarks(&section, &entry.schedule);
            schedules.push(entry);
        }
    }
    (schedules, own_jobs)
}

fn entry(
    section: &Section<'_, '_>,
    name: Option<Spanned<String>>,
    job: Option<Spanned<String>>,
    config: &Config,
) -> Option<ScheduleEntry> {
    let zone = section.zone("timezone").unwrap_or(config.timezone);
    let timing = timing(section, zone);
    let param = section.raw("param").map_or(Some(String::new()), |value| param(section.page(), value));
    let priority = section.number("priority", i32::MIN.into(), i32::MAX.into()).unwrap_or(0);
    let unique_key = section.parsed("unique_key", "a key in quotes", |text| match text.chars().count() {
        1..=400 => Ok(text.to_string()),
        _ => Err(Wrong::new("`unique_key` must have 1 to 400 characters")),
    });
    let catch_up = section.parsed("catch_up", "a word in quotes", |text| {
        CatchUp::parse(text).map_err(|why| {
            Wrong::new(format!("`catch_up`: {why}")).hint(
                "skip: what was missed stays so; once: the latest is made up for; all; window 2h: what is no later",
            )
        })
    });
    let overlap = section.parsed("overlap", "a word in quotes", |text| {
        Overlap::from_word(text).ok_or_else(|| {
            let wrong = Wrong::new(format!("there is no overlap `{}`", text.escape_debug()));
            wrong.hint("it is \"allow\", \"skip\" or \"queue\"")
        })
    });
    let only_if = section.raw("only_if").and_then(|_| only_if(section, config));
    let jitter_ms = section.span_ms("jitter").map_or(0, Spanned::into_inner);
    let until_ms = until(section, zone);
    let enabled = section.flag("enabled").unwrap_or(true);
    let (name, job) = (name?.into_inner(), job?);
    let place = section.page().place(job.span().start);
    let schedule = Schedule {
        name,
        origin: Origin::File,
        timing: timing?,
        zone,
        job: job.into_inner(),
        param: param?,
        priority,
        unique_key: unique_key.map(Spanned::into_inner),
        catch_up: catch_up.map(Spanned::into_inner).unwrap_or_default(),
        overlap: overlap.map(Spanned::into_inner).unwrap_or_default(),
        guarded: only_if.is_some(),
        jitter_ms,
        until_ms,
        enabled,
    };
    Some(ScheduleEntry { schedule, only_if: only_if.map(Box::new), place })
}

/// The job that it asks for: one that is named, or its own.
fn job(
    section: &Section<'_, '_>,
    name: Option<&Spanned<String>>,
    config: &Config,
    env: Lookup<'_>,
    own: &mut Vec<JobEntry>,
) -> Option<Spanned<String>> {
    if section.raw("command").is_none() {
        let of_jobs = |key: &&str| !KEYS.contains(key) && jobs::settings().any(|setting| setting == *key);
        for key in section.keys().filter(of_jobs) {
            let wrong = Wrong::new(format!("`{key}` says how a command runs, and this [[schedule]] has none"));
            section.wrong_at(key, wrong.hint("put it into the [[job]], or give the schedule a `command` of its own"));
        }
        if section.raw("job").is_none() {
            section.lacks("job", "add job = \"…\", or command = [\"program\", \"argument\"]");
            return None;
        }
        return section.name("job");
    }
    if section.raw("job").is_some() {
        let wrong = Wrong::new("a [[schedule]] has a `job` or a `command`, not both");
        section.wrong_at("command", wrong.hint("take one of them away"));
    }
    let name = name?;
    if let Some(other) = config.jobs.iter().find(|job| job.name == *name.get_ref()) {
        let what = format!("the command of this [[schedule]] is a job `{}`, and there is one of that name", other.name);
        let wrong = Wrong::new(what).hint(format!("the other is at {}: rename one of them", other.place));
        section.page().wrong(name.span().start, wrong);
        return None;
    }
    own.push(jobs::entry(section, name.get_ref().clone(), config, env)?);
    Some(name.clone())
}

/// When it is due, as it is stored. That a cron expression is right is seen here; its times are looked for by those who
/// want one.
fn timing(section: &Section<'_, '_>, zone: Tz) -> Option<String> {
    let given: Vec<&str> = TIMES.into_iter().filter(|key| section.raw(key).is_some()).collect();
    match given[..] {
        [] => {
            section.lacks("cron", "add cron = \"0 2 * * *\" (minute, hour, day of month, month, weekday), at or every");
            None
        }
        [_] => {
            let cron = |text: &str| Ok(wrong("cron", text, Timing::parse_cron(text))?.to_string());
            let cron = section.parsed("cron", "a cron expression in quotes", cron);
            let once = |text: &str| Ok(wrong("at", text, Timing::parse_at(text, 0, zone))?.to_string());
            let at = section.parsed("at", "a date and a time in quotes", once);
            let every = |text: &str| Ok(wrong("every", text, Timing::parse_every(text))?.to_string());
            let every = section.parsed("every", "a span in quotes, as \"15m\"", every);
            cron.or(at).or(every).map(Spanned::into_inner)
        }
        [first, second, ..] => {
            let wrong =
                Wrong::new(format!("a [[schedule]] has one of `cron`, `at` and `every`; this has `{first}` too"));
            section.wrong_at(second, wrong.hint("write two schedules"));
            None
        }
    }
}

fn wrong(key: &str, text: &str, timing: Result<Timing, TimingError>) -> Result<Timing, Wrong> {
    timing.map_err(|e| Wrong::new(format!("{key} `{}`: {}", text.escape_debug(), e.message())).at(e.at()))
}

/// The command that decides. It gets no param, and the environment that every job has.
fn only_if(section: &Section<'_, '_>, config: &Config) -> Option<Command> {
    let argv = jobs::argv(section, "only_if", &config.folder)?;
    if argv.iter().any(|argument| argument.to_string_lossy().contains("{param}")) {
        section.wrong_at(
            "only_if",
            Wrong::new("`{param}` has no meaning in `only_if`: it is asked before there is a task"),
        );
        return None;
    }
    Some(Command { argv, cwd: config.folder.clone(), env: config.basic_env.clone(), ..Command::default() })
}

/// The end: a date in quotes or without, or a date and a time.
fn until(section: &Section<'_, '_>, zone: Tz) -> Option<i64> {
    if let DeValue::Datetime(date) = section.raw("until")?.get_ref() {
        let text = date.to_string().replace('T', " ");
        let read = Schedule::parse_until(&text, zone);
        return read.map_err(|why| section.wrong_at("until", Wrong::new(format!("`until`: {why}")))).ok();
    }
    let read = |text: &str| Schedule::parse_until(text, zone).map_err(|why| Wrong::new(format!("`until`: {why}")));
    section.parsed("until", "a date, such as \"2027-01-31\"", read).map(Spanned::into_inner)
}

/// Keys that make no sense together: nothing is refused because of them.
fn remarks(section: &Section<'_, '_>, schedule: &Schedule) {
    let once = schedule.timing.starts_with("at ");
    let shown = [&schedule.param, schedule.unique_key.as_ref().unwrap_or(&schedule.param)];
    let shows_time = shown.iter().any(|text| ["{due}", "{date}"].iter().any(|word| text.contains(word)));
    let every = schedule.timing.strip_prefix("every ").map(Timing::parse_every);
    let every_ms = match &every {
        Some(Ok(Timing::Every(every))) => u64::try_from(every.every_s()).ok().map(|s| s * 1_000),
        _ => None,
    };
    let remark = |key: &str, what: &str, hint: &str| section.remark_at(key, what, hint);
    if once && section.raw("overlap").is_some() && schedule.overlap != Overlap::Allow {
        remark("overlap", "`overlap` says nothing about a schedule that is due once", "take it away");
    }
    if once && schedule.until_ms.is_some() {
        remark("until", "`until` says nothing about a schedule that is due once", "take it away");
    }
    if every_ms.is_some() && section.raw("timezone").is_some() && !shows_time {
        let hint = "to be due at local times, write a cron expression";
        remark("timezone", "`every` counts from 1970 in UTC, so that `timezone` changes nothing", hint);
    }
    if every_ms.is_some_and(|every_ms| schedule.jitter_ms >= every_ms) {
        let hint = "make it shorter than the interval";
        remark("jitter", "with a `jitter` as long as the interval, occurrences run in another order", hint);
    }
    let fixed_key = schedule.unique_key.as_ref().is_some_and(|key| !key.contains("{d"));
    if fixed_key && schedule.catch_up == CatchUp::All {
        let hint = "put {due} into the key, or write overlap = \"queue\" instead of the key";
        remark("unique_key", "of all that are made up for, only the first gets a key that is the same for each", hint);
    }
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
