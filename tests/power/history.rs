//! A history: the store's verbs in an order that comes from a seed, on a disk that writes down what happens.
//!
//! Whoever calls a verb is told when it has come back, and that is noted between the writes. With durability `full`
//! everything that was told is safe; with `normal` what an application committed by itself, and the claim of a task that
//! may run only once.

use super::chance::Chance;
use super::disk::{Call, Disk, Event, Fault, Told, Way};
use super::layer;
use super::tasks::{self, APPLICATION, LATE_MS, NOW_MS};
use super::verdict::PARTITIONS;
use rowmill::Result;
use rowmill::error::Kind;
use rowmill::store::sqlite::{Create, Sqlite, as_application};
use rowmill::store::{
    Badge, Chosen, Claim, Durability, Firing, Govern, Operate, Operation, Origin, Schedule, Settled, Store, Timetable,
};
use rowmill::task::{NewTask, Task};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// What is told of a history beforehand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plot {
    pub(crate) seed: u64,
    pub(crate) durability: Durability,
    /// How many verbs.
    pub(crate) length: usize,
    /// How many follow-ups the largest task asks for.
    pub(crate) fan: usize,
    /// The disk answers syncs without doing them: what `synchronous = OFF` would come to.
    pub(crate) lies: bool,
    /// Effects are written by a connection of their own, before the settlement.
    pub(crate) parts_effects: bool,
    /// Now and then a sync fails, and what it was to bring to the disk is lost.
    pub(crate) loses_syncs: bool,
}

impl Plot {
    pub(crate) fn of(seed: u64, durability: Durability) -> Plot {
        Plot { seed, durability, length: 45, fan: 4, lies: false, parts_effects: false, loses_syncs: false }
    }
}

/// A history under way.
struct Scene {
    plot: Plot,
    chance: Chance,
    disk: Arc<Disk>,
    _folder: TempDir,
    path: PathBuf,
    store: Option<Sqlite>,
    badges: Vec<Badge>,
    /// Claimed tasks that still run.
    running: Vec<(Claim, Task)>,
}

/// Plays a history and answers what happened to its disk.
pub(crate) fn play(plot: Plot) -> Vec<Event> {
    let folder = TempDir::new().unwrap();
    let disk = Disk::recording(plot.lies);
    layer::insert(folder.path(), &disk);
    let path = folder.path().canonicalize().unwrap().join("q.db");
    let chance = Chance::of(plot.seed);
    let scene = Scene { plot, chance, disk, path, _folder: folder, store: None, badges: Vec::new(), running: vec![] };
    scene.play()
}

impl Scene {
    fn play(mut self) -> Vec<Event> {
        self.open();
        as_application(&self.path, APPLICATION).unwrap();
        self.told(true, Told::default());
        for index in 0..2 {
            self.enlist(index);
        }
        let fan = NewTask { priority: 3, ..NewTask::of("fan", self.plot.fan.to_string()) };
        self.ask_all(vec![fan], false);
        self.work();
        for _ in 0..self.plot.length {
            self.step();
        }
        while self.call(|store| store.spread()).is_some() {}
        self.running.clear();
        self.badges.clear();
        self.store = None;
        layer::remove(self.path.parent().unwrap());
        self.disk.events()
    }

    /// Opens the database, making it the first time.
    fn open(&mut self) {
        let opened = Sqlite::open(&self.path, self.plot.durability, Create::WithPartitions(PARTITIONS));
        self.store = Some(opened.unwrap());
        self.told(self.is_full(), Told::default());
    }

    fn is_full(&self) -> bool {
        self.plot.durability == Durability::Full
    }

    fn told(&self, safe: bool, told: Told) {
        self.disk.told(Told { safe, ..told });
    }

    /// Calls a verb until it comes back, as a worker does, and notes that it was told.
    fn call<T>(&mut self, mut verb: impl FnMut(&mut Sqlite) -> Result<T>) -> T {
        self.endanger_sync();
        let store = self.store.as_mut().unwrap();
        let value = loop {
            match verb(store) {
                Ok(value) => break value,
                Err(e) if e.kind() == Kind::TryAgain && self.plot.loses_syncs => {}
                Err(e) => panic!("seed {}: {e}", self.plot.seed),
            }
        };
        self.disk.mend();
        self.told(self.is_full(), Told::default());
        value
    }

    /// Lets one of the next syncs fail, now and then.
    fn endanger_sync(&mut self) {
        if self.plot.loses_syncs && self.chance.one_in(4) {
            let at = 1 + self.chance.below(2) as u64;
            self.disk.fail(Fault { at, way: Way::Broken, lasts: false, only: Some(Call::Sync) });
        }
    }

    fn enlist(&mut self, index: u32) {
        let badge = self.call(|store| tasks::enlist(store, index));
        self.badges.push(badge);
    }

    fn ask_all(&mut self, tasks: Vec<NewTask>, many: bool) {
        let asked = self.call(|store| if many { store.enqueue_many(&tasks) } else { store.enqueue(&tasks) });
        let asked = asked.into_iter().map(|one| one.id()).collect();
        self.told(false, Told { asked, ..Told::default() });
    }

    /// A statement of an application's, with SQLite's own settings. It syncs what it commits; what changes nothing
    /// commits nothing.
    fn application(&mut self, sql: &str) -> i64 {
        let id = as_application(&self.path, &format!("PRAGMA wal_autocheckpoint = 0; {sql}")).unwrap();
        self.told(self.is_full() || sql.starts_with("INSERT"), Told::default());
        id
    }

    fn some_task(&mut self) -> NewTask {
        let jobs = ["plain", "note", "note", "flaky", "doomed", "long", "once", "once", "unheard", "fan"];
        let job = jobs[self.chance.below(jobs.len())];
        let param = if job == "fan" { "2".to_string() } else { "x".repeat(self.chance.below(200)) };
        NewTask {
            priority: self.chance.below(3) as i64,
            unique_key: self.chance.one_in(4).then(|| format!("key {}", self.chance.below(6))),
            run_at_ms: self.chance.one_in(6).then_some(4_000_000_000_000),
            ..NewTask::of(job, param)
        }
    }

    /// An id of a task that is or was there.
    fn some_id(&mut self) -> i64 {
        1 + self.chance.below(30) as i64
    }

    fn step(&mut self) {
        match self.chance.below(33) {
            0..4 => {
                let task = self.some_task();
                self.ask_all(vec![task], false);
            }
            4 => {
                let tasks = (0..2 + self.chance.below(12)).map(|_| self.some_task()).collect();
                self.ask_all(tasks, true);
            }
            5..7 => {
                let id = self.application("INSERT INTO queue (job, param) VALUES ('note', 'sql')");
                self.told(false, Told { asked: vec![id], ..Told::default() });
            }
            7 => {
                let (id, n) = (self.some_id(), self.chance.below(5));
                let change =
                    ["priority = 7", "status = 'cancelled'", "run_at = 4000000000000", "param = 'y'", "run_at = NULL"]
                        [n];
                let fixed = if n == 3 { " AND job <> 'fan'" } else { "" };
                self.application(&format!("UPDATE queue SET {change} WHERE id = {id}{fixed}"));
            }
            8 => {
                let id = self.some_id();
                self.application(&format!("DELETE FROM queue WHERE id = {id}"));
            }
            9..17 => self.work(),
            17..19 => self.claim(),
            19 => self.settle_claim(),
            20 => drop(self.call(|store| store.promote(LATE_MS, 20))),
            21..23 => drop(self.call(|store| store.fold(50))),
            23..25 => drop(self.call(|store| store.spread())),
            25 => {
                let partitions = 2 + self.chance.below(3) as u32;
                self.call(|store| store.scale(partitions));
            }
            26 => self.fire(),
            27 => drop(self.call(|store| store.prune(0, LATE_MS, 6, false))),
            28 => self.mend(),
            29 => self.pause(),
            30 => {
                let mode = ["PASSIVE", "RESTART", "TRUNCATE"][self.chance.below(3)];
                self.application(&format!("PRAGMA wal_checkpoint({mode})"));
            }
            31 => self.lengthen_log(),
            _ => self.begin_anew(),
        }
    }

    /// Makes the log as long as one that the engine truncates after its next commit. What is behind the last frame means
    /// nothing, and is not written down: only the length counts, and it is that of a file that was long before.
    fn lengthen_log(&mut self) {
        let log = self.path.with_file_name("q.db-wal");
        if let Ok(file) = std::fs::OpenOptions::new().write(true).open(log) {
            file.set_len(32 << 20).unwrap();
        }
        let task = self.some_task();
        self.ask_all(vec![task], false);
    }

    fn work(&mut self) {
        let waiting = self.call(|store| store.waiting());
        if waiting.is_empty() {
            return;
        }
        let partition = waiting[self.chance.below(waiting.len())];
        let most = 1 + self.chance.below(6);
        let badge = self.badges.remove(0);
        let hold = self.call(|store| tasks::hold(store, partition, &badge));
        let batch = self.call(|store| store.fetch(&hold, most));
        if !batch.paused.is_empty() {
            self.call(|store| store.park_paused(&hold, &batch.paused));
        }
        let mut together = Vec::new();
        for (task, right) in batch.tasks {
            if tasks::is_claimed_first(&task) {
                let claim = self.begin(&hold, &badge, &task, &right);
                let ended = tasks::run(&task);
                self.call(|store| store.settle_claim(&claim, &ended));
                continue;
            }
            let mut ended = tasks::run(&task);
            if self.plot.parts_effects && task.job == "note" {
                ended.company = None;
                self.application(&format!("INSERT INTO entry (task, attempt) VALUES ({}, 1)", task.id));
            }
            together.push(Settled { ended, right });
        }
        self.call(|store| store.settle(&hold, &together, &batch.orphans));
        self.badges.push(badge);
    }

    /// Claims a task; one that may run only once has begun when that is told.
    fn begin(
        &mut self,
        hold: &rowmill::store::Hold,
        badge: &Badge,
        task: &Task,
        right: &rowmill::task::Right,
    ) -> Claim {
        let claim = self.call(|store| tasks::claim(store, hold, badge, task, right));
        if task.job == "once" {
            self.told(true, Told { began: vec![task.id], ..Told::default() });
        }
        claim
    }

    /// Claims the next task of a partition and leaves it running.
    fn claim(&mut self) {
        let waiting = self.call(|store| store.waiting());
        if waiting.is_empty() || self.running.len() > 2 {
            return;
        }
        let partition = waiting[self.chance.below(waiting.len())];
        let badge = self.badges.remove(0);
        let hold = self.call(|store| tasks::hold(store, partition, &badge));
        let mut batch = self.call(|store| store.fetch(&hold, 1));
        if let Some((task, right)) = batch.tasks.pop() {
            let claim = self.begin(&hold, &badge, &task, &right);
            self.running.push((claim, task));
        }
        self.badges.push(badge);
    }

    fn settle_claim(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let (claim, task) = self.running.remove(0);
        let ended = tasks::run(&task);
        self.call(|store| store.settle_claim(&claim, &ended));
    }

    fn fire(&mut self) {
        let nightly = Schedule { origin: Origin::File, ..Schedule::new("nightly", "0 2 * * *", "scheduled") };
        self.call(|store| store.set_schedules(std::slice::from_ref(&nightly), 1, NOW_MS - 1, &|_, _| Some(NOW_MS)));
        let Some(kept) = self.call(|store| store.schedule("nightly")) else { return };
        let Some(due) = kept.next_at else { return };
        let task = NewTask { job: "scheduled".into(), param: b"{}".to_vec(), priority: 1, ..NewTask::default() };
        let firing = Firing {
            name: "nightly".into(),
            was: (due, kept.seen_at),
            due: vec![(due, task)],
            passed: Vec::new(),
            next_at: Some(due + 1_000),
            now_ms: due,
        };
        self.call(|store| store.fire(std::slice::from_ref(&firing)));
    }

    fn mend(&mut self) {
        let ids: Vec<i64> = (0..5).map(|_| self.some_id()).collect();
        let operation = [Operation::Retry, Operation::Cancel, Operation::Release][self.chance.below(3)];
        self.call(|store| {
            let chosen = Chosen::Ids(&ids);
            match operation {
                Operation::Retry => store.retry(&chosen, NOW_MS, &mut |_, _| {}),
                Operation::Cancel => store.cancel(&chosen, NOW_MS, &mut |_, _| {}),
                Operation::Release => store.release(&chosen, NOW_MS, &mut |_, _| {}),
            }
        });
    }

    fn pause(&mut self) {
        if self.call(|store| store.paused()).is_empty() {
            self.call(|store| store.pause("note", "somebody", NOW_MS));
            self.call(|store| store.stop("somebody", NOW_MS));
        } else {
            self.call(|store| store.resume("note"));
            self.call(|store| store.release_paused("note", 0, 500));
            self.call(|store| store.start(NOW_MS));
        }
    }

    /// All workers die and the last connection is closed; new ones recover what was left.
    fn begin_anew(&mut self) {
        self.running.clear();
        self.badges.clear();
        self.endanger_sync();
        self.store = None;
        self.disk.mend();
        self.open();
        self.call(tasks::recover_all);
        for index in 0..2 {
            self.enlist(index);
        }
    }
}
