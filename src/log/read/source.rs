//! One file that is being read, packed or not, and how far.

use super::Output;
use super::choose::{Filter, Taken, View};
use super::seek::{ReadAt, last_of, start_of};
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::log::day::{Kind, name_of_kind};
use crate::log::pack::Packed;
use chrono::NaiveDate;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// How much is read and shown at a time.
const PAGE: usize = 64 * 1024;

/// A file, and how far it was read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) date: NaiveDate,
    path: PathBuf,
    reader: Reader,
    at: u64,
    /// The beginning of a line whose end was not there yet.
    rest: Vec<u8>,
    /// The time of the last line that had one.
    time_ms: Option<Millis>,
    /// All that is wanted of it was shown.
    over: bool,
}

#[derive(Debug)]
enum Reader {
    Plain(File),
    Packed(Box<Packed>),
}

impl ReadAt for Reader {
    fn read_at(&mut self, room: &mut [u8], at: u64) -> io::Result<usize> {
        match self {
            Reader::Plain(file) => file.read_at(room, at),
            Reader::Packed(packed) => packed.read_at(room, at),
        }
    }
}

impl Reader {
    fn len(&self) -> io::Result<u64> {
        match self {
            Reader::Plain(file) => Ok(file.metadata()?.len()),
            Reader::Packed(packed) => Ok(packed.len()),
        }
    }
}

impl Source {
    /// Opens a day's file, and stands where the filter's time begins in it; `None` when it has gone meanwhile. A day that
    /// was packed meanwhile is read packed.
    pub(super) fn open(dir: &Path, date: NaiveDate, kind: Kind, filter: &Filter) -> Result<Option<Source>> {
        let path = dir.join(name_of_kind(date, kind));
        let named = |e: io::Error| Error::from(e).during(path.display());
        let file = match File::open(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound && kind == Kind::Plain => {
                return Source::open(dir, date, Kind::Packed, filter);
            }
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(named)?,
        };
        let mut reader = match kind {
            Kind::Plain => Reader::Plain(file),
            _ => Reader::Packed(Box::new(Packed::of(file).map_err(named)?)),
        };
        let at = match filter.since_ms {
            Some(since_ms) => {
                let len = reader.len().map_err(named)?;
                start_of(&mut reader, len, since_ms).map_err(named)?
            }
            None => 0,
        };
        Ok(Some(Source { date, path, reader, at, rest: Vec::new(), time_ms: None, over: false }))
    }

    /// Goes forward to where the last `wanted` lines begin; says how many there are.
    pub(super) fn keep_last(&mut self, filter: &Filter, wanted: usize) -> Result<usize> {
        let len = self.reader.len()?;
        let last = last_of(&mut self.reader, self.at, len, filter, wanted).map_err(|e| self.named(e))?;
        (self.at, self.time_ms) = (last.at, last.time_ms);
        Ok(last.found)
    }

    /// Whether its name belongs to another file by now.
    pub(super) fn is_replaced(&self) -> bool {
        let Reader::Plain(file) = &self.reader else { return false };
        let (Ok(there), Ok(ours)) = (self.path.metadata(), file.metadata()) else { return false };
        (there.dev(), there.ino()) != (ours.dev(), ours.ino())
    }

    /// Shows the whole lines up to the present end of the file; says false when the output is over.
    pub(super) fn show_new(&mut self, filter: &Filter, view: &View, output: &mut Output<'_>) -> Result<bool> {
        if self.reader.len()? < self.at {
            (self.at, self.time_ms) = (0, None);
            self.rest.clear();
        }
        while !self.over {
            let known = self.rest.len();
            self.rest.resize(known + PAGE, 0);
            let read = self.reader.read_at(&mut self.rest[known..], self.at);
            self.rest.truncate(known + read.as_ref().unwrap_or(&0));
            let read = match read {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                read => read.map_err(|e| self.named(e))?,
            };
            if read == 0 {
                return Ok(true);
            }
            self.at += read as u64;
            let Some(end) = self.rest[known..].iter().rposition(|byte| *byte == b'\n') else { continue };
            let mut page = Vec::with_capacity(PAGE);
            for line in self.rest[..known + end].split(|byte| *byte == b'\n') {
                match filter.judge(line, &mut self.time_ms) {
                    Taken::Yes => view.put(&mut page, line, filter.choice.output),
                    Taken::No => {}
                    Taken::Over => {
                        self.over = true;
                        break;
                    }
                }
            }
            self.rest.drain(..=known + end);
            if !output.put(&page)? {
                return Ok(false);
            }
        }
        self.rest.clear();
        Ok(true)
    }

    /// Shows what is left without an end of line.
    pub(super) fn show_rest(&mut self, filter: &Filter, view: &View, output: &mut Output<'_>) -> Result<bool> {
        let rest = std::mem::take(&mut self.rest);
        let mut page = Vec::new();
        if !rest.is_empty() && filter.judge(&rest, &mut self.time_ms) == Taken::Yes {
            view.put(&mut page, &rest, filter.choice.output);
        }
        output.put(&page)
    }

    fn named(&self, e: io::Error) -> Error {
        Error::from(e).during(self.path.display())
    }
}
