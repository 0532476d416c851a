//! One pass of the scheduler over the verbs, at a time that the test says: what it does about clocks that had jumped, and
//! about a step that fails.
//!
//! Nothing is started here: `start` only notes which workers a tick would start.

use crate::scene::{FAR_MS, PARTITIONS, Scene, task};
use rowmill::cron::Cron;
use rowmill::error::Kind;
use rowmill::schedule::{Entry, Ticked, tick};
use rowmill::task::NewTask;
use std::time::Duration;

on_every_backend!(
    a_schedule_is_back_in_time_after_a_clock_that_had_jumped_ahead,
    a_schedule_that_cannot_be_fired_keeps_nothing_else_from_being_done,
    a_tick_beside_another_does_nothing,
    a_worker_that_cannot_be_started_is_said_after_the_rest_is_done,
);

/// Noon of the first of January 2030, UTC.
const NOON_MS: i64 = 1_893_499_200_000;
const MINUTE_MS: i64 = 60_000;
const STALL: Duration = Duration::from_secs(30);

fn entry(name: &str, job: &str) -> Entry {
    Entry {
        name: name.into(),
        cron: Cron::parse("* * * * *").unwrap(),
        zone: chrono_tz::UTC,
        job: job.into(),
        param: "null".into(),
        priority: 4,
    }
}

/// One pass at `now_ms`; its answer, and the workers that it would have started.
fn pass(s: &mut Scene, entries: &[Entry], now_ms: i64) -> (rowmill::Result<Ticked>, Vec<u32>) {
    let mut started = Vec::new();
    let mut start = |index| {
        started.push(index);
        Ok(())
    };
    let ticked = tick(
        s.store.as_mut(),
        entries,
        PARTITIONS,
        now_ms,
        STALL,
        &|lost| panic!("task {} is blamed", lost.task.id),
        &mut start,
    );
    (ticked, started)
}

fn a_schedule_is_back_in_time_after_a_clock_that_had_jumped_ahead(s: &mut Scene) {
    let often = [entry("often", "report")];
    pass(s, &often, NOON_MS - MINUTE_MS).0.unwrap();
    let ahead_ms = NOON_MS + 365 * 24 * 60 * MINUTE_MS;
    let (ticked, _) = pass(s, &often, ahead_ms);
    assert_eq!(ticked.unwrap().fired.len(), 1, "a year is past, for this tick");
    assert!(s.store.schedules().unwrap()[0].next_at > ahead_ms);
    // The clock is right again: nothing is due for a minute, and then each minute.
    assert_eq!(pass(s, &often, NOON_MS).0.unwrap().fired, []);
    assert_eq!(s.store.schedules().unwrap()[0].next_at, NOON_MS + MINUTE_MS);
    for minute in 1..=3 {
        let due_ms = NOON_MS + minute * MINUTE_MS;
        let fired = pass(s, &often, due_ms + 7).0.unwrap().fired;
        assert!(matches!(&fired[..], [(name, due, _)] if name == "often" && *due == due_ms), "{fired:?}");
    }
}

fn a_schedule_that_cannot_be_fired_keeps_nothing_else_from_being_done(s: &mut Scene) {
    let due = s.plant(NewTask { run_at_ms: Some(FAR_MS - 5), ..task("subject") });
    // No row can have such a job: its CHECK refuses it.
    let entries = [entry("a", &"x".repeat(201)), entry("b", "report")];
    pass(s, &entries, NOON_MS - MINUTE_MS).0.unwrap();
    // All schedules are due, and so is the delayed task, but not the bystanders.
    let (ticked, started) = pass(s, &entries, FAR_MS - 5);
    let words = ticked.unwrap_err().to_string();
    assert!(words.contains("schedule `a`") && words.contains("job"), "{words}");
    assert_eq!(s.number("SELECT count(*) FROM queue WHERE job = 'report'"), 1, "the other schedule is fired");
    assert_eq!(s.status(due), "ready");
    assert_eq!(started, (0..PARTITIONS).collect::<Vec<_>>());
}

fn a_tick_beside_another_does_nothing(s: &mut Scene) {
    let mut other = s.another();
    let lock = other.scheduler().unwrap();
    assert!(lock.is_some());
    let (ticked, started) = pass(s, &[entry("a", "report")], NOON_MS);
    assert_eq!((ticked.unwrap(), started), (Ticked { left_to_another: true, ..Ticked::default() }, vec![]));
    assert_eq!(s.store.schedules().unwrap(), []);
}

fn a_worker_that_cannot_be_started_is_said_after_the_rest_is_done(s: &mut Scene) {
    let entries = [entry("a", "report")];
    pass(s, &entries, NOON_MS - MINUTE_MS).0.unwrap();
    let mut start = |_| Err(rowmill::Error::try_again("no more processes"));
    let ticked = tick(s.store.as_mut(), &entries, PARTITIONS, NOON_MS, STALL, &|_| panic!("nobody died"), &mut start);
    assert_eq!(ticked.unwrap_err().kind(), Kind::TryAgain);
    assert_eq!(s.number("SELECT count(*) FROM queue WHERE job = 'report'"), 1);
}
