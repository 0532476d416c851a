//! What a worker works with: its runner, its tools, and the patience to have something written.

use super::desk::Finished;
use super::job::Handler;
use super::report;
use super::runner::{Runner, Tools};
use super::stop::{Level, Stop};
use super::strange::Strange;
use crate::clock::{Watch, world};
use crate::error::{Error, Kind, Result};
use crate::store::{Badge, Claim, Ended, FOLLOW_UPS_AT_ONCE, LastWord, Store, Verdict, release_waiting};
use crate::task::{Cause, Company, Ending, Partition, Policy, Settlement, Task, decide};
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
    /// Whether follow-ups of a task that it settled wait to be inserted.
    pub(super) spreads: bool,
    /// Whether tasks were settled since it was last looked whether occurrences of schedules wait for that.
    pub(super) settled: bool,
    /// Jobs that only others know.
    pub(super) strange: Strange,
}

/// How a claimed task ended for its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claimed {
    /// It is settled, or its claim was taken away.
    Settled,
    /// It was told to stop, the grace is over, and it does not let go.
    Stuck,
    /// Its timeout and the grace are over, and it does not yield.
    Overran,
}

/// Whether there are more follow-ups than a settlement takes.
pub(super) fn has_rest(company: Option<&Company>) -> bool {
    company.is_some_and(|company| company.follow_ups.len() > FOLLOW_UPS_AT_ONCE)
}

impl Bench {
    /// A bench on which nothing was done yet.
    pub(super) fn new(runner: Runner, tools: Tools, stop: Stop, grace: Duration, workers: u32) -> Bench {
        let strange = Strange::default();
        Bench { runner, tools, stop, grace, workers, rows: 64, died: 0, spreads: false, settled: false, strange }
    }

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
        if world::wait("batch", span) {
            return Ok(());
        }
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
                    if !world::wait("insist", RETRY_AFTER) {
                        // An interruption only makes the pause shorter.
                        let _ = poll(&mut [], Timespec::try_from(RETRY_AFTER).ok().as_ref());
                    }
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
    pub(super) fn finish_claimed(&mut self, store: &mut dyn Store, badge: &Badge, claim: &Claim) -> Result<Claimed> {
        let mut stopping: Option<Watch> = None;
        loop {
            let limit = self.runner.desk.running().and_then(|(task, _)| self.must_yield_within(&task.job));
            let span = if stopping.is_some() { STOP_LOOK } else { LOOK };
            let span = limit.map_or(span, |(_, limit)| span.min(self.runner.desk.left_of(limit)));
            self.wait(span, stopping.is_none())?;
            store.beat();
            if let Err(gone) = store.is_there() {
                self.break_off_before(&gone)?;
                return Err(gone);
            }
            if let Err(e) = store.stay(badge, None) {
                log::warn!("the locks of this worker cannot be looked after: {e}");
            }
            let (finished, over) = self.runner.desk.take();
            if let Some(one) = finished.into_iter().find(|one| one.task.id == claim.id()) {
                let settled = self.settle_claimed(store, claim, one);
                self.await_over(store, over)?;
                return settled.map(|()| Claimed::Settled);
            }
            if over {
                return self.put_back(store, claim).map(|()| Claimed::Settled);
            }
            if !self.runner.is_alive() {
                return Err(Error::failed("the runner's thread has ended"));
            }
            if let Some((after_ms, limit)) = limit
                && self.runner.desk.left_of(limit).is_zero()
            {
                self.say_last(store, claim, LastWord::TimedOut { after_ms });
                return Ok(Claimed::Overran);
            }
            if self.stop.level() != Level::GoOn {
                let since = *stopping.get_or_insert_with(Watch::start);
                let grace_is_over = since.left_of(self.grace).is_zero();
                if grace_is_over || self.stop.level() == Level::BreakOff {
                    self.runner.desk.break_off();
                }
                if since.left_of(self.grace * 2).is_zero() {
                    self.say_last(store, claim, LastWord::Interrupted);
                    return Ok(Claimed::Stuck);
                }
            }
        }
    }

    /// Waits until the runner has seen that the rest of the batch is called back. A batch that was laid down before that would
    /// undo it: what others may have by now would run, and the end of this batch would pass for that of the next.
    fn await_over(&self, store: &mut dyn Store, mut over: bool) -> Result<()> {
        while !over && self.runner.is_alive() {
            self.wait(LOOK, false)?;
            store.beat();
            over = self.runner.desk.take().1;
        }
        Ok(())
    }

    /// Breaks off what runs, because this process is about to end for `why`, and waits until it has let go: its grace at
    /// most, since a job that does not yield ends with the process.
    fn break_off_before(&self, why: &Error) -> Result<()> {
        log::error!("what runs is broken off: {why}");
        self.runner.desk.break_off();
        let since = Watch::start();
        while !self.runner.desk.take().1 && !since.left_of(self.grace).is_zero() {
            self.wait(STOP_LOOK, false)?;
        }
        Ok(())
    }

    /// Notes why this process is about to end. Without it, its task is charged for the death of its worker.
    fn say_last(&self, store: &mut dyn Store, claim: &Claim, word: LastWord) {
        if let Err(e) = self.insist(1, |_| store.last_word(claim, word)) {
            log::warn!("why the run of task {} ends cannot be noted: {e}", claim.id());
        }
    }

    /// How long a Rust job may run without yielding: its timeout, and that with the grace.
    fn must_yield_within(&self, job: &str) -> Option<(u64, Duration)> {
        let job = self.tools.registry.get(job)?;
        match job.handler {
            Handler::Rust(_) => {
                job.policy.timeout_ms.map(|ms| (ms, Duration::from_millis(ms.saturating_add(job.policy.grace_ms))))
            }
            // What is waited for is killed in time.
            Handler::Exec(_) => None,
        }
    }

    /// Gives a claimed task back that has not begun.
    fn put_back(&mut self, store: &mut dyn Store, claim: &Claim) -> Result<()> {
        let now_ms = self.tools.clock.now_ms();
        let ended =
            Ended { settlement: Settlement::Untouched, started_at_ms: now_ms, finished_at_ms: now_ms, company: None };
        self.insist(1, |_| store.settle_claim(claim, &ended)).map(|_| ())
    }

    fn settle_claimed(&mut self, store: &mut dyn Store, claim: &Claim, one: Finished) -> Result<()> {
        let Finished { task, ending, started_at_ms, finished_at_ms } = one;
        let policy = self.policy_of(&task.job);
        let (ending, company) = ending.part(&policy);
        let settlement = decide(&task, ending, &policy, finished_at_ms);
        self.spreads |= has_rest(company.as_deref());
        let mut ended = Ended { settlement, started_at_ms, finished_at_ms, company };
        let mut verdict = self.insist(1, |_| store.settle_claim(claim, &ended))?;
        if let Some(Verdict::Refused(why)) = verdict {
            ended.company = None;
            ended.settlement = decide(&task, Ending::Failed(Cause::Effect(why)), &policy, finished_at_ms);
            verdict = self.insist(1, |_| store.settle_claim(claim, &ended))?;
        }
        self.runner.desk.settled();
        match &verdict {
            Some(verdict) => self.report([(task.id, task.job.as_str(), verdict, &ended)].into_iter()),
            None => log::warn!("the claim of task {} was taken away; its run settles nothing", task.id),
        }
        Ok(())
    }

    /// Settles the claims of workers that died. Answers how many tasks are ready again.
    pub(super) fn recover(&mut self, store: &mut dyn Store) -> Result<usize> {
        let mut again = 0;
        for lost in store.lost_claims()? {
            let finished_at_ms = self.tools.clock.now_ms();
            let settlement = lost.settlement(self.policy_of(&lost.task.job), finished_at_ms);
            let ended = Ended { settlement, started_at_ms: lost.started_at_ms, finished_at_ms, company: None };
            if let Some(verdict) = store.settle_claim(&lost.claim, &ended)? {
                self.report([(lost.task.id, lost.task.job.as_str(), &verdict, &ended)].into_iter());
                again += 1;
            }
        }
        Ok(again)
    }

    /// Enqueues the occurrences of schedules that have waited for what was settled here. Answers their partitions. One that
    /// is refused waits on; the next tick says why.
    pub(super) fn release_waiting(&mut self, store: &mut dyn Store) -> Result<Vec<Partition>> {
        if !self.settled {
            return Ok(Vec::new());
        }
        let plan = store.plan()?;
        let mut touched = Vec::new();
        for (name, _, task) in release_waiting(store, self.tools.clock.now_ms())? {
            match task {
                Ok(id) => {
                    log::info!("schedule {name} has waited, task {id} is enqueued");
                    touched.push(plan.partition_of(id));
                }
                Err(e) => log::debug!("schedule {name} waits on: {e}"),
            }
        }
        self.settled = false;
        Ok(touched)
    }

    /// Ends the runner, and with it the streams, which finish what they do when they are told that there is no more.
    pub(super) fn end(self, store: &mut dyn Store) {
        let stop = self.stop;
        self.runner.end(|| {
            store.beat();
            stop.level() == Level::BreakOff
        });
    }

    /// The lines of settled tasks, in one write.
    pub(super) fn report<'a>(&mut self, settled: impl Iterator<Item = (i64, &'a str, &'a Verdict, &'a Ended)>) {
        let mut lines = self.tools.journal.lines();
        let now_ms = self.tools.clock.now_ms();
        for (id, job, verdict, ended) in settled {
            report::add(&mut lines, now_ms, id, job, verdict, ended);
            let died = *verdict == Verdict::Written && matches!(ended.settlement, Settlement::Dead { .. });
            self.died += u64::from(died);
            self.settled = true;
        }
        self.tools.journal.append(&lines);
    }
}
