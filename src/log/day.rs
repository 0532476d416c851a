//! The file of the day: its name, its opening, and the link `rowmill.log` that points at today's.
//!
//! The handle is kept and checked before each write: another day, or a file that is no longer in the folder, and the
//! right one is opened or made again, the folder included. Nothing here waits for another process: many may open,
//! write and move the link at once. Whoever has a day's file open has a shared lock on it, so that it is neither packed nor
//! removed while he may still write; standard output and error go with the day where they were put onto its file.

use super::stamp::Stamp;
use crate::clock::Millis;
use crate::share;
use chrono::NaiveDate;
use chrono_tz::Tz;
use rustix::fs::{FlockOperation, OFlags, flock};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

/// The name of the link to today's file.
pub(super) const LINK: &str = "rowmill.log";

/// After so long the path is looked at again: a file that was moved away still counts as linked.
const LOOK_EVERY_MS: Millis = 1000;

/// What a file of a day is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Its lines, as they are written.
    Plain,
    /// All of them, packed.
    Packed,
    /// A packed file in the making.
    Part,
}

impl Kind {
    pub(super) const ALL: [Kind; 3] = [Kind::Plain, Kind::Packed, Kind::Part];

    /// What stands before and behind the date.
    fn around(self) -> (&'static str, &'static str) {
        match self {
            Kind::Plain => ("rowmill-", ".log"),
            Kind::Packed => ("rowmill-", ".log.gz"),
            Kind::Part => (".rowmill-", ".log.gz.part"),
        }
    }
}

/// The name of a day's file.
pub(super) fn name_of(date: NaiveDate) -> String {
    name_of_kind(date, Kind::Plain)
}

/// The name of a day's file of this kind.
pub(super) fn name_of_kind(date: NaiveDate, kind: Kind) -> String {
    let (before, behind) = kind.around();
    format!("{before}{date}{behind}")
}

/// The day of a file's name, and what the file is; `None` for other files.
pub(super) fn kind_of(name: &str) -> Option<(NaiveDate, Kind)> {
    Kind::ALL.into_iter().find_map(|kind| {
        let (before, behind) = kind.around();
        let date = name.strip_prefix(before)?.strip_suffix(behind)?;
        if date.len() == 10 { Some((date.parse().ok()?, kind)) } else { None }
    })
}

/// Today's file, open for appending.
#[derive(Debug)]
pub(super) struct DayFile {
    dir: PathBuf,
    stamp: Stamp,
    date: NaiveDate,
    file: Option<File>,
    /// The file that was in hand last: device and inode.
    last: Option<(u64, u64)>,
    looked_ms: Millis,
}

impl DayFile {
    pub(super) fn new(dir: PathBuf, zone: Tz) -> DayFile {
        DayFile { dir, stamp: Stamp::new(zone), date: NaiveDate::MIN, file: None, last: None, looked_ms: 0 }
    }

    /// The path of the file of the day of `now_ms`.
    pub(super) fn path(&mut self, now_ms: Millis) -> PathBuf {
        self.dir.join(name_of(self.stamp.date(now_ms)))
    }

    /// The file of the day of `now_ms`; opened, and made with its folder, when the one in hand is not it.
    pub(super) fn ready(&mut self, now_ms: Millis) -> io::Result<&File> {
        let date = self.stamp.date(now_ms);
        if date != self.date || !self.is_in_place(now_ms) {
            self.forget();
            self.date = date;
        }
        if self.file.is_none() {
            let file = open(&self.dir, &name_of(date))?;
            self.looked_ms = now_ms;
            point_link(&self.dir, &name_of(date));
            self.take_streams_along(&file);
            self.last = file.metadata().ok().map(|ours| (ours.dev(), ours.ino()));
            self.file = Some(file);
        }
        self.file.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Closes the file, so that the next use opens it anew.
    pub(super) fn forget(&mut self) {
        self.file = None;
    }

    /// What this process writes past the log (a panic, say) goes to the new file too, if it went to the last one, or to
    /// that of the day before. On failure it stays where it is, which costs nothing but the place.
    fn take_streams_along(&self, file: &File) {
        let path = self.date.pred_opt().map(|before| self.dir.join(name_of(before)));
        let before = path.and_then(|path| path.metadata().ok()).map(|there| (there.dev(), there.ino()));
        let is_left = |fd| {
            let there = rustix::fs::fstat(fd).ok().map(|there| (there.st_dev, there.st_ino));
            there.is_some() && (there == self.last || there == before)
        };
        if is_left(rustix::stdio::stdout()) {
            let _ = rustix::stdio::dup2_stdout(file);
        }
        if is_left(rustix::stdio::stderr()) {
            let _ = rustix::stdio::dup2_stderr(file);
        }
    }

    fn is_in_place(&mut self, now_ms: Millis) -> bool {
        let Some(file) = &self.file else { return false };
        let Ok(ours) = file.metadata() else { return false };
        if ours.nlink() == 0 {
            return false;
        }
        if (now_ms - self.looked_ms).unsigned_abs() < LOOK_EVERY_MS.unsigned_abs() {
            return true;
        }
        self.looked_ms = now_ms;
        let name = name_of(self.date);
        // Two processes at midnight can move the link in the wrong order; whoever looks next puts it right.
        point_link(&self.dir, &name);
        self.dir.join(name).metadata().is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()))
    }
}

fn open(dir: &Path, name: &str) -> io::Result<File> {
    let path = dir.join(name);
    let open = || -> io::Result<File> {
        let file = match share::inherited(dir, share::LOG_FILE, share::LOG_FILE)? {
            Some(want) => share::open_or_make(&path, OFlags::WRONLY | OFlags::APPEND, want).map(File::from)?,
            None => OpenOptions::new().append(true).create(true).mode(0o640).open(&path)?,
        };
        // Where it cannot be had (a file system without locks, somebody who packs it just now) the log goes on all the same.
        let _ = flock(&file, FlockOperation::NonBlockingLockShared);
        Ok(file)
    };
    match open() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            make_folder(dir)?;
            open()
        }
        done => done,
    }
}

/// Makes the folder, and those above it that are missing.
fn make_folder(dir: &Path) -> io::Result<()> {
    match dir.parent().map(|above| share::inherited(above, share::LOG_FOLDER, 0o750)) {
        Some(Ok(Some(want))) => Ok(share::make_folder(dir, want)?),
        _ => DirBuilder::new().recursive(true).mode(0o750).create(dir),
    }
}

/// Points the link at a file of its own folder. A link that cannot be made is a pity, never a reason to stop; and what
/// is not a link is somebody's file, and left alone.
///
/// The new link is made beside it and moved over it, so that readers always find one. Its name follows from where it
/// points: whoever makes it at the same time, or died between the two steps, made the same, and any of them may move it.
fn point_link(dir: &Path, name: &str) {
    let link = dir.join(LINK);
    match std::fs::read_link(&link) {
        Ok(target) if target.as_os_str() == name => return,
        Err(e) if e.kind() != io::ErrorKind::NotFound => return,
        _ => {}
    }
    let fresh = dir.join(format!(".{name}.link"));
    let made = symlink(name, &fresh);
    if made.is_ok() || made.is_err_and(|e| e.kind() == io::ErrorKind::AlreadyExists) {
        let _ = std::fs::rename(&fresh, &link);
    }
}
