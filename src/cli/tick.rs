//! `tick`: what cron calls.

use super::site::{Site, stop_on_signals};
use super::{Verdict, children, crew, prune};
use crate::clock::Millis;
use crate::error::Result;
use crate::schedule::{Calendar, Launch, Ticked, decide, measure, tick as pass};
use crate::store::{LostClaim, Store};
use crate::task::Settlement;
use crate::work::Registry;
use std::process::Child;
use std::time::Duration;

/// How often a tick that stays looks whether it was told to stop.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn tick(site: &Site, workers: Option<u32>, wait: bool) -> Result<Verdict> {
    let stop = if wait { Some(stop_on_signals()?) } else { None };
    let journal = site.journal()?;
    let result = tick_once(site, &journal, workers);
    if let Err(e) = &result {
        log::error!("tick: {e}");
    }
    let children = result?;
    if let Some(stop) = stop {
        children::wait(children, &stop, LOOK, &mut || Ok(()))?;
    }
    Ok(Verdict::Well)
}

/// What becomes of a claimed task whose worker died while it ran.
pub(super) fn judge(registry: &Registry, lost: &LostClaim, now_ms: Millis) -> Settlement {
    let policy = registry.get(&lost.task.job).map(|job| job.policy).unwrap_or_default();
    lost.settlement(policy, now_ms)
}

/// One pass; answers the processes that it started.
pub(super) fn tick_once(site: &Site, journal: &crate::log::Journal, workers: Option<u32>) -> Result<Vec<Child>> {
    let mut store = site.store()?;
    let launch = launch(site, workers)?;
    let mut children = Vec::new();
    let mut start = |index| {
        children.push(launch.start(index, journal)?);
        Ok(())
    };
    pass_once(site, store.as_mut(), workers, &mut start)?;
    if !children.is_empty()
        && let Some(remark) = crew::remark(site, &store.crew()?)
    {
        log::warn!("{remark}: {}", crew::RENEW);
    }
    Ok(children)
}

/// One pass; `start` starts a worker that is missing, unless the machine bears fewer.
pub(super) fn pass_once(
    site: &Site,
    store: &mut dyn Store,
    workers: Option<u32>,
    start: &mut dyn FnMut(u32) -> Result<()>,
) -> Result<Ticked> {
    let workers = match workers {
        Some(workers) => workers,
        None => store.plan()?.current().partitions,
    };
    let (registry, now_ms) = (site.registry()?, site.clock.now_ms());
    let most = bearable(site, store, workers, now_ms)?;
    let mut start = |index| if index < most { start(index) } else { Ok(()) };
    let judged = |lost: &LostClaim| judge(&registry, lost, now_ms);
    let stall = Duration::from_millis(site.config.stall_ms);
    let (schedules, mut ask) = (site.schedules(&registry), |name: &str| site.ask(name));
    let mut calendar = Calendar { schedules: &schedules, ask: &mut ask };
    let ticked = pass(store, &mut calendar, workers, now_ms, stall, &judged, &mut start)?;
    if !ticked.left_to_another && !ticked.stopped {
        prune::sweep(site, store);
    }
    Ok(ticked)
}

/// How many of `workers` the machine bears, decided now and written down for all.
fn bearable(site: &Site, store: &mut dyn Store, workers: u32, now_ms: Millis) -> Result<u32> {
    let (limits, before) = (site.config.limits, store.curb()?);
    if !limits.any() && before.is_none() {
        return Ok(workers);
    }
    let alive = u32::try_from(store.workers()?.len()).unwrap_or(u32::MAX);
    let curb = decide(&limits, &measure(), workers, alive, before.as_ref(), now_ms);
    let (then, now) = (before.as_ref().map(|c| c.workers), curb.as_ref().map(|c| c.workers));
    if then != now {
        match &curb {
            Some(curb) => log::warn!("{} of {workers} workers may be there now: {}", curb.workers, curb.why),
            None => log::info!("all {workers} workers may be there again"),
        }
        store.set_curb(curb.as_ref())?;
    }
    Ok(now.unwrap_or(workers))
}

/// How workers are started that outlive whoever starts them. Without a number of their own they follow N.
pub(super) fn launch(site: &Site, workers: Option<u32>) -> Result<Launch> {
    let fixed = workers.map(|workers| ["--workers".to_string(), workers.to_string()]);
    site.launch(&fixed.into_iter().flatten().collect::<Vec<_>>(), true)
}
