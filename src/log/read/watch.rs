//! Waiting for the log folder to change, by inotify.
//!
//! The folder above it is watched as well: as long as we hold a file open, the kernel does not say that the file's
//! folder was removed, other than to those who watch the folder above. A watch is lost with its folder, and the kernel
//! may have none to give; then the wait is bounded by a second, and each wait begins by trying for a new one.

use super::Ends;
use crate::error::Result;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Why a wait was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// It was told to end, or nobody reads the output any more.
    Ended,
    /// Files may have grown.
    Grown,
    /// Files may also have come or gone.
    Changed,
}

/// A watch on a folder.
#[derive(Debug)]
pub(super) struct Watch {
    dir: PathBuf,
    set: Option<Set>,
}

/// A watch that is set.
#[derive(Debug)]
struct Set {
    fd: OwnedFd,
    /// The watch on the folder above, and our folder's name in it.
    above: Option<(i32, OsString)>,
}

impl Watch {
    pub(super) fn new(dir: &Path) -> Watch {
        Watch { dir: dir.to_owned(), set: Set::on(dir).ok() }
    }

    /// Waits until something happens in the folder, or until the end.
    pub(super) fn wait(&mut self, ends: Ends<'_>) -> Result<Woken> {
        let Some(set) = &self.set else {
            self.set = Set::on(&self.dir).ok();
            // What happened before the watch was set stays unseen unless it is looked for.
            let bound_s = if self.set.is_some() { 0 } else { 1 };
            let (ended, _) = ends.wait(None, Some(bound_s))?;
            return Ok(if ended { Woken::Ended } else { Woken::Changed });
        };
        let (ended, _) = ends.wait(Some(set.fd.as_fd()), None)?;
        if ended {
            return Ok(Woken::Ended);
        }
        let seen = set.take_events();
        if seen.contains(ReadFlags::IGNORED) {
            self.set = None;
        }
        let only_grown = (seen - ReadFlags::MODIFY).is_empty();
        Ok(if only_grown { Woken::Grown } else { Woken::Changed })
    }
}

impl Set {
    fn on(dir: &Path) -> rustix::io::Result<Set> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let gone = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONLYDIR;
        // The one above first: from then on it cannot be missed that the folder goes.
        let path = dir.canonicalize().map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::NOENT))?;
        let above = path.parent().zip(path.file_name()).and_then(|(parent, name)| {
            let watch = inotify::add_watch(&fd, parent, WatchFlags::DELETE | WatchFlags::MOVED_FROM | gone).ok()?;
            Some((watch, name.to_owned()))
        });
        inotify::add_watch(&fd, &path, WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | gone)?;
        Ok(Set { fd, above })
    }

    /// Takes what is reported, all together; `IGNORED` when the folder is lost from sight, or the reports.
    fn take_events(&self) -> ReadFlags {
        let mut room = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.fd, &mut room);
        let mut seen = ReadFlags::empty();
        loop {
            match reader.next() {
                Ok(event) => seen |= self.meaning(&event),
                Err(Errno::AGAIN) => return seen,
                Err(Errno::INTR) => {}
                Err(_) => return seen | ReadFlags::IGNORED,
            }
        }
    }

    fn meaning(&self, event: &inotify::Event<'_>) -> ReadFlags {
        let lost = ReadFlags::IGNORED | ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT;
        if event.events().intersects(lost) {
            return ReadFlags::IGNORED;
        }
        match &self.above {
            Some((watch, name)) if *watch == event.wd() => {
                let is_ours = event.file_name().is_some_and(|file| file.to_bytes() == name.as_encoded_bytes());
                if is_ours { ReadFlags::IGNORED } else { ReadFlags::empty() }
            }
            _ => event.events(),
        }
    }
}
