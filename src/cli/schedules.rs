//! `schedules` and `next`: when what is due, and what became of it.

use super::args::Format;
use super::args_schedules::{NextArgs, SchedulesArgs};
use super::schedule::unknown;
use super::site::Site;
use super::{Verdict, print, show, tell};
use crate::clock::Millis;
use crate::cron::Timing;
use crate::error::Result;
use crate::schedule::timing;
use crate::store::{Kept, Occurrence, Schedule};
use chrono::{DateTime, LocalResult, Offset, TimeZone, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

pub(super) fn schedules(site: &Site, args: &SchedulesArgs) -> Result<Verdict> {
    let mut store = site.existing_store()?;
    let now_ms = site.clock.now_ms();
    let text = match &args.name {
        None => {
            let all = store.schedules()?;
            match args.format.format {
                Format::Json => format!("{}\n", all.iter().map(as_json).collect::<Value>()),
                Format::Table => as_table(&all, now_ms),
            }
        }
        Some(name) => {
            let kept = store.schedule(name)?.ok_or_else(|| unknown(name))?;
            let found = store.occurrences(name, args.limit)?;
            match args.format.format {
                Format::Json => format!("{}\n", found.iter().map(occurrence).collect::<Value>()),
                Format::Table => history(&found, kept.schedule.zone),
            }
        }
    };
    print(&text)?;
    Ok(Verdict::Well)
}

/// When a schedule is due, in plain language.
pub(super) fn described(kept: &Kept) -> String {
    timing(&kept.schedule, kept.made_at).map_or_else(|_| kept.schedule.timing.clone(), |timing| timing.describe())
}

/// When a schedule is due next, in its zone, and how far that is; or why it is not.
pub(super) fn next(kept: &Kept, now_ms: Millis) -> [String; 2] {
    match (&kept.paused, kept.next_at) {
        (Some(_), _) => ["paused".to_string(), String::new()],
        (None, Some(at)) => [show::time(at, kept.schedule.zone), show::from_now(at, now_ms)],
        (None, None) if !kept.schedule.enabled => ["switched off".to_string(), String::new()],
        (None, None) => ["never again".to_string(), String::new()],
    }
}

fn as_table(all: &[Kept], now_ms: Millis) -> String {
    if all.is_empty() {
        return "there are no schedules; those of the configuration are here after the next tick\n".to_string();
    }
    let mut table = show::table(&["schedule", "due", "job", "next", "", "last", "note"]);
    for kept in all {
        let [next, distance] = next(kept, now_ms);
        let schedule = &kept.schedule;
        let cut = |text: &str| show::excerpt(text.as_bytes(), 60);
        let last = kept.last.map_or_else(String::new, |last| show::time(last.due_at, schedule.zone));
        let due = format!("{} ({})", described(kept), schedule.zone);
        table.add_row([cut(&schedule.name), cut(&due), cut(&schedule.job), next, distance, last, note(kept)]);
    }
    show::text(&table)
}

fn note(kept: &Kept) -> String {
    let time = |at| show::time(at, kept.schedule.zone);
    let mut notes = Vec::new();
    notes.extend(kept.paused.as_ref().map(|order| format!("paused since {} by {}", time(order.since), order.by_whom)));
    notes.extend(kept.missed.as_ref().map(|(at, why)| format!("not asked for at {}: {why}", time(*at))));
    show::excerpt(notes.join("; ").as_bytes(), 200)
}

fn as_json(kept: &Kept) -> Value {
    let s = &kept.schedule;
    json!({
        "name": s.name, "origin": s.origin.word(), "timing": s.timing, "due": described(kept), "timezone": s.zone.name(),
        "job": s.job, "param": s.param, "priority": s.priority, "unique_key": s.unique_key,
        "catch_up": s.catch_up.to_string(), "overlap": s.overlap.word(), "only_if": s.guarded, "jitter_ms": s.jitter_ms,
        "until": s.until_ms, "enabled": s.enabled, "next_at": kept.next_at,
        "last_due_at": kept.last.map(|last| last.due_at), "last_fired_at": kept.last.map(|last| last.fired_at),
        "last_task": kept.last.map(|last| last.task), "last_missed_at": kept.missed.as_ref().map(|(at, _)| at),
        "last_missed_why": kept.missed.as_ref().map(|(_, why)| why),
        "paused": kept.paused.as_ref().map(|order| json!({ "since": order.since, "by": order.by_whom })),
    })
}

fn history(found: &[Occurrence], zone: Tz) -> String {
    let mut table = show::table(&["due", "to", "count", "outcome", "task", "note"]);
    for one in found {
        let to = if one.count > 1 { show::time(one.last_at, zone) } else { String::new() };
        let task = one.task.map_or_else(String::new, |id| id.to_string());
        let by_hand = one.by_hand.then(|| "by hand".to_string());
        let note = one.reason.clone().or(by_hand).unwrap_or_default();
        let note = show::excerpt(note.as_bytes(), 200);
        let count = show::number(one.count.into());
        table.add_row([show::time(one.due_at, zone), to, count, one.outcome.clone(), task, note]);
    }
    show::text(&table)
}

fn occurrence(one: &Occurrence) -> Value {
    json!({
        "due_at": one.due_at, "last_at": one.last_at, "count": one.count, "by_hand": one.by_hand,
        "outcome": one.outcome, "task": one.task, "reason": one.reason,
    })
}

pub(super) fn next_times(site: &Site, args: &NextArgs) -> Result<Verdict> {
    let now_ms = site.clock.now_ms();
    let registry = site.registry()?;
    let stored = match site.database.exists() {
        true => site.existing_store()?.schedule(&args.name)?,
        false => None,
    };
    let configured = site.schedules(&registry).into_iter().find(|schedule| schedule.name == args.name);
    let made_ms = stored.as_ref().map_or(now_ms, |kept| kept.made_at);
    let paused = stored.as_ref().is_some_and(|kept| kept.paused.is_some());
    let schedule = configured.or(stored.map(|kept| kept.schedule)).ok_or_else(|| unknown(&args.name))?;
    let times = times(&schedule, &timing(&schedule, made_ms)?, now_ms, args.n);
    let text = match args.format.format {
        Format::Json => {
            let object = |(at, note): &(Millis, String)| match note.as_str() {
                "" => json!({ "at": at, "local": show::time(*at, schedule.zone) }),
                note => json!({ "at": at, "local": show::time(*at, schedule.zone), "note": note }),
            };
            format!("{}\n", times.iter().map(object).collect::<Value>())
        }
        Format::Table => {
            let mut table = show::table(&["local", "UTC", "", "note"]);
            for (at, note) in &times {
                let (local, utc) = (show::time(*at, schedule.zone), show::time(*at, Tz::UTC));
                table.add_row([local, utc, show::from_now(*at, now_ms), note.clone()]);
            }
            if times.is_empty() { "it is never due again\n".to_string() } else { show::text(&table) }
        }
    };
    print(&text)?;
    match (paused, schedule.enabled) {
        (true, _) => tell("note: it is paused; what is due meanwhile is not asked for\n"),
        (_, false) => tell("note: it is switched off; nothing is asked for\n"),
        _ => {}
    }
    Ok(Verdict::Well)
}

/// The next `n` due times with a note where a change of the clock applies.
fn times(schedule: &Schedule, timing: &Timing, now_ms: Millis, n: u32) -> Vec<(Millis, String)> {
    let end = schedule.until_ms.unwrap_or(Millis::MAX);
    let mut before = now_ms;
    let mut found = Vec::new();
    while found.len() < n as usize
        && let Some(at) = timing.next_after(before, schedule.zone).filter(|at| *at <= end)
    {
        found.push((at, clock_note(before, at, schedule.zone)));
        before = at;
    }
    found
}

/// What a person should know about the local time of a due time that follows another.
fn clock_note(before_ms: Millis, at_ms: Millis, zone: Tz) -> String {
    let local = |ms| DateTime::<Utc>::from_timestamp_millis(ms).map(|at| at.with_timezone(&zone));
    let (Some(before), Some(at)) = (local(before_ms), local(at_ms)) else { return String::new() };
    let moved_s = at.offset().fix().local_minus_utc() - before.offset().fix().local_minus_utc();
    let mut notes = Vec::new();
    if moved_s != 0 {
        let way = if moved_s > 0 { "forward" } else { "back" };
        notes.push(format!("the clock is set {way} by {} before it", show::span(Millis::from(moved_s.abs()) * 1_000)));
    }
    if let LocalResult::Ambiguous(first, _) = zone.from_local_datetime(&at.naive_local()) {
        let which = if first == at { "first" } else { "second" };
        notes.push(format!("this local time comes twice; it is the {which}"));
    }
    notes.join("; ")
}
