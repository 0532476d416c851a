//! What a resident scheduler decides about the workers of its host: whom to bury, to adopt, to start, to replace, to end.
//!
//! Whoever stays calls [`Watchkeeping::bury`] and [`Watchkeeping::look`] by turns with [`Watchkeeping::wait`]. Each look begins with what stands in
//! the database and with who lives: what a person orders (`stop`, `start`, `scale`) stands there, and others start workers
//! too. So it can die at any moment, and the next one goes on. How processes are reached is [`Reach`]'s.

use super::reach::Reach;
use super::rolling::Rolling;
use super::supervise::{Ended, Wards};
use crate::error::Result;
use crate::store::{Store, Watchman};
use crate::task::Partition;
use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// How often it is looked what others have done.
const LOOK: Duration = Duration::from_secs(1);
/// The same while a worker is awaited that was just started.
const SHORT_LOOK: Duration = Duration::from_millis(20);
/// The same while it ends.
const LAST_LOOK: Duration = Duration::from_millis(100);

/// What a look needs besides the store.
pub struct Duty<'a> {
    /// So many workers, whatever N is; `None`: N.
    pub workers: Option<u32>,
    /// A worker that makes no progress for so long is killed.
    pub stall: Duration,
    /// Settles the claims of the dead, and answers the partitions that have got work by it.
    pub recover: &'a dyn Fn(&mut dyn Store) -> Result<Vec<Partition>>,
    /// Starts workers and tells them to end.
    pub reach: &'a dyn Reach,
}

/// The watch over the workers of this host.
#[derive(Default)]
pub struct Watchkeeping {
    wards: Wards,
    rolling: Rolling,
    /// Claims of workers that died are still to be settled.
    deaths: bool,
    stopped: bool,
    /// Workers whose start failed the last time.
    failing: BTreeSet<u32>,
    /// Looks for the frozen among that many workers.
    watchman: Option<(u32, Box<dyn Watchman>)>,
    /// Processes that were told to end by [`dismiss`](Self::dismiss).
    dismissed: BTreeSet<i32>,
}

impl Watchkeeping {
    /// Takes note of workers that have ended since the last call.
    pub fn bury(&mut self) -> Vec<Ended> {
        let ended = self.wards.ended();
        self.deaths |= ended.iter().any(|one| !one.status.is_some_and(|status| status.success()));
        ended
    }

    /// Recovers what the dead have left, watches over whom somebody else started, and starts who is missing. After an error
    /// all that is left to do is done by the next look.
    pub fn look(&mut self, store: &mut dyn Store, duty: &Duty<'_>) -> Result<()> {
        let wanted = match duty.workers {
            Some(workers) => workers,
            None => store.plan()?.current().partitions,
        };
        if self.deaths {
            let touched = (duty.recover)(store)?;
            store.ring(&touched, wanted);
            self.deaths = false;
        }
        self.wards.adopt(store.crew()?);
        self.kill_frozen(store, wanted, duty.stall)?;
        self.stopped = store.stopped()?.is_some();
        if self.stopped {
            // All end, and whoever starts them again replaces all.
            self.rolling = Rolling::default();
            return Ok(());
        }
        let most = store.curb()?.map_or(wanted, |curb| curb.workers.min(wanted));
        for index in 0..most {
            if self.wards.has(index) || store.is_alive(index)? || !self.wards.rest_of(index).is_zero() {
                continue;
            }
            match self.wards.start(index, duty.reach) {
                Ok(()) => drop(self.failing.remove(&index)),
                // One that cannot be started is said once, and tried again at the next look.
                Err(e) if self.failing.insert(index) => log::error!("{e}"),
                Err(_) => {}
            }
        }
        self.rolling.step(&mut self.wards, store, most, duty.reach)
    }

    fn kill_frozen(&mut self, store: &mut dyn Store, wanted: u32, stall: Duration) -> Result<()> {
        if self.watchman.as_ref().is_none_or(|(count, _)| *count != wanted) {
            self.watchman = Some((wanted, store.watchman(None, wanted)));
        }
        for frozen in
            self.watchman.iter_mut().map(|(_, watchman)| watchman.look(stall)).collect::<Result<Vec<_>>>()?.concat()
        {
            let silent_s = frozen.silent.as_secs();
            log::error!(
                "worker {} (pid {}) made no progress for {silent_s} s and was killed",
                frozen.index,
                frozen.pid
            );
        }
        Ok(())
    }

    /// Waits until a worker ends, one of `others` becomes readable, or it is time for another look.
    pub fn wait(&self, others: &[BorrowedFd<'_>]) -> Result<()> {
        let span = if self.rolling.is_starting() { SHORT_LOOK } else { LOOK };
        let rest = self.wards.next_rest(u32::MAX).filter(|rest| !rest.is_zero());
        self.wards.wait(others, rest.map_or(span, |rest| rest.min(span)))
    }

    /// All that are there now are replaced, one by one, by the looks to come.
    pub fn replace_all(&mut self) {
        self.rolling.all(&self.wards);
    }

    /// How many workers are watched.
    pub fn count(&self) -> usize {
        self.wards.all().len()
    }

    /// Whether a person had stopped all work, at the last look.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Tells every worker to end, and answers who is left, and may be told; with `now`, tells them again to break off. To be
    /// called until nobody is left, with a short [`wait_for_the_last`](Self::wait_for_the_last) between.
    pub fn dismiss(&mut self, store: Option<&mut dyn Store>, now: bool, reach: &dyn Reach) -> Vec<(u32, i32)> {
        // Ticks of cron's and other commands may start some meanwhile.
        if let Some(crew) = store.and_then(|store| store.crew().ok()) {
            self.wards.adopt(crew);
        }
        let mut left = self.wards.all();
        // Two signals that come close together are taken for one: so at each look until it has ended. Who may not be
        // told is somebody else's.
        left.retain(|(_, pid)| match self.dismissed.insert(*pid) || now {
            true => self.wards.tell(*pid, reach),
            false => self.wards.was_told(*pid),
        });
        left
    }

    /// Waits a while, or until one ends.
    pub fn wait_for_the_last(&self) -> Result<()> {
        self.wards.wait(&[], LAST_LOOK)
    }
}
