//! `prune`, and what a tick does about old rows and log files.

use super::site::Site;
use super::{Verdict, print, show};
use crate::clock::{Millis, Watch};
use crate::error::{Error, Result};
use crate::log::{compress_old, remove_old};
use crate::schedule::{prune as remove, sweep as step};
use crate::store::Store;
use crate::task::{parse_span, span_text};
use chrono::{DateTime, NaiveDate, Utc};
use std::time::Duration;

pub(super) fn prune(site: &Site, older_than: Option<&str>, dry: bool) -> Result<Verdict> {
    let asked = older_than.map(parse_span).transpose().map_err(Error::usage)?;
    let Some(span_ms) = asked.or(site.config.retention_ms) else {
        return Err(Error::usage("the configuration keeps everything: `retention` is \"forever\"")
            .hint("say how old: rowmill prune --older-than 30d"));
    };
    let cutoff_ms = before(site, span_ms);
    let removed = remove(site.existing_store()?.as_mut(), cutoff_ms, dry)?;
    let logs = date(site, cutoff_ms).map_or(0, |date| remove_old(&site.config.log_dir, date, dry));
    let what = if dry { "would be removed" } else { "removed" };
    let number = |n: usize| show::number(n as u64);
    print(&format!(
        "older than {}, {what}: tasks {}, occurrences of schedules {}, log files {}\n",
        span_text(span_ms),
        number(removed.tasks),
        number(removed.occurrences),
        number(logs)
    ))?;
    Ok(Verdict::Well)
}

/// A tick packs days of the log for this long at most, in steps of a fraction of it.
const PACK_TIME: Duration = Duration::from_secs(1);
/// How long a day of the log has to be over before it is packed.
const PACK_AFTER_MS: Millis = 3_600_000;

/// What a tick does, for about a second each: old rows, old log files, and days of the log that are over.
pub(super) fn sweep(site: &Site, store: &mut dyn Store) {
    // What could not be done is done by the next tick.
    sweep_rows(site, store).unwrap_or_else(|e| log::warn!("old rows are not removed: {e}"));
    let watch = Watch::start();
    let Some(date) = date(site, site.clock.now_ms().saturating_sub(PACK_AFTER_MS)) else { return };
    match compress_old(&site.config.log_dir, date, &mut || !watch.left_of(PACK_TIME).is_zero()) {
        Ok(days) => days.iter().for_each(|day| log::info!("the log of {day} is compressed")),
        Err(e) => log::warn!("old days of the log are not compressed: {e}"),
    }
}

/// Log files are looked at when a pass over the rows is under way.
fn sweep_rows(site: &Site, store: &mut dyn Store) -> Result<()> {
    let Some(span_ms) = site.config.retention_ms else { return Ok(()) };
    let cutoff_ms = before(site, span_ms);
    let Some(removed) = step(store, cutoff_ms, site.clock.now_ms())? else { return Ok(()) };
    let logs = date(site, cutoff_ms).map_or(0, |date| remove_old(&site.config.log_dir, date, false));
    if removed.tasks + removed.occurrences + logs > 0 {
        let (tasks, occurrences) = (removed.tasks, removed.occurrences);
        log::info!("retention is over: removed tasks={tasks} occurrences={occurrences} log_files={logs}");
    }
    Ok(())
}

fn before(site: &Site, span_ms: u64) -> Millis {
    site.clock.now_ms().saturating_sub(i64::try_from(span_ms).unwrap_or(i64::MAX))
}

/// The day of the log in which an instant lies.
fn date(site: &Site, at_ms: Millis) -> Option<NaiveDate> {
    Some(DateTime::<Utc>::from_timestamp_millis(at_ms)?.with_timezone(&site.config.timezone).date_naive())
}
