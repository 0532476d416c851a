//! The resident scheduler of a run: the real decisions, with processes of the world.

use super::director::start_worker;
use super::jobs::policy_of;
use super::store::SeamStore;
use super::world::Simulated;
use crate::error::Result;
use crate::schedule::{Begun, Duty, Reach, Watchkeeping, recover};
use crate::store::{Govern, LostClaim, Store};
use crate::work::{Level, Stop};
use std::os::fd::BorrowedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

/// The processes of a run.
struct Staged {
    world: Arc<Simulated>,
    database: PathBuf,
}

impl Reach for Staged {
    fn start(&self, index: u32) -> Result<Begun> {
        let mut inner = self.world.inner();
        let process = inner.processes.len();
        start_worker(&self.world, &mut inner, index, self.database.clone());
        let there = Arc::clone(&self.world);
        let ending = move || Some(ExitStatus::from_raw(if there.inner().processes[process].killed { 9 } else { 0 }));
        let watched = inner.end_of(process);
        Ok(Begun { pid: process as i32, process: watched, ending: Box::new(ending) })
    }

    fn tell(&self, pid: i32, _process: BorrowedFd<'_>) -> bool {
        self.world.tell_to_stop(pid as usize);
        true
    }
}

/// What `run` does, without its signals, its configuration and its ticks: those come from the director.
pub(super) fn reside(there: &Arc<Simulated>, mut store: SeamStore, stop: &Stop, database: PathBuf) -> Result<()> {
    let process = store.process;
    let Some(_place) = store.reside(there.clock.now_ms())? else { return Ok(()) };
    there.inner().record.resides(process);
    let reach = Staged { world: Arc::clone(there), database };
    let settle = |store: &mut dyn Store| {
        let now_ms = there.clock.now_ms();
        recover(store, now_ms, &|lost: &LostClaim| lost.settlement(policy_of(&lost.task.job), now_ms))
    };
    let mut keeping = Watchkeeping::default();
    while stop.level() == Level::GoOn {
        for ended in keeping.bury() {
            there.inner().record.say(format_args!("{process} sees the end of {}: {:?}", ended.pid, ended.status));
        }
        let stall = Duration::from_secs(30);
        let duty = Duty { workers: None, stall, recover: &settle, reach: &reach };
        // What fails is left to the next look.
        if let Err(e) = keeping.look(&mut store, &duty) {
            there.inner().record.say(format_args!("{process} cannot look: {e}"));
        }
        keeping.wait(&[])?;
    }
    loop {
        keeping.bury();
        if keeping.dismiss(Some(&mut store), stop.level() == Level::BreakOff, &reach).is_empty() {
            return Ok(());
        }
        keeping.wait_for_the_last()?;
    }
}
