//! Folding and counting: what is settled is brought into the rows and the counts, by whoever has the time.

use super::Worker;
use crate::error::Result;
use crate::store::Store;
use crate::work::stop::{Level, Stop};
use std::time::Duration;

/// Outcomes that one transaction folds.
const FOLD_ROWS: usize = 4_000;
/// New rows that one transaction counts.
const COUNT_ROWS: usize = 2_000;
/// Under load, outcomes are folded this long after the last time.
pub(super) const FOLD_AFTER: Duration = Duration::from_secs(1);

impl Worker<'_> {
    /// Under load, one of all workers folds a batch at each of its steps, until it has caught up.
    pub(super) fn fold_when_due(&mut self) -> Result<()> {
        if self.folding || self.store.since_fold()?.is_none_or(|past| past > FOLD_AFTER) {
            self.folding = self.store.fold(FOLD_ROWS)?.is_some_and(|folded| folded >= FOLD_ROWS / 2);
            self.folding |= self.store.count(COUNT_ROWS)? == COUNT_ROWS;
        }
        Ok(())
    }
}

/// Folds and counts some of what is settled; whether there was any.
pub(super) fn tidy(store: &mut dyn Store) -> Result<bool> {
    let folded = store.fold(FOLD_ROWS)?.is_some_and(|rows| rows > 0);
    Ok(store.count(COUNT_ROWS)? > 0 || folded)
}

/// The last worker to give its place back folds and counts what is settled. Others leave that to those that go on: under
/// load there is always more, and whoever was told to end would not.
pub(super) fn tidy_last(store: &mut dyn Store, stop: &Stop) -> Result<()> {
    while stop.level() != Level::BreakOff && store.workers()?.is_empty() && tidy(store)? {}
    Ok(())
}
