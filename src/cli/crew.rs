//! `stop`, `start`, `restart` and `workers`: what a person has to do with worker processes.
//!
//! The order to stop stands in the database, and every worker obeys it at its next look; the signals only make it sooner.
//! A process is signalled by a descriptor that is proven to be that worker's, never by its number alone.

use super::args::Format;
use super::site::{Site, env};
use super::{Verdict, print, show, tick};
use crate::clock::Watch;
use crate::error::{Error, Result};
use crate::schedule::TAKES_PLACE;
use crate::store::{Hand, Order, Resident, Store};
use chrono_tz::Tz;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, pidfd_send_signal};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// Workers that were told to stop are gone after this, or something is wrong: twice their grace, and some more.
pub(super) const PATIENCE: Duration = Duration::from_secs(50);
/// How long to wait at most between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// The same for what takes only milliseconds.
const SHORT_LOOK: Duration = Duration::from_millis(5);

pub(super) fn stop(site: &Site, now: bool) -> Result<Verdict> {
    let mut store = site.existing_store()?;
    let order = store.stop(&who(), site.clock.now_ms())?;
    let (ended, left) = end_all(store.as_mut(), now, PATIENCE)?;
    if let Some(hand) = left {
        return Err(does_not_end(&hand));
    }
    let ended = match ended {
        0 => "no worker was alive".to_string(),
        1 => "1 worker ended".to_string(),
        _ => format!("{ended} workers ended"),
    };
    print(&format!("{}; {ended}\n", words(&order, site.config.timezone)))?;
    Ok(Verdict::Well)
}

pub(super) fn start(site: &Site) -> Result<Verdict> {
    let mut store = site.existing_store()?;
    let order = store.start(site.clock.now_ms())?;
    let by_run = resident_words(store.as_mut(), site.config.timezone)?;
    drop(store);
    let started = match by_run {
        Some(_) => Ok(Vec::new()),
        None => site.journal().and_then(|journal| tick::tick_once(site, &journal, None)),
    };
    let mut text = match order {
        Some(order) => format!("started again; it was {}\n", words(&order, site.config.timezone)),
        None => "it was not stopped; workers that were missing are started\n".to_string(),
    };
    text += &by_run.map(|run| format!("{run} starts the workers\n")).unwrap_or_default();
    print(&text)?;
    started.map(|_| Verdict::Well).map_err(|e| e.during("the next tick starts the workers, not this command"))
}

pub(super) fn restart(site: &Site, workers: Option<u32>) -> Result<Verdict> {
    let mut store = site.existing_store()?;
    site.refuse_stopped(store.as_mut())?;
    let journal = site.journal()?;
    let launch = tick::launch(site, workers)?;
    let mut replaced = 0;
    let told: Vec<u32> = store.crew()?.iter().map(|hand| hand.info.index).collect();
    for index in told {
        end_one(store.as_mut(), index)?;
        // One that is beyond N is not needed any more.
        if index < expected(store.as_mut(), workers)? {
            // Under `run` it is started by that, in its environment.
            if store.resident()?.is_none() {
                launch.start(index, &journal)?;
            }
            let watch = Watch::start();
            while !store.is_alive(index)? {
                if watch.left_of(TAKES_PLACE).is_zero() {
                    return Err(Error::failed(format!("worker {index} was started, but has not begun"))
                        .hint("`rowmill logs` may say why; the other workers go on as they were"));
                }
                wait_for(&[], SHORT_LOOK)?;
            }
            replaced += 1;
        }
    }
    let alone = store.resident()?.is_none();
    drop(store);
    if alone {
        tick::tick_once(site, &journal, workers)?;
    }
    print(&format!("{} replaced\n", if replaced == 1 { "1 worker".into() } else { format!("{replaced} workers") }))?;
    Ok(Verdict::Well)
}

/// How many workers are to be there.
fn expected(store: &mut dyn Store, workers: Option<u32>) -> Result<u32> {
    let wanted = workers.unwrap_or(store.plan()?.current().partitions);
    Ok(store.curb()?.map_or(wanted, |curb| curb.workers.min(wanted)))
}

/// The resident scheduler, for a person; `None` when there is none.
pub(super) fn resident_words(store: &mut dyn Store, zone: Tz) -> Result<Option<String>> {
    let words = |run: Resident| format!("`run` (pid {}, since {})", run.pid, show::time(run.since, zone));
    Ok(store.resident()?.map(words))
}

pub(super) fn workers(site: &Site, format: Format) -> Result<Verdict> {
    let crew = site.existing_store()?.crew()?;
    let text = match format {
        Format::Json => format!("{}\n", crew.iter().map(as_json).collect::<Value>()),
        Format::Table if crew.is_empty() => "no worker is alive\n".to_string(),
        Format::Table => {
            let now_ms = site.clock.now_ms();
            let mut table = show::table(&["worker", "pid", "started", "memory", "runs"]);
            for hand in &crew {
                let memory = resident_kb(hand.info.pid).map_or("?".into(), |kb| format!("{} MiB", kb.div_ceil(1024)));
                let started = show::from_now(hand.info.started_at, now_ms);
                table.add_row([
                    hand.info.index.to_string(),
                    hand.info.pid.to_string(),
                    started,
                    memory,
                    runs(hand, now_ms),
                ]);
            }
            show::text(&table) + &remark(site, &crew).map(|text| format!("{text}: {RENEW}\n")).unwrap_or_default()
        }
    };
    print(&text)?;
    Ok(Verdict::Well)
}

/// What renews the list of jobs of workers.
pub(super) const RENEW: &str = "`rowmill restart` replaces them";

/// What is to be said of workers that were started with other jobs than the configuration has now; nothing when there are
/// none, or when the configuration cannot be read, which `check` says.
pub(super) fn remark(site: &Site, crew: &[Hand]) -> Option<String> {
    let registry = site.registry().ok()?;
    let now: BTreeSet<&str> = registry.names().collect();
    let (mut who, mut lack, mut know) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for hand in crew.iter().filter(|hand| !hand.jobs.is_empty()) {
        let then: BTreeSet<&str> = hand.jobs.iter().map(String::as_str).collect();
        if then != now {
            who.push(hand.info.index.to_string());
            lack.extend(&now - &then);
            know.extend(&then - &now);
        }
    }
    let list = |what: &str, jobs: BTreeSet<&str>| {
        let names: Vec<String> = jobs.iter().map(|job| show::excerpt(job.as_bytes(), 40)).collect();
        (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")))
    };
    let what: Vec<String> = [list("without", lack), list("still with", know)].into_iter().flatten().collect();
    let workers = if who.len() == 1 { "worker" } else { "workers" };
    let started = format!("{workers} {} started before the jobs were changed, {}", who.join(", "), what.join(", "));
    (!who.is_empty()).then_some(started)
}

/// A worker, its claimed task, its memory and its jobs.
pub(super) fn as_json(hand: &Hand) -> Value {
    let claimed = hand.claimed.as_ref();
    json!({
        "index": hand.info.index, "pid": hand.info.pid, "started_at": hand.info.started_at,
        "resident_kb": resident_kb(hand.info.pid), "task": claimed.map(|c| c.task),
        "job": claimed.and_then(|c| c.job.clone()), "running_since": claimed.map(|c| c.since),
        "jobs": hand.jobs,
    })
}

/// The claimed task of a worker, in words; short ones are not claimed, and not shown.
fn runs(hand: &Hand, now_ms: i64) -> String {
    let Some(claimed) = &hand.claimed else { return String::new() };
    let job = show::excerpt(claimed.job.as_deref().unwrap_or("a deleted row").as_bytes(), 30);
    format!("task {} ({job}) since {}", claimed.task, show::span(now_ms - claimed.since))
}

/// Resident memory of a process, in KiB: the second field of /proc/PID/statm, in pages.
pub(super) fn resident_kb(pid: i32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64 / 1024)
}

/// The order to stop, for a person.
pub(super) fn words(order: &Order, zone: Tz) -> String {
    format!("stopped since {} by {}", show::time(order.since, zone), show::excerpt(order.by_whom.as_bytes(), 80))
}

/// Who gives an order, as far as can be told.
pub(super) fn who() -> String {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| env(name).filter(|user| !user.is_empty()));
    let user = user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    format!("{user}@{}", rustix::system::uname().nodename().to_string_lossy())
}

/// Tells all workers to stop, and waits until their processes have ended, for `patience` at most. Answers how many were
/// told, and one that has not ended. `now`: until they break off.
pub(super) fn end_all(store: &mut dyn Store, now: bool, patience: Duration) -> Result<(usize, Option<Hand>)> {
    let mut told = BTreeSet::new();
    let mut left: Vec<Hand> = Vec::new();
    let watch = Watch::start();
    loop {
        let crew = store.crew()?;
        // A worker gives its place back shortly before its process ends: both are waited for.
        left.retain(|hand| crew.iter().any(|other| other.info == hand.info) || !has_ended(hand));
        left.extend(crew.into_iter().filter(|hand| !told.contains(&(hand.info.index, hand.info.pid))));
        if left.is_empty() || watch.left_of(patience).is_zero() {
            return Ok((told.len(), left.pop()));
        }
        for hand in &left {
            // Two signals that come close together are taken for one: so at each look until it has ended.
            if told.insert((hand.info.index, hand.info.pid)) || now {
                terminate(hand);
            }
        }
        wait_for(&left, LOOK)?;
    }
}

/// Whether the process of a worker that gave its place back has ended. Of one that cannot be seen, nothing more is known.
fn has_ended(hand: &Hand) -> bool {
    hand.process.is_none() || wait_for(std::slice::from_ref(hand), Duration::ZERO).unwrap_or(true)
}

/// Worker `index`; `None` if it is not there. Of one that has its place, but is not yet written down, or that has just ended
/// and still has its place, more is known in a moment.
fn settled(store: &mut dyn Store, index: u32) -> Result<Option<Hand>> {
    let watch = Watch::start();
    loop {
        let hand = store.crew()?.into_iter().find(|hand| hand.info.index == index);
        if hand.as_ref().is_none_or(|hand| hand.process.is_some()) || watch.left_of(TAKES_PLACE).is_zero() {
            return Ok(hand);
        }
        wait_for(&[], SHORT_LOOK)?;
    }
}

/// Tells worker `index` to stop, and waits for its end.
fn end_one(store: &mut dyn Store, index: u32) -> Result<()> {
    let Some(hand) = settled(store, index)? else { return Ok(()) };
    if hand.process.is_none() {
        return Err(Error::failed(format!("worker {} cannot be signalled from here", hand.info.index))
            .hint("restart it where it was started; `rowmill stop` works from everywhere"));
    }
    if !terminate(&hand) {
        return Err(Error::failed(format!("worker {} belongs to another user", hand.info.index))
            .hint("its user or root may restart it; `rowmill stop` works for every member of the group"));
    }
    let watch = Watch::start();
    while !wait_for(std::slice::from_ref(&hand), watch.left_of(PATIENCE))? {
        if watch.left_of(PATIENCE).is_zero() {
            return Err(does_not_end(&hand));
        }
    }
    Ok(())
}

/// One that has just ended cannot be told any more, and need not be; one of another user reads the order by itself. Whether
/// this user may tell it anything.
fn terminate(hand: &Hand) -> bool {
    let told = hand.process.as_ref().map(|process| pidfd_send_signal(process, Signal::TERM));
    told != Some(Err(rustix::io::Errno::PERM))
}

/// Waits until one of the workers ends, at most for `span`; whether one did.
fn wait_for(crew: &[Hand], span: Duration) -> Result<bool> {
    let processes = crew.iter().filter_map(|hand| hand.process.as_ref());
    let mut fds: Vec<PollFd<'_>> = processes.map(|process| PollFd::new(process, PollFlags::IN)).collect();
    match poll(&mut fds, Timespec::try_from(span).ok().as_ref()) {
        Ok(ended) => Ok(ended > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

fn does_not_end(hand: &Hand) -> Error {
    let (index, pid) = (hand.info.index, hand.info.pid);
    Error::try_again(format!("worker {index} does not end"))
        .hint(format!("`rowmill workers` shows what it does; `kill -KILL {pid}` ends it, and its task runs again"))
}
