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

#[cfg(test)]
mod tests {
    use super::super::args::{LogTo, PlaceArgs};
    use super::*;
    use crate::clock::Clock;
    use crate::cron::patterns;
    use std::fmt::Write;

    /// 2030-01-01 00:00 UTC.
    const NEW_YEAR: Millis = 1_893_456_000_000;
    const MINUTE: Millis = 60_000;

    /// A tick at this instant, with the configuration read anew as each tick of cron's does: how many occurrences it has
    /// enqueued, and of how many expressions it had a pattern made.
    fn ticked(folder: &std::path::Path, config: &str, now_ms: Millis) -> (usize, u64) {
        let file = folder.join("rowmill.toml");
        std::fs::write(&file, config).unwrap();
        let database = Some(folder.join("rowmill.db").display().to_string());
        let place = PlaceArgs { config: Some(file), database, log: LogTo::File };
        let before = patterns::MADE.get();
        let mut site = Site::look(&place, |_| Ok(())).unwrap();
        site.clock = Clock::manual(now_ms);
        let ticked = pass_once(&site, site.store().unwrap().as_mut(), Some(0), &mut |_| Ok(())).unwrap();
        (ticked.fired.len(), patterns::MADE.get() - before)
    }

    #[test]
    fn a_tick_understands_the_times_of_what_is_due_and_no_others() {
        let folder = tempfile::TempDir::new().unwrap();
        let mut config = String::new();
        for n in 0..600 {
            // One a minute: ten hours of them.
            let (hour, minute) = (n / 60, n % 60);
            let head = format!("[[schedule]]\nname = 's{n}'\njob = 'j'\nparam = {n}");
            writeln!(config, "{head}\ncron = '{minute} {hour} * * *'").unwrap();
        }
        let at = |minutes: Millis| NEW_YEAR + minutes * MINUTE;
        let tick = |config: &str, minutes| ticked(folder.path(), config, at(minutes));
        assert_eq!(tick(&config, -5), (0, 600), "all are new");
        assert_eq!(tick(&config, -4), (0, 0), "none is due");
        assert_eq!(tick(&config, 2), (3, 3));
        assert_eq!(tick(&config, 2), (0, 0), "they are seen to");
        assert_eq!(tick(&config, 3), (1, 1));
        let other = config.replace("param = 500\n", "param = 0\n").replace("'0 9 * * *'", "'1 9 * * *'");
        assert_eq!(tick(&other, 3), (0, 1), "the one that is due at another time begins anew");
        assert_eq!(tick(&other, 3), (0, 0));
    }
}
