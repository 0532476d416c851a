//! `doctor`: whether the data are as they must be, and how what lies around them stands. It writes nothing.
//!
//! What the configuration says is `check`'s; here the database, its files and processes are looked at, beside whatever works.

mod notes;
mod shown;

use super::args::{DoctorArgs, Format};
use super::site::Site;
use super::{Verdict, print, tell};
use crate::clock::Watch;
use crate::error::{Error, Kind, Result};
use crate::store::sqlite::{Examiner, LogReader, log_readers};
use crate::store::{Backlog, Condition, Examine, Found, Step};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::event::{Timespec, poll};
use std::collections::BTreeSet;
use std::io::IsTerminal;

/// Who reads the log is looked at that often, besides before and after everything else.
const LOOKS: u32 = 3;
/// Between two of these looks.
const BETWEEN: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Everything that was seen.
pub(super) struct Seen {
    pub(super) database: String,
    pub(super) found: Vec<Found>,
    pub(super) waiting: Backlog,
    pub(super) condition: Condition,
    /// Those that read the log at every look.
    pub(super) readers: Vec<LogReader>,
    /// The jobs that are known here; `None` when the configuration does not say.
    pub(super) known: Option<BTreeSet<String>>,
    pub(super) now_ms: i64,
    pub(super) took_ms: u64,
}

pub(super) fn doctor(site: &Site, args: &DoctorArgs) -> Result<Verdict> {
    let watch = Watch::start();
    // Before the database is open here, and again when it is no more: see there.
    let mut readers = match site.database.exists() {
        true => log_readers(&site.database)?,
        false => Vec::new(),
    };
    let mut examiner = Examiner::open(&site.database)?;
    let database = examiner.file().display().to_string();
    let bar = Bar::new();
    let now_ms = site.clock.now_ms();
    let damaged = |e: Error| match e.kind() {
        Kind::Failed => e.hint("the laws of the data could not all be looked at"),
        _ => e,
    };
    let examined = examiner.examine(now_ms, &mut |step| bar.at(&step)).map_err(damaged)?;
    let mut found = examined.found;
    if args.deep {
        bar.reading();
        found.extend(examiner.examine_file()?);
    }
    bar.0.finish_and_clear();
    let condition = examiner.condition()?;
    drop(examiner);
    for _ in 0..LOOKS {
        if readers.is_empty() {
            break;
        }
        // An interruption only makes the pause shorter.
        let _ = poll(&mut [], Some(&BETWEEN));
        let now = log_readers(&site.database)?;
        readers.retain(|reader| now.contains(reader));
    }
    let known = site.registry().ok().map(|registry| registry.names().map(str::to_string).collect());
    let took_ms = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX);
    let waiting = examined.waiting;
    let seen = Seen { database, found, waiting, condition, readers, known, now_ms, took_ms };
    print(&match args.format.format {
        Format::Json => format!("{}\n", shown::as_json(&seen)),
        Format::Table => shown::as_text(site, &seen),
    })?;
    Ok(if seen.breaches() == 0 { Verdict::Well } else { Verdict::Failed })
}

impl Seen {
    /// How many laws do not hold that must.
    fn breaches(&self) -> usize {
        self.found.iter().filter(|found| found.is_breach()).count()
    }
}

/// How far the examination is, on a terminal; nothing elsewhere.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Bar {
        if !std::io::stderr().is_terminal() {
            return Bar(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
        match ProgressStyle::with_template("{msg:18} {bar:40} {human_pos}/{human_len}, {eta} left") {
            Ok(style) => bar.set_style(style),
            Err(e) => tell(&format!("the progress bar is left plain: {e}\n")),
        }
        Bar(bar)
    }

    fn at(&self, step: &Step) {
        self.0.set_message(step.part);
        self.0.set_length(step.of.unwrap_or(step.done).max(step.done));
        self.0.set_position(step.done);
    }

    fn reading(&self) {
        self.0.set_message("the whole file");
        self.0.set_position(0);
    }
}
