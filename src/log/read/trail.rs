//! The files that are being read, from the first wanted day on, and how far.
//!
//! When a later day's file appears, the earlier one stays open beside it until a further one comes: a process that
//! looked at its clock just before midnight may still write to it just after.

use super::Output;
use super::choose::{Filter, View};
use super::source::Source;
use super::{Query, files_of};
use crate::error::Result;
use crate::log::day::{Kind, name_of_kind};
use crate::log::old::begins_alike;
use crate::log::pack::Packed;
use chrono::NaiveDate;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Today's file, and the one before it.
const OPEN_AT_ONCE: usize = 2;

#[derive(Debug)]
pub(super) struct Trail {
    dir: PathBuf,
    filter: Filter,
    view: View,
    first: NaiveDate,
    last: NaiveDate,
    /// Open files, earliest first.
    open: VecDeque<Source>,
    /// Files that were seen and are not opened yet, earliest first.
    ahead: VecDeque<(NaiveDate, Kind)>,
}

impl Trail {
    /// Nothing yet of these days.
    pub(super) fn of(query: &Query, first: NaiveDate, last: NaiveDate) -> Trail {
        let filter = Filter { choice: query.choice.clone(), since_ms: query.since_ms, until_ms: query.until_ms };
        let (open, ahead) = (VecDeque::new(), VecDeque::new());
        Trail { dir: query.dir.clone(), filter, view: query.view, first, last, open, ahead }
    }

    /// Looks which files there are by now. A file that was replaced by another of its name is read on from that one.
    pub(super) fn look(&mut self) -> Result<()> {
        let last = self.ahead.back().map(|(date, _)| *date).or(self.open.back().map(|source| source.date));
        let replaced = self.open.back().filter(|source| source.is_replaced()).map(|source| (source.date, Kind::Plain));
        let is_new = |date: NaiveDate| date >= self.first && date <= self.last && last.is_none_or(|last| date > last);
        let mut later: Vec<_> = files_of(&self.dir)?.into_iter().filter(|(date, _)| is_new(*date)).collect();
        let doubles: Vec<NaiveDate> = later.windows(2).filter(|w| w[0].0 == w[1].0).map(|w| w[0].0).collect();
        for date in doubles {
            // Where it cannot be told, both are read, and the error is met there.
            let superfluous = superfluous(&self.dir, date).unwrap_or(None);
            later.retain(|(day, kind)| *day != date || Some(*kind) != superfluous);
        }
        self.ahead.extend(replaced.into_iter().chain(later));
        Ok(())
    }

    /// Whether the first file that was seen is that of this day.
    pub(super) fn has_begun_with(&self, date: NaiveDate) -> bool {
        self.ahead.front().is_some_and(|(first, _)| *first == date)
    }

    /// Whether no file was seen.
    pub(super) fn is_empty(&self) -> bool {
        self.ahead.is_empty()
    }

    /// Goes forward to where the last `wanted` lines of all files begin.
    pub(super) fn keep_last(&mut self, wanted: usize) -> Result<()> {
        let mut left = wanted;
        while let Some((date, kind)) = self.ahead.pop_back() {
            if let Some(mut source) = Source::open(&self.dir, date, kind, &self.filter)? {
                left -= source.keep_last(&self.filter, left)?;
                self.open.push_front(source);
            }
            if left == 0 {
                self.ahead.clear();
            }
        }
        Ok(())
    }

    /// Shows all that is there by now; says false when the output is over.
    pub(super) fn catch_up(&mut self, output: &mut Output<'_>) -> Result<bool> {
        loop {
            for source in &mut self.open {
                if !source.show_new(&self.filter, &self.view, output)? {
                    return Ok(false);
                }
            }
            let Some((date, kind)) = self.ahead.pop_front() else { return Ok(true) };
            self.open.extend(Source::open(&self.dir, date, kind, &self.filter)?);
            while self.open.len() > OPEN_AT_ONCE {
                let Some(mut past) = self.open.pop_front() else { break };
                if !past.show_rest(&self.filter, &self.view, output)? {
                    return Ok(false);
                }
            }
        }
    }

    /// Shows the last lines even where their ends are missing; says false when the output is over.
    pub(super) fn finish(&mut self, output: &mut Output<'_>) -> Result<bool> {
        for source in &mut self.open {
            if !source.show_rest(&self.filter, &self.view, output)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Of a day that stands there plain and packed: which of the two holds nothing that the other does not. So it is when
/// somebody died between the end of packing and the removal, or has unpacked it to have a look.
fn superfluous(dir: &Path, date: NaiveDate) -> io::Result<Option<Kind>> {
    let plain = File::open(dir.join(name_of_kind(date, Kind::Plain)))?;
    let mut packed = Packed::of(File::open(dir.join(name_of_kind(date, Kind::Packed)))?)?;
    if !begins_alike(&plain, &mut packed)? {
        return Ok(None);
    }
    Ok(Some(if packed.len() > plain.metadata()?.len() { Kind::Plain } else { Kind::Packed }))
}
