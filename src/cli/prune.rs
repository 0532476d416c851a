//! `prune`, and what a tick does about old rows and log files.

use super::site::Site;
use super::{Verdict, print, show};
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::log::remove_old;
use crate::schedule::{prune as remove, sweep as step};
use crate::store::Store;
use crate::task::{parse_span, span_text};
use chrono::{DateTime, NaiveDate, Utc};

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

/// What a tick does, for a second at most. Log files are looked at when a pass over the rows is under way.
pub(super) fn sweep(site: &Site, store: &mut dyn Store) -> Result<()> {
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
