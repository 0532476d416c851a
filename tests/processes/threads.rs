//! Workers as threads of the test, with jobs that the program does not have: a hold that is lost under a running task, a
//! future that panics when it is dropped, a stop with a short grace, and a database that stays locked meanwhile.
//!
//! What would be found here: a lost batch that runs on or counts, a worker that does nothing ever after, one that cannot
//! be told to end, and a task that is charged for a stop. Only Rust jobs run here: an executable of a thread would be
//! looked for among the children of all other tests.

use super::killed::LOSE_FIRST;
use crate::installation::{BOUND, Installation, statuses, within};
use rowmill::clock::Clock;
use rowmill::log::{Journal, Settings};
use rowmill::store::Durability;
use rowmill::store::sqlite::{Create, Sqlite};
use rowmill::work::{Mode, Options, Stop, Summary, work};
use rowmill::{Context, Job, JobError, Outcome, Policy, Registry};
use rusqlite::Connection;
use serde::Deserialize;
use std::fs::File;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Writes a line in a file of the installation.
fn note(folder: &Path, name: &str) {
    use std::io::Write;
    let mut file = File::options().create(true).append(true).open(folder.join(name)).unwrap();
    writeln!(file, "noted").unwrap();
}

/// Says so when it is dropped.
struct Dropped(PathBuf);

impl Drop for Dropped {
    fn drop(&mut self) {
        note(&self.0, "dropped");
    }
}

/// Never ends the first time that it runs in the folder that it is given.
#[derive(Deserialize)]
struct Hold(PathBuf);

impl Job for Hold {
    const NAME: &'static str = "hold";

    async fn run(self, _: &Context) -> Result<Outcome, JobError> {
        note(&self.0, "runs");
        if std::fs::read_to_string(self.0.join("runs"))?.lines().count() > 1 {
            return Ok(Outcome::done());
        }
        let _guard = Dropped(self.0);
        pending().await
    }
}

/// Runs into its timeout, and panics when its future is dropped.
#[derive(Deserialize)]
struct Fragile;

struct Glass;

impl Drop for Glass {
    fn drop(&mut self) {
        panic!("it broke");
    }
}

impl Job for Fragile {
    const NAME: &'static str = "fragile";

    fn policy() -> Policy {
        Policy { max_attempts: 1, timeout_ms: Some(20), ..Policy::default() }
    }

    async fn run(self, _: &Context) -> Result<Outcome, JobError> {
        let _glass = Glass;
        pending().await
    }
}

/// Done at once.
#[derive(Deserialize)]
struct Quick;

impl Job for Quick {
    const NAME: &'static str = "quick";

    async fn run(self, _: &Context) -> Result<Outcome, JobError> {
        Ok(Outcome::done())
    }
}

/// A worker thread; told to stop when the test is over, whichever way.
struct Worker {
    stop: Stop,
    thread: Option<JoinHandle<rowmill::Result<Summary>>>,
}

fn store(here: &Installation) -> Sqlite {
    Sqlite::open(&here.path("rowmill.db"), Durability::Normal, Create::Never).unwrap()
}

/// Starts worker `index`, who lingers and has this long to finish what runs.
fn start(here: &Installation, index: u32, workers: u32, grace: Duration) -> Worker {
    let (mut store, stop, clock) = (store(here), Stop::new().unwrap(), Clock::System);
    let zone = chrono_tz::UTC;
    let (dir, level, form) = (here.path("logs"), log::LevelFilter::Info, rowmill::log::Form::Text);
    let settings = Settings { dir, zone, level, form, to_stderr: false };
    let journal = Journal::open(settings, clock.clone()).unwrap();
    let mut registry = Registry::new();
    registry.job::<Hold>().unwrap();
    registry.job::<Fragile>().unwrap();
    registry.job::<Quick>().unwrap();
    let options =
        Options { index, workers: Some(workers), mode: Mode::Linger(BOUND), yields: false, grace, stall: BOUND };
    let told = stop.clone();
    let body = move || work(&mut store, Arc::new(registry), journal, clock, told, options);
    Worker { stop, thread: Some(std::thread::spawn(body)) }
}

impl Worker {
    /// Waits until it has ended.
    fn end(&mut self) -> rowmill::Result<Summary> {
        let thread = self.thread.take().unwrap();
        within(BOUND, "a worker to end", || thread.is_finished().then_some(()));
        thread.join().unwrap()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.request();
        self.stop.request();
    }
}

/// Inserts a row whose param is the installation's folder; its id.
fn insert(here: &Installation, conn: &Connection, job: &str) -> i64 {
    let param = serde_json::to_string(&here.folder()).unwrap();
    let insert = "INSERT INTO queue (job, param) VALUES (?1, ?2)";
    conn.execute(insert, [job, if job == Hold::NAME { &param } else { "null" }]).unwrap();
    conn.last_insert_rowid()
}

fn lines(here: &Installation, name: &str) -> usize {
    here.read(name).lines().count()
}

#[track_caller]
fn await_running(here: &Installation) {
    within(BOUND, "the task to be claimed", || (here.count("status = 'running'") == 1).then_some(()));
}

const PATIENT: Duration = Duration::from_secs(30);

#[test]
fn a_batch_of_a_lost_hold_is_broken_off_and_nothing_of_it_counts() {
    let here = Installation::new("workers = 1\n");
    let conn = here.sql();
    conn.execute_batch(LOSE_FIRST).unwrap();
    let id = insert(&here, &conn, "hold");
    for _ in 0..5 {
        insert(&here, &conn, "quick");
    }
    let mut worker = start(&here, 0, 1, PATIENT);
    within(BOUND, "the lost run to be broken off", || (lines(&here, "dropped") == 1).then_some(()));
    within(BOUND, "all to be done", || (here.done() == 6).then_some(()));
    worker.stop.request();
    assert_eq!(worker.end().unwrap(), Summary::Ended { settled: 6, died: 0 });
    assert_eq!((here.count("attempt = 1"), lines(&here, "runs")), (6, 2));
    assert_eq!(here.lines(&format!("task={id} ")), 1, "{}", here.log());
}

#[test]
fn a_job_that_panics_when_it_is_dropped_ends_as_a_panic_and_the_worker_goes_on() {
    let here = Installation::new("workers = 1\n");
    let conn = here.sql();
    insert(&here, &conn, "fragile");
    insert(&here, &conn, "quick");
    let mut worker = start(&here, 0, 1, PATIENT);
    within(BOUND, "both to be settled", || (here.count("status IN ('done', 'dead')") == 2).then_some(()));
    assert_eq!(here.count("job = 'fragile' AND status = 'dead' AND cause = 'panic' AND error LIKE '%it broke'"), 1);
    worker.stop.request();
    assert_eq!(worker.end().unwrap(), Summary::Ended { settled: 2, died: 1 });
}

#[test]
fn a_claimed_job_that_outlasts_the_grace_is_put_back_uncharged() {
    let here = Installation::new("workers = 1\n");
    insert(&here, &here.sql(), "hold");
    let mut worker = start(&here, 0, 1, Duration::from_millis(200));
    await_running(&here);
    worker.stop.request();
    assert!(matches!(worker.end().unwrap(), Summary::Ended { died: 0, .. }));
    assert_eq!((lines(&here, "dropped"), here.queue()), (1, statuses([("ready", 1)])));
    assert_eq!(here.count("attempt = 0 AND error IS NULL AND cause IS NULL"), 1);
    let _again = start(&here, 0, 1, PATIENT);
    within(BOUND, "the task to be done", || (here.count("status = 'done' AND attempt = 1") == 1).then_some(()));
}

#[test]
fn a_locked_database_keeps_nobody_from_ending_within_the_grace() {
    let here = Installation::new("workers = 1\n");
    let conn = here.sql();
    let mut worker = start(&here, 0, 1, Duration::from_millis(500));
    insert(&here, &conn, "quick");
    // From here on the worker holds its partition and has nothing left to write, so that it can fetch.
    within(BOUND, "a first row to be folded", || (here.queue() == statuses([("done", 1)])).then_some(()));
    // One that is done and cannot be settled, and one that goes on.
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    insert(&here, &conn, "quick");
    insert(&here, &conn, "hold");
    conn.execute_batch("COMMIT; BEGIN IMMEDIATE").unwrap();
    within(BOUND, "the task to run", || (lines(&here, "runs") == 1).then_some(()));
    let watch = rowmill::clock::Watch::start();
    worker.stop.request();
    let ended = worker.end().unwrap();
    assert!(watch.elapsed() < Duration::from_secs(10), "{:?}", watch.elapsed());
    assert!(matches!(ended, Summary::Ended { died: 0, .. }), "{ended:?}");
    assert_eq!(lines(&here, "dropped"), 1, "what ran is not left to itself");
    conn.execute_batch("COMMIT").unwrap();
    let _again = start(&here, 0, 1, PATIENT);
    within(BOUND, "nothing to be lost", || (here.done() == 3).then_some(()));
}
