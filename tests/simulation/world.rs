//! The world of a run: whose turn it is, what time it is, who dies; all of it from one seed.
//!
//! Every process of a run is a group of threads of this test, and of all of them one has the turn. At each seam it hands
//! the turn back, and the seed says what happens next: who goes on, how much time passes, which misfortune strikes. So
//! a run is the same whenever its seed is. A process that dies unwinds before anybody else goes on: what the kernel would
//! give back (locks, transactions) is given back, and nothing else happens in it any more.

use super::chance::Chance;
use super::record::Record;
use crate::clock::world::{Until, World};
use crate::clock::{Clock, Millis};
use crate::error::{Error, Result};
use std::any::Any;
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// The wall clock of every run begins here: in November 2026.
pub(super) const BEGIN_MS: Millis = 1_795_000_000_000;
/// Processes of a run have numbers that no process of the machine has.
const FIRST_PROCESS: i64 = 1 << 40;

/// The number of a process of the run, as the engine writes it down.
pub(super) fn number_of(process: usize) -> i64 {
    FIRST_PROCESS + process as i64
}

/// The process with that number.
pub(super) fn process_of(number: i64) -> usize {
    (number - FIRST_PROCESS) as usize
}

/// A run that takes more turns than this after the misfortunes have ended does not come to rest.
const MOST_TURNS: u64 = 60_000;

/// While nobody can go on, time passes in steps of this.
const STRIDE_US: u64 = 50_000;

/// What a thread unwinds with when its process has died.
pub(super) struct Killed;

/// What a process of the run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A worker with this index.
    Worker(u32),
    /// One pass of the scheduler.
    Tick,
    /// A scheduler that stays.
    Resident,
    /// A program that asks for work by the library, or by SQL.
    Application,
    /// A person at the command line.
    Admin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It could go on.
    Ready,
    /// It waits until this time, in microseconds since the run began.
    Later(u64),
    Resting,
    Gone,
}

pub(super) struct Seat {
    pub(super) process: usize,
    pub(super) name: &'static str,
    pub(super) state: State,
    pub(super) roused: bool,
    pub(super) bell: Arc<Condvar>,
}

pub(super) struct Process {
    pub(super) kind: Kind,
    pub(super) alive: bool,
    pub(super) doomed: bool,
    /// It does not go on before this time.
    pub(super) frozen_until: u64,
    /// All others take it for dead, and it is not.
    pub(super) banished: bool,
    /// When it last had the turn.
    pub(super) last_turn: u64,
    /// It ended otherwise than by itself.
    pub(super) killed: bool,
    /// Becomes readable when it ends, for whoever watches it.
    pub(super) over: Option<OwnedFd>,
}

/// What is behind the lock.
pub(super) struct Inner {
    pub(super) chance: Chance,
    pub(super) processes: Vec<Process>,
    pub(super) seats: Vec<Seat>,
    /// Those that are not gone, in their order: of all the others there are many more.
    pub(super) taken: Vec<usize>,
    /// The processes that are alive, in their order.
    pub(super) alive: Vec<usize>,
    /// Who has the turn; `None` when the run is over.
    current: Option<usize>,
    /// Microseconds since the run began.
    pub(super) now_us: u64,
    pub(super) turns: u64,
    pub(super) calm_since: Option<u64>,
    /// Jobs take no time any more, and are done at their next run: what is left is to come to its end soon.
    pub(super) hurries: bool,
    pub(super) record: Record,
    /// The end of the run, in words when it is a bad one.
    pub(super) end: Option<std::result::Result<(), String>>,
}

pub(super) struct Simulated {
    own: Weak<Simulated>,
    inner: Mutex<Inner>,
    over: Condvar,
    began: Instant,
    /// The same as within: for who asks while the lock is held.
    now_us: AtomicU64,
    pub(super) clock: Clock,
    /// In how many of eight turns the one who had the last one goes on, if it can.
    patience: u64,
    pub(super) breaks: BTreeSet<&'static str>,
    pub(super) director: Box<dyn Director>,
}

/// Who decides what happens between two turns, besides who goes on.
pub(super) trait Director: Any + Send + Sync {
    /// Called at every seam, with nobody going on; may start processes, kill and freeze them, set the clock.
    fn between(&self, world: &Arc<Simulated>, inner: &mut Inner);
}

impl Simulated {
    pub(super) fn new(
        seed: u64,
        breaks: &[&'static str],
        director: Box<dyn Director>,
        record: Record,
    ) -> Arc<Simulated> {
        let inner = Inner {
            chance: Chance::new(seed),
            processes: Vec::new(),
            seats: Vec::new(),
            taken: Vec::new(),
            alive: Vec::new(),
            current: None,
            now_us: 0,
            turns: 0,
            calm_since: None,
            hurries: false,
            record,
            end: None,
        };
        Arc::new_cyclic(|own| Simulated {
            own: Weak::clone(own),
            inner: Mutex::new(inner),
            over: Condvar::new(),
            now_us: AtomicU64::new(0),
            began: crate::clock::some_instant(),
            clock: Clock::manual(BEGIN_MS),
            patience: (seed / 3) % 8,
            breaks: breaks.iter().copied().collect(),
            director,
        })
    }

    pub(super) fn process_of(&self, seat: usize) -> usize {
        self.inner().seats[seat].process
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs until the director ends it. The first thread is started by the director.
    pub(super) fn run(self: &Arc<Self>) -> std::result::Result<(), String> {
        let mut inner = self.inner();
        self.director.between(self, &mut inner);
        self.choose(&mut inner);
        while !inner.taken.is_empty() {
            inner = self.over.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.end.take().unwrap_or_else(|| Err("every process has ended, and the run is not over".into()))
    }

    /// Starts a process, whose first thread does `body`.
    pub(super) fn spawn(self: &Arc<Self>, inner: &mut Inner, kind: Kind, body: impl FnOnce() + Send + 'static) {
        let now_us = inner.now_us;
        inner.processes.push(Process {
            kind,
            alive: true,
            doomed: false,
            frozen_until: 0,
            banished: false,
            last_turn: now_us,
            killed: false,
            over: None,
        });
        let process = inner.processes.len() - 1;
        inner.alive.push(process);
        let seat = inner.add_seat(process, "engine");
        let place = crate::clock::world::Seat(Some((Arc::clone(self) as Arc<dyn World>, seat)));
        let world = Arc::clone(self);
        let body = move || {
            let here = place.enter();
            let ended = catch_unwind(AssertUnwindSafe(body));
            if let Err(panic) = ended
                && !panic.is::<Killed>()
            {
                world.inner().fail(format!("{kind:?} panicked: {}", crate::task::panic_text(&*panic)));
            }
            drop(here);
        };
        std::thread::Builder::new().stack_size(1 << 20).spawn(body).unwrap();
    }

    /// Hands the turn to somebody: the dying first, then whoever can go on; time passes until somebody can.
    fn choose(&self, inner: &mut Inner) {
        let is_dying = |seat: &&usize| inner.processes[inner.seats[**seat].process].doomed;
        let dying = inner.taken.iter().find(is_dying).copied();
        let living = || if inner.end.is_none() { self.choose_living(inner) } else { None };
        let chosen = dying.or_else(living).or_else(|| {
            // The run is over.
            for process in &mut inner.processes {
                process.doomed = true;
            }
            inner.taken.first().copied()
        });
        inner.current = chosen;
        match chosen {
            Some(seat) => {
                let process = inner.seats[seat].process;
                inner.processes[process].last_turn = inner.now_us;
                inner.seats[seat].bell.notify_all();
            }
            None => self.over.notify_all(),
        }
    }

    fn choose_living(&self, inner: &mut Inner) -> Option<usize> {
        let span_us = inner.chance_span();
        self.advance(inner, span_us);
        loop {
            let now = inner.now_us;
            let can = |seat: &Seat| inner.processes[seat.process].frozen_until <= now && seat.state.is_due(now);
            let able: Vec<usize> = inner.taken.iter().copied().filter(|seat| can(&inner.seats[*seat])).collect();
            // Some runs change turns at every seam, others seldom.
            if let Some(last) = inner.current.filter(|last| able.contains(last))
                && inner.chance.below(8) < self.patience
            {
                return Some(last);
            }
            if !able.is_empty() {
                let at = inner.chance.below(able.len() as u64) as usize;
                return Some(able[at]);
            }
            let due = |seat: &Seat| seat.state.due().map(|at| at.max(inner.processes[seat.process].frozen_until));
            let next = inner.taken.iter().filter_map(|seat| due(&inner.seats[*seat])).min().unwrap_or(u64::MAX);
            // Nobody can go on before that. Cron may come first.
            self.advance(inner, (next - now).min(STRIDE_US));
            if let Some(world) = self.own.upgrade() {
                self.director.between(&world, inner);
            }
            if inner.end.is_some() {
                return None;
            }
        }
    }

    fn advance(&self, inner: &mut Inner, span_us: u64) {
        let before = inner.now_us / 1_000;
        inner.now_us += span_us;
        self.now_us.store(inner.now_us, Ordering::Relaxed);
        self.clock.set(self.clock.now_ms() + (inner.now_us / 1_000 - before) as Millis);
    }

    fn wait_for_turn(&self, mut inner: MutexGuard<'_, Inner>, seat: usize) {
        let bell = Arc::clone(&inner.seats[seat].bell);
        while inner.current != Some(seat) {
            inner = bell.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        let doomed = inner.processes[inner.seats[seat].process].doomed;
        drop(inner);
        if doomed && !std::thread::panicking() {
            resume_unwind(Box::new(Killed));
        }
    }
}

impl World for Simulated {
    fn now(&self) -> Instant {
        self.began + Duration::from_micros(self.now_us.load(Ordering::Relaxed))
    }

    fn turn(&self, seat: usize, at: &'static str, until: Until) {
        let mut inner = self.inner();
        inner.turns += 1;
        let roused = std::mem::take(&mut inner.seats[seat].roused);
        inner.seats[seat].state = match until {
            Until::Turn => State::Ready,
            _ if roused => State::Ready,
            Until::Later(span) => State::Later(inner.now_us + span.as_micros() as u64),
            Until::Roused => State::Resting,
        };
        let process = inner.seats[seat].process;
        inner.record.passed(process, at);
        if let Some(world) = self.own.upgrade() {
            self.director.between(&world, &mut inner);
        }
        if inner.calm_since.is_some_and(|since| inner.turns > since + MOST_TURNS) {
            let left = inner.record.left();
            inner.fail(format!("it does not come to rest within {MOST_TURNS} turns: {left}"));
        }
        self.choose(&mut inner);
        self.wait_for_turn(inner, seat);
    }

    fn mortal(&self, seat: usize, at: &'static str) -> Result<()> {
        let mut inner = self.inner();
        let process = inner.seats[seat].process;
        if inner.calm_since.is_some() || inner.end.is_some() {
            return Ok(());
        }
        match inner.chance.below(250) {
            0 if matches!(
                inner.processes[process].kind,
                Kind::Worker(_) | Kind::Tick | Kind::Resident | Kind::Application
            ) =>
            {
                inner.record.passed(process, at);
                inner.kill(process);
                drop(inner);
                resume_unwind(Box::new(Killed));
            }
            1 | 2 => Err(Error::try_again("the disk is full, for once")),
            _ => Ok(()),
        }
    }

    fn seat(&self, beside: usize, name: &'static str) -> usize {
        let mut inner = self.inner();
        let process = inner.seats[beside].process;
        inner.add_seat(process, name)
    }

    fn enter(&self, seat: usize) {
        let inner = self.inner();
        self.wait_for_turn(inner, seat);
    }

    fn leave(&self, seat: usize) {
        let mut inner = self.inner();
        inner.seats[seat].state = State::Gone;
        inner.taken.retain(|other| *other != seat);
        let process = inner.seats[seat].process;
        if inner.seats[seat].name == "engine" {
            // Its other threads end with it.
            inner.end_process(process);
        }
        self.choose(&mut inner);
    }

    fn rouse(&self, seat: usize, name: &'static str) {
        let mut inner = self.inner();
        let process = inner.seats[seat].process;
        inner.rouse(name, |other| other == process);
    }

    fn broken(&self, what: &'static str) -> bool {
        self.breaks.contains(what)
    }

    fn process(&self, seat: usize) -> i64 {
        number_of(self.inner().seats[seat].process)
    }

    fn lives(&self, process: i64) -> bool {
        let at = usize::try_from(process - FIRST_PROCESS).ok();
        at.is_some_and(|at| self.inner().processes.get(at).is_some_and(|one| one.alive && !one.banished))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
