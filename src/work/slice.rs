//! One slice of work on a held partition: fetch, run, settle; and claim what runs long.
//!
//! A batch is bounded in rows and in time. What is finished is settled together, at the latest after [`SETTLE_AFTER`];
//! when the batch's time is over, what was not begun is called back (nothing was ever written about it) and the next
//! fetch begins at the top of the order again, so that a row of higher priority does not wait for a long batch.
//! A task that still runs after [`CLAIM_AFTER`], or after [`CLAIM_WANTED_AFTER`] while others wait for the partition, is
//! claimed, and the partition let go. A suspect, and what runs at most once, is claimed before it begins, and runs alone.

use super::bench::{Bench, has_rest};
use super::desk::Finished;
use crate::clock::Watch;
use crate::error::{Error, Result};
use crate::store::{Badge, Claim, Claiming, Ended, Hold, Settled, Settling, Store, Verdict};
use crate::task::{Cause, Delivery, Ending, Right, Task, decide};
use crate::work::Level;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Most rows of a batch.
const BATCH_ROWS: usize = 1_000;
/// How long a batch runs before its rest is called back.
const BATCH_TIME: Duration = Duration::from_millis(50);
/// How long a finished run waits at most for company before it is settled.
const SETTLE_AFTER: Duration = Duration::from_millis(10);
/// A task that has run this long is claimed.
const CLAIM_AFTER: Duration = Duration::from_millis(100);
/// The same while others wait for the partition: long enough that a claim costs less than waiting would.
const CLAIM_WANTED_AFTER: Duration = Duration::from_millis(2);

/// How a slice ended.
#[derive(Debug)]
pub(super) enum Slice {
    /// That many runs were settled; 0 when the partition has no ready row.
    Settled(usize),
    /// That many were settled, and one task is claimed and runs on: the partition is not needed any more.
    Claimed(usize, Claim),
    /// That many were settled, and the partition is to be given up: it has rows of jobs that only others know.
    Left(usize),
    /// The partition has a new holder.
    Lost,
    /// The batch was broken off, and a job does not let go.
    Stuck,
}

impl Bench {
    /// Works on one batch of the held partition.
    pub(super) fn slice(&mut self, store: &mut dyn Store, hold: &Hold, badge: &Badge) -> Result<Slice> {
        let mut batch = self.strange.fetch(store, hold, self.rows.clamp(8, BATCH_ROWS))?;
        loop {
            if !batch.paused.is_empty() {
                let Some(parked) = self.insist(batch.paused.len(), |_| store.park_paused(hold, &batch.paused))? else {
                    return Ok(Slice::Lost);
                };
                log::info!("{parked} tasks of paused jobs are parked");
            }
            if !batch.tasks.is_empty() {
                break;
            }
            if batch.orphans.is_empty() && batch.paused.is_empty() {
                return Ok(self.strange.judge(hold.partition(), 0));
            }
            // Behind keys without rows, and rows of paused jobs, there may be others.
            if !self.settle(store, hold, Vec::new(), &batch.orphans)? {
                return Ok(Slice::Lost);
            }
            batch = self.strange.fetch(store, hold, BATCH_ROWS)?;
        }
        let mut tasks = batch.tasks;
        if self.begins_claimed(&tasks[0].0) {
            return self.begin_claimed(store, hold, badge, tasks.swap_remove(0));
        }
        let innocent = tasks.iter().position(|(task, _)| self.begins_claimed(task)).unwrap_or(tasks.len());
        tasks.truncate(innocent);
        let (tasks, rights): (Vec<Task>, VecDeque<Right>) = tasks.into_iter().unzip();
        let run = Run { hold, badge, rights, orphans: batch.orphans, wanted: tasks.len(), watch: Watch::start() };
        self.runner.run(tasks, Some(Arc::clone(hold.note())))?;
        let slice = self.see_through(store, run);
        if slice.is_err() {
            // What still runs is not left to itself: once the hold ends, its task may be run by somebody else.
            if let Slice::Stuck = self.abandon(store)? {
                return Ok(Slice::Stuck);
            }
            self.runner.desk.forget_note();
        }
        slice
    }

    /// Settles what finishes until the batch is over, or its last task is claimed.
    fn see_through(&mut self, store: &mut dyn Store, mut run: Run<'_>) -> Result<Slice> {
        let mut settled = 0;
        loop {
            self.wait(SETTLE_AFTER, self.stop.level() == Level::GoOn)?;
            let (finished, over) = self.runner.desk.take();
            settled += finished.len();
            if !finished.is_empty() && !self.settle_run(store, &mut run, finished)? {
                return self.abandon(store);
            }
            if over {
                self.rows = if settled == run.wanted { run.wanted * 2 } else { settled * 2 };
                return Ok(self.strange.judge(run.hold.partition(), settled));
            }
            if !self.runner.is_alive() {
                return Err(Error::failed("the runner's thread has ended"));
            }
            store.beat();
            // The lookout must not be busy: others would sleep through commits and due times for up to a second.
            store.pass_lookout(self.workers);
            match self.stop.level() {
                Level::GoOn if !run.watch.left_of(BATCH_TIME).is_zero() => {}
                Level::GoOn | Level::Finish => self.runner.desk.call_back(),
                Level::BreakOff => self.runner.desk.break_off(),
            }
            let patience = if run.hold.note().is_wanted() { CLAIM_WANTED_AFTER } else { CLAIM_AFTER };
            if self.runner.desk.runs_longer_than(patience)
                && let Some(slice) = self.claim_running(store, &mut run, &mut settled)?
            {
                return Ok(slice);
            }
        }
    }

    /// Claims the task that runs, after calling the rest back. `None` when nothing runs any more.
    fn claim_running(
        &mut self,
        store: &mut dyn Store,
        run: &mut Run<'_>,
        settled: &mut usize,
    ) -> Result<Option<Slice>> {
        self.runner.desk.call_back();
        let Some((task, started_at_ms)) = self.runner.desk.running() else { return Ok(None) };
        let (finished, _) = self.runner.desk.take();
        *settled += finished.len();
        if !finished.is_empty() && !self.settle_run(store, run, finished)? {
            return self.abandon(store).map(Some);
        }
        // It may have finished while the others were settled: then there is nothing to claim.
        let Some(at) = run.rights.iter().position(|right| right.id() == task.id) else { return Ok(None) };
        let Some(right) = run.rights.remove(at) else { return Ok(None) };
        let charged = task.attempts_charged;
        let claiming = self
            .insist(1, |_| store.claim(run.hold, run.badge, &right, charged, started_at_ms, Delivery::AtLeastOnce))?;
        match claiming {
            Claiming::Claimed(claim) => {
                self.runner.desk.forget_note();
                self.rows = (*settled * 2).max(1);
                Ok(Some(Slice::Claimed(*settled, claim)))
            }
            Claiming::Lost => {
                let index = run.hold.partition().index;
                log::warn!("partition {index} has a new holder; task {} is broken off", task.id);
                self.abandon(store).map(Some)
            }
        }
    }

    /// Breaks off a batch whose partition is somebody else's now, and waits until nothing of it runs: its next holder may
    /// be running the same tasks, and nothing of it may be taken for a later batch's.
    fn abandon(&mut self, store: &mut dyn Store) -> Result<Slice> {
        self.runner.desk.break_off();
        let mut stopping: Option<Watch> = None;
        loop {
            self.wait(SETTLE_AFTER, false)?;
            // A program may have a grace longer than the stall.
            store.beat();
            if self.runner.desk.take().1 {
                return Ok(Slice::Lost);
            }
            if self.stop.level() != Level::GoOn
                && stopping.get_or_insert_with(Watch::start).left_of(self.grace).is_zero()
            {
                return Ok(Slice::Stuck);
            }
            if !self.runner.is_alive() {
                return Err(Error::failed("the runner's thread has ended"));
            }
        }
    }

    /// Whether a task is claimed before it begins: a suspect, and what runs at most once.
    fn begins_claimed(&self, task: &Task) -> bool {
        let once = || self.policy_of(&task.job).delivery == Delivery::AtMostOnce;
        // Of a job that is not known here nothing runs.
        (task.careful && self.tools.registry.get(&task.job).is_some())
            || (self.tools.registry.some_run_once() && once())
    }

    /// Claims a task, then begins it.
    fn begin_claimed(
        &mut self,
        store: &mut dyn Store,
        hold: &Hold,
        badge: &Badge,
        (task, right): (Task, Right),
    ) -> Result<Slice> {
        let now_ms = self.tools.clock.now_ms();
        let delivery = self.policy_of(&task.job).delivery;
        match store.claim(hold, badge, &right, task.attempts_charged, now_ms, delivery)? {
            Claiming::Lost => Ok(Slice::Lost),
            Claiming::Claimed(claim) => {
                self.runner.run(vec![task], None)?;
                Ok(Slice::Claimed(0, claim))
            }
        }
    }

    fn settle_run(&mut self, store: &mut dyn Store, run: &mut Run<'_>, finished: Vec<Finished>) -> Result<bool> {
        let mut pairs = Vec::with_capacity(finished.len());
        for one in finished {
            // They finish in the order in which they were laid down, so the first is the one.
            let at = run.rights.iter().position(|right| right.id() == one.task.id);
            pairs.extend(at.and_then(|at| run.rights.remove(at)).map(|right| (one, right)));
        }
        self.settle(store, run.hold, pairs, &std::mem::take(&mut run.orphans))
    }

    /// Settles what is finished; `false` when the hold is lost.
    fn settle(
        &mut self,
        store: &mut dyn Store,
        hold: &Hold,
        finished: Vec<(Finished, Right)>,
        orphans: &[Right],
    ) -> Result<bool> {
        let mut tasks = Vec::with_capacity(finished.len());
        let mut settled = Vec::with_capacity(finished.len());
        for (Finished { task, ending, started_at_ms, finished_at_ms }, right) in finished {
            let policy = self.policy_of(&task.job);
            let (ending, company) = ending.part(&policy);
            let settlement = decide(&task, ending, &policy, finished_at_ms);
            self.spreads |= has_rest(company.as_deref());
            tasks.push(task);
            settled.push(Settled { right, ended: Ended { settlement, started_at_ms, finished_at_ms, company } });
        }
        let kept = self.settle_groups(store, hold, &tasks, settled, orphans)?;
        self.runner.desk.settled();
        Ok(kept)
    }

    /// Settles in as many transactions as the company of the tasks asks for. Those that are refused because of it are
    /// settled again, as failed attempts.
    fn settle_groups(
        &mut self,
        store: &mut dyn Store,
        hold: &Hold,
        tasks: &[Task],
        settled: Vec<Settled>,
        mut orphans: &[Right],
    ) -> Result<bool> {
        let (mut verdicts, mut from) = (Vec::new(), 0);
        while from < settled.len() || !orphans.is_empty() {
            let group = &settled[from..from + group_length(&settled[from..])];
            match self.insist(group.len(), |_| store.settle(hold, group, orphans))? {
                Settling::Lost => {
                    let (index, count) = (hold.partition().index, settled.len() - from);
                    log::warn!("partition {index} has a new holder; {count} runs settle nothing");
                    return Ok(false);
                }
                Settling::Committed(some) => {
                    let rows = tasks[from..].iter().zip(group).zip(&some);
                    self.report(rows.map(|((task, one), verdict)| (task.id, task.job.as_str(), verdict, &one.ended)));
                    from += group.len();
                    orphans = &[];
                    if verdicts.is_empty() { verdicts = some } else { verdicts.extend(some) }
                }
            }
        }
        for (task, _) in tasks.iter().zip(&verdicts).filter(|(_, verdict)| **verdict == Verdict::Known) {
            self.strange.meet(store, &task.job)?;
        }
        if !verdicts.iter().any(|verdict| matches!(verdict, Verdict::Refused(_))) {
            return Ok(true);
        }
        let (mut again, mut failed) = (Vec::new(), Vec::new());
        for ((task, mut one), verdict) in tasks.iter().zip(settled).zip(verdicts) {
            let Verdict::Refused(why) = verdict else { continue };
            let cause = Ending::Failed(Cause::Effect(why));
            one.ended.settlement = decide(task, cause, &self.policy_of(&task.job), one.ended.finished_at_ms);
            one.ended.company = None;
            again.push(task.without_param());
            failed.push(one);
        }
        self.settle_groups(store, hold, &again, failed, &[])
    }
}

/// Follow-ups and effects that one transaction brings in, in rows.
const GROUP_WEIGHT: usize = 1_000;

/// How many tasks the next transaction settles: all, unless their company comes to more than it should bring in.
fn group_length(settled: &[Settled]) -> usize {
    let mut weight = 0;
    let heavy = settled.iter().position(|one| {
        weight += one.ended.company.as_ref().map_or(0, |company| company.weight());
        weight > GROUP_WEIGHT
    });
    heavy.map_or(settled.len(), |at| at.max(1))
}

/// A batch on its way.
struct Run<'a> {
    hold: &'a Hold,
    badge: &'a Badge,
    /// The rights to settle the tasks that are not settled yet, in the order in which they run.
    rights: VecDeque<Right>,
    orphans: Vec<Right>,
    wanted: usize,
    watch: Watch,
}
