//! What a person steers: how many workers there are, and which jobs are not run for a while.

use super::site::Site;
use super::{Verdict, crew, print, show, tick};
use crate::error::Result;
use crate::task::Partition;

/// Tasks that one transaction releases.
const RELEASE_ROWS: usize = 500;

pub(super) fn scale(site: &Site, partitions: u32) -> Result<Verdict> {
    let mut store = site.existing_store()?;
    let before = store.plan()?.current().partitions;
    let (generation, changed) = store.scale(partitions)?;
    if !changed {
        print(&format!("there are {partitions} partitions already\n"))?;
        return Ok(Verdict::Well);
    }
    // Everybody is to notice: those that are needed, and those that are not needed any more.
    let everybody: Vec<Partition> =
        (0..partitions.max(before)).map(|index| Partition { generation: generation.number, index }).collect();
    store.ring(&everybody, partitions.max(before));
    let from = show::number(u64::try_from(generation.first_id).unwrap_or(0).max(1));
    let mut text = format!("{partitions} partitions instead of {before}, for tasks from {from} on\n");
    if store.workers()?.is_empty() {
        text += "no worker is alive; the next tick or drain starts them\n";
    } else if let Some(run) = crew::resident_words(store.as_mut(), site.config.timezone)? {
        text += &format!("{run} starts those that are missing\n");
    } else {
        drop(store);
        // A member of the group that shares the installation may not write the log, and need not.
        match site.journal() {
            Ok(journal) => drop(tick::tick_once(site, &journal, None)?),
            Err(e) => text += &format!("the next tick starts those that are missing: {e}\n"),
        }
    }
    print(&text)?;
    Ok(Verdict::Well)
}

pub(super) fn pause(site: &Site, job: &str) -> Result<Verdict> {
    let order = site.existing_store()?.pause(job, &crew::who(), site.clock.now_ms())?;
    let job = show::excerpt(job.as_bytes(), 80);
    let (since, by) = (show::time(order.since, site.config.timezone), show::excerpt(order.by_whom.as_bytes(), 80));
    let mut text = format!("{job} is paused since {since} by {by}\n");
    if site.registry()?.get(&job).is_none() {
        text += "no job of this name is known here; it is paused all the same\n";
    }
    print(&text)?;
    Ok(Verdict::Well)
}

pub(super) fn resume(site: &Site, job: &str) -> Result<Verdict> {
    let mut store = site.existing_store()?;
    let workers = store.plan()?.current().partitions;
    let was = store.resume(job)?;
    let (mut count, mut after) = (0, 0);
    // Also when it was not paused: an earlier call may have been broken off in the middle.
    loop {
        let released = store.release_paused(job, after, RELEASE_ROWS)?;
        store.ring(&released.partitions, workers);
        count += released.count as u64;
        after = released.last_id;
        if released.count < RELEASE_ROWS {
            break;
        }
    }
    let job = show::excerpt(job.as_bytes(), 80);
    let was = if was.is_some() { "goes on" } else { "was not paused" };
    print(&format!("{job} {was}; tasks that are ready again: {}\n", show::number(count)))?;
    Ok(Verdict::Well)
}
