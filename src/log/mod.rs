//! The day's log file. (Interface; the room is being furnished.)

use crate::clock::{Clock, Millis};
use crate::error::Result;
use chrono_tz::Tz;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// How a journal is opened.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of the day files; made when it is missing.
    pub dir: PathBuf,
    /// The zone in which days begin, and in which times are written.
    pub zone: Tz,
    /// Records below it are left out.
    pub level: ::log::LevelFilter,
    /// Write to standard error instead of the day's file.
    pub to_stderr: bool,
}

/// The day's log file, shared by all threads of a process and by all processes.
#[derive(Debug)]
pub struct Journal {}

impl Journal {
    /// Opens today's file.
    pub fn open(settings: Settings, clock: Clock) -> Result<Arc<Journal>> {
        let _ = (settings, clock);
        Ok(Arc::new(Journal {}))
    }

    /// An empty batch of lines.
    pub fn lines(&self) -> Lines {
        Lines {}
    }

    /// Appends the lines with one write.
    pub fn append(&self, lines: &Lines) {
        let _ = lines;
    }
}

/// A batch of lines that reach the file in one write.
#[derive(Debug)]
pub struct Lines {}

impl Lines {
    /// Adds one line.
    pub fn add(
        &mut self,
        now_ms: Millis,
        level: ::log::Level,
        tags: &[(&str, &dyn fmt::Display)],
        text: fmt::Arguments<'_>,
    ) {
        let _ = (now_ms, level, tags, text);
    }
}
