//! The end of retention: what is deleted by a tick, and by a person who asks for all of it at once.

use crate::clock::{Millis, Watch};
use crate::error::Result;
use crate::store::Store;
use std::time::Duration;

/// Rows that one step looks at.
const STEP_ROWS: usize = 500;
/// A tick takes steps for this long at most. They are short, and others have their turns between them.
const SWEEP_TIME: Duration = Duration::from_secs(1);

/// What was removed, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Final tasks.
    pub tasks: usize,
    /// Occurrences of schedules.
    pub occurrences: usize,
}

/// What one tick does about rows older than `cutoff_ms`: steps of a pass that goes on over ticks. `None` when no pass is
/// due or under way. A crash leaves the rest to the next tick.
pub fn sweep(store: &mut dyn Store, cutoff_ms: Millis, now_ms: Millis) -> Result<Option<Removed>> {
    let watch = Watch::start();
    let mut removed = None;
    while let Some(pruned) = store.sweep(cutoff_ms, now_ms, STEP_ROWS)? {
        let removed = removed.get_or_insert_with(Removed::default);
        removed.tasks += pruned.rows;
        if pruned.next.is_none() {
            removed.occurrences = store.prune_occurrences(cutoff_ms, STEP_ROWS, false)?;
            break;
        }
        if watch.left_of(SWEEP_TIME).is_zero() {
            break;
        }
    }
    Ok(removed)
}

/// Deletes everything older than `cutoff_ms`, in the same steps; with `dry` only counts it.
pub fn prune(store: &mut dyn Store, cutoff_ms: Millis, dry: bool) -> Result<Removed> {
    let mut removed = Removed::default();
    let mut after = Some(0);
    while let Some(id) = after {
        let pruned = store.prune(id, cutoff_ms, STEP_ROWS, dry)?;
        removed.tasks += pruned.rows;
        after = pruned.next;
    }
    loop {
        let some = store.prune_occurrences(cutoff_ms, STEP_ROWS, dry)?;
        removed.occurrences += some;
        if dry || some == 0 {
            return Ok(removed);
        }
    }
}
