//! A scratch database with a store on it, bystanders in every state, and an eye that sees the raw rows.
//!
//! The bystanders are rows that a test is not about: one of each kind in every partition. [`Scene::close`] says whether
//! any of them was touched, and whether the data still keep their laws. What knows SQLite stands in [`Database`]; a
//! second backend brings another one.

#![allow(dead_code, reason = "each test target that includes this module uses a part of it")]

mod bystanders;
pub(crate) mod laws;

use bystanders::Bystander;
use rowmill::store::sqlite::{Create, Sqlite};
use rowmill::store::{Durability, Ended, Hold, Settled, Settling, Store, Verdict};
use rowmill::task::{NewTask, Partition, Right, Settlement, Task};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::path::PathBuf;
use tempfile::TempDir;

/// N of every scene.
pub(crate) const PARTITIONS: u32 = 4;
/// The partition that tests act in; the others only have bystanders.
pub(crate) const HOME: Partition = Partition { generation: 1, index: 1 };
/// A time that never comes while tests run: in the year 2096.
pub(crate) const FAR_MS: i64 = 4_000_000_000_000;
/// A time that was: in 2001.
pub(crate) const PAST_MS: i64 = 1_000_000_000_000;
/// What settlements say the run took.
pub(crate) const RAN: (i64, i64) = (1_500_000_000_000, 1_500_000_000_500);

/// The file under a scene.
pub(crate) struct Database {
    folder: TempDir,
    /// A connection of nobody's: only looks, unless a test acts as an application through it.
    pub(crate) conn: Connection,
}

impl Database {
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("q.db")
    }

    pub(crate) fn run_folder(&self) -> PathBuf {
        self.folder.path().join("q.db-run")
    }
}

/// A database, a store on it, and its bystanders.
pub(crate) struct Scene {
    pub(crate) store: Box<dyn Store>,
    pub(crate) database: Database,
    bystanders: Vec<Bystander>,
    folds: bool,
}

fn open(folder: &TempDir) -> Box<dyn Store> {
    // What survives a power cut is not asked here, and syncs would be most of the time.
    let path = folder.path().join("q.db");
    Box::new(Sqlite::open(&path, Durability::Normal, Create::WithPartitions(PARTITIONS)).unwrap())
}

impl Scene {
    /// An empty queue.
    pub(crate) fn empty() -> Scene {
        let folder = TempDir::new().unwrap();
        let store = open(&folder);
        let conn = Connection::open(folder.path().join("q.db")).unwrap();
        conn.execute_batch("PRAGMA busy_timeout = 5000; PRAGMA wal_autocheckpoint = 0;").unwrap();
        Scene { store, database: Database { folder, conn }, bystanders: Vec::new(), folds: false }
    }

    /// A queue with bystanders.
    pub(crate) fn fresh() -> Scene {
        let mut scene = Scene::empty();
        bystanders::gather(&mut scene);
        scene
    }

    /// A store of another process, as far as the database can tell.
    pub(crate) fn another(&self) -> Box<dyn Store> {
        open(&self.database.folder)
    }

    /// From here on the bystanders' fresh outcomes may be folded; what a reader sees of them still may not change.
    pub(crate) fn expect_folds(&mut self) {
        self.folds = true;
    }

    /// Enqueues a task that lands in [`HOME`]; what lands elsewhere on the way becomes a bystander of high priority.
    pub(crate) fn plant(&mut self, task: NewTask) -> i64 {
        let id = self.plant_uncounted(task);
        self.count();
        id
    }

    /// The same of a row that nobody has counted yet.
    pub(crate) fn plant_uncounted(&mut self, task: NewTask) -> i64 {
        loop {
            let next = 1 + self.number("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'queue'");
            if self.store.plan().unwrap().partition_of(next) == HOME {
                return self.store.enqueue(&[task]).unwrap()[0].id();
            }
            let filler = NewTask { job: "bystander".into(), priority: 9, ..NewTask::default() };
            let id = self.store.enqueue(&[filler]).unwrap()[0].id();
            self.bystanders.push(Bystander::of(&self.database, "elsewhere", id));
        }
    }

    /// Plants a ready task at priority 0, above the bystanders of its partition.
    pub(crate) fn ready(&mut self) -> i64 {
        self.plant(task("subject"))
    }

    /// Holds [`HOME`].
    pub(crate) fn hold(&mut self) -> Hold {
        patiently(|| hold_as(self.store.as_mut(), HOME, 3))
    }

    /// Counts every row, so that whoever changes one of them has to keep the counts.
    pub(crate) fn count(&mut self) {
        while self.store.count(1).unwrap() > 0 {}
    }

    /// Folds everything that is fresh.
    pub(crate) fn fold(&mut self) {
        while patiently(|| self.store.fold(1000).unwrap()) > 0 {}
    }

    /// Holds [`HOME`] and takes these tasks, which must be the next ones, in this order.
    pub(crate) fn take(&mut self, ids: &[i64]) -> (Hold, Vec<Taken>) {
        let hold = self.hold();
        let tasks = self.store.fetch(&hold, ids.len()).unwrap().tasks;
        assert_eq!(tasks.iter().map(|(task, _)| task.id).collect::<Vec<_>>(), ids, "these are not the next ones");
        (hold, tasks)
    }

    /// Takes one task, the next one.
    pub(crate) fn take_one(&mut self, id: i64) -> (Hold, Taken) {
        let (hold, mut tasks) = self.take(&[id]);
        (hold, tasks.remove(0))
    }

    /// Settles one task, which must be committed.
    pub(crate) fn settle(&mut self, hold: &Hold, task: Taken, settlement: Settlement) -> Verdict {
        match self.store.settle(hold, &[settled(task, settlement)], &[]).unwrap() {
            Settling::Committed(mut verdicts) if verdicts.len() == 1 => verdicts.remove(0),
            other => panic!("one verdict was due, not {other:?}"),
        }
    }

    /// Takes and settles a task, from hold to hold's end.
    pub(crate) fn finish(&mut self, id: i64, settlement: Settlement) -> Verdict {
        let (hold, task) = self.take_one(id);
        self.settle(&hold, task, settlement)
    }

    /// The first column of the first row, as a number.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.database.conn.query_row(sql, [], |r| r.get(0)).unwrap()
    }

    /// Runs statements as an application would.
    pub(crate) fn sql(&self, sql: &str) {
        self.database.conn.execute_batch(sql).unwrap();
    }

    /// Runs statements as a program does that has switched the triggers off. Rows are counted anew afterwards.
    pub(crate) fn sql_without_triggers(&self, sql: &str) {
        let conn = &self.database.conn;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
        conn.execute_batch(&format!("{sql}; DELETE FROM rowmill_count; UPDATE rowmill_counted SET up_to = 0")).unwrap();
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true).unwrap();
    }

    /// Deletes a row so that its keys stay.
    pub(crate) fn delete_without_triggers(&self, id: i64) {
        self.sql_without_triggers(&format!("DELETE FROM queue WHERE id = {id}"));
    }

    /// One task's raw row and keys.
    pub(crate) fn raw(&self, id: i64) -> Vec<String> {
        laws::raw(&self.database.conn, id)
    }

    /// The status in `queue` itself, which folding may not have reached yet; `gone` without a row.
    pub(crate) fn stored_status(&self, id: i64) -> String {
        let status = self.database.conn.query_row("SELECT status FROM queue WHERE id = ?1", [id], |r| r.get(0));
        status.unwrap_or_else(|_| "gone".to_string())
    }

    /// The status that a reader sees; `gone` without a row.
    pub(crate) fn status(&mut self, id: i64) -> &'static str {
        self.store.task(id).unwrap().map_or("gone", |row| row.status.word())
    }

    /// The keys of a task: where it stands in which order.
    pub(crate) fn keys(&self, id: i64) -> Vec<String> {
        laws::keys(&self.database.conn, id)
    }

    /// Fails when a bystander was touched or a law is broken.
    pub(crate) fn close(&self) {
        self.untouched();
        laws::hold(&self.database.conn);
    }

    /// Fails when a bystander was touched.
    pub(crate) fn untouched(&self) {
        for bystander in &self.bystanders {
            bystander.untouched(&self.database, self.folds);
        }
    }
}

/// Tries until a lock is free that nobody in this test has. A child that another test starts has every descriptor of
/// this process between fork and exec, and so keeps a lock for a moment after it was given back here.
pub(crate) fn patiently<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1_000_000 {
        if let Some(value) = attempt() {
            return value;
        }
        std::thread::yield_now();
    }
    panic!("somebody has the lock and keeps it")
}

/// A task of this job, all else default.
pub(crate) fn task(job: &str) -> NewTask {
    NewTask { job: job.into(), ..NewTask::default() }
}

/// A task of the usual job with this key.
pub(crate) fn keyed(key: &str) -> NewTask {
    NewTask { unique_key: Some(key.into()), ..task("subject") }
}

/// A finished run.
pub(crate) fn settled((_, right): Taken, settlement: Settlement) -> Settled {
    Settled { right, ended: Ended { settlement, started_at_ms: RAN.0, finished_at_ms: RAN.1, company: None } }
}

/// A task in hand, with the right to settle it.
pub(crate) type Taken = (Task, Right);

/// Holds a partition as a worker process that is there for this hold alone; nobody died in these scenes.
pub(crate) fn hold_as(store: &mut dyn Store, partition: Partition, index: u32) -> Option<Hold> {
    let badge = patiently(|| store.enlist(index, 5).unwrap());
    store.hold(partition, &badge, 5, &|task| panic!("task {} is blamed", task.id)).unwrap()
}

/// Done at the first attempt, with a result.
pub(crate) fn done() -> Settlement {
    Settlement::Done { attempt: 1, result: Some(b"ok".to_vec()) }
}

/// Failed once; again at [`FAR_MS`].
pub(crate) fn retried() -> Settlement {
    let cause = Some(rowmill::task::Cause::Error("no".into()));
    Settlement::Delayed { attempt: 1, run_at_ms: FAR_MS, cause }
}

/// Failed for good.
pub(crate) fn dead() -> Settlement {
    Settlement::Dead { attempt: 1, cause: rowmill::task::Cause::Error("no".into()) }
}

/// Nobody knows its job.
pub(crate) fn parked() -> Settlement {
    Settlement::Parked { cause: "unknown_job", reason: "nobody knows it".into() }
}
