//! The loop of one worker, and when it ends.

mod life;
mod round;
mod tidy;

pub use life::work;
use tidy::{FOLD_AFTER, tidy, tidy_last};

use super::bench::{Bench, Claimed};
use super::homes::Homes;
use super::job::Registry;
use super::options::{Mode, Options, Summary};
use super::runner::{Runner, Tools};
use super::slice::Slice;
use super::stop::{Level, Stop};
use super::watch;
use crate::clock::{Clock, Watch, world};
use crate::error::{Kind, Result};
use crate::log::Journal;
use crate::store::{Badge, Hold, Store, Woken};
use crate::task::Partition;
use std::sync::Arc;
use std::time::Duration;

/// Rows that one transaction makes ready.
const PROMOTE_ROWS: usize = 500;
/// Follow-ups that wait are looked for this often, besides when nothing else is to be done.
const SPREAD_AFTER: Duration = Duration::from_secs(1);
/// How long a worker of a drain sleeps before it looks whether everything is done.
const DRAIN_LOOK: Duration = Duration::from_millis(50);
/// While others hold what is ready, it is looked again this soon.
const OTHERS_LOOK: Duration = Duration::from_secs(1);
/// A home that always has work leaves a turn to partitions that nobody holds after this.
const HOME_TURN: Duration = Duration::from_secs(1);
/// A lookout that is busy for longer than this passes the post on.
const LOOKOUT_BUSY: Duration = Duration::from_millis(5);
/// How long to wait after an error that passes by itself.
const RETRY_AFTER: Duration = Duration::from_millis(500);

struct Worker<'a> {
    store: &'a mut dyn Store,
    options: Options,
    clock: Clock,
    bench: Bench,
    badge: Badge,
    homes: Homes,
    held: Option<Hold>,
    /// The partition that was tried last.
    last: Option<Partition>,
    settled: u64,
    folding: bool,
    busy_since: Option<Watch>,
    /// Since when home has had work without a break.
    home_since: Option<Watch>,
    /// The partition of others that was worked on last.
    taken_last: Option<Partition>,
    /// When it was last looked whether follow-ups wait.
    looked: Watch,
    /// It is one too many, because the machine is under load.
    leaves: bool,
    /// What it has said that it waits for, and when.
    said: Vec<(String, Watch)>,
}

/// One time at the worker's place, until it is given back. Errors that pass by themselves (a locked database, a full
/// disk) are waited for. Also answers whether the worker was surplus in the end.
fn serve(
    store: &mut dyn Store,
    registry: Arc<Registry>,
    journal: Arc<Journal>,
    clock: Clock,
    stop: Stop,
    options: Options,
) -> Result<(Summary, bool)> {
    let Some(badge) = store.enlist(options.index, clock.now_ms())? else { return Ok((Summary::Taken, false)) };
    store.listen(options.index)?;
    let homes = Homes::new(options.index, options.workers, &store.plan()?);
    let _watching = watch::start(store.watchman(Some(&badge), homes.workers()), options.stall)?;
    let (worker, body) = (options.index, badge.body().clone());
    let tools = Tools { registry: Arc::clone(&registry), journal, clock: clock.clone(), worker, body, live: None };
    let runner = Runner::start(tools.clone())?;
    let (grace, workers) = (options.grace, homes.workers());
    let bench = Bench::new(runner, tools, stop.clone(), grace, workers);
    let mut worker = Worker {
        store,
        options,
        clock,
        bench,
        badge,
        homes,
        held: None,
        last: None,
        settled: 0,
        folding: false,
        busy_since: None,
        home_since: None,
        taken_last: None,
        looked: Watch::start(),
        leaves: false,
        said: Vec::new(),
    };
    let known: Vec<&str> = registry.names().collect();
    let released = worker.make_known(&known)?;
    if released > 0 {
        log::info!("{released} parked tasks are ready again: their job is known now");
    }
    log::info!("worker starts pid={}", std::process::id());
    if let Some(summary) = worker.run()? {
        // The job still runs. Until the process has ended, whoever looks is to find this worker alive.
        worker.store.outlast(worker.badge, worker.held);
        return Ok((summary, false));
    }
    let (settled, died, was_surplus) = (worker.settled, worker.bench.died, worker.homes.is_surplus());
    let Worker { store, bench, badge, .. } = worker;
    bench.end(store);
    match store.retire(badge) {
        // The next look finds it dead.
        Err(e) if e.kind() == Kind::TryAgain => log::warn!("worker ends without taking leave: {e}"),
        other => other?,
    }
    if let Err(e) = tidy_last(store, &stop) {
        log::warn!("what is settled is folded by the next tick: {e}");
    }
    log::info!("worker ends settled={settled} died={died}");
    Ok((Summary::Ended { settled, died }, was_surplus))
}

impl Worker<'_> {
    /// Writes down which jobs it knows, and after that, so that nobody parks them again, makes tasks of these ready that
    /// were parked because nobody did. Answers how many. Tried until it is done: others would go on parking them.
    fn make_known(&mut self, jobs: &[&str]) -> Result<usize> {
        while self.bench.stop.level() == Level::GoOn {
            let written =
                self.patiently(|w| w.store.know(&w.badge, jobs).and_then(|()| w.store.release_known(jobs)))?;
            if let Some(released) = written {
                return Ok(released);
            }
        }
        Ok(0)
    }

    /// The loop. Answers how it ends when a job does not let go.
    fn run(&mut self) -> Result<Option<Summary>> {
        let mut idle = Watch::start();
        self.patiently(Worker::follow)?;
        while self.bench.stop.level() == Level::GoOn && !self.leaves {
            let step = self.patiently(Worker::step)?;
            match step {
                Some(Step::Worked) => idle = Watch::start(),
                Some(Step::Stuck(summary)) => return Ok(Some(summary)),
                Some(Step::AllDone) if self.options.mode == Mode::Drain => break,
                Some(Step::AllDone | Step::OthersWork) if self.homes.is_surplus() => {
                    log::info!("this worker is not needed any more: there are {} now", self.homes.workers());
                    break;
                }
                Some(step @ (Step::AllDone | Step::OthersWork)) => {
                    let span = match self.options.mode {
                        Mode::Drain => DRAIN_LOOK,
                        Mode::Linger(linger) => self.left_of(linger, idle)?,
                    };
                    if span.is_zero() {
                        break;
                    }
                    // Nothing tells when a partition is given back by somebody who is not told that it is wanted.
                    let span = if matches!(step, Step::OthersWork) { span.min(OTHERS_LOOK) } else { span };
                    self.patiently(|w| w.sleep(span))?;
                }
                // The cause of an error is waited for.
                None => idle = Watch::start(),
            }
        }
        self.held = None;
        self.store.pass_lookout(self.homes.workers());
        Ok(None)
    }

    /// Does something that may fail for a while: `None` when it did, after a pause.
    fn patiently<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        match act(self) {
            Ok(value) => Ok(Some(value)),
            Err(e) if e.kind() == Kind::TryAgain => {
                self.say(&e);
                self.held = None;
                if world::wait("patience", RETRY_AFTER) {
                    return Ok(None);
                }
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
        self.store.beat();
        self.store.is_there()?;
        let idle = self.held.take();
        self.held = self.store.stay(&self.badge, idle)?;
        let touched = self.store.promote(self.clock.now_ms(), PROMOTE_ROWS)?;
        self.store.ring(&touched, self.homes.workers());
        if self.bench.recover(self.store)? > 0 {
            let waiting = self.store.waiting()?;
            self.store.ring(&waiting, self.homes.workers());
        }
        let begun = self.bench.release_waiting(self.store)?;
        self.store.ring(&begun, self.homes.workers());
        self.fold_when_due()?;
        self.bench.strange.ask(self.store)?;
        if self.bench.spreads || self.looked.left_of(SPREAD_AFTER).is_zero() {
            self.spread()?;
        }
        // A home stays held while it has work, for a while: no look at the others is needed then.
        if self.home_since.is_none_or(|since| !since.left_of(HOME_TURN).is_zero())
            && let Some(hold) = self.held.take()
            && let Some(step) = self.work_on(hold)?
        {
            return Ok(step);
        }
        self.follow()?;
        if self.bench.stop.level() != Level::GoOn || self.leaves {
            return Ok(Step::Worked);
        }
        let (waiting, away) = self.waiting()?;
        let candidates = self.in_turn(waiting)?;
        if candidates.is_empty() && !away {
            return Ok(if self.spread()? { Step::Worked } else { Step::AllDone });
        }
        let mut at_others = Vec::new();
        for partition in candidates {
            if !self.is_work(partition)? {
                continue;
            }
            match self.take(partition)? {
                Some(hold) => {
                    if let Some(step) = self.work_on(hold)? {
                        return Ok(step);
                    }
                }
                None => at_others.push(partition),
            }
        }
        // Whoever is at home there may be asleep. Only one of all looks for them: two would wake each other for ever.
        if self.store.is_lookout() {
            self.store.ring(&at_others, self.homes.workers());
        }
        Ok(Step::OthersWork)
    }

    /// Takes note of an N that has changed, of a curb, and of an order to stop, which counts even where no signal can be
    /// sent.
    fn follow(&mut self) -> Result<()> {
        self.bench.tools.journal.turn();
        if let Some(order) = self.store.stopped()?
            && self.bench.stop.level() == Level::GoOn
        {
            log::info!("{} has ordered to stop", order.by_whom);
            self.bench.stop.order();
        }
        if self.options.yields
            && !self.leaves
            && let Some(curb) = self.store.curb()?.filter(|curb| curb.workers <= self.options.index)
        {
            log::info!("this worker leaves: only {} are to be there now ({})", curb.workers, curb.why);
            self.leaves = true;
        }
        let plan = self.store.plan()?;
        if self.homes.follow(&plan) {
            let (index, workers) = (self.options.index, self.homes.workers());
            self.bench.tools.journal.tagged(&[("worker", &format_args!("{index}/{workers}"))]);
            log::info!("there are {workers} workers now");
        }
        Ok(())
    }

    /// Works on a held partition for a slice; `None` when it had nothing ready. A home that is done stays held.
    fn work_on(&mut self, hold: Hold) -> Result<Option<Step>> {
        self.look_after_lookout();
        let slice = self.bench.slice(self.store, &hold, &self.badge)?;
        let partition = hold.partition();
        let at_home = self.homes.is_own(partition);
        match slice {
            Slice::Lost => return Ok(Some(Step::Worked)),
            Slice::Stuck => {
                // Until the process ends, nobody else is to run what does not let go.
                self.held = Some(hold);
                return Ok(Some(Step::Stuck(Summary::Stuck)));
            }
            Slice::Settled(0) => {
                self.busy_since = None;
                self.home_since = None;
                self.let_go(hold, at_home);
                return Ok(None);
            }
            Slice::Settled(count) => self.settled += count as u64,
            Slice::Left(count) => {
                self.settled += count as u64;
                (self.busy_since, self.home_since) = (None, None);
                self.give_up(hold);
                return Ok((count > 0).then_some(Step::Worked));
            }
            Slice::Claimed(count, claim) => {
                self.settled += count as u64 + 1;
                self.let_go(hold, false);
                self.store.pass_lookout(self.homes.workers());
                return Ok(Some(match self.bench.finish_claimed(self.store, &self.badge, &claim)? {
                    Claimed::Settled => Step::Worked,
                    Claimed::Stuck => Step::Stuck(Summary::Stuck),
                    Claimed::Overran => Step::Stuck(Summary::Overran),
                }));
            }
        }
        if at_home {
            self.home_since.get_or_insert_with(Watch::start);
            self.held = Some(hold);
        } else {
            self.taken_last = Some(partition);
            self.let_go(hold, false);
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

    /// Inserts the next of the follow-ups that wait, whoever's they are; whether there were any.
    fn spread(&mut self) -> Result<bool> {
        self.looked = Watch::start();
        let touched = self.store.spread()?;
        self.bench.spreads = touched.is_some();
        self.store.ring(touched.as_deref().unwrap_or_default(), self.homes.workers());
        Ok(touched.is_some())
    }

    fn sleep(&mut self, span: Duration) -> Result<()> {
        self.busy_since = None;
        // While others are busy there is always more to fold: what else there is to do has its turn.
        let folding = Watch::start();
        while tidy(self.store)? {
            if self.bench.stop.level() != Level::GoOn || folding.left_of(FOLD_AFTER).is_zero() {
                return Ok(());
            }
        }
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
    Stuck(Summary),
}
