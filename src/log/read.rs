//! The log as people read it: a day's lines, all or those of one task or worker, and on wish those still to come.
//!
//! Lines are chosen by their tags alone, never by what an application wrote into their text. What is not a line of
//! this log (the raw output of a panic) is shown when nothing is chosen. All that is shown is free of control
//! characters. To follow is to wait in the kernel for the folder to change, never to look again after a pause.

mod trail;
mod watch;

use super::day::{date_of, name_of};
use super::line::{escape, is_steering, tags_of};
use crate::clock::Clock;
use crate::error::{Error, Result};
use chrono::{DateTime, NaiveDate};
use chrono_tz::Tz;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{ErrorKind, Write};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use trail::Trail;
use watch::{Watch, Woken};

/// Which lines are wanted.
#[derive(Debug, Clone)]
pub struct Query {
    /// The folder of the day files.
    pub dir: PathBuf,
    /// The zone that tells which day is today's.
    pub zone: Tz,
    /// The day; today when it is not given.
    pub date: Option<NaiveDate>,
    /// Only lines with the tag `task=ID`.
    pub task: Option<i64>,
    /// Only lines with the tag `worker=I` or `worker=I/N`.
    pub worker: Option<u32>,
}

/// What ends the following, besides an error. Both may be left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ends<'a> {
    /// Ends it as soon as this can be read (or is closed at its other end).
    pub stop: Option<BorrowedFd<'a>>,
    /// What the output is written to: so that it is seen at once, not at the next line, when nobody reads it any more.
    pub output: Option<BorrowedFd<'a>>,
}

/// Writes the lines of a day to `out`. An output that was closed is a quiet end.
///
/// Fails when there is no file of that day (the hint names the days that there are), or when it cannot be read.
pub fn show(query: &Query, clock: &Clock, out: &mut dyn Write) -> Result<()> {
    let date = first_date(query, clock);
    let mut trail = Trail::from(query, date);
    trail.look()?;
    if !trail.has_begun_with(date) {
        return Err(missing(&query.dir, date));
    }
    trail.keep_to_one_day();
    let mut output = Output { out, ends: Ends::default() };
    let _ = trail.catch_up(&mut output)? && trail.finish(&mut output)?;
    Ok(())
}

/// Writes the lines of a day to `out`, then those that come, on that day and the following ones, until one of `ends`
/// or until the output is closed.
///
/// Today's file need not be there yet; of an earlier day it fails like [`show`]. A folder or a file that is deleted
/// meanwhile is waited for. Where the kernel has no room for a watch, it looks once a second.
pub fn follow(query: &Query, clock: &Clock, ends: Ends<'_>, out: &mut dyn Write) -> Result<()> {
    let date = first_date(query, clock);
    // Before the first look, so that nothing can happen between the two unseen.
    let mut watch = Watch::new(&query.dir);
    let mut trail = Trail::from(query, date);
    trail.look()?;
    if !trail.has_begun_with(date) && (date < today(query, clock) || !query.dir.is_dir()) {
        return Err(missing(&query.dir, date));
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

/// The days that have a file, earliest first.
///
/// Fails when the folder cannot be read; one that is missing has none.
pub fn days(dir: &Path) -> Result<Vec<NaiveDate>> {
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|e| Error::from(e).during(dir.display()))?,
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut days: Vec<NaiveDate> = names.filter_map(|name| date_of(&name)).collect();
    days.sort_unstable();
    Ok(days)
}

fn first_date(query: &Query, clock: &Clock) -> NaiveDate {
    query.date.unwrap_or_else(|| today(query, clock))
}

fn today(query: &Query, clock: &Clock) -> NaiveDate {
    DateTime::from_timestamp_millis(clock.now_ms()).unwrap_or_default().with_timezone(&query.zone).date_naive()
}

fn missing(dir: &Path, date: NaiveDate) -> Error {
    const NAMED: usize = 7;
    let error = Error::failed(format!("there is no log of {date}: {}", dir.join(name_of(date)).display()));
    let days = days(dir).unwrap_or_default();
    let latest: Vec<String> = days.iter().rev().take(NAMED).map(NaiveDate::to_string).collect();
    match days.len() {
        0 => error.hint(format!("{} holds no logs at all", dir.display())),
        1..=NAMED => error.hint(format!("there are logs of {}", latest.join(", "))),
        more => error.hint(format!("there are logs of {more} days, the latest {}", latest.join(", "))),
    }
}

/// Which lines are shown.
#[derive(Debug, Clone, Copy)]
struct Filter {
    task: Option<i64>,
    worker: Option<u32>,
}

impl Filter {
    fn takes(&self, line: &[u8]) -> bool {
        if self.task.is_none() && self.worker.is_none() {
            return true;
        }
        let (mut task, mut worker) = (None, None);
        for (key, value) in tags_of(line).into_iter().flatten() {
            match key {
                b"task" => task = task.or(number(value)),
                // The index stands in front of the number of partitions.
                b"worker" => worker = worker.or(value.split(|byte| *byte == b'/').next().and_then(number)),
                _ => {}
            }
        }
        let is = |wanted: Option<i64>, found| wanted.is_none() || wanted == found;
        is(self.task, task) && is(self.worker.map(i64::from), worker)
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Adds a line as it is shown: what this log wrote is so already, raw output is made harmless.
fn put_line(page: &mut Vec<u8>, line: &[u8]) {
    match std::str::from_utf8(line) {
        Ok(text) if !text.contains(is_steering) => page.extend_from_slice(line),
        _ => escape(page, &String::from_utf8_lossy(line), false),
    }
    page.push(b'\n');
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
