//! Where a worker goes next, how long it stays, and how it gives back what it held.

use super::{HOME_TURN, Worker};
use crate::clock::Watch;
use crate::error::{Error, Result};
use crate::store::Hold;
use crate::task::Partition;
use std::time::Duration;

/// How much longer to keep away from others' partitions than from its own, in which only others may run what is ready.
const TIMES_AWAY: u32 = 4;
/// What a worker waits for is said again after this.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// Under a resident scheduler a worker looks at most this often whether that still lives.
const RESIDENT_LOOK: Duration = Duration::from_secs(1);

impl Worker<'_> {
    /// Says what is waited for; the same once a minute, however often it is met.
    pub(super) fn say(&mut self, cause: &Error) {
        self.said.retain(|(_, since)| !since.left_of(SAY_AGAIN).is_zero());
        let words = cause.to_string();
        if self.said.iter().all(|(said, _)| *said != words) {
            log::warn!("waiting: {words}");
            self.said.push((words, Watch::start()));
        }
    }

    /// How long to stay: for `linger` after the last work and after the last tick, so that workers whom cron keeps
    /// asking for are there all the time; and as long as a resident scheduler lives.
    pub(super) fn left_of(&mut self, linger: Duration, idle: Watch) -> Result<Duration> {
        let since_tick = self.store.since_tick()?.unwrap_or(linger);
        let left = idle.left_of(linger).max(linger.saturating_sub(since_tick));
        if left.is_zero() && self.store.resident()?.is_some() {
            return Ok(linger.max(RESIDENT_LOOK));
        }
        Ok(left)
    }

    /// The partitions that have work, but for those that it keeps away from, and whether there are such. Then those whom it
    /// has left them to are told, by only one of all.
    pub(super) fn waiting(&mut self) -> Result<(Vec<Partition>, bool)> {
        let (mut waiting, mut away) = (Vec::new(), false);
        for partition in self.store.waiting()? {
            match self.bench.strange.is_away(self.store, partition)? {
                true => away = true,
                false => waiting.push(partition),
            }
        }
        if away && self.store.is_lookout() {
            self.call_others();
        }
        Ok((waiting, away))
    }

    /// Whether a partition has rows that this worker may run. What has none is left to others; at its own it looks again
    /// as soon as it wakes.
    pub(super) fn is_work(&mut self, partition: Partition) -> Result<bool> {
        let is_work = self.bench.strange.is_work(self.store, partition)?;
        if !is_work {
            if !self.homes.is_own(partition) {
                self.bench.strange.keep_away(partition, TIMES_AWAY, false);
            }
            self.call_others();
        }
        Ok(is_work)
    }

    /// Gives a partition up to those that know jobs which this worker does not.
    pub(super) fn give_up(&mut self, hold: Hold) {
        let partition = hold.partition();
        let times = if self.homes.is_own(partition) { 1 } else { TIMES_AWAY };
        self.bench.strange.keep_away(partition, times, true);
        self.let_go(hold, false);
        self.call_others();
    }

    fn call_others(&mut self) {
        self.store.ring_wanted(self.bench.strange.callers(), self.homes.workers());
    }

    /// The partitions that have work, in the order in which they are tried: its own first, then those of others after the
    /// one that was taken last, so that each gets its turn. When its own have had theirs, one that nobody holds comes before.
    pub(super) fn in_turn(&mut self, waiting: Vec<Partition>) -> Result<Vec<Partition>> {
        let (own, mut others) = self.homes.order(waiting, self.last);
        let after = others.partition_point(|p| Some(*p) <= self.taken_last);
        others.rotate_left(after);
        if self.home_since.take().is_some_and(|since| since.left_of(HOME_TURN).is_zero()) {
            for at in 0..others.len() {
                if !self.store.is_held(others[at])? {
                    let free = others.remove(at);
                    return Ok(std::iter::once(free).chain(own).chain(others).collect());
                }
            }
        }
        Ok(own.into_iter().chain(others).collect())
    }

    /// Holds a partition, giving another one back first: whoever holds two while it runs a task starves one of them.
    pub(super) fn take(&mut self, partition: Partition) -> Result<Option<Hold>> {
        self.held = None;
        self.last = Some(partition);
        let (bench, now_ms) = (&self.bench, self.clock.now_ms());
        self.store.hold(partition, &self.badge, now_ms, &|task| bench.blame(task))
    }

    /// Gives a partition back (or keeps it, idle), and tells who is at home there and who has waited for it.
    pub(super) fn let_go(&mut self, hold: Hold, keep: bool) {
        let (partition, wanted) = (hold.partition(), hold.note().take_wanted());
        if keep {
            self.held = Some(hold);
            return;
        }
        drop(hold);
        self.store.ring(&[partition], self.homes.workers());
        self.store.ring_wanted(wanted, self.homes.workers());
    }
}
