//! The files that are being read, from the first wanted day on, and how far.
//!
//! When a later day's file appears, the earlier one stays open beside it until a further one comes: a process that
//! looked at its clock just before midnight may still write to it just after.

use super::{Filter, Output, Query, days, put_line};
use crate::error::{Error, Result};
use crate::log::day::name_of;
use chrono::NaiveDate;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How much is read and shown at a time.
const PAGE: usize = 64 * 1024;

/// Today's file, and the one before it.
const OPEN_AT_ONCE: usize = 2;

#[derive(Debug)]
pub(super) struct Trail {
    dir: PathBuf,
    filter: Filter,
    first: NaiveDate,
    /// Open files, earliest first.
    open: VecDeque<Source>,
    /// Files that were seen and are not opened yet, earliest first.
    ahead: VecDeque<NaiveDate>,
}

/// A file, and how far it was read.
#[derive(Debug)]
struct Source {
    date: NaiveDate,
    file: File,
    at: u64,
    /// The beginning of a line whose end was not there yet.
    rest: Vec<u8>,
}

impl Trail {
    /// Nothing yet of the days from `first` on.
    pub(super) fn from(query: &Query, first: NaiveDate) -> Trail {
        let filter = Filter { task: query.task, worker: query.worker };
        Trail { dir: query.dir.clone(), filter, first, open: VecDeque::new(), ahead: VecDeque::new() }
    }

    /// Looks which files there are by now. A file that was replaced by another of its name is read on from that one.
    pub(super) fn look(&mut self) -> Result<()> {
        let last = self.ahead.back().copied().or(self.open.back().map(|source| source.date));
        let replaced = self.open.back().filter(|source| source.is_replaced(&self.dir)).map(|source| source.date);
        let is_new = |date: &NaiveDate| *date >= self.first && last.is_none_or(|last| *date > last);
        let later = days(&self.dir)?.into_iter().filter(is_new);
        self.ahead.extend(replaced.into_iter().chain(later));
        Ok(())
    }

    /// Whether the first file that was seen is that of this day.
    pub(super) fn has_begun_with(&self, date: NaiveDate) -> bool {
        self.ahead.front() == Some(&date)
    }

    /// Leaves out all days behind the first.
    pub(super) fn keep_to_one_day(&mut self) {
        self.ahead.truncate(1);
    }

    /// Shows all that is there by now; says false when the output is over.
    pub(super) fn catch_up(&mut self, output: &mut Output<'_>) -> Result<bool> {
        loop {
            for source in &mut self.open {
                if !source.show_new(&self.filter, output)? {
                    return Ok(false);
                }
            }
            let Some(date) = self.ahead.pop_front() else { return Ok(true) };
            self.open.extend(Source::open(&self.dir, date)?);
            if self.open.len() > OPEN_AT_ONCE
                && let Some(mut past) = self.open.pop_front()
                && !past.show_rest(&self.filter, output)?
            {
                return Ok(false);
            }
        }
    }

    /// Shows the last lines even where their ends are missing; says false when the output is over.
    pub(super) fn finish(&mut self, output: &mut Output<'_>) -> Result<bool> {
        for source in &mut self.open {
            if !source.show_rest(&self.filter, output)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Source {
    /// Opens a day's file; `None` when it has gone meanwhile.
    fn open(dir: &Path, date: NaiveDate) -> Result<Option<Source>> {
        let path = dir.join(name_of(date));
        match File::open(&path) {
            Ok(file) => Ok(Some(Source { date, file, at: 0, rest: Vec::new() })),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::from(e).during(path.display())),
        }
    }

    /// Whether its name belongs to another file by now.
    fn is_replaced(&self, dir: &Path) -> bool {
        let (Ok(there), Ok(ours)) = (dir.join(name_of(self.date)).metadata(), self.file.metadata()) else {
            return false;
        };
        (there.dev(), there.ino()) != (ours.dev(), ours.ino())
    }

    /// Shows the whole lines up to the present end of the file.
    fn show_new(&mut self, filter: &Filter, output: &mut Output<'_>) -> Result<bool> {
        if self.file.metadata()?.len() < self.at {
            self.file.rewind()?;
            self.at = 0;
            self.rest.clear();
        }
        loop {
            let known = self.rest.len();
            self.rest.resize(known + PAGE, 0);
            let read = read_some(&mut self.file, &mut self.rest[known..]);
            self.rest.truncate(known + read.as_ref().unwrap_or(&0));
            let read = read?;
            if read == 0 {
                return Ok(true);
            }
            self.at += read as u64;
            let Some(end) = self.rest[known..].iter().rposition(|byte| *byte == b'\n') else { continue };
            let mut page = Vec::with_capacity(PAGE);
            for line in self.rest[..known + end].split(|byte| *byte == b'\n').filter(|line| filter.takes(line)) {
                put_line(&mut page, line);
            }
            self.rest.drain(..=known + end);
            if !output.put(&page)? {
                return Ok(false);
            }
        }
    }

    /// Shows what is left without an end of line.
    fn show_rest(&mut self, filter: &Filter, output: &mut Output<'_>) -> Result<bool> {
        let rest = std::mem::take(&mut self.rest);
        let mut page = Vec::new();
        if !rest.is_empty() && filter.takes(&rest) {
            put_line(&mut page, &rest);
        }
        output.put(&page)
    }
}

fn read_some(file: &mut File, room: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match file.read(room) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
