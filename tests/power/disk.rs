//! A disk that writes down what is done to it, and that fails when it is told to.
//!
//! What was done is a list of [`Event`]s in order, for one folder. The test adds its own marks between them: what an
//! application was told by then.

use rusqlite::ffi;
use std::collections::BTreeMap;
use std::ffi::c_int;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A file by the order in which files were made, whatever its name is by now.
pub(crate) type File = usize;

/// What happened.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A file with this name was made.
    Made { name: String, file: File },
    /// Bytes were written.
    Wrote { file: File, at: u64, data: Vec<u8> },
    /// The length was set.
    Cut { file: File, length: u64 },
    /// A sync came back: the file is on the disk, and with `folder` all names are.
    Synced { file: File, folder: bool },
    /// A sync failed. What was not on the disk yet never will be, and yet it is read until the machine goes down.
    Lost { file: File },
    /// A name was taken away; with `folder` its folder was synced after it.
    Removed { name: String, folder: bool },
    /// Somebody was told something.
    Told(Told),
}

/// What somebody was told, and may rely on from then on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// Everything that was committed by now survives a power cut.
    pub(crate) safe: bool,
    /// These tasks are asked for.
    pub(crate) asked: Vec<i64>,
    /// These tasks, which may run only once, have begun.
    pub(crate) began: Vec<i64>,
}

/// A call of SQLite's that may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Open,
    Delete,
    Access,
    Read,
    Write { grows: bool },
    Truncate,
    Sync,
    Size,
    Lock,
    ShmMap,
    ShmLock,
}

/// What becomes of a call.
pub(crate) enum Verdict {
    GoesOn,
    Fails(c_int),
    /// The first half is written, then this is answered.
    Half(c_int),
}

/// In which way a disk fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// No room: what would make a file longer fails.
    Full,
    /// Errors of the device, whatever is asked.
    Broken,
    /// Half of a write is done, then there is an error.
    Short,
}

/// When a disk fails.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    /// At the n-th call of those that can fail in this way, counted from 1.
    pub(crate) at: u64,
    pub(crate) way: Way,
    /// And from then on.
    pub(crate) lasts: bool,
    /// Only these calls are counted; all without one.
    pub(crate) only: Option<Call>,
}

/// The disk under a folder.
#[derive(Default)]
pub(crate) struct Disk(Mutex<State>, Condvar);

#[derive(Default)]
struct State {
    records: bool,
    /// Syncs are answered and not done.
    lies: bool,
    events: Vec<Event>,
    names: BTreeMap<String, File>,
    lengths: Vec<u64>,
    fault: Option<Fault>,
    calls: u64,
    hits: u64,
}

impl Disk {
    /// One that works, and remembers nothing.
    pub(crate) fn plain() -> Arc<Disk> {
        Arc::default()
    }

    /// One that writes down what happens; with `lies` it answers syncs and does not do them.
    pub(crate) fn recording(lies: bool) -> Arc<Disk> {
        let disk = Disk::default();
        *disk.0.lock().unwrap() = State { records: true, lies, ..State::default() };
        Arc::new(disk)
    }

    /// What happened so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().events.clone()
    }

    /// Notes what somebody was told.
    pub(crate) fn told(&self, told: Told) {
        self.0.lock().unwrap().note(Event::Told(told));
    }

    /// Lets it fail from now on; calls are counted anew.
    pub(crate) fn fail(&self, fault: Fault) {
        let mut state = self.0.lock().unwrap();
        (state.fault, state.calls, state.hits) = (Some(fault), 0, 0);
    }

    /// Lets it work again; answers how many calls have failed.
    pub(crate) fn mend(&self) -> u64 {
        let mut state = self.0.lock().unwrap();
        state.fault = None;
        state.hits
    }

    /// Waits until that many calls have failed, or whoever calls is at an end.
    pub(crate) fn until_failed(&self, hits: u64, is_over: impl Fn() -> bool) {
        let mut state = self.0.lock().unwrap();
        while state.hits < hits && !is_over() {
            state = self.1.wait_timeout(state, Duration::from_millis(20)).unwrap().0;
        }
    }

    pub(crate) fn asked(&self, call: Call) -> Verdict {
        let mut state = self.0.lock().unwrap();
        let Some(fault) = state.fault else { return Verdict::GoesOn };
        let counted = fault.only.is_none_or(|only| std::mem::discriminant(&only) == std::mem::discriminant(&call));
        let Some(verdict) = failure(call, fault.way).filter(|_| counted) else { return Verdict::GoesOn };
        state.calls += 1;
        if state.calls < fault.at || (state.calls > fault.at && !fault.lasts) {
            return Verdict::GoesOn;
        }
        state.hits += 1;
        self.1.notify_all();
        verdict
    }

    /// Whether a write up to `end` makes the file longer.
    pub(crate) fn grows(&self, file: File, end: u64) -> bool {
        self.0.lock().unwrap().lengths[file] < end
    }

    pub(crate) fn opened(&self, name: &str, length: u64) -> File {
        let mut state = self.0.lock().unwrap();
        if let Some(file) = state.names.get(name) {
            return *file;
        }
        let file = state.lengths.len();
        state.lengths.push(length);
        state.names.insert(name.to_string(), file);
        state.note(Event::Made { name: name.to_string(), file });
        file
    }

    pub(crate) fn removed(&self, name: &str, folder: bool) {
        let mut state = self.0.lock().unwrap();
        state.names.remove(name);
        state.note(Event::Removed { name: name.to_string(), folder });
    }

    pub(crate) fn wrote(&self, file: File, at: u64, data: &[u8]) {
        let mut state = self.0.lock().unwrap();
        state.lengths[file] = state.lengths[file].max(at + data.len() as u64);
        if state.records {
            state.note(Event::Wrote { file, at, data: data.to_vec() });
        }
    }

    pub(crate) fn cut(&self, file: File, length: u64) {
        let mut state = self.0.lock().unwrap();
        state.lengths[file] = length;
        state.note(Event::Cut { file, length });
    }

    pub(crate) fn synced(&self, file: File, folder: bool) {
        let mut state = self.0.lock().unwrap();
        if !state.lies {
            state.note(Event::Synced { file, folder });
        }
    }

    pub(crate) fn lost(&self, file: File) {
        self.0.lock().unwrap().note(Event::Lost { file });
    }
}

impl State {
    fn note(&mut self, event: Event) {
        if self.records {
            self.events.push(event);
        }
    }
}

/// How a call fails on a disk that fails in this way; `None` when it does not.
fn failure(call: Call, way: Way) -> Option<Verdict> {
    let code = match (way, call) {
        (Way::Full, Call::Write { grows: true }) => ffi::SQLITE_FULL,
        // Where room is only looked for when something is brought to the disk.
        (Way::Full, Call::Sync) => ffi::SQLITE_IOERR_FSYNC,
        (Way::Full, Call::Open) => ffi::SQLITE_CANTOPEN,
        (Way::Full, Call::ShmMap) => ffi::SQLITE_IOERR_SHMSIZE,
        (Way::Short, Call::Write { .. }) => return Some(Verdict::Half(ffi::SQLITE_IOERR_WRITE)),
        (Way::Full | Way::Short, _) => return None,
        (Way::Broken, Call::Open) => ffi::SQLITE_CANTOPEN,
        (Way::Broken, Call::Delete) => ffi::SQLITE_IOERR_DELETE,
        (Way::Broken, Call::Access) => ffi::SQLITE_IOERR_ACCESS,
        (Way::Broken, Call::Read) => ffi::SQLITE_IOERR_READ,
        (Way::Broken, Call::Write { .. }) => ffi::SQLITE_IOERR_WRITE,
        (Way::Broken, Call::Truncate) => ffi::SQLITE_IOERR_TRUNCATE,
        (Way::Broken, Call::Sync) => ffi::SQLITE_IOERR_FSYNC,
        (Way::Broken, Call::Size) => ffi::SQLITE_IOERR_FSTAT,
        (Way::Broken, Call::Lock) => ffi::SQLITE_IOERR_LOCK,
        (Way::Broken, Call::ShmMap) => ffi::SQLITE_IOERR_SHMMAP,
        (Way::Broken, Call::ShmLock) => ffi::SQLITE_IOERR_SHMLOCK,
    };
    Some(Verdict::Fails(code))
}
