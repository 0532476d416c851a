//! What happens besides work: processes are started, killed and frozen, the clock jumps, people and applications come.
//!
//! A run has a storm and then a calm. In the storm misfortunes strike as the seed says. In the calm nothing strikes any
//! more, ticks come as cron would call them, and everything that was asked for has to come to its end. After most
//! storms that is made short: most of what can go wrong goes wrong while something strikes.

use super::application;
use super::arena::{Arena, Lent, Lines};
use super::jobs::{policy_of, registry};
use super::resident::reside;
use super::store::SeamStore;
use super::world::{BEGIN_MS, Director, Inner, Kind, Simulated};
use crate::error::Result;
use crate::log::{Journal, Settings};
use crate::schedule::{Answer, Calendar, tick};
use crate::store::{Govern, LostClaim, Operate, Schedule};
use crate::work::{Mode, Options, Stop, work};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Cron comes this often, in microseconds.
const TICK_US: u64 = 1_000_000;
/// A process that is frozen for longer than this is killed, as workers and ticks do.
const STALL_US: u64 = 2_000_000;
/// The storm has so many turns.
const STORM_TURNS: u64 = 350;

/// Who starts workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheduling {
    Cron,
    /// Its ticks start none.
    Resident,
    Both,
}

pub(super) struct Weather {
    folder: PathBuf,
    lines: Arc<Lines>,
    /// Misfortunes strike; otherwise only death by the tasks' own doing.
    pub(super) stormy: bool,
    /// The calm is short.
    hurries: bool,
    scheduling: Scheduling,
    /// Workers that were started, and how they are told to stop.
    stops: Mutex<Vec<(usize, Stop)>>,
}

impl Weather {
    pub(super) fn new(arena: &Arena, stormy: bool, hurries: bool, scheduling: Scheduling) -> Weather {
        let lines = Arc::clone(&arena.lines);
        Weather { folder: arena.folder().to_path_buf(), lines, stormy, hurries, scheduling, stops: Mutex::default() }
    }

    fn database(&self) -> PathBuf {
        self.folder.join("q.db")
    }
}

impl Director for Weather {
    fn between(&self, world: &Arc<Simulated>, inner: &mut Inner) {
        inner.record.look();
        if let Some(why) = inner.record.wrong.take() {
            inner.fail(why);
        }
        if inner.end.is_some() {
            return;
        }
        if inner.processes.is_empty() {
            start_application(world, inner, self.database());
        }
        self.keep_scheduled(world, inner);
        self.kill_frozen(inner);
        self.wake_at_the_worst_moment(inner);
        if inner.calm_since.is_none() && inner.turns >= STORM_TURNS {
            inner.calm_since = Some(inner.turns);
            inner.hurries = self.hurries;
            inner.thaw_all();
            // Whatever the clock did, every time that was asked for comes.
            world.clock.set(BEGIN_MS + 30 * 24 * 3_600_000);
        }
        match inner.calm_since {
            None => self.strike(world, inner),
            Some(_) => self.see_whether_over(world, inner),
        }
    }
}

impl Weather {
    fn kill_frozen(&self, inner: &mut Inner) {
        for process in inner.living(|kind| kind != Kind::Resident) {
            if inner.silent_us(process) > STALL_US {
                inner.kill(process);
            }
        }
    }

    /// A worker that was taken for dead wakes up while another one runs what it was at.
    fn wake_at_the_worst_moment(&self, inner: &mut Inner) {
        for process in inner.asleep() {
            if inner.record.is_run_by_another(process) && inner.chance.once_in(8) {
                inner.record.say(format_args!("{process} wakes up"));
                inner.freeze(process, 0);
            }
        }
    }

    /// At most one misfortune between two turns.
    fn strike(&self, world: &Arc<Simulated>, inner: &mut Inner) {
        let apart = if self.stormy { 1 } else { 50 };
        match inner.chance.below(300 * apart) {
            0..=4 => start_application(world, inner, self.database()),
            5..=6 => start_admin(world, inner, self.database(), false),
            7..=9 => self.with_one(inner, |inner, process| {
                inner.record.kills += 1;
                inner.kill(process);
            }),
            10..=11 => self.with_one(inner, |inner, process| {
                let span = inner.chance.below(2 * STALL_US);
                inner.freeze(process, span);
            }),
            12 => {
                let hours = *inner.chance.one_of(&[-1, 1, 24, -24]);
                let now = world.clock.now_ms();
                world.clock.set(now + hours * 3_600_000);
            }
            13 => self.tell_one_to_stop(inner),
            14 => self.vandalize(inner),
            15..=18 => self.banish(inner),
            _ => {}
        }
    }

    fn with_one(&self, inner: &mut Inner, act: impl FnOnce(&mut Inner, usize)) {
        let living = inner.living(|_| true);
        if !living.is_empty() {
            let process = *inner.chance.one_of(&living);
            act(inner, process);
        }
    }

    fn tell_one_to_stop(&self, inner: &mut Inner) {
        let all: Vec<usize> = self.stops.lock().unwrap().iter().map(|(process, _)| *process).collect();
        if !all.is_empty() {
            let process = *inner.chance.one_of(&all);
            self.tell(inner, process);
        }
    }

    /// What TERM does to a worker or a resident scheduler.
    pub(super) fn tell(&self, inner: &mut Inner, process: usize) {
        for (_, stop) in self.stops.lock().unwrap().iter().filter(|(other, _)| *other == process) {
            inner.record.say(format_args!("{process} is told to stop"));
            stop.request();
            inner.rouse("engine", |other| other == process);
        }
    }

    /// Whoever starts processes does: cron comes again and again, and a resident scheduler is started anew when it ended.
    fn keep_scheduled(&self, world: &Arc<Simulated>, inner: &mut Inner) {
        let due = inner.now_us >= inner.record.ticked_us + TICK_US || inner.processes.len() == 1;
        if due && inner.living(|kind| kind == Kind::Tick).is_empty() {
            inner.record.ticked_us = inner.now_us;
            start_tick(world, inner, self.database(), self.scheduling != Scheduling::Resident);
            let residents = inner.living(|kind| kind == Kind::Resident).len();
            // Now and then somebody starts a second one, which has no place.
            if self.scheduling != Scheduling::Cron && (residents == 0 || residents == 1 && inner.chance.once_in(8)) {
                start_resident(world, inner, self.database());
            }
        }
    }

    /// A worker loses its locks and is frozen for a while.
    fn banish(&self, inner: &mut Inner) {
        let mut workers = inner.living(|kind| matches!(kind, Kind::Worker(_)));
        // In the middle of a run it matters most.
        workers.retain(|process| inner.record.is_running(*process));
        if workers.is_empty() {
            return;
        }
        let process = *inner.chance.one_of(&workers);
        let span = inner.chance.below(2 * STALL_US);
        inner.record.say(format_args!("{process} loses its locks"));
        inner.banish(process, span);
        let own = match inner.processes[process].kind {
            Kind::Worker(index) => format!("worker-{index}"),
            _ => return,
        };
        for entry in std::fs::read_dir(self.folder.join("q.db-run")).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == own || name.starts_with("partition-") {
                self.remove(&entry.path());
            }
        }
    }

    /// Somebody deletes a lock file.
    fn vandalize(&self, inner: &mut Inner) {
        let run = self.folder.join("q.db-run");
        let mut names: Vec<PathBuf> =
            std::fs::read_dir(run).into_iter().flatten().flatten().map(|e| e.path()).collect();
        names.sort();
        if !names.is_empty() {
            let name = inner.chance.one_of(&names);
            inner.record.say(format_args!("{} is deleted", name.display()));
            inner.record.notes_lost = true;
            self.remove(name);
        }
    }

    /// Takes a file from where it lies. It stays elsewhere: else the file system might give its number to the next that is
    /// made, or not, and no seed decides that.
    fn remove(&self, file: &Path) {
        let attic = self.folder.join("attic");
        std::fs::create_dir_all(&attic).unwrap();
        let nth = std::fs::read_dir(&attic).unwrap().count();
        let _ = std::fs::rename(file, attic.join(nth.to_string()));
    }

    fn see_whether_over(&self, world: &Arc<Simulated>, inner: &mut Inner) {
        if !inner.living(|kind| matches!(kind, Kind::Application | Kind::Admin)).is_empty() {
            return;
        }
        // After the last of them, somebody puts everything in order.
        if !std::mem::replace(&mut inner.record.mended, true) {
            start_admin(world, inner, self.database(), true);
        } else if inner.turns.is_multiple_of(16) && inner.record.is_at_rest() {
            inner.record.close();
            inner.end = Some(inner.record.wrong.take().map_or(Ok(()), Err));
        }
    }
}

/// What a process of the run works with; `None` when the database cannot be opened just now.
fn open(world: &Arc<Simulated>, process: usize, database: &Path) -> Option<SeamStore> {
    let real = Lent::open(&world.weather()?.lines, database)?;
    Some(SeamStore { real, world: Arc::clone(world), process, seen: 0, kept: Vec::new() })
}

fn start_application(world: &Arc<Simulated>, inner: &mut Inner, database: PathBuf) {
    let (process, there) = (inner.processes.len(), Arc::clone(world));
    let chance = inner.chance.clone();
    inner.chance.below(2);
    world.spawn(inner, Kind::Application, move || {
        if let (Some(store), Some(weather)) = (open(&there, process, &database), there.weather()) {
            application::apply(&there, store, &weather.lines, &database, chance);
        }
    });
}

fn start_admin(world: &Arc<Simulated>, inner: &mut Inner, database: PathBuf, calm: bool) {
    let (process, there) = (inner.processes.len(), Arc::clone(world));
    let chance = inner.chance.clone();
    inner.chance.below(2);
    world.spawn(inner, Kind::Admin, move || {
        let Some(mut store) = open(&there, process, &database) else { return };
        if !calm {
            application::administer(&there, &mut store, chance);
            return;
        }
        // Whatever was paused, parked or stopped goes on.
        store.start(there.clock.now_ms()).unwrap();
        store.set_curb(None).unwrap();
        for (job, _) in store.paused().unwrap() {
            store.resume(&job).unwrap();
        }
        let parked = crate::store::Filter { limit: 10_000, ..crate::store::Filter::default() };
        store.release(&crate::store::Chosen::Matching(&parked), there.clock.now_ms(), &mut |_, _| {}).unwrap();
    });
}

fn start_tick(world: &Arc<Simulated>, inner: &mut Inner, database: PathBuf, starts: bool) {
    let (process, there) = (inner.processes.len(), Arc::clone(world));
    world.spawn(inner, Kind::Tick, move || {
        let Some(mut store) = open(&there, process, &database) else { return };
        let now_ms = there.clock.now_ms();
        let workers = crate::store::Store::plan(&mut store).map_or(1, |plan| plan.current().partitions);
        let judge = |lost: &LostClaim| lost.settlement(policy_of(&lost.task.job), now_ms);
        let mut start = |index| {
            if starts {
                start_worker(&there, &mut there.inner(), index, database.clone());
            }
            Ok(())
        };
        // What fails is left to the next tick.
        let schedules = [Schedule {
            param: r#"{"spans":[2],"end":"done","times":0}"#.into(),
            ..Schedule::new("often", "every 3s", "play")
        }];
        let mut calendar = Calendar { schedules: &schedules, ask: &mut |_| Answer::Wanted };
        let _ = tick(&mut store, &mut calendar, workers, now_ms, Duration::from_secs(30), &judge, &mut start);
    });
}

pub(super) fn start_worker(world: &Arc<Simulated>, inner: &mut Inner, index: u32, database: PathBuf) {
    let stop = Stop::new().unwrap();
    let (process, there) = (inner.processes.len(), Arc::clone(world));
    let folder = database.parent().unwrap().join("logs");
    if let Some(weather) = world.weather() {
        weather.stops.lock().unwrap().push((process, stop.clone()));
    }
    world.spawn(inner, Kind::Worker(index), move || {
        let Some(mut store) = open(&there, process, &database) else { return };
        let settings = Settings {
            dir: folder,
            zone: chrono_tz::Tz::UTC,
            level: log::LevelFilter::Off,
            form: crate::log::Form::Text,
            to_stderr: false,
        };
        let journal = Journal::open(settings, there.clock.clone()).unwrap();
        let options = Options {
            index,
            workers: None,
            mode: Mode::Linger(Duration::from_millis(1_500)),
            yields: false,
            grace: Duration::from_millis(500),
            stall: Duration::from_secs(30),
        };
        let ended: Result<_> = work(&mut store, Arc::new(registry()), journal, there.clock.clone(), stop, options);
        if let Err(e) = ended {
            there.inner().record.say(format_args!("{process} ends with: {e}"));
        }
    });
}

fn start_resident(world: &Arc<Simulated>, inner: &mut Inner, database: PathBuf) {
    let stop = Stop::new().unwrap();
    let (process, there) = (inner.processes.len(), Arc::clone(world));
    if let Some(weather) = world.weather() {
        weather.stops.lock().unwrap().push((process, stop.clone()));
    }
    world.spawn(inner, Kind::Resident, move || {
        let Some(store) = open(&there, process, &database) else { return };
        if let Err(e) = reside(&there, store, &stop, database) {
            there.inner().record.say(format_args!("{process} ends with: {e}"));
        }
    });
}
