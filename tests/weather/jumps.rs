//! The machine's clock jumps: forward a day, back an hour. Workers run as threads here, on a clock that the test sets.
//!
//! What would be found here: rows that wait for the old time, workers that end or never rest, and tasks that are settled
//! into a state that cannot be.

use crate::installation::{BOUND, Installation, within};
use rowmill::clock::Clock;
use rowmill::log::{Journal, Settings};
use rowmill::store::Durability;
use rowmill::store::sqlite::{Create, Sqlite};
use rowmill::work::{Mode, Options, Stop, Summary, work};
use rowmill::{Context, Job, JobError, Outcome, Registry};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::sync::Arc;
use std::thread::JoinHandle;

const HOUR_MS: i64 = 3_600_000;

#[derive(Deserialize)]
struct Quick(#[allow(dead_code, reason = "accepted, not looked at")] IgnoredAny);

impl Job for Quick {
    const NAME: &'static str = "quick";

    async fn run(self, _: &Context) -> Result<Outcome, JobError> {
        Ok(Outcome::done())
    }
}

/// Fails at its first attempt.
#[derive(Deserialize)]
struct Shaky(#[allow(dead_code, reason = "accepted, not looked at")] IgnoredAny);

impl Job for Shaky {
    const NAME: &'static str = "shaky";

    async fn run(self, cx: &Context) -> Result<Outcome, JobError> {
        if cx.attempt() == 1 { Err(JobError::new("not yet")) } else { Ok(Outcome::done()) }
    }
}

fn start(here: &Installation, clock: &Clock, stop: &Stop) -> JoinHandle<rowmill::Result<Summary>> {
    let mut store = Sqlite::open(&here.path("rowmill.db"), Durability::Normal, Create::Never).unwrap();
    let (dir, level, form) = (here.path("logs"), log::LevelFilter::Info, rowmill::log::Form::Text);
    let settings = Settings { dir, zone: chrono_tz::UTC, level, form, to_stderr: false };
    let (clock, stop) = (clock.clone(), stop.clone());
    let journal = Journal::open(settings, clock.clone()).unwrap();
    let mut registry = Registry::new();
    registry.job::<Quick>().unwrap();
    registry.job::<Shaky>().unwrap();
    let options = Options {
        index: 0,
        workers: Some(1),
        mode: Mode::Linger(BOUND * 10),
        grace: BOUND,
        stall: BOUND,
        yields: false,
    };
    std::thread::spawn(move || work(&mut store, Arc::new(registry), journal, clock, stop, options))
}

#[test]
fn rows_run_on_when_the_clock_goes_forward_a_day_and_back_an_hour() {
    let here = Installation::new("workers = 1\n");
    let real_ms = Clock::System.now_ms();
    let (clock, stop) = (Clock::manual(real_ms), Stop::new().unwrap());
    let worker = start(&here, &clock, &stop);
    let conn = here.sql();
    let insert = |job: &str, run_at_ms: Option<i64>| {
        conn.execute(
            "INSERT INTO queue (job, param, run_at) VALUES (?1, 'null', ?2)",
            rusqlite::params![job, run_at_ms],
        )
        .unwrap();
        conn.last_insert_rowid()
    };
    let status = |id: i64| {
        let look = "SELECT status FROM task WHERE id = ?1";
        conn.query_row(look, [id], |r| r.get::<_, String>(0)).unwrap()
    };
    let becomes = |id: i64, wanted: &str| {
        within(BOUND, "a row to be settled", || {
            // A clock that stands still does not come to the next due time by itself.
            clock.set(clock.now_ms() + 10);
            (status(id) == wanted).then_some(())
        });
    };
    let (tomorrow, later) =
        (insert("quick", Some(real_ms + 12 * HOUR_MS)), insert("quick", Some(real_ms + 48 * HOUR_MS)));
    becomes(insert("quick", None), "done");
    assert_eq!((status(tomorrow).as_str(), status(later).as_str()), ("delayed", "delayed"));
    // Forward a day: what is due then is due, and a failed attempt is put off from then on.
    clock.set(real_ms + 24 * HOUR_MS);
    insert("quick", None);
    becomes(tomorrow, "done");
    assert_eq!(status(later), "delayed");
    let shaky = insert("shaky", None);
    becomes(shaky, "delayed");
    // Back to an hour before: what comes in runs at once; what was put off waits until its time comes again.
    clock.set(real_ms - HOUR_MS);
    becomes(insert("quick", None), "done");
    assert_eq!((status(shaky).as_str(), status(later).as_str()), ("delayed", "delayed"));
    assert!(!worker.is_finished());
    here.run(&["release", &shaky.to_string()]).well();
    becomes(shaky, "done");
    // And on from there, past everything.
    clock.set(real_ms + 49 * HOUR_MS);
    becomes(insert("quick", None), "done");
    becomes(later, "done");
    assert_eq!((here.count("attempt <> 1"), here.count("status <> 'done'")), (1, 0), "only the one that failed");
    stop.request();
    within(BOUND, "the worker to end", || worker.is_finished().then_some(()));
    assert!(matches!(worker.join().unwrap().unwrap(), Summary::Ended { died: 0, .. }));
    let days = std::fs::read_dir(here.path("logs")).unwrap().count();
    assert!(days >= 3, "each day has its log, and the link: {days}");
}
