//! `wait`: until a task is final.
//!
//! It sleeps like a worker that listens to nobody: a look every so often at whether anything was committed, and then at the
//! one row. It holds nothing, so it can be killed at any time.

use super::args::Format;
use super::args_tasks::WaitArgs;
use super::site::Site;
use super::{Verdict, print, show, tell};
use crate::clock::Watch;
use crate::error::{Error, Result};
use crate::store::{Row, Store};
use crate::task::{Status, parse_span, span_text};
use crate::work::Stop;
use std::time::Duration;

/// Between two looks at first; then twice as long each time.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LOOK: Duration = Duration::from_millis(250);
/// The most of a result that is shown to a person, in characters.
const SHOWN: usize = 100_000;

pub(super) fn wait(site: &Site, args: &WaitArgs) -> Result<Verdict> {
    let timeout_ms = args.timeout.as_deref().map(parse_span).transpose().map_err(Error::usage)?;
    let mut store = site.existing_store()?;
    let row = until_final(store.as_mut(), args.id, timeout_ms)?;
    match args.format.format {
        Format::Json => print(&format!("{}\n", show::task(&row)))?,
        Format::Table => print(&page(&row))?,
    }
    match row.status {
        Status::Done => Ok(Verdict::Well),
        status if status.is_final() => Ok(Verdict::Failed),
        status => {
            let span = span_text(timeout_ms.unwrap_or(0));
            Err(Error::try_again(format!("task {} is still {status} after {span}", args.id))
                .hint("nothing was done to it; it goes on"))
        }
    }
}

/// The row when it is final, or when the time is over.
fn until_final(store: &mut dyn Store, id: i64, timeout_ms: Option<u64>) -> Result<Row> {
    let stop = Stop::new()?;
    let watch = Watch::start();
    let timeout = timeout_ms.map(Duration::from_millis);
    let mut look = FIRST_LOOK;
    let mut said = false;
    loop {
        let missing = || Error::failed(format!("there is no task {id}")).hint("`rowmill tasks` lists the newest ones");
        let row = store.task(id)?.ok_or_else(missing)?;
        let left = timeout.map(|timeout| watch.left_of(timeout));
        if row.status == Status::Parked && !said {
            let reason = show::excerpt(row.error.as_deref().unwrap_or_default().as_bytes(), 200);
            tell(&format!("note: task {id} is parked: {reason}\n"));
            said = true;
        }
        if row.status.is_final() || left.is_some_and(|left| left.is_zero()) {
            return Ok(row);
        }
        store.sleep(left.unwrap_or(look).min(look), stop.descriptor())?;
        look = (look * 2).min(LOOK);
    }
}

/// The status; then the result, or why there is none.
fn page(row: &Row) -> String {
    let rest = match row.status {
        Status::Done => row.result.as_deref(),
        Status::Dead => row.error.as_deref().map(str::as_bytes),
        _ => None,
    };
    let rest = rest.map(|bytes| format!("{}\n", show::excerpt(bytes, SHOWN))).unwrap_or_default();
    format!("{}\n{rest}", row.status)
}
