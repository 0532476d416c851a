//! `schedule`: what a person does to a schedule.

use super::args::{Format, FormatArgs};
use super::args_schedules::{AddArgs, ScheduleCommand};
use super::args_tasks::WaitArgs;
use super::site::Site;
use super::{Verdict, crew, enqueue, print, show, tell, wait};
use crate::cron::Timing;
use crate::error::{Error, Result};
use crate::schedule::{begins, task_now};
use crate::store::{CatchUp, Origin, Overlap, Schedule};
use crate::task::{Codec, parse_span};
use chrono_tz::Tz;

pub(super) fn schedule(site: &Site, command: ScheduleCommand) -> Result<Verdict> {
    match command {
        ScheduleCommand::Add(args) => add(site, &args),
        ScheduleCommand::Remove { name } => remove(site, &name),
        ScheduleCommand::Run { name, wait } => run(site, &name, wait),
        ScheduleCommand::Pause { name } => pause(site, &name),
        ScheduleCommand::Resume { name } => resume(site, &name),
    }
}

fn add(site: &Site, args: &AddArgs) -> Result<Verdict> {
    let now_ms = site.clock.now_ms();
    let schedule = read(site, args, now_ms)?;
    let next_at = begins(&schedule, now_ms)?;
    if next_at.is_none() {
        return Err(Error::usage(format!("the schedule `{}` is never due from now on", schedule.name)));
    }
    let registry = site.registry()?;
    if site.schedules(&registry).iter().any(|other| other.name == schedule.name) {
        return Err(taken(&schedule.name, "the configuration or a pack has one"));
    }
    let mut store = site.existing_store()?;
    if !store.add_schedule(&schedule, next_at, now_ms)? {
        return Err(taken(&schedule.name, "`rowmill schedules` shows it"));
    }
    let name = show::excerpt(schedule.name.as_bytes(), 80);
    let next = next_at.map_or_else(String::new, |at| show::time(at, schedule.zone));
    print(&format!("{name} is due for the first time at {next}\n"))?;
    if registry.get(&schedule.job).is_none() {
        let job = show::excerpt(schedule.job.as_bytes(), 80);
        tell(&format!("note: no job `{job}` is known here; its tasks are parked until a worker knows it\n"));
    }
    Ok(Verdict::Well)
}

fn taken(name: &str, who: &str) -> Error {
    Error::usage(format!("there is a schedule `{}` already", name.escape_debug())).hint(who)
}

fn read(site: &Site, args: &AddArgs, now_ms: i64) -> Result<Schedule> {
    let usage = |flag: &str, why: String| Error::usage(format!("{flag}: {why}"));
    if !(1..=200).contains(&args.name.chars().count()) || args.name.chars().any(char::is_control) {
        return Err(Error::usage("the name of a schedule has 1 to 200 characters, none of them a control character"));
    }
    let zone = match &args.timezone {
        None => site.config.timezone,
        Some(zone) => zone.parse::<Tz>().map_err(|_| {
            Error::usage(format!("`{}` is not a time zone", zone.escape_debug()))
                .hint("use a name of the IANA database, such as Europe/Berlin, Asia/Shanghai or UTC")
        })?,
    };
    let timing = match (&args.cron, &args.at, &args.every) {
        (Some(cron), ..) => Timing::parse_cron(cron).map_err(|e| usage("--cron", e.to_string())),
        (_, Some(at), _) => Timing::parse_at(at, now_ms, zone).map_err(|e| usage("--at", e.to_string())),
        (.., every) => {
            Timing::parse_every(every.as_deref().unwrap_or_default()).map_err(|e| usage("--every", e.to_string()))
        }
    }?;
    if args.unique.as_ref().is_some_and(|key| !(1..=400).contains(&key.chars().count())) {
        return Err(usage("--unique", "a key has 1 to 400 characters".to_string()));
    }
    enqueue::check_param(Codec::Json, args.param.as_bytes())?;
    let jitter_ms = args.jitter.as_deref().map(parse_span).transpose().map_err(|why| usage("--jitter", why))?;
    let until = args.until.as_deref().map(|text| Schedule::parse_until(text, zone)).transpose();
    Ok(Schedule {
        origin: Origin::Person,
        zone,
        param: args.param.clone(),
        priority: args.priority.into(),
        unique_key: args.unique.clone(),
        catch_up: CatchUp::parse(&args.catch_up).map_err(|why| usage("--catch-up", why))?,
        overlap: Overlap::from_word(&args.overlap)
            .ok_or_else(|| usage("--overlap", format!("`{}` is not allow, skip or queue", args.overlap)))?,
        jitter_ms: jitter_ms.unwrap_or(0),
        until_ms: until.map_err(|why| usage("--until", why))?,
        ..Schedule::new(&args.name, &timing.to_string(), &args.job)
    })
}

fn remove(site: &Site, name: &str) -> Result<Verdict> {
    let mut store = site.existing_store()?;
    if store.remove_schedule(name)? {
        print(&format!("{} is removed; its tasks stay\n", show::excerpt(name.as_bytes(), 80)))?;
        return Ok(Verdict::Well);
    }
    match store.schedule(name)? {
        None => Err(unknown(name)),
        Some(kept) => {
            let whose = match kept.schedule.origin {
                Origin::File => "take it out of the configuration file, or write enabled = false there",
                _ => "a pack has it: write a [[schedule]] of this name with enabled = false",
            };
            Err(Error::usage(format!("the schedule `{}` was not made by `schedule add`", name.escape_debug()))
                .hint(whose))
        }
    }
}

fn run(site: &Site, name: &str, stay: bool) -> Result<Verdict> {
    let mut store = site.existing_store()?;
    let now_ms = site.clock.now_ms();
    let kept = store.schedule(name)?.ok_or_else(|| unknown(name))?;
    let task = task_now(&kept.schedule, now_ms);
    let Some(id) = store.run_schedule(name, &task, now_ms)? else {
        return Err(Error::failed(
            "nothing was asked for: an unsettled task has its unique_key, or it was just removed",
        ));
    };
    let plan = store.plan()?;
    store.ring(&[plan.partition_of(id)], plan.current().partitions);
    print(&format!("{id}\n"))?;
    if !stay {
        return Ok(Verdict::Well);
    }
    drop(store);
    wait::wait(site, &WaitArgs { id, timeout: None, format: FormatArgs { format: Format::Table } })
}

fn pause(site: &Site, name: &str) -> Result<Verdict> {
    let mut store = site.existing_store()?;
    let order = store.pause_schedule(name, &crew::who(), site.clock.now_ms())?.ok_or_else(|| unknown(name))?;
    let since = show::time(order.since, site.config.timezone);
    let (name, by) = (show::excerpt(name.as_bytes(), 80), show::excerpt(order.by_whom.as_bytes(), 80));
    print(&format!("{name} is paused since {since} by {by}\n"))?;
    Ok(Verdict::Well)
}

fn resume(site: &Site, name: &str) -> Result<Verdict> {
    let mut store = site.existing_store()?;
    let was = store.resume_schedule(name, site.clock.now_ms())?;
    let kept = store.schedule(name)?.ok_or_else(|| unknown(name))?;
    let what = if was.is_some() { "goes on with the next tick" } else { "was not paused" };
    print(&format!("{} {what} (catch_up = {})\n", show::excerpt(name.as_bytes(), 80), kept.schedule.catch_up))?;
    Ok(Verdict::Well)
}

pub(super) fn unknown(name: &str) -> Error {
    Error::usage(format!("there is no schedule `{}` in the database", name.escape_debug()))
        .hint("`rowmill schedules` lists them; those of the configuration are there after the next tick")
}
