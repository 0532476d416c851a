//! What the holder of a partition is doing, in memory that outlives it: the partition's lock file, mapped.
//!
//! The next holder reads in it which tasks were in hand when the last one died: one, or those that a stream had. The note is
//! stamped with the epoch of its hold: one of an earlier hold counts for nothing, and so a death is charged once. Beside it
//! stands who else wants the partition, and whether a stream has worked on what is not settled yet.

use super::mapped::Mapped;
use crate::error::Result;
use crate::store::{IN_HAND, Note};
use std::fs::File;
use std::sync::atomic::{AtomicI64, Ordering};

/// The first of the words of tasks in hand but for one, which has a word of its own.
const OTHERS: usize = 8;

/// The notes of a partition.
#[derive(Debug)]
pub(super) struct Notes(Mapped);

impl Notes {
    /// Maps a partition's lock file. The hold ends when its lock is dropped, whoever keeps the note.
    pub(super) fn map(lock: &File) -> Result<Notes> {
        Ok(Notes(Mapped::apart_from(lock)?))
    }

    fn epoch(&self) -> &AtomicI64 {
        &self.0.words()[0]
    }

    /// A word for each task that may be in hand; 0 for none.
    fn in_hand(&self) -> impl Iterator<Item = &AtomicI64> {
        let words = self.0.words();
        std::iter::once(&words[1]).chain(&words[OTHERS..OTHERS + IN_HAND - 1])
    }

    fn wanted(&self) -> &AtomicI64 {
        &self.0.words()[2]
    }

    fn boot(&self) -> &AtomicI64 {
        &self.0.words()[3]
    }

    fn settling(&self) -> &AtomicI64 {
        &self.0.words()[4]
    }

    fn streaming(&self) -> &AtomicI64 {
        &self.0.words()[5]
    }

    /// The task whose effects were under way when the holder at `epoch` died, on the same terms as [`Notes::left_by`].
    pub(super) fn settling_by(&self, epoch: i64, boot: u64) -> Option<i64> {
        Some(self.settling().load(Ordering::Acquire)).filter(|task| *task != 0 && self.is_of(epoch, boot))
    }

    fn is_of(&self, epoch: i64, boot: u64) -> bool {
        self.epoch().load(Ordering::Acquire) == epoch && self.boot().load(Ordering::Acquire) == boot.cast_signed()
    }

    /// The tasks that were in hand when the holder at `epoch` died; none when the note is of another hold, or of another
    /// `boot`: then the machine went down with the holder, and they are not to blame.
    pub(super) fn left_by(&self, epoch: i64, boot: u64) -> Vec<i64> {
        let of_this = self.is_of(epoch, boot);
        let tasks = self.in_hand().map(|word| word.load(Ordering::Acquire));
        tasks.filter(|task| *task != 0 && of_this).collect()
    }

    /// Whether the holder at `epoch` died before all was settled that a stream of it had worked on, on the same terms.
    pub(super) fn streamed_by(&self, epoch: i64, boot: u64) -> bool {
        self.streaming().load(Ordering::Acquire) != 0 && self.is_of(epoch, boot)
    }

    /// Begins the notes of a hold.
    pub(super) fn begin(&self, epoch: i64, boot: u64) {
        self.clear();
        self.settling().store(0, Ordering::Release);
        self.boot().store(boot.cast_signed(), Ordering::Release);
        self.epoch().store(epoch, Ordering::Release);
    }

    /// Says that worker `index` waits for the partition.
    pub(super) fn want(&self, index: u32) {
        self.wanted().fetch_or(1 << (index % 64), Ordering::AcqRel);
    }
}

impl Note for Notes {
    fn starts(&self, task: i64) {
        if let Some(free) = self.in_hand().find(|word| word.load(Ordering::Acquire) == 0) {
            free.store(task, Ordering::Release);
        }
    }

    fn ends(&self, task: i64) {
        if let Some(word) = self.in_hand().find(|word| word.load(Ordering::Acquire) == task) {
            word.store(0, Ordering::Release);
        }
    }

    fn streams(&self, streams: bool) {
        self.streaming().store(i64::from(streams), Ordering::Release);
    }

    fn clear(&self) {
        self.in_hand().for_each(|word| word.store(0, Ordering::Release));
        self.streams(false);
    }

    fn settles(&self, task: Option<i64>) {
        self.settling().store(task.unwrap_or(0), Ordering::Release);
    }

    fn is_wanted(&self) -> bool {
        self.wanted().load(Ordering::Acquire) != 0
    }

    fn take_wanted(&self) -> u64 {
        self.wanted().swap(0, Ordering::AcqRel).cast_unsigned()
    }
}
