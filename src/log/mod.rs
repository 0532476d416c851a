//! The day's log file: `<dir>/rowmill-2026-11-21.log`, and `<dir>/rowmill.log`, a link to today's.
//!
//! All threads of all processes append to the one file. A batch of [`Lines`] is one write(2) to a handle opened for
//! appending, so whole lines of different writers follow each other and none is torn. The log never stops the work:
//! what cannot be written is dropped and counted, and the count is a line of its own once writing works again.
//! [`read`] is the other side: a day's lines, chosen by their tags, and those that are still to come.

mod day;
mod entry;
mod facade;
mod line;
mod old;
mod pack;
pub mod read;
mod sharing;
mod stamp;

pub(crate) use line::is_steering;
pub use line::{Form, Lines};
pub use old::{compress_old, remove_old};
pub use sharing::{Files, files, share};

use crate::clock::{Clock, Millis};
use crate::error::{Error, Result};
use chrono_tz::Tz;
use day::DayFile;
use rustix::io::Errno;
use stamp::Stamp;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a journal is opened.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of the day files; made when it is missing.
    pub dir: PathBuf,
    /// The zone in which days begin, and in which times are written.
    pub zone: Tz,
    /// Records below it are left out.
    pub level: ::log::LevelFilter,
    /// The form of each line.
    pub form: Form,
    /// Write to standard error instead of the day's file.
    pub to_stderr: bool,
}

/// The day's log file, shared by all threads of a process and by all processes.
#[derive(Debug)]
pub struct Journal {
    settings: Settings,
    clock: Clock,
    /// What each new batch is a copy of: the tags of the process, and the second that was written last.
    blank: Mutex<Lines>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    sink: Sink,
    /// Lines that could not be written since the last that could.
    dropped: u64,
    /// Why the last of them could not.
    cause: String,
    /// The last write ended within a line.
    torn: bool,
}

#[derive(Debug)]
enum Sink {
    Day(DayFile),
    Stream(File),
}

impl Journal {
    /// Opens today's file, and makes it and its folder when they are missing. Any number of processes may do so at once.
    ///
    /// Fails when the folder cannot be made or the file not be opened, unless the cause passes by itself (a full disk,
    /// too many open files): then lines are dropped and counted until it has passed.
    pub fn open(settings: Settings, clock: Clock) -> Result<Arc<Journal>> {
        if settings.to_stderr {
            let stream = io::stderr().as_fd().try_clone_to_owned()?;
            return Ok(Arc::new(Journal::onto(Sink::Stream(stream.into()), settings, clock)));
        }
        let mut day = DayFile::new(settings.dir.clone(), settings.zone);
        let now_ms = clock.now_ms();
        if let Err(e) = day.ready(now_ms)
            && !passes_by_itself(&e)
        {
            let path = day.path(now_ms);
            return Err(Error::failed(format!("the log {} cannot be opened: {e}", path.display()))
                .hint("name a log folder that this user can write, or log to standard error (--log stderr)"));
        }
        Ok(Arc::new(Journal::onto(Sink::Day(day), settings, clock)))
    }

    fn onto(sink: Sink, settings: Settings, clock: Clock) -> Journal {
        let blank = Mutex::new(Lines::new(settings.level, settings.form, Stamp::new(settings.zone)));
        let state = Mutex::new(State { sink, dropped: 0, cause: String::new(), torn: false });
        Journal { settings, clock, blank, state }
    }

    /// Sets the tags that stand first in each line of this process (`worker=3/10`), instead of those set before.
    /// Batches that were begun earlier keep the earlier ones.
    pub fn tagged(&self, tags: &[(&str, &dyn fmt::Display)]) {
        // Written before the lock is taken: a value may itself log something while it is.
        let tags = line::written(self.settings.form, tags);
        lock(&self.blank).set_tags(tags);
    }

    /// Makes this journal the target of the `log` macros, in a line of the same format and one write each. What the
    /// libraries underneath say below `warn` is left out. Fails when the process has such a target already.
    pub fn install(self: &Arc<Self>) -> Result<()> {
        let logger = facade::logger(self);
        let level = logger.filter();
        ::log::set_boxed_logger(Box::new(logger)).map_err(|e| Error::failed(format!("the log macros: {e}")))?;
        ::log::set_max_level(level);
        Ok(())
    }

    /// Makes panics of this process lines of this journal, instead of raw words on standard error.
    pub fn take_panics(self: &Arc<Self>) {
        facade::take_panics(self);
    }

    /// An empty batch of lines.
    pub fn lines(&self) -> Lines {
        let mut blank = lock(&self.blank);
        let now_ms = self.clock.now_ms();
        // Asked here, the zone answers for the batch that is about to be written, and for those after it.
        blank.stamp().date(now_ms);
        blank.clone()
    }

    /// Appends the lines with one write, to the file of the day on which that happens. Never fails: lines that cannot
    /// be written are dropped, and the next ones that can are led by a line that says how many those were and why.
    /// A process that is killed within it leaves the first part of the lines, the last of them perhaps cut.
    pub fn append(&self, lines: &Lines) {
        self.put(lines.bytes(), lines.len());
    }

    /// Goes over to today's file when the day has changed, also when there is nothing to write: so that nobody keeps an old
    /// day open, and what this process writes past the log is found under the right day. What cannot be opened now is
    /// tried again by the next line.
    pub fn turn(&self) {
        if let Sink::Day(day) = &mut lock(&self.state).sink {
            let _ = day.ready(self.clock.now_ms());
        }
    }

    /// The path of today's file; that of another day after midnight. It need not exist when this writes to standard
    /// error.
    pub fn file(&self) -> PathBuf {
        let date = lock(&self.blank).stamp().date(self.clock.now_ms());
        self.settings.dir.join(day::name_of(date))
    }

    /// A handle that appends to today's file (or to standard error), for the output of processes that are started.
    /// It stays with that day's file, unless it becomes the standard output
    /// or error of a process with a journal of its own, which takes them along. Fails when the file cannot be opened.
    pub fn raw_handle(&self) -> Result<File> {
        let mut state = lock(&self.state);
        let file = match &mut state.sink {
            Sink::Day(day) => day.ready(self.clock.now_ms()).and_then(File::try_clone),
            Sink::Stream(stream) => stream.try_clone(),
        };
        file.map_err(|e| Error::from(e).during(format_args!("the log {}", self.file().display())))
    }

    /// Writes whole lines, behind the note on those that were dropped before.
    fn put(&self, bytes: &[u8], count: u64) {
        if count == 0 {
            return;
        }
        let mut state = lock(&self.state);
        let now_ms = self.clock.now_ms();
        if state.dropped == 0 && !state.torn {
            state.write(bytes, 0, count, now_ms);
        } else {
            let mut all = self.note(&state, now_ms);
            let note_len = all.len();
            all.extend_from_slice(bytes);
            state.write(&all, note_len, count, now_ms);
        }
    }

    fn note(&self, state: &State, now_ms: Millis) -> Vec<u8> {
        let mut lines = self.lines();
        lines.set_level(::log::LevelFilter::Warn);
        let were = if state.dropped == 1 { "line was" } else { "lines were" };
        let text = format_args!("{} {were} dropped: {}", state.dropped, state.cause);
        lines.add(now_ms, ::log::Level::Warn, &[], text);
        let mut note = if state.torn { vec![b'\n'] } else { Vec::new() };
        note.extend_from_slice(lines.bytes());
        note
    }
}

impl State {
    /// Writes `count` lines that stand behind a note of `note_len` bytes, and keeps the account of what was not written.
    fn write(&mut self, bytes: &[u8], note_len: usize, count: u64, now_ms: Millis) {
        let (written, failure) = self.sink.write(bytes, now_ms);
        let Some(failure) = failure else {
            self.dropped = 0;
            self.torn = false;
            return;
        };
        if written >= note_len {
            self.dropped = 0;
        }
        let kept = bytes[note_len.min(written)..written].iter().filter(|byte| **byte == b'\n').count() as u64;
        self.dropped = self.dropped.saturating_add(count.saturating_sub(kept));
        if written > 0 {
            self.torn = bytes[written - 1] != b'\n';
        }
        self.cause = failure.to_string();
    }
}

impl Sink {
    /// How many bytes were written, and why not all. A day's file that fails is opened anew: at once when nothing was
    /// written yet, since the handle may be what is wrong, and before the next write in any case.
    fn write(&mut self, bytes: &[u8], now_ms: Millis) -> (usize, Option<io::Error>) {
        match self {
            Sink::Stream(stream) => write_whole(stream, bytes),
            Sink::Day(day) => {
                let first = append_to(day, bytes, now_ms);
                if first.1.is_some() && first.0 == 0 { append_to(day, bytes, now_ms) } else { first }
            }
        }
    }
}

fn append_to(day: &mut DayFile, bytes: &[u8], now_ms: Millis) -> (usize, Option<io::Error>) {
    let (written, failure) = match day.ready(now_ms) {
        Ok(file) => write_whole(file, bytes),
        Err(e) => (0, Some(e)),
    };
    if failure.is_some() {
        day.forget();
    }
    (written, failure)
}

/// One write(2) as long as the kernel takes all at once, which it does for a file on a disk that is not full.
fn write_whole(mut file: &File, bytes: &[u8]) -> (usize, Option<io::Error>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return (written, Some(io::ErrorKind::WriteZero.into())),
            Ok(len) => written += len,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return (written, Some(e)),
        }
    }
    (written, None)
}

fn passes_by_itself(e: &io::Error) -> bool {
    use Errno as E;
    Errno::from_io_error(e)
        .is_some_and(|e| [E::NOSPC, E::DQUOT, E::MFILE, E::NFILE, E::NOMEM, E::IO, E::STALE].contains(&e))
}

/// A panic elsewhere leaves nothing half done in here that the next user would not put right.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
