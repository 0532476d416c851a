//! Replacing workers one by one, so that most of them are there meanwhile.

use super::reach::Reach;
use super::supervise::Wards;
use crate::clock::Watch;
use crate::error::Result;
use crate::store::Store;
use std::collections::VecDeque;
use std::time::Duration;

/// A worker that was started has taken its place after this, or it has failed.
pub const TAKES_PLACE: Duration = Duration::from_secs(10);

/// Workers that are replaced, one after the other.
#[derive(Debug, Default)]
pub(super) struct Rolling {
    left: VecDeque<(u32, i32)>,
    now: Option<Replaced>,
}

#[derive(Debug)]
struct Replaced {
    index: u32,
    pid: i32,
    /// Since when its process is gone.
    gone: Option<Watch>,
}

impl Rolling {
    /// All that are there now are to be replaced.
    pub(super) fn all(&mut self, wards: &Wards) {
        self.left = wards.all().into();
        self.left.make_contiguous().sort_unstable();
    }

    /// Whether a worker is just being replaced, so that it is worth looking again soon.
    pub(super) fn is_starting(&self) -> bool {
        self.now.as_ref().is_some_and(|now| now.gone.is_some())
    }

    /// One step further: tells the next worker to end when the one before has a successor that has taken its place. Of
    /// `workers` there are to be, others are not needed any more.
    pub(super) fn step(
        &mut self,
        wards: &mut Wards,
        store: &mut dyn Store,
        workers: u32,
        reach: &dyn Reach,
    ) -> Result<()> {
        if let Some(now) = &mut self.now {
            if wards.has_process(now.pid) {
                return Ok(());
            }
            let gone = *now.gone.get_or_insert_with(Watch::start);
            if now.index < workers && !store.is_alive(now.index)? {
                if !gone.left_of(TAKES_PLACE).is_zero() {
                    return Ok(());
                }
                log::error!("worker {} does not begin; {} others are left as they are", now.index, self.left.len());
                self.left.clear();
            }
            self.now = None;
        }
        while let Some((index, pid)) = self.left.pop_front() {
            if wards.has_process(pid) && wards.tell(pid, reach) {
                self.now = Some(Replaced { index, pid, gone: None });
                break;
            }
        }
        Ok(())
    }
}
