//! The desk between the engine's thread, which alone touches the database, and the runner's, which alone runs jobs.
//!
//! The engine lays a batch down; the runner takes it up and puts finished runs back one by one. The engine may call the
//! rest of a batch back at any time: tasks not begun are simply dropped, since nothing was ever written about them.
//! No task begins while the settlement of finished ones is overdue, so that what a death repeats stays bounded.
//! A stream has several in hand, of which it begins one after the other; those that it has not begun it can be called back as
//! well, but by the runner: until that has been done, no one of them counts as the one that runs.

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
    /// Readable when what was not begun is called back; for streams.
    recall: OwnedFd,
    /// The same as `abandon` for futures.
    let_go: Notify,
}

#[derive(Debug, Default)]
struct State {
    finished: Vec<Finished>,
    /// Since when finished runs wait for their settlement.
    unsettled: Option<Watch>,
    /// The task that runs, and since when; of several in hand, the first.
    running: Option<(Task, Millis, Watch)>,
    /// How many tasks are in hand.
    in_hand: usize,
    /// Whether a stream has worked on what is not settled yet.
    streams: bool,
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
            recall: event()?,
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
        state.streams = false;
        silence(&self.over);
        silence(&self.abandon);
        silence(&self.recall);
    }

    pub(super) fn call_back(&self) {
        self.state().call_back(&self.recall);
        self.settled.notify_all();
    }

    pub(super) fn break_off(&self) {
        let mut state = self.state();
        state.call_back(&self.recall);
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
        state.note_streams();
        self.settled.notify_all();
    }

    /// The task that runs, without its param, and when it began. `None` while others are in hand as well: any of them may
    /// be the one.
    pub(super) fn running(&self) -> Option<(Task, Millis)> {
        let state = self.state();
        let running = state.running.as_ref().filter(|_| state.in_hand == 1);
        running.map(|(task, started_at_ms, _)| (task.clone(), *started_at_ms))
    }

    /// What is left of `span` for the task that runs; all of it when none does.
    pub(super) fn left_of(&self, span: Duration) -> Duration {
        self.state().running.as_ref().map_or(span, |(_, _, since)| since.left_of(span))
    }

    pub(super) fn runs_longer_than(&self, span: Duration) -> bool {
        self.state().running.as_ref().is_some_and(|(_, _, since)| since.elapsed() > span)
    }

    /// Ends noting what runs: it is claimed, or the hold ends, and the partition's note belongs to its next holder.
    pub(super) fn forget_note(&self) {
        let mut state = self.state();
        state.streams = false;
        if let Some(note) = state.note.take() {
            note.clear();
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
        state.begin(task, now_ms);
        true
    }

    /// Gives a stream another task in hand, unless that has to wait.
    pub(super) fn hand(&self, task: &Task, now_ms: Millis) -> Handed {
        let mut state = self.state();
        if state.called_back {
            return Handed::CalledBack;
        }
        if state.unsettled.is_some_and(|since| since.elapsed() > OVERDUE) {
            return Handed::NotNow;
        }
        if !state.streams {
            state.streams = true;
            if let Some(note) = &state.note {
                note.streams(true);
            }
        }
        state.begin(task, now_ms);
        Handed::Given
    }

    /// Puts a run back that is over and never was the one that runs.
    pub(super) fn put_aside(&self, finished: Finished) {
        let mut state = self.state();
        state.end(finished.task.id);
        if state.in_hand == 0 {
            state.running = None;
        }
        state.finished.push(finished);
        state.unsettled.get_or_insert_with(Watch::start);
    }

    /// Waits until settlements are not overdue; `false` when what has not begun is called back.
    pub(super) fn await_settled(&self) -> bool {
        let mut state = self.state();
        while !state.called_back && state.unsettled.is_some_and(|since| since.elapsed() > OVERDUE) {
            state = self.settled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.called_back
    }

    /// Takes tasks out of a stream's hands that it has not begun.
    pub(super) fn take_back(&self, tasks: impl Iterator<Item = i64>) {
        let mut state = self.state();
        for task in tasks {
            state.end(task);
        }
        if state.in_hand == 0 {
            state.running = None;
        }
    }

    pub(super) fn put(&self, finished: Finished) {
        self.put_all(vec![finished], None);
    }

    /// Puts runs back that are over; `next` is the one that runs now, of those that were in hand before.
    pub(super) fn put_all(&self, finished: Vec<Finished>, next: Option<(&Task, Millis)>) {
        let mut state = self.state();
        for one in &finished {
            state.end(one.task.id);
        }
        state.running = next.map(|(task, now_ms)| (task.without_param(), now_ms, Watch::start()));
        state.finished.extend(finished);
        state.unsettled.get_or_insert_with(Watch::start);
    }

    pub(super) fn end_batch(&self) {
        let mut state = self.state();
        state.over = true;
        state.note_streams();
        drop(state);
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

    /// Readable when what was not begun is called back.
    pub(super) fn recall(&self) -> BorrowedFd<'_> {
        self.recall.as_fd()
    }
}

/// What came of giving a stream a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handed {
    Given,
    /// The settlement of finished runs is overdue.
    NotNow,
    CalledBack,
}

impl State {
    fn call_back(&mut self, recall: &OwnedFd) {
        if !std::mem::replace(&mut self.called_back, true) {
            ring(recall);
        }
    }

    fn begin(&mut self, task: &Task, now_ms: Millis) {
        if let Some(note) = &self.note {
            note.starts(task.id);
        }
        self.in_hand += 1;
        self.running.get_or_insert_with(|| (task.without_param(), now_ms, Watch::start()));
    }

    fn end(&mut self, task: i64) {
        if let Some(note) = &self.note {
            note.ends(task);
        }
        self.in_hand = self.in_hand.saturating_sub(1);
    }

    /// Notes when nothing is left that a stream has worked on.
    fn note_streams(&mut self) {
        if self.streams && self.in_hand == 0 && self.finished.is_empty() && self.unsettled.is_none() {
            self.streams = false;
            if let Some(note) = &self.note {
                note.streams(false);
            }
        }
    }
}
