//! `tick`: what cron calls.

use super::Verdict;
use super::site::Site;
use crate::error::Result;
use crate::schedule::tick as pass;
use std::process::Child;

pub(super) fn tick(site: &Site, workers: Option<u32>, wait: bool) -> Result<Verdict> {
    let journal = site.journal()?;
    let result = tick_once(site, &journal, workers);
    if let Err(e) = &result {
        log::error!("tick: {e}");
    }
    for mut child in result? {
        if wait {
            child.wait()?;
        }
    }
    Ok(Verdict::Well)
}

/// One pass; answers the processes that it started.
pub(super) fn tick_once(site: &Site, journal: &crate::log::Journal, workers: Option<u32>) -> Result<Vec<Child>> {
    let mut store = site.store()?;
    let workers = match workers {
        Some(workers) => workers,
        None => store.plan()?.current().partitions,
    };
    let launch = site.launch(&["--workers".into(), workers.to_string(), "--detached".into()])?;
    let mut children = Vec::new();
    let mut start = |index| {
        children.push(launch.start(index, journal)?);
        Ok(())
    };
    pass(store.as_mut(), &site.entries(), workers, site.clock.now_ms(), &mut start)?;
    Ok(children)
}
