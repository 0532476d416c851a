//! `status`: what waits, what was done, who is alive, what comes next.

use super::args::StatusFormat;
use super::site::Site;
use super::{Verdict, crew, print, prometheus, schedules, show};
use crate::error::Result;
use crate::schedule::{Limits, Measured, measure, words};
use crate::store::{Counts, Curb, Hand, Kept, Order, Resident, Store, Waiting};
use crate::task::Status;
use serde_json::{Map, Value, json};

/// What is to be seen of an installation.
pub(super) struct Seen {
    pub(super) counts: Counts,
    pub(super) partitions: u32,
    pub(super) crew: Vec<Hand>,
    pub(super) stopped: Option<Order>,
    pub(super) paused: Vec<(String, Order)>,
    pub(super) oldest_ready: Option<Waiting>,
    pub(super) schedules: Vec<Kept>,
    pub(super) now_ms: i64,
    pub(super) resident: Option<Resident>,
    curb: Option<Curb>,
    measured: Measured,
}

pub(super) fn status(site: &Site, format: StatusFormat) -> Result<Verdict> {
    let mut store = site.existing_store()?;
    let seen = look(site, store.as_mut())?;
    let text = match format {
        StatusFormat::Json => format!("{}\n", as_json(&seen, &site.config.limits)),
        StatusFormat::Table => as_table(site, &seen),
        StatusFormat::Prometheus => prometheus::text(&seen, &store.history(i64::MIN)?),
    };
    print(&text)?;
    Ok(Verdict::Well)
}

fn look(site: &Site, store: &mut dyn Store) -> Result<Seen> {
    Ok(Seen {
        counts: store.counts()?,
        partitions: store.plan()?.current().partitions,
        crew: store.crew()?,
        stopped: store.stopped()?,
        paused: store.paused()?,
        oldest_ready: store.oldest_ready()?,
        schedules: store.schedules()?,
        now_ms: site.clock.now_ms(),
        resident: store.resident()?,
        curb: store.curb()?,
        measured: measure(),
    })
}

fn as_json(seen: &Seen, limits: &Limits) -> Value {
    let mut object = Map::new();
    for status in Status::ALL {
        object.insert(status.word().to_string(), json!(seen.counts.total(status)));
    }
    object.insert("partitions".to_string(), json!(seen.partitions));
    object.insert("workers".to_string(), seen.crew.iter().map(crew::as_json).collect());
    let order = |order: &Order| json!({ "since": order.since, "by": order.by_whom });
    object.insert("stopped".to_string(), json!(seen.stopped.as_ref().map(order)));
    let resident = seen.resident.map(|run| json!({ "pid": run.pid, "since": run.since }));
    object.insert("run".to_string(), json!(resident));
    object.insert("load".to_string(), load_json(seen, limits));
    let pause = |(job, order): &(String, Order)| json!({ "job": job, "since": order.since, "by": order.by_whom });
    object.insert("paused".to_string(), seen.paused.iter().map(pause).collect());
    let job = |of: &std::collections::BTreeMap<Status, u64>| -> Map<String, Value> {
        of.iter().map(|(status, count)| (status.word().to_string(), json!(count))).collect()
    };
    let jobs: Map<String, Value> =
        seen.counts.jobs.iter().map(|(name, of)| (name.clone(), Value::Object(job(of)))).collect();
    object.insert("jobs".to_string(), Value::Object(jobs));
    object.insert("oldest_ready_at".to_string(), json!(seen.oldest_ready.map(|oldest| oldest.since_ms)));
    let at_least = seen.oldest_ready.is_some_and(|oldest| oldest.at_least);
    object.insert("oldest_ready_at_least".to_string(), json!(at_least));
    let schedule = |kept: &Kept| {
        let last_at = kept.last.map(|last| last.due_at);
        json!({ "name": kept.schedule.name, "next_at": kept.next_at, "last_at": last_at, "paused": kept.paused.is_some() })
    };
    object.insert("schedules".to_string(), seen.schedules.iter().map(schedule).collect());
    Value::Object(object)
}

/// What is measured, its limits, and what was decided by it: `workers` is `null` when all may be there.
fn load_json(seen: &Seen, limits: &Limits) -> Value {
    let pressure: Map<String, Value> =
        seen.measured.pressure.iter().map(|(name, percent)| (name.to_string(), json!(percent))).collect();
    let curb = seen.curb.as_ref();
    json!({
        "load": seen.measured.load, "max_load": limits.load, "pressure": pressure, "max_pressure": limits.pressure,
        "workers": curb.map(|curb| curb.workers), "since": curb.map(|curb| curb.since), "why": curb.map(|curb| &curb.why),
    })
}

/// How many workers the machine bears, and why, in words; nothing where nothing limits them.
fn load_words(seen: &Seen, limits: &Limits, zone: chrono_tz::Tz) -> Option<String> {
    let now = words(limits, &seen.measured);
    match &seen.curb {
        Some(curb) => {
            let now = now.map(|now| format!("; now {now}")).unwrap_or_default();
            let since = show::time(curb.since, zone);
            Some(format!(
                "{} of {} workers may be there since {since}: {}{now}",
                curb.workers, seen.partitions, curb.why
            ))
        }
        None => now.map(|now| format!("{now}: all workers may be there")),
    }
}

fn as_table(site: &Site, seen: &Seen) -> String {
    let zone = site.config.timezone;
    let mut text = format!("database    {}\n", site.database.display());
    let alive: Vec<String> = seen.crew.iter().map(|w| format!("{} (pid {})", w.info.index, w.info.pid)).collect();
    let alive = if alive.is_empty() { "none alive".to_string() } else { alive.join(", ") };
    text += &format!("partitions  {}\nworkers     {alive}\n", seen.partitions);
    if let Some(run) = seen.resident {
        text += &format!("run         pid {}, since {}\n", run.pid, show::time(run.since, zone));
    }
    let load = load_words(seen, &site.config.limits, zone);
    text += &load.map(|words| format!("load        {words}\n")).unwrap_or_default();
    text += &crew::remark(site, &seen.crew).map(|text| format!("{text}: {}\n", crew::RENEW)).unwrap_or_default();
    if let Some(order) = &seen.stopped {
        text += &format!("{}: `rowmill start` ends that\n", crew::words(order, zone));
    }
    for (job, order) in &seen.paused {
        let (since, by) = (show::time(order.since, zone), show::excerpt(order.by_whom.as_bytes(), 80));
        text += &format!("{} is paused since {since} by {by}\n", show::excerpt(job.as_bytes(), 80));
    }
    if let Some(oldest) = seen.oldest_ready {
        let at_least = if oldest.at_least { "at least " } else { "" };
        text += &format!("oldest ready task has waited {at_least}{}\n", show::span(seen.now_ms - oldest.since_ms));
    }
    let mut heads = vec!["job"];
    heads.extend(Status::ALL.map(Status::word));
    let mut table = show::table(&heads);
    let row = |name: &str, count: &dyn Fn(Status) -> u64| -> Vec<String> {
        let counts = Status::ALL.iter().map(|s| show::number(count(*s)));
        std::iter::once(name.to_string()).chain(counts).collect()
    };
    for (job, of) in &seen.counts.jobs {
        table.add_row(row(&show::excerpt(job.as_bytes(), 40), &|s| of.get(&s).copied().unwrap_or(0)));
    }
    table.add_row(row("all", &|s| seen.counts.total(s)));
    text += &format!("\n{}", show::text(&table));
    if !seen.schedules.is_empty() {
        let mut table = show::table(&["schedule", "due", "job", "next", ""]);
        for kept in &seen.schedules {
            let (name, job) = (&kept.schedule.name, &kept.schedule.job);
            let [next, distance] = schedules::next(kept, seen.now_ms);
            let cells = [name, &schedules::described(kept), job].map(|text| show::excerpt(text.as_bytes(), 60));
            table.add_row(cells.into_iter().chain([next, distance]));
        }
        text += &format!("\n{}", show::text(&table));
    }
    text
}
