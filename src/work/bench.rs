//! What a worker works with: its runner, its tools, and the patience to have something written.

use super::desk::Finished;
use super::report;
use super::runner::{Runner, Tools};
use super::stop::{Level, Stop};
use crate::clock::Watch;
use crate::error::{Error, Kind, Result};
use crate::store::{Claim, Ended, Store, Verdict};
use crate::task::{Cause, Ending, Policy, Settlement, Task, decide};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::time::Duration;

/// How long to wait before a write that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// How often a worker looks whether its claimed task has to be broken off.
const STOP_LOOK: Duration = Duration::from_millis(20);
/// A worker with a claimed task shows at least this often that it lives.
const LOOK: Duration = Duration::from_secs(1);

/// Lives as long as its worker.
pub(super) struct Bench {
    pub(super) runner: Runner,
    pub(super) tools: Tools,
    pub(super) stop: Stop,
    /// How long running tasks have to finish when the worker is told to stop.
    pub(super) grace: Duration,
    /// How many workers there are to be.
    pub(super) workers: u32,
    /// How many rows the next fetch asks for: about what one batch's time suffices for.
    pub(super) rows: usize,
    /// Tasks that died in this worker's hands.
    pub(super) died: u64,
}

/// How a claimed task ended for its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claimed {
    /// It is settled, or its claim was taken away.
    Settled,
    /// The grace is over and the job does not let go.
    Stuck,
}

impl Bench {
    /// What a job's failures cost.
    pub(super) fn policy_of(&self, job: &str) -> Policy {
        self.tools.registry.get(job).map(|job| job.policy).unwrap_or_default()
    }

    /// What becomes of a task whose worker died while it ran.
    pub(super) fn blame(&self, task: &Task) -> Settlement {
        let policy = self.policy_of(&task.job);
        decide(task, Ending::Failed(Cause::WorkerDied), &policy, self.tools.clock.now_ms())
    }

    /// Waits until the batch is over, a stop is asked for (if that is news), or `span` is over.
    pub(super) fn wait(&self, span: Duration, stop_is_news: bool) -> Result<()> {
        let mut fds = vec![PollFd::from_borrowed_fd(self.runner.desk.over(), PollFlags::IN)];
        fds.extend(stop_is_news.then(|| PollFd::from_borrowed_fd(self.stop.descriptor(), PollFlags::IN)));
        match poll(&mut fds, Timespec::try_from(span).ok().as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Has something written, however long the database is locked or the disk full: what was run is kept in memory
    /// meanwhile, and no further task begins. Being told to break off, or the end of the grace, ends it with the error.
    pub(super) fn insist<T>(&self, tasks: usize, mut write: impl FnMut(&Self) -> Result<T>) -> Result<T> {
        let mut told = false;
        let mut stopping: Option<Watch> = None;
        loop {
            match write(self) {
                Err(e) if e.kind() == Kind::TryAgain && !self.is_over(&mut stopping) => {
                    if !std::mem::replace(&mut told, true) {
                        log::warn!("{tasks} tasks wait to be written: {e}");
                    }
                    // An interruption only makes the pause shorter.
                    let _ = poll(&mut [], Timespec::try_from(RETRY_AFTER).ok().as_ref());
                }
                other => return other,
            }
        }
    }

    /// Whether what runs or waits is to be given up: the worker is told to break off, or was told to stop (since
    /// `stopping`, as far as the caller has noticed) and the grace is over.
    pub(super) fn is_over(&self, stopping: &mut Option<Watch>) -> bool {
        match self.stop.level() {
            Level::GoOn => false,
            Level::Finish => stopping.get_or_insert_with(Watch::start).left_of(self.grace).is_zero(),
            Level::BreakOff => true,
        }
    }

    /// Waits for the claimed task that runs, and settles it.
    pub(super) fn finish_claimed(&mut self, store: &mut dyn Store, claim: &Claim) -> Result<Claimed> {
        let mut stopping: Option<Watch> = None;
        loop {
            let span = if stopping.is_some() { STOP_LOOK } else { LOOK };
            self.wait(span, stopping.is_none())?;
            let (finished, over) = self.runner.desk.take();
            if let Some(one) = finished.into_iter().find(|one| one.task.id == claim.id()) {
                return self.settle_claimed(store, claim, one).map(|()| Claimed::Settled);
            }
            if over || !self.runner.is_alive() {
                return Err(Error::failed("the runner's thread has ended"));
            }
            if self.stop.level() != Level::GoOn {
                let since = *stopping.get_or_insert_with(Watch::start);
                let grace_is_over = since.left_of(self.grace).is_zero();
                if grace_is_over || self.stop.level() == Level::BreakOff {
                    self.runner.desk.break_off();
                }
                if since.left_of(self.grace * 2).is_zero() {
                    return Ok(Claimed::Stuck);
                }
            }
        }
    }

    fn settle_claimed(&mut self, store: &mut dyn Store, claim: &Claim, one: Finished) -> Result<()> {
        let Finished { task, ending, started_at_ms, finished_at_ms } = one;
        let settlement = decide(&task, ending, &self.policy_of(&task.job), finished_at_ms);
        let ended = Ended { settlement, started_at_ms, finished_at_ms };
        let verdict = self.insist(1, |_| store.settle_claim(claim, &ended))?;
        self.runner.desk.settled();
        match verdict {
            Some(verdict) => self.report([(task.id, task.job.as_str(), verdict, &ended)].into_iter()),
            None => log::warn!("the claim of task {} was taken away; its run settles nothing", task.id),
        }
        Ok(())
    }

    /// Settles the claims of workers that died. Answers how many tasks are ready again.
    pub(super) fn recover(&mut self, store: &mut dyn Store) -> Result<usize> {
        let mut again = 0;
        for lost in store.lost_claims()? {
            let settlement = if lost.power_cut { Settlement::Untouched } else { self.blame(&lost.task) };
            let finished_at_ms = self.tools.clock.now_ms();
            let ended = Ended { settlement, started_at_ms: lost.started_at_ms, finished_at_ms };
            if let Some(verdict) = store.settle_claim(&lost.claim, &ended)? {
                self.report([(lost.task.id, lost.task.job.as_str(), verdict, &ended)].into_iter());
                again += 1;
            }
        }
        Ok(again)
    }

    /// The lines of settled tasks, in one write.
    pub(super) fn report<'a>(&mut self, settled: impl Iterator<Item = (i64, &'a str, Verdict, &'a Ended)>) {
        let mut lines = self.tools.journal.lines();
        let now_ms = self.tools.clock.now_ms();
        for (id, job, verdict, ended) in settled {
            report::add(&mut lines, now_ms, id, job, verdict, ended);
            let died = verdict == Verdict::Written && matches!(ended.settlement, Settlement::Dead { .. });
            self.died += u64::from(died);
        }
        self.tools.journal.append(&lines);
    }
}
