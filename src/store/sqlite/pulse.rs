//! The pulse of workers: proof that one that keeps its locks still makes progress.
//!
//! A worker that is stopped or frozen cannot be told from a busy one by its locks. So its engine's thread writes, into a
//! mapped file of the run folder, when it last got anywhere. Whoever looks and finds that too long ago kills it, after its
//! lock, the pid namespace and the start time have proven that it is that process. This is the only timeout in recovery.
//! Waiting for the write gate is nobody's own fault: it is marked, and whoever owns the gate is looked at instead; unless it
//! was stopped while it waited.

use super::badge::worker_lock;
use super::identity::{self, Identity};
use super::lock;
use super::mapped::Mapped;
use crate::clock::world;
use crate::error::Result;
use crate::store::{Frozen, Watchman};
use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};
use rustix::time::{ClockId, clock_gettime};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::RwLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A worker that owns the write gate holds up all others: it may be without a pulse for this long.
const GATE_STALL: Duration = Duration::from_secs(5);
/// A worker looks at that many others, those with the next indexes.
const NEIGHBOURS: u32 = 16;

/// This process's pulse, if it is a worker. There is one engine's thread in a process, and everything that it waits in
/// must be able to show that it lives, SQLite's busy handler included.
static OWN: RwLock<Option<(u32, Pulse)>> = RwLock::new(None);

thread_local! {
    /// Whether SQLite's busy handler was called on this thread.
    static LOCKED: Cell<bool> = const { Cell::new(false) };
}

/// What a worker does while it has no pulse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Work = 0,
    /// It waits for its turn at the write gate.
    GateQueue = 1,
    /// It owns the write gate.
    Gate = 2,
}

#[derive(Debug)]
struct Pulse(Mapped);

fn name(index: u32) -> String {
    format!("pulse-{index}")
}

fn open(path: &Path) -> Result<Pulse> {
    Ok(Pulse(Mapped::new(&File::from(lock::open_lock(path)?))?))
}

/// Milliseconds on a clock that all processes of this boot share and that nobody can set.
pub(super) fn now_ms() -> i64 {
    now_us() / 1_000
}

/// The same in microseconds.
pub(super) fn now_us() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1_000)
}

/// Begins the pulse of this process, which is worker `index` and has its liveness lock; again where the file was lost.
pub(super) fn begin(run: &Path, index: u32, own: &Identity) -> Result<()> {
    let pulse = open(&run.join(name(index)))?;
    let words = pulse.0.words();
    // No pulse until all of it is written: nobody is killed for what stood there before.
    words[0].store(0, Ordering::SeqCst);
    for (word, value) in words[1..5].iter().zip([At::Work as i64, own.pid, own.pid_start, own.pid_space]) {
        word.store(value, Ordering::SeqCst);
    }
    // A second worker of one process (in a test) has no pulse of its own, and is never killed for lack of one.
    let first = OWN.write().is_ok_and(|mut place| {
        let own = place.as_ref().is_none_or(|(first, _)| *first == index);
        if own {
            *place = Some((index, pulse));
        }
        own
    });
    if first {
        beat();
    }
    Ok(())
}

/// Shows that this process gets on.
pub(super) fn beat() {
    store(0, now_ms());
}

/// Says where this process is, and that it has got there.
pub(super) fn at(place: At) {
    store(1, place as i64);
    beat();
}

fn store(word: usize, value: i64) {
    if let Ok(own) = OWN.read()
        && let Some((_, pulse)) = own.as_ref()
    {
        pulse.0.words()[word].store(value, Ordering::Release);
    }
}

/// Called by SQLite while an application has the database locked: waiting is getting on. The pauses grow to 25 ms. It
/// gives up after about 30 s; in a worker, which tries again by itself, after one, so that it hears when it is to stop.
pub(super) fn busy(tries: i32) -> bool {
    if world::is_there() {
        return false;
    }
    beat();
    LOCKED.set(true);
    let pause_ms = i64::from(tries.clamp(0, 24)) + 1;
    let pause = rustix::event::Timespec { tv_sec: 0, tv_nsec: pause_ms * 1_000_000 };
    // An interruption only makes the pause shorter.
    let _ = rustix::event::poll(&mut [], Some(&pause));
    let worker = OWN.read().is_ok_and(|own| own.is_some());
    tries < if worker { 50 } else { 1_200 }
}

/// Whether this thread has found the database locked since it last asked.
pub(super) fn found_locked() -> bool {
    LOCKED.replace(false)
}

/// Looks after other workers.
#[derive(Debug)]
pub(super) struct SqliteWatchman {
    run: PathBuf,
    /// Whose process this is, if it is a worker.
    own: Option<u32>,
    workers: u32,
    /// Processes that this user may not kill, and of whom it has said so.
    spared: BTreeSet<i64>,
}

impl SqliteWatchman {
    pub(super) fn new(run: &Path, own: Option<u32>, workers: u32) -> SqliteWatchman {
        SqliteWatchman { run: run.to_path_buf(), own, workers, spared: BTreeSet::new() }
    }

    /// Kills worker `index` if it has shown no pulse for too long; how long, if so.
    fn look_at(&mut self, index: u32, stall: Duration) -> Result<Option<Frozen>> {
        let path = self.run.join(name(index));
        if !path.exists() || !lock::is_locked(&self.run, &worker_lock(index))? {
            return Ok(None);
        }
        let pulse = open(&path)?;
        let words: Vec<i64> = pulse.0.words()[..5].iter().map(|word| word.load(Ordering::Acquire)).collect();
        let [beat, at, pid, pid_start, namespace] = words[..] else { return Ok(None) };
        // Whoever waits for a slow disk inside the gate is not frozen, and to kill it would only make the next one wait.
        let at_gate = at == At::Gate as i64 && !identity::is_busy(pid);
        let bound = if at_gate { stall.min(GATE_STALL) } else { stall };
        let silent = Duration::from_millis(u64::try_from(now_ms().saturating_sub(beat)).unwrap_or(0));
        let ours = namespace != 0 && namespace == identity::pid_space();
        // Whoever was stopped while it waited for the gate would not take its turn either.
        let waits = at == At::GateQueue as i64 && !identity::is_stopped(pid);
        if beat == 0 || waits || silent <= bound || !ours {
            return Ok(None);
        }
        let Some(process) = identity::watch(pid, Some(pid_start)) else { return Ok(None) };
        // Once more, now that the descriptor means this process: it may have come back to life meanwhile.
        if pulse.0.words()[0].load(Ordering::Acquire) != beat {
            return Ok(None);
        }
        match pidfd_send_signal(&process, Signal::KILL) {
            // One of another member of the group that shares the installation.
            Err(Errno::PERM) => {
                if self.spared.insert(pid) {
                    let silent_s = silent.as_secs();
                    log::warn!(
                        "worker {index} (pid {pid}) made no progress for {silent_s} s; its user or root may kill it"
                    );
                }
                Ok(None)
            }
            // Else it can only fail because the process has ended, which is what is wanted.
            _ => Ok(Some(Frozen { index, pid, silent })),
        }
    }
}

impl Watchman for SqliteWatchman {
    fn look(&mut self, stall: Duration) -> Result<Vec<Frozen>> {
        let mut frozen = Vec::new();
        let first = self.own.map_or(0, |own| own + 1);
        let count = if self.own.is_some() { NEIGHBOURS.min(self.workers) } else { self.workers };
        let (workers, own) = (self.workers.max(1), self.own);
        for index in (0..count).map(|step| (first + step) % workers).filter(|i| Some(*i) != own) {
            frozen.extend(self.look_at(index, stall)?);
        }
        Ok(frozen)
    }
}
