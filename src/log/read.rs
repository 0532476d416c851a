//! The log as people read it: a day's lines or those of a range of time, chosen, and on wish those still to come.
//!
//! Lines are chosen by their tags alone, never by what an application wrote into their text. What is not a line of
//! this log (the raw output of a panic) belongs to the time of the line before it, and is shown when nothing is chosen
//! by tags. All that is shown is free of control characters. A time is found by bisection. To follow is to wait in the
//! kernel for the folder to change, never to look again after a pause.

mod choose;
mod seek;
mod source;
mod trail;
mod watch;

pub use choose::{Choice, View};

use super::day::{Kind, kind_of, name_of};
use crate::clock::{Clock, Millis};
use crate::error::{Error, Result};
use chrono::{DateTime, NaiveDate};
use chrono_tz::Tz;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{ErrorKind, Write};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use trail::Trail;
use watch::{Watch, Woken};

/// Which lines are wanted, and how.
#[derive(Debug, Clone)]
pub struct Query {
    /// The folder of the day files.
    pub dir: PathBuf,
    /// The zone that tells which day is today's.
    pub zone: Tz,
    /// The file of this day only. Without it, and without times, today's.
    pub date: Option<NaiveDate>,
    /// Only lines of this instant and later ones.
    pub since_ms: Option<Millis>,
    /// Only lines from before this instant.
    pub until_ms: Option<Millis>,
    /// Which of them.
    pub choice: Choice,
    /// Only that many of them, the last ones.
    pub last: Option<usize>,
    /// How they are shown.
    pub view: View,
}

/// What ends the following, besides an error. Both may be left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ends<'a> {
    /// Ends it as soon as this can be read (or is closed at its other end).
    pub stop: Option<BorrowedFd<'a>>,
    /// What the output is written to: so that it is seen at once, not at the next line, when nobody reads it any more.
    pub output: Option<BorrowedFd<'a>>,
}

/// Writes the lines that are wanted to `out`. An output that was closed is a quiet end.
///
/// Fails when there is no file of the wanted days (the hint names the days that there are), or when one cannot be read.
pub fn show(query: &Query, clock: &Clock, out: &mut dyn Write) -> Result<()> {
    let (first, last) = days_of(query, clock);
    let mut trail = Trail::of(query, first, last);
    trail.look()?;
    if trail.is_empty() {
        return Err(missing(&query.dir, first, last));
    }
    if let Some(wanted) = query.last {
        trail.keep_last(wanted)?;
    }
    let mut output = Output { out, ends: Ends::default() };
    let _ = trail.catch_up(&mut output)? && trail.finish(&mut output)?;
    Ok(())
}

/// Writes the lines that are wanted to `out`, then those that come, on that day and the following ones, until one of
/// `ends` or until the output is closed.
///
/// Today's file need not be there yet; of an earlier day it fails like [`show`]. A folder or a file that is deleted
/// meanwhile is waited for. Where the kernel has no room for a watch, it looks once a second.
pub fn follow(query: &Query, clock: &Clock, ends: Ends<'_>, out: &mut dyn Write) -> Result<()> {
    let (first, _) = days_of(query, clock);
    // Before the first look, so that nothing can happen between the two unseen.
    let mut watch = Watch::new(&query.dir);
    let mut trail = Trail::of(query, first, NaiveDate::MAX);
    trail.look()?;
    let is_past = first < today(query, clock) && query.since_ms.is_none();
    if (is_past && !trail.has_begun_with(first)) || (trail.is_empty() && !query.dir.is_dir()) {
        return Err(missing(&query.dir, first, first));
    }
    if let Some(wanted) = query.last {
        trail.keep_last(wanted)?;
    }
    let mut output = Output { out, ends };
    while trail.catch_up(&mut output)? {
        match watch.wait(ends)? {
            Woken::Ended => break,
            Woken::Grown => {}
            Woken::Changed => trail.look()?,
        }
    }
    Ok(())
}

/// The files of days, earliest first, and of one day the packed one first. A folder that is missing has none.
fn files_of(dir: &Path) -> Result<Vec<(NaiveDate, Kind)>> {
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|e| Error::from(e).during(dir.display()))?,
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut files: Vec<_> = names.filter_map(|name| kind_of(&name)).filter(|(_, kind)| *kind != Kind::Part).collect();
    files.sort_unstable_by_key(|(date, kind)| (*date, *kind == Kind::Plain));
    Ok(files)
}

/// The days whose files are read: a line may stand in the file of the day after its own, when it was written just after
/// midnight.
fn days_of(query: &Query, clock: &Clock) -> (NaiveDate, NaiveDate) {
    if let Some(date) = query.date {
        return (date, date);
    }
    let day = |at_ms: Option<Millis>| at_ms.map(|at_ms| day_of(at_ms, query.zone));
    let until_ms = query.until_ms.map(|until_ms| until_ms.saturating_add(seek::SLACK_MS));
    let (first, last) = (day(query.since_ms), day(until_ms));
    if first.is_none() && last.is_none() {
        let today = today(query, clock);
        return (today, today);
    }
    (first.unwrap_or(NaiveDate::MIN), last.unwrap_or(NaiveDate::MAX))
}

fn today(query: &Query, clock: &Clock) -> NaiveDate {
    day_of(clock.now_ms(), query.zone)
}

fn day_of(at_ms: Millis, zone: Tz) -> NaiveDate {
    DateTime::from_timestamp_millis(at_ms).unwrap_or_default().with_timezone(&zone).date_naive()
}

fn missing(dir: &Path, first: NaiveDate, last: NaiveDate) -> Error {
    const NAMED: usize = 7;
    let error = Error::failed(if first == last {
        format!("there is no log of {first}: {}", dir.join(name_of(first)).display())
    } else {
        format!("there is no log of these days in {}", dir.display())
    });
    let mut days: Vec<NaiveDate> = files_of(dir).unwrap_or_default().into_iter().map(|(date, _)| date).collect();
    days.dedup();
    let latest: Vec<String> = days.iter().rev().take(NAMED).map(NaiveDate::to_string).collect();
    match days.len() {
        0 => error.hint(format!("{} holds no logs at all", dir.display())),
        1..=NAMED => error.hint(format!("there are logs of {}", latest.join(", "))),
        more => error.hint(format!("there are logs of {more} days, the latest {}", latest.join(", "))),
    }
}

/// Where the lines go.
struct Output<'a> {
    out: &'a mut dyn Write,
    ends: Ends<'a>,
}

impl Output<'_> {
    /// Writes a page of lines; says false when it is over.
    fn put(&mut self, page: &[u8]) -> Result<bool> {
        if self.ends.wait(None, Some(0))?.0 {
            return Ok(false);
        }
        if page.is_empty() {
            return Ok(true);
        }
        match self.out.write_all(page).and_then(|()| self.out.flush()) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(e) => Err(Error::from(e).during("the lines cannot be written")),
        }
    }
}

impl Ends<'_> {
    /// Waits until one of the ends has come, or `other` can be read, or the time is over; says which of the two.
    fn wait(&self, other: Option<BorrowedFd<'_>>, bound_s: Option<i64>) -> Result<(bool, bool)> {
        let mut fds = Vec::with_capacity(3);
        fds.extend(self.stop.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        // Asked for nothing, poll still reports that the other end is gone.
        fds.extend(self.output.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty())));
        let ends = fds.len();
        fds.extend(other.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        if fds.is_empty() && bound_s == Some(0) {
            return Ok((false, false));
        }
        let bound = bound_s.map(|tv_sec| Timespec { tv_sec, tv_nsec: 0 });
        match poll(&mut fds, bound.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let came = |fds: &[PollFd<'_>]| fds.iter().any(|fd| !fd.revents().is_empty());
        Ok((came(&fds[..ends]), came(&fds[ends..])))
    }
}

#[cfg(test)]
mod tests;
