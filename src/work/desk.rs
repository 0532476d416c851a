//! The desk between the engine's thread, which alone touches the database, and the runner's, which alone runs jobs.
//!
//! The engine lays a batch down; the runner takes it up and puts finished runs back one by one. The engine may call the
//! rest of a batch back at any time: tasks not begun are simply dropped, since nothing was ever written about them.
//! No task begins while the settlement of finished ones is overdue, so that what a death repeats stays bounded.

use super::stop::{ring, silence};
use crate::clock::{Millis, Watch, world};
use crate::error::Result;
use crate::store::Note;
use crate::task::{Ending, Task};
use rustix::event::{EventfdFlags, eventfd};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Finished runs that wait longer than this keep further tasks from beginning.
const OVERDUE: Duration = Duration::from_millis(100);

/// A run that is over, not yet settled.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) task: Task,
    pub(super) ending: Ending,
    pub(super) started_at_ms: Millis,
    pub(super) finished_at_ms: Millis,
}

#[derive(Debug)]
pub(super) struct Desk {
    state: Mutex<State>,
    settled: Condvar,
    /// Readable when a batch is over.
    over: OwnedFd,
    /// Readable when runs are to be broken off; for executables.
    abandon: OwnedFd,
    /// The same for futures.
    let_go: Notify,
}

#[derive(Debug, Default)]
struct State {
    finished: Vec<Finished>,
    /// Since when finished runs wait for their settlement.
    unsettled: Option<Watch>,
    /// The task that runs, and since when.
    running: Option<(Task, Millis, Watch)>,
    /// Where the holder of the partition notes what runs.
    note: Option<Arc<dyn Note>>,
    called_back: bool,
    over: bool,
    broken_off: bool,
}

impl Desk {
    pub(super) fn new() -> Result<Desk> {
        let event = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        Ok(Desk {
            state: Mutex::default(),
            settled: Condvar::new(),
            over: event()?,
            abandon: event()?,
            let_go: Notify::new(),
        })
    }

    /// A poisoned desk is still a whole one: every change of it is a single assignment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The engine's side.

    pub(super) fn begin_batch(&self, note: Option<Arc<dyn Note>>) {
        let mut state = self.state();
        state.note = note;
        state.called_back = false;
        state.over = false;
        state.broken_off = false;
        // What an earlier batch has left behind is settled by nobody, and holds up nothing.
        state.finished.clear();
        state.unsettled = None;
        silence(&self.over);
        silence(&self.abandon);
    }

    pub(super) fn call_back(&self) {
        self.state().called_back = true;
        self.settled.notify_all();
    }

    pub(super) fn break_off(&self) {
        let mut state = self.state();
        state.called_back = true;
        state.broken_off = true;
        ring(&self.abandon);
        self.let_go.notify_one();
        self.settled.notify_all();
    }

    /// Takes up what is finished, and whether the batch is over.
    pub(super) fn take(&self) -> (Vec<Finished>, bool) {
        let mut state = self.state();
        (std::mem::take(&mut state.finished), state.over)
    }

    /// What was taken up is settled.
    pub(super) fn settled(&self) {
        let mut state = self.state();
        state.unsettled = if state.finished.is_empty() { None } else { Some(Watch::start()) };
        self.settled.notify_all();
    }

    /// The task that runs, without its param, and when it began.
    pub(super) fn running(&self) -> Option<(Task, Millis)> {
        self.state().running.as_ref().map(|(task, started_at_ms, _)| (task.clone(), *started_at_ms))
    }

    /// What is left of `span` for the task that runs; all of it when none does.
    pub(super) fn left_of(&self, span: Duration) -> Duration {
        self.state().running.as_ref().map_or(span, |(_, _, since)| since.left_of(span))
    }

    pub(super) fn runs_longer_than(&self, span: Duration) -> bool {
        self.state().running.as_ref().is_some_and(|(_, _, since)| since.elapsed() > span)
    }

    /// Ends noting what runs: it is claimed, and the partition's note belongs to its next holder.
    pub(super) fn forget_note(&self) {
        if let Some(note) = self.state().note.take() {
            note.ends();
        }
    }

    /// Readable when the batch is over.
    pub(super) fn over(&self) -> BorrowedFd<'_> {
        self.over.as_fd()
    }

    // The runner's side.

    /// Waits until the next task may begin; `false` when it is called back.
    pub(super) fn may_begin(&self, task: &Task, now_ms: Millis) -> bool {
        let mut state = self.state();
        while !state.called_back && state.unsettled.is_some_and(|since| since.elapsed() > OVERDUE) {
            if world::is_there() {
                drop(state);
                world::wait("overdue", OVERDUE);
                state = self.state();
                continue;
            }
            state = self.settled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.called_back {
            return false;
        }
        if let Some(note) = &state.note {
            note.starts(task.id);
        }
        state.running = Some((task.without_param(), now_ms, Watch::start()));
        true
    }

    pub(super) fn put(&self, finished: Finished) {
        let mut state = self.state();
        state.running = None;
        if let Some(note) = &state.note {
            note.ends();
        }
        state.finished.push(finished);
        state.unsettled.get_or_insert_with(Watch::start);
    }

    pub(super) fn end_batch(&self) {
        self.state().over = true;
        ring(&self.over);
        world::rouse("engine");
    }

    /// Ready when runs are to be broken off.
    pub(super) async fn broken_off(&self) {
        // What is left of an earlier batch's may wake it once for nothing.
        while !self.state().broken_off {
            self.let_go.notified().await;
        }
    }

    /// Readable when runs are to be broken off.
    pub(super) fn abandon(&self) -> BorrowedFd<'_> {
        self.abandon.as_fd()
    }
}
