//! `work`: one worker in the foreground, or the process that a tick or a drain has started.

use super::Verdict;
use super::site::{Site, stop_on_signals};
use crate::error::{Error, Result};
use crate::work::{Mode, Options, Summary, work as run_worker};
use std::sync::Arc;
use std::time::Duration;

/// How long running tasks have to finish after TERM.
const GRACE: Duration = Duration::from_secs(20);

pub(super) fn work(site: &Site, index: u32, workers: Option<u32>, drain: bool, detached: bool) -> Result<Verdict> {
    if detached {
        // Fails only for the leader of a process group, which a worker that a tick starts is not.
        rustix::process::setsid()?;
    }
    let stop = stop_on_signals()?;
    let journal = site.journal()?;
    let registry = Arc::new(site.registry()?);
    let mut store = site.store()?;
    match site.refuse_stopped(store.as_mut()) {
        Err(_) if detached => return Ok(Verdict::Well),
        other => other?,
    }
    let partitions = store.plan()?.current().partitions;
    if workers.is_none() && index >= partitions && !detached {
        return Err(Error::usage(format!("there are {partitions} workers, and the first is worker 0"))
            .hint("`rowmill scale` changes their number; `--workers` runs more than there are partitions"));
    }
    journal.tagged(&[("worker", &format_args!("{index}/{}", workers.unwrap_or(partitions)))]);
    let mode = if drain { Mode::Drain } else { Mode::Linger(Duration::from_millis(site.config.linger_ms)) };
    let stall = Duration::from_millis(site.config.stall_ms);
    let yields = detached && !drain;
    let options = Options { index, workers, mode, yields, grace: GRACE, stall };
    let summary = run_worker(store.as_mut(), registry, journal, site.clock.clone(), stop, options);
    match summary {
        Ok(Summary::Ended { .. }) => Ok(Verdict::Well),
        Ok(Summary::Taken) if detached || drain => Ok(Verdict::Well),
        Ok(Summary::Taken) => Err(Error::try_again(format!("worker {index} is running already"))
            .hint("`rowmill status` shows which process it is")),
        Ok(Summary::Stuck) => {
            log::error!("worker ends although a job does not let go; its task is put back");
            Ok(Verdict::Well)
        }
        Ok(Summary::Overran) => {
            log::error!("worker ends: a job runs past its timeout and does not yield; only its task is charged");
            Ok(Verdict::Failed)
        }
        Err(e) => {
            log::error!("worker ends: {e}");
            Err(e)
        }
    }
}
