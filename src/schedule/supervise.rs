//! The worker processes of this host as a resident scheduler watches over them.
//!
//! Each is known by a descriptor that becomes readable when the process ends, so a death is seen at once. Those that it
//! started itself are waited for, and tell how they ended; those that somebody else started (a tick of cron's, `restart`)
//! are only watched. Whoever dies at every start is given growing pauses.

use super::reach::{Begun, Ending, Reach};
use crate::clock::{Watch, world};
use crate::error::Result;
use crate::store::Hand;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitStatus;
use std::time::Duration;

/// A worker that lived for this long has started well, whatever became of it then.
const LIVED: Duration = Duration::from_secs(3);
/// One that ended well sooner than this is not started again at once, lest it be a busy loop.
const BRIEF: Duration = Duration::from_millis(200);
/// The first pause of a worker that dies at every start, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The pause before the next start of a worker that has died at that many starts in a row: none after the first, then 1 s
/// doubling to 1 min.
fn pause_after(early_deaths: u32) -> Duration {
    match early_deaths {
        0 | 1 => Duration::ZERO,
        n => PAUSES.0.saturating_mul(1 << (n - 2).min(6)).min(PAUSES.1),
    }
}

/// A worker process that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Which worker it was.
    pub index: u32,
    /// Its process.
    pub pid: i32,
    /// How it ended; `None` of one that somebody else had started.
    pub status: Option<ExitStatus>,
    /// How long it lived, as far as it was watched.
    pub lived: Duration,
    /// It was told to end.
    pub told: bool,
    /// At how many starts in a row this worker has died now.
    pub early_deaths: u32,
    /// How long it rests before the next start.
    pub pause: Duration,
}

struct Ward {
    index: u32,
    pid: i32,
    process: OwnedFd,
    /// Of one that was started here.
    ending: Option<Ending>,
    since: Watch,
    told: bool,
}

/// At how many starts in a row a worker died, since when it rests, and for how long.
#[derive(Debug, Clone, Copy)]
struct Rest {
    early_deaths: u32,
    since: Watch,
    pause: Duration,
}

/// All that are watched.
#[derive(Default)]
pub(super) struct Wards {
    wards: Vec<Ward>,
    rests: BTreeMap<u32, Rest>,
    /// Processes that this user may not signal, of which that was said.
    strangers: BTreeSet<i32>,
}

impl Wards {
    /// Starts worker `index` and watches over it.
    pub(super) fn start(&mut self, index: u32, reach: &dyn Reach) -> Result<()> {
        let Begun { pid, process, ending } = reach.start(index)?;
        self.wards.push(Ward { index, pid, process, ending: Some(ending), since: Watch::start(), told: false });
        Ok(())
    }

    /// Watches over those of `crew` that are not watched yet.
    pub(super) fn adopt(&mut self, crew: Vec<Hand>) {
        for hand in crew {
            let (index, pid) = (hand.info.index, hand.info.pid);
            if let Some(process) = hand.process.filter(|_| !self.has_process(pid)) {
                self.wards.push(Ward { index, pid, process, ending: None, since: Watch::start(), told: false });
            }
        }
    }

    /// Whether a process of worker `index` is watched.
    pub(super) fn has(&self, index: u32) -> bool {
        self.wards.iter().any(|ward| ward.index == index)
    }

    /// Whether this process is watched.
    pub(super) fn has_process(&self, pid: i32) -> bool {
        self.wards.iter().any(|ward| ward.pid == pid)
    }

    /// Index and process of all.
    pub(super) fn all(&self) -> Vec<(u32, i32)> {
        self.wards.iter().map(|ward| (ward.index, ward.pid)).collect()
    }

    /// How long worker `index` is still to rest before it is started.
    pub(super) fn rest_of(&self, index: u32) -> Duration {
        self.rests.get(&index).map_or(Duration::ZERO, |rest| rest.since.left_of(rest.pause))
    }

    /// The shortest time until a rest of one of the first `workers` ends that are not there.
    pub(super) fn next_rest(&self, workers: u32) -> Option<Duration> {
        self.rests
            .keys()
            .filter(|index| **index < workers && !self.has(**index))
            .map(|index| self.rest_of(*index))
            .min()
    }

    /// Waits until one ends, one of `others` becomes readable, or `span` is over.
    pub(super) fn wait(&self, others: &[BorrowedFd<'_>], span: Duration) -> Result<()> {
        if world::wait("watch", span) {
            return Ok(());
        }
        let processes = self.wards.iter().map(|ward| ward.process.as_fd());
        let all = processes.chain(others.iter().copied());
        let mut fds: Vec<PollFd<'_>> = all.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match poll(&mut fds, Timespec::try_from(span).ok().as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Those that have ended since the last call.
    pub(super) fn ended(&mut self) -> Vec<Ended> {
        let (over, living) = std::mem::take(&mut self.wards).into_iter().partition(|ward| is_over(&ward.process));
        self.wards = living;
        let over: Vec<Ward> = over;
        over.into_iter().map(|ward| self.bury(ward)).collect()
    }

    fn bury(&mut self, ward: Ward) -> Ended {
        self.strangers.remove(&ward.pid);
        let lived = ward.since.elapsed();
        // Its descriptor has said that it has ended: this does not wait.
        let status = ward.ending.and_then(|ending| ending());
        let before = self.rests.get(&ward.index).map_or(0, |rest| rest.early_deaths);
        let (early_deaths, pause) = match status {
            _ if ward.told || lived >= LIVED => (0, Duration::ZERO),
            // By itself, or told by somebody else; or it found its place taken.
            Some(status) if status.success() => (before, if lived < BRIEF { PAUSES.0 } else { Duration::ZERO }),
            Some(_) => (before + 1, pause_after(before + 1)),
            None => (0, Duration::ZERO),
        };
        self.rests.insert(ward.index, Rest { early_deaths, since: Watch::start(), pause });
        Ended { index: ward.index, pid: ward.pid, status, lived, told: ward.told, early_deaths, pause }
    }

    /// Whether a process was told to end.
    pub(super) fn was_told(&self, pid: i32) -> bool {
        self.wards.iter().any(|ward| ward.pid == pid && ward.told)
    }

    /// Tells a process to end, or to break off if it was told before. Whether it may be told at all.
    pub(super) fn tell(&mut self, pid: i32, reach: &dyn Reach) -> bool {
        let Some(ward) = self.wards.iter_mut().find(|ward| ward.pid == pid) else { return true };
        if reach.tell(pid, ward.process.as_fd()) {
            ward.told = true;
            return true;
        }
        if self.strangers.insert(pid) {
            log::warn!("worker {} (pid {pid}) belongs to another user, who or root may end it", ward.index);
        }
        false
    }
}

fn is_over(process: &OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_double_from_one_second_to_a_minute() {
        let pauses: Vec<u64> = (0..11).map(|deaths| pause_after(deaths).as_secs()).collect();
        assert_eq!(pauses, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pause_after(u32::MAX), Duration::from_secs(60));
    }
}
