//! A worker from its start to its end: once at its place, or several times.

use super::serve;
use crate::clock::Clock;
use crate::error::Result;
use crate::log::Journal;
use crate::store::Store;
use crate::work::homes::Homes;
use crate::work::job::Registry;
use crate::work::options::{Options, Summary};
use crate::work::stop::{Level, Stop};
use std::sync::Arc;

/// Runs one worker until it ends. Errors that pass by themselves (a locked database, a full disk) are waited for; any
/// other ends the worker, with everything unsettled still in the order.
///
/// A surplus worker that ends looks once more, after it has given its place back, whether N has grown meanwhile: whoever
/// changed N before that found the place taken, and started nobody. It begins anew then.
pub fn work(
    store: &mut dyn Store,
    registry: Arc<Registry>,
    journal: Arc<Journal>,
    clock: Clock,
    stop: Stop,
    options: Options,
) -> Result<Summary> {
    let mut before = None;
    loop {
        let registry = Arc::clone(&registry);
        let (summary, was_surplus) =
            serve(store, registry, Arc::clone(&journal), clock.clone(), stop.clone(), options)?;
        let all = match (summary, before) {
            // Whoever made N greater came after the place was given back, and has filled it.
            (Summary::Taken, Some(before)) => return Ok(before),
            (Summary::Ended { settled, died }, Some(Summary::Ended { settled: earlier, died: dead })) => {
                Summary::Ended { settled: settled + earlier, died: died + dead }
            }
            (summary, _) => summary,
        };
        let ended = matches!(all, Summary::Ended { .. }) && stop.level() == Level::GoOn;
        if !ended || !was_surplus || Homes::new(options.index, options.workers, &store.plan()?).is_surplus() {
            return Ok(all);
        }
        before = Some(all);
    }
}
