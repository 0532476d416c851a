//! One slice of work on a held partition: fetch, run, settle, and what is written to the log about it.
//!
//! A batch is bounded in rows and in time. What is finished is settled together, at the latest after [`SETTLE_AFTER`];
//! when the batch's time is over, what was not begun is called back (nothing was ever written about it) and the next
//! fetch begins at the top of the order again, so that a row of higher priority does not wait for a long batch.

use super::desk::Finished;
use super::runner::{Runner, Tools};
use super::stop::{Level, Stop};
use crate::clock::Watch;
use crate::error::{Error, Kind, Result};
use crate::store::{Hold, Settled, Settling, Store, Verdict};
use crate::task::{Right, Settlement, decide};
use log::Level as LogLevel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Most rows of a batch.
const BATCH_ROWS: usize = 500;
/// How long a batch runs before its rest is called back.
const BATCH_TIME: Duration = Duration::from_millis(50);
/// How long a finished run waits at most for company before it is settled.
const SETTLE_AFTER: Duration = Duration::from_millis(10);
/// How long to wait before a settlement that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// How a slice ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slice {
    /// That many runs were settled; 0 when the partition has no ready row.
    Settled(usize),
    /// The partition has a new holder.
    Lost,
    /// The grace is over and a job still does not let go.
    Stuck,
}

/// What a slice works with; lives as long as its worker.
pub(super) struct Bench {
    pub(super) runner: Runner,
    pub(super) tools: Tools,
    pub(super) stop: Stop,
    pub(super) grace: Duration,
    /// How many rows the next fetch asks for: about what one batch's time suffices for.
    pub(super) rows: usize,
    /// Tasks that died in this worker's hands.
    pub(super) died: u64,
}

impl Bench {
    /// Works on one batch of the held partition.
    pub(super) fn slice(&mut self, store: &mut dyn Store, hold: &Hold) -> Result<Slice> {
        let batch = store.fetch(hold, self.rows.clamp(8, BATCH_ROWS))?;
        if batch.tasks.is_empty() {
            return match batch.orphans.is_empty() || self.settle(store, hold, Vec::new(), &batch.orphans)? {
                true => Ok(Slice::Settled(0)),
                false => Ok(Slice::Lost),
            };
        }
        let wanted = batch.tasks.len();
        self.runner.run(batch.tasks)?;
        let mut orphans = batch.orphans;
        let mut settled = 0;
        let watch = Watch::start();
        let mut stopping: Option<Watch> = None;
        let mut called_back = false;
        loop {
            // Only once the rest is called back may the end of the batch be waited for alone: until then the runner
            // can be waiting for a settlement, and nothing else would wake this thread.
            let until = (!called_back).then_some(SETTLE_AFTER);
            wait(self.runner.desk.over(), stopping.is_none().then(|| self.stop.descriptor()), until, stopping)?;
            if self.stop.level() != Level::GoOn {
                let since = *stopping.get_or_insert_with(Watch::start);
                self.runner.desk.call_back();
                let grace_is_over = since.left_of(self.grace).is_zero();
                if self.stop.level() == Level::BreakOff || grace_is_over {
                    self.runner.desk.break_off();
                }
                if grace_is_over && since.left_of(self.grace * 2).is_zero() {
                    return Ok(Slice::Stuck);
                }
            } else if watch.left_of(BATCH_TIME).is_zero() {
                self.runner.desk.call_back();
                called_back = true;
            }
            let (finished, over) = self.runner.desk.take();
            settled += finished.len();
            if !finished.is_empty() && !self.settle(store, hold, finished, &std::mem::take(&mut orphans))? {
                self.runner.desk.call_back();
                return Ok(Slice::Lost);
            }
            if over {
                self.rows = if settled == wanted { wanted * 2 } else { settled * 2 };
                return Ok(Slice::Settled(settled));
            }
            if !self.runner.is_alive() {
                return Err(Error::failed("the runner's thread has ended"));
            }
        }
    }

    /// Settles what is finished; `false` when the hold is lost. A database that is locked or full is waited for: what
    /// was run is kept in memory meanwhile, and no further task begins.
    fn settle(
        &mut self,
        store: &mut dyn Store,
        hold: &Hold,
        finished: Vec<Finished>,
        orphans: &[Right],
    ) -> Result<bool> {
        let mut names = Vec::with_capacity(finished.len());
        let mut settled = Vec::with_capacity(finished.len());
        for Finished { task, ending, started_at_ms, finished_at_ms } in finished {
            let policy = self.tools.registry.get(&task.job).map(|job| job.policy).unwrap_or_default();
            let settlement = decide(&task, ending, &policy, finished_at_ms);
            names.push(task.job);
            settled.push(Settled { right: task.right, settlement, started_at_ms, finished_at_ms });
        }
        let mut told = false;
        let settling = loop {
            match store.settle(hold, &settled, orphans) {
                Ok(settling) => break settling,
                Err(e) if e.kind() == Kind::TryAgain && self.stop.level() != Level::BreakOff => {
                    if !std::mem::replace(&mut told, true) {
                        log::warn!("{} finished tasks wait to be settled: {e}", settled.len());
                    }
                    // Level Finish leaves the descriptor readable, so it cannot be waited on for the next level.
                    pause(RETRY_AFTER);
                }
                Err(e) => return Err(e),
            }
        };
        self.runner.desk.settled();
        match settling {
            Settling::Lost => {
                log::warn!(
                    "partition {} has a new holder; {} runs settle nothing",
                    hold.partition().index,
                    settled.len()
                );
                Ok(false)
            }
            Settling::Committed(verdicts) => {
                self.write_lines(&names, &settled, &verdicts);
                Ok(true)
            }
        }
    }

    /// The lines of a settled batch, in one write.
    fn write_lines(&mut self, names: &[String], settled: &[Settled], verdicts: &[Verdict]) {
        let mut lines = self.tools.journal.lines();
        let now_ms = self.tools.clock.now_ms();
        for ((job, one), verdict) in names.iter().zip(settled).zip(verdicts) {
            let run_ms = one.finished_at_ms.saturating_sub(one.started_at_ms).max(0);
            let id = one.right.id();
            let (attempt, how) = charged(&one.settlement);
            let tags: [(&str, &dyn std::fmt::Display); 3] = [("task", &id), ("job", job), ("attempt", &attempt)];
            let tags = if how { &tags[..] } else { &tags[..2] };
            let mut add = |level, text: std::fmt::Arguments<'_>| lines.add(now_ms, level, tags, text);
            match (verdict, &one.settlement) {
                (Verdict::Cancelled, _) => {
                    add(LogLevel::Warn, format_args!("ran, but was cancelled meanwhile run_ms={run_ms}"));
                }
                (Verdict::Gone, _) => add(LogLevel::Warn, format_args!("ran, but its row is gone run_ms={run_ms}")),
                (Verdict::Written, Settlement::Done { .. }) => {
                    add(LogLevel::Info, format_args!("done run_ms={run_ms}"));
                }
                (Verdict::Written, Settlement::Delayed { run_at_ms, cause, .. }) => {
                    let wait_ms = run_at_ms.saturating_sub(now_ms);
                    let why = cause.as_ref().map(|c| format!(" cause={} {}", c.word(), c.text())).unwrap_or_default();
                    add(LogLevel::Warn, format_args!("delayed run_ms={run_ms} again_in_ms={wait_ms}{why}"));
                }
                (Verdict::Written, Settlement::Dead { cause, .. }) => {
                    self.died += 1;
                    let (word, text) = (cause.word(), cause.text());
                    add(LogLevel::Error, format_args!("dead run_ms={run_ms} cause={word} {text}"));
                }
                (Verdict::Written, Settlement::Parked { cause, reason }) => {
                    add(LogLevel::Error, format_args!("parked cause={cause} {reason}"));
                }
                (Verdict::Written, Settlement::Untouched) => {
                    add(LogLevel::Info, format_args!("put back, nothing charged run_ms={run_ms}"));
                }
            }
        }
        self.tools.journal.append(&lines);
    }
}

/// Which attempt a settlement is about, and whether it is about one at all.
fn charged(settlement: &Settlement) -> (u32, bool) {
    match settlement {
        Settlement::Done { attempt, .. } | Settlement::Delayed { attempt, .. } | Settlement::Dead { attempt, .. } => {
            (*attempt, true)
        }
        Settlement::Parked { .. } | Settlement::Untouched => (0, false),
    }
}

/// Waits until the batch is over, a stop is asked for, or `span` is over. While stopping, looks every little while.
fn wait(
    over: BorrowedFd<'_>,
    stop: Option<BorrowedFd<'_>>,
    span: Option<Duration>,
    stopping: Option<Watch>,
) -> Result<()> {
    let mut fds = vec![PollFd::from_borrowed_fd(over, PollFlags::IN)];
    fds.extend(stop.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
    let span = if stopping.is_some() { Some(SETTLE_AFTER) } else { span };
    let timeout = span.and_then(|span| Timespec::try_from(span).ok());
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

fn pause(span: Duration) {
    let timeout = Timespec::try_from(span).ok();
    // An interruption only makes the pause shorter.
    let _ = poll(&mut [], timeout.as_ref());
}
