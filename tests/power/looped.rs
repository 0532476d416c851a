//! A real worker on a disk that fails under it, for as long as it takes to be noticed: it waits, and goes on.

use super::chance::Chance;
use super::disk::{Disk, Fault, Way};
use super::layer;
use super::scale;
use super::tasks::{self, APPLICATION};
use super::verdict::{PARTITIONS, integrity};
use rowmill::clock::Clock;
use rowmill::error::Kind;
use rowmill::log::{Journal, Settings};
use rowmill::store::sqlite::{Create, Sqlite, as_application};
use rowmill::store::{Durability, Store};
use rowmill::work::{Mode, Options, Registry, Stop, Summary, work};
use rowmill::{Backoff, Context, Delivery, Job, JobError, NewTask, Outcome, Policy};
use rusqlite::Connection;
use serde::de::IgnoredAny;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

fn policy(delivery: Delivery) -> Policy {
    let backoff = Backoff { first_ms: 0, factor: 1.0, max_ms: 0 };
    Policy { delivery, backoff, effects_ms: 60_000, ..Policy::default() }
}

fn noted(cx: &Context) -> Outcome {
    let (task, attempt) = (cx.task_id(), i64::from(cx.attempt()));
    Outcome::done().effect(move |tx| {
        tx.execute("INSERT INTO entry (task, attempt) VALUES (?1, ?2)", &[task.into(), attempt.into()])?;
        Ok(())
    })
}

/// Leaves an entry.
#[derive(serde::Deserialize)]
struct Note(IgnoredAny);

impl Job for Note {
    const NAME: &'static str = "note";

    fn policy() -> Policy {
        policy(Delivery::AtLeastOnce)
    }

    async fn run(self, cx: &Context) -> Result<Outcome, JobError> {
        let Note(_) = self;
        Ok(noted(cx))
    }
}

/// The same, and may run only once.
#[derive(serde::Deserialize)]
struct Once(IgnoredAny);

impl Job for Once {
    const NAME: &'static str = "once";

    fn policy() -> Policy {
        policy(Delivery::AtMostOnce)
    }

    async fn run(self, cx: &Context) -> Result<Outcome, JobError> {
        let Once(_) = self;
        Ok(noted(cx))
    }
}

/// Leaves an entry at the second attempt.
#[derive(serde::Deserialize)]
struct Flaky(IgnoredAny);

impl Job for Flaky {
    const NAME: &'static str = "flaky";

    fn policy() -> Policy {
        policy(Delivery::AtLeastOnce)
    }

    async fn run(self, cx: &Context) -> Result<Outcome, JobError> {
        let Flaky(_) = self;
        if cx.attempt() == 1 { Err(JobError::new("not yet")) } else { Ok(noted(cx)) }
    }
}

/// Asks for as many leaves as its param says.
#[derive(serde::Deserialize)]
struct Fan(usize);

impl Job for Fan {
    const NAME: &'static str = "fan";

    fn policy() -> Policy {
        policy(Delivery::AtLeastOnce)
    }

    async fn run(self, cx: &Context) -> Result<Outcome, JobError> {
        let id = cx.task_id();
        let leaves =
            (0..self.0).map(|n| NewTask { codec: rowmill::Codec::Text, ..NewTask::of("leaf", format!("{id}/{n}")) });
        Ok(noted(cx).then_all(leaves))
    }
}

/// Does nothing.
#[derive(serde::Deserialize)]
struct Leaf(IgnoredAny);

impl Job for Leaf {
    const NAME: &'static str = "leaf";

    async fn run(self, _: &Context) -> Result<Outcome, JobError> {
        let Leaf(_) = self;
        Ok(Outcome::done())
    }
}

fn registry() -> Arc<Registry> {
    let mut registry = Registry::new();
    registry.job::<Note>().unwrap();
    registry.job::<Once>().unwrap();
    registry.job::<Flaky>().unwrap();
    registry.job::<Fan>().unwrap();
    registry.job::<Leaf>().unwrap();
    Arc::new(registry)
}

fn ask(store: &mut Sqlite) {
    let mut asked = Vec::new();
    for n in 0..12 {
        asked.push(NewTask::of("note", n.to_string()));
        asked.push(NewTask::of("flaky", "1"));
        asked.push(NewTask::of("once", "1"));
        asked.push(NewTask::of("fan", "3"));
    }
    store.enqueue(&asked).unwrap();
}

/// One worker until nothing is left.
fn drain(folder: &Path) -> rowmill::Result<Summary> {
    let mut store = Sqlite::open(&folder.join("q.db"), Durability::Normal, Create::Never)?;
    let zone = chrono_tz::UTC;
    let (dir, level, form) = (folder.join("logs"), log::LevelFilter::Info, rowmill::log::Form::Text);
    let settings = Settings { dir, zone, level, form, to_stderr: false };
    let journal = Journal::open(settings, Clock::System)?;
    let (grace, stall) = (Duration::from_secs(60), Duration::from_secs(3_600));
    let options = Options { index: 0, workers: None, mode: Mode::Drain, yields: false, grace, stall };
    work(&mut store, registry(), journal, Clock::System, Stop::new()?, options)
}

/// Has a worker drain the queue on a disk that fails from one call on, until a few calls have failed.
fn drain_under(fault: Fault) -> Result<u64, String> {
    let folder = TempDir::new().unwrap();
    let disk = Disk::plain();
    layer::insert(folder.path(), &disk);
    let path = folder.path().canonicalize().unwrap();
    let database = path.join("q.db");
    let mut own = Sqlite::open(&database, Durability::Normal, Create::WithPartitions(PARTITIONS)).unwrap();
    as_application(&database, APPLICATION).unwrap();
    ask(&mut own);
    disk.fail(fault);
    let hits = std::thread::scope(|threads| {
        let worker = threads.spawn(|| drain(&path));
        disk.until_failed(3, || worker.is_finished());
        let hits = disk.mend();
        // A worker that could not begin leaves it to the next one.
        match worker.join().unwrap() {
            Ok(Summary::Ended { .. }) => Ok(hits),
            Err(e) if e.kind() == Kind::TryAgain => drain(&path).map(|_| hits).map_err(|e| e.to_string()),
            other => Err(format!("the worker ends with {other:?}")),
        }
    })?;
    let conn = Connection::open(&database).unwrap();
    integrity(&conn)?;
    let wrong = [tasks::breaches(&conn), tasks::unfinished(&conn)].concat();
    let failed = "SELECT count(*) FROM task WHERE status <> 'done'";
    let failed: i64 = conn.query_row(failed, [], |r| r.get(0)).unwrap();
    drop(conn);
    drop(own);
    layer::remove(folder.path());
    if wrong.is_empty() && failed == 0 { Ok(hits) } else { Err(format!("{failed} are not done; {wrong:?}")) }
}

#[test]
fn a_worker_waits_for_a_disk_that_fails_under_it_and_then_does_everything_once() {
    let mut chance = Chance::of(7);
    let (mut hits, mut runs) = (0, 0);
    for n in 0..4 * scale() {
        for way in [Way::Full, Way::Broken, Way::Short] {
            let at = 1 + chance.below(if n % 2 == 0 { 40 } else { 400 }) as u64;
            let fault = Fault { at, way, lasts: true, only: None };
            hits += drain_under(fault).unwrap_or_else(|why| panic!("{fault:?}: {why}"));
            runs += 1;
        }
    }
    println!("worker: {runs} runs, {hits} failed calls");
    assert!(hits > runs, "the disk has hardly failed");
}
