//! The loop of one worker, and when it ends.

use super::bench::{Bench, Claimed};
use super::homes::Homes;
use super::job::Registry;
use super::runner::{Runner, Tools};
use super::slice::Slice;
use super::stop::{Level, Stop};
use crate::clock::{Clock, Watch};
use crate::error::{Kind, Result};
use crate::log::Journal;
use crate::store::{Badge, Hold, Store, Woken};
use crate::task::Partition;
use std::sync::Arc;
use std::time::Duration;

/// Rows that one transaction makes ready.
const PROMOTE_ROWS: usize = 500;
/// Outcomes that one transaction folds.
const FOLD_ROWS: usize = 4_000;
/// Under load, outcomes are folded this long after the last time.
const FOLD_AFTER: Duration = Duration::from_secs(1);
/// How long a worker of a drain sleeps before it looks whether everything is done.
const DRAIN_LOOK: Duration = Duration::from_millis(50);
/// A lookout that is busy for longer than this passes the post on.
const LOOKOUT_BUSY: Duration = Duration::from_millis(5);
/// How long a worker stays at one of its partitions before it looks whether another one of them waits for its turn.
const TURN: Duration = Duration::from_millis(250);
/// How long to wait after an error that passes by itself.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// When a worker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// After this long without work.
    Linger(Duration),
    /// When nothing is ready in any partition.
    Drain,
}

/// What a worker is told.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Its index; the partitions whose index is the same, modulo the number of workers, are its homes.
    pub index: u32,
    /// How many workers there are to be; `None` for one for each partition, also when their number changes meanwhile.
    pub workers: Option<u32>,
    /// When it ends.
    pub mode: Mode,
    /// How long running tasks have to finish when it is told to stop.
    pub grace: Duration,
}

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summary {
    /// It ended by itself or was told to stop; everything that it had in hand is settled or put back.
    Ended {
        /// Runs that it settled.
        settled: u64,
        /// Of them, tasks that died.
        died: u64,
    },
    /// Another living process is worker `index` already.
    Taken,
    /// It was told to stop and a job did not let go in time: the process must end now. Nothing is charged.
    Stuck,
}

struct Worker<'a> {
    store: &'a mut dyn Store,
    options: Options,
    clock: Clock,
    bench: Bench,
    badge: Badge,
    homes: Homes,
    held: Option<Hold>,
    /// The partition that was taken last, and since when.
    last: Option<Partition>,
    turn: Watch,
    settled: u64,
    folding: bool,
    busy_since: Option<Watch>,
}

/// Runs one worker until it ends. Errors that pass by themselves (a locked database, a full disk) are waited for; any
/// other ends the worker, with everything unsettled still in the order.
pub fn work(
    store: &mut dyn Store,
    registry: Arc<Registry>,
    journal: Arc<Journal>,
    clock: Clock,
    stop: Stop,
    options: Options,
) -> Result<Summary> {
    let Some(badge) = store.enlist(options.index, clock.now_ms())? else { return Ok(Summary::Taken) };
    store.listen(options.index)?;
    let (worker, body) = (options.index, badge.body().clone());
    let tools = Tools { registry: Arc::clone(&registry), journal, clock: clock.clone(), worker, body };
    let runner = Runner::start(tools.clone())?;
    let bench = Bench { runner, tools, stop, grace: options.grace, rows: 64, died: 0 };
    let homes = Homes::new(options.index, options.workers, &store.plan()?);
    let mut worker = Worker {
        store,
        options,
        clock,
        bench,
        badge,
        homes,
        held: None,
        last: None,
        turn: Watch::start(),
        settled: 0,
        folding: false,
        busy_since: None,
    };
    let known: Vec<&str> = registry.names().collect();
    let released = worker.patiently(|w| w.store.release_known(&known))?.unwrap_or(0);
    if released > 0 {
        log::info!("{released} parked tasks are ready again: their job is known now");
    }
    log::info!("worker starts pid={}", std::process::id());
    let stuck = worker.run()?;
    if stuck {
        return Ok(Summary::Stuck);
    }
    let (settled, died) = (worker.settled, worker.bench.died);
    worker.store.retire(worker.badge)?;
    log::info!("worker ends settled={settled} died={died}");
    Ok(Summary::Ended { settled, died })
}

impl Worker<'_> {
    /// The loop. Answers whether a job is stuck.
    fn run(&mut self) -> Result<bool> {
        let mut idle = Watch::start();
        self.patiently(Worker::follow)?;
        while self.bench.stop.level() == Level::GoOn {
            let step = self.patiently(Worker::step)?;
            match step {
                Some(Step::Worked) => idle = Watch::start(),
                Some(Step::Stuck) => return Ok(true),
                Some(Step::AllDone) if self.options.mode == Mode::Drain => break,
                Some(Step::AllDone | Step::OthersWork) if self.homes.is_surplus() => {
                    log::info!("this worker is not needed any more: there are {} now", self.homes.workers());
                    break;
                }
                Some(Step::AllDone | Step::OthersWork) => {
                    let span = match self.options.mode {
                        Mode::Drain => DRAIN_LOOK,
                        Mode::Linger(linger) if idle.left_of(linger).is_zero() => break,
                        Mode::Linger(linger) => idle.left_of(linger),
                    };
                    self.patiently(|w| w.sleep(span))?;
                }
                // The cause of an error is waited for.
                None => idle = Watch::start(),
            }
        }
        self.held = None;
        self.store.pass_lookout(self.homes.workers());
        self.patiently(Worker::fold_all)?;
        Ok(false)
    }

    /// Does something that may fail for a while: `None` when it did, after a pause.
    fn patiently<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        match act(self) {
            Ok(value) => Ok(Some(value)),
            Err(e) if e.kind() == Kind::TryAgain => {
                log::warn!("waiting: {e}");
                self.held = None;
                let stop = self.bench.stop.clone();
                let mut fds =
                    [rustix::event::PollFd::from_borrowed_fd(stop.descriptor(), rustix::event::PollFlags::IN)];
                let span = rustix::event::Timespec::try_from(RETRY_AFTER).ok();
                // An interruption only makes the pause shorter.
                let _ = rustix::event::poll(&mut fds, span.as_ref());
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    fn step(&mut self) -> Result<Step> {
        let touched = self.store.promote(self.clock.now_ms(), PROMOTE_ROWS)?;
        self.store.ring(&touched, self.homes.workers());
        if self.bench.recover(self.store)? > 0 {
            let waiting = self.store.waiting()?;
            self.store.ring(&waiting, self.homes.workers());
        }
        self.fold_when_due()?;
        // A home stays held while it has work and no other one waits: no look at the others is needed then.
        if let Some(hold) = self.held.take()
            && self.stays(&hold)?
            && let Some(step) = self.work_on(hold)?
        {
            return Ok(step);
        }
        self.follow()?;
        if self.bench.stop.level() != Level::GoOn {
            return Ok(Step::Worked);
        }
        let waiting = self.store.waiting()?;
        let (own, others) = self.homes.order(waiting, self.last);
        if own.is_empty() && others.is_empty() {
            return Ok(Step::AllDone);
        }
        let mut at_others = Vec::new();
        for partition in own.into_iter().chain(others) {
            match self.take(partition)? {
                Some(hold) => {
                    if let Some(step) = self.work_on(hold)? {
                        self.store.ring(&at_others, self.homes.workers());
                        return Ok(step);
                    }
                }
                None => at_others.push(partition),
            }
        }
        self.store.ring(&at_others, self.homes.workers());
        Ok(Step::OthersWork)
    }

    /// Whether a home goes on being held: its turn is not over, or no other home has work.
    fn stays(&mut self, hold: &Hold) -> Result<bool> {
        if !self.turn.left_of(TURN).is_zero() {
            return Ok(true);
        }
        self.turn = Watch::start();
        self.follow()?;
        let (own, _) = self.homes.order(self.store.waiting()?, self.last);
        Ok(own.iter().all(|partition| *partition == hold.partition()))
    }

    /// Takes note of an N that has changed, and of an order to stop, which counts even where no signal can be sent.
    fn follow(&mut self) -> Result<()> {
        if let Some(order) = self.store.stopped()?
            && self.bench.stop.level() == Level::GoOn
        {
            log::info!("{} has ordered to stop", order.by_whom);
            self.bench.stop.request();
        }
        let plan = self.store.plan()?;
        if self.homes.follow(&plan) {
            let (index, workers) = (self.options.index, self.homes.workers());
            self.bench.tools.journal.tagged(&[("worker", &format_args!("{index}/{workers}"))]);
            log::info!("there are {workers} workers now");
        }
        Ok(())
    }

    /// Holds a partition, giving another one back first: whoever holds two while it runs a task starves one of them.
    fn take(&mut self, partition: Partition) -> Result<Option<Hold>> {
        self.held = None;
        (self.last, self.turn) = (Some(partition), Watch::start());
        let (bench, now_ms) = (&self.bench, self.clock.now_ms());
        self.store.hold(partition, &self.badge, now_ms, &|task| bench.blame(task))
    }

    /// Works on a held partition for a slice; `None` when it had nothing ready. A home that is done stays held.
    fn work_on(&mut self, hold: Hold) -> Result<Option<Step>> {
        self.look_after_lookout();
        let slice = self.bench.slice(self.store, &hold, &self.badge)?;
        let at_home = self.homes.is_own(hold.partition());
        let wanted = hold.note().take_wanted();
        match slice {
            Slice::Lost => return Ok(Some(Step::Worked)),
            Slice::Settled(0) => {
                self.busy_since = None;
                self.held = at_home.then_some(hold);
                return Ok(None);
            }
            Slice::Settled(count) => self.settled += count as u64,
            Slice::Claimed(count, claim) => {
                self.settled += count as u64 + 1;
                let partition = hold.partition();
                drop(hold);
                self.store.ring(&[partition], self.homes.workers());
                self.store.ring_wanted(wanted, self.homes.workers());
                self.store.pass_lookout(self.homes.workers());
                return Ok(Some(match self.bench.finish_claimed(self.store, &claim)? {
                    Claimed::Settled => Step::Worked,
                    Claimed::Stuck => Step::Stuck,
                }));
            }
        }
        if at_home {
            self.held = Some(hold);
        } else {
            let partition = hold.partition();
            drop(hold);
            // Given back: whoever is at home there goes on, or whoever is idle.
            self.store.ring(&[partition], self.homes.workers());
        }
        Ok(Some(Step::Worked))
    }

    /// The lookout must not be busy: others would sleep through commits for up to a second.
    fn look_after_lookout(&mut self) {
        let busy = *self.busy_since.get_or_insert_with(Watch::start);
        if self.store.is_lookout() && busy.left_of(LOOKOUT_BUSY).is_zero() {
            self.store.pass_lookout(self.homes.workers());
        }
    }

    fn fold_when_due(&mut self) -> Result<()> {
        if self.folding || self.store.since_fold()?.is_none_or(|past| past > FOLD_AFTER) {
            self.folding = self.store.fold(FOLD_ROWS)?.is_some_and(|folded| folded >= FOLD_ROWS / 2);
        }
        Ok(())
    }

    fn fold_all(&mut self) -> Result<()> {
        while self.bench.stop.level() != Level::BreakOff && self.store.fold(FOLD_ROWS)?.is_some_and(|n| n > 0) {}
        Ok(())
    }

    fn sleep(&mut self, span: Duration) -> Result<()> {
        self.busy_since = None;
        self.fold_all()?;
        let until_due = match self.store.next_delayed()? {
            // Only the lookout keeps the timer, so that not everybody wakes for one row.
            Some(due) if self.store.is_lookout() => {
                Duration::from_millis(u64::try_from(due - self.clock.now_ms()).unwrap_or(0))
            }
            _ => span,
        };
        let stop = self.bench.stop.clone();
        match self.store.sleep(span.min(until_due), stop.descriptor())? {
            Woken::Rung | Woken::TimeOut | Woken::Stopped => Ok(()),
        }
    }
}

/// What one step came to.
enum Step {
    /// Tasks were run.
    Worked,
    /// Nothing is ready anywhere.
    AllDone,
    /// What is ready is in partitions that others hold.
    OthersWork,
    /// A job does not let go.
    Stuck,
}
