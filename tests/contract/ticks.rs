//! One pass of the scheduler over the verbs, at a time that the test says: what it does about clocks that had jumped, and
//! about a step that fails.
//!
//! Nothing is started here: `start` only notes which workers a tick would start.

use crate::scene::{FAR_MS, PARTITIONS, Scene, task};
use rowmill::error::Kind;
use rowmill::schedule::{Answer, Calendar, Ticked, tick};
use rowmill::store::{CatchUp, Origin, Overlap, Schedule};
use rowmill::task::NewTask;
use std::time::Duration;

on_every_backend!(
    a_schedule_is_back_in_time_after_a_clock_that_had_jumped_ahead,
    a_clock_that_is_set_back_repeats_nothing,
    a_schedule_that_cannot_be_fired_keeps_nothing_else_from_being_done,
    a_tick_beside_another_does_nothing,
    a_worker_that_cannot_be_started_is_said_after_the_rest_is_done,
    a_command_decides_once_the_rest_is_done,
    what_waits_is_asked_for_when_its_time_has_come,
    jitter_delays_the_task_and_not_the_schedule,
    a_one_off_time_is_due_once,
    a_trigger_that_ends_the_transaction_stops_one_schedule_alone,
);

/// Noon of the first of January 2030, UTC.
const NOON_MS: i64 = 1_893_499_200_000;
const MINUTE_MS: i64 = 60_000;
const STALL: Duration = Duration::from_secs(30);

fn minutely(name: &str, job: &str) -> Schedule {
    Schedule { origin: Origin::File, priority: 4, ..Schedule::new(name, "* * * * *", job) }
}

/// One pass at `now_ms`; its answer, and the workers that it would have started.
fn pass(s: &mut Scene, schedules: &[Schedule], now_ms: i64) -> (rowmill::Result<Ticked>, Vec<u32>) {
    asked(s, schedules, now_ms, &mut |name| panic!("{name} has no command"))
}

/// The same with somebody who answers for commands.
fn asked(
    s: &mut Scene,
    schedules: &[Schedule],
    now_ms: i64,
    ask: &mut dyn FnMut(&str) -> Answer,
) -> (rowmill::Result<Ticked>, Vec<u32>) {
    let mut started = Vec::new();
    let mut start = |index| {
        started.push(index);
        Ok(())
    };
    let blamed = |lost: &rowmill::store::LostClaim| panic!("task {} is blamed", lost.task.id);
    let mut calendar = Calendar { schedules, ask };
    let ticked = tick(s.store.as_mut(), &mut calendar, PARTITIONS, now_ms, STALL, &blamed, &mut start);
    (ticked, started)
}

/// The due times that a pass enqueues.
fn due(s: &mut Scene, schedules: &[Schedule], now_ms: i64) -> Vec<i64> {
    pass(s, schedules, now_ms).0.unwrap().fired.into_iter().map(|(_, due, _)| due).collect()
}

fn next_at(s: &mut Scene, name: &str) -> Option<i64> {
    s.store.schedule(name).unwrap().unwrap().next_at
}

fn a_schedule_is_back_in_time_after_a_clock_that_had_jumped_ahead(s: &mut Scene) {
    let often = [minutely("often", "report")];
    pass(s, &often, NOON_MS - MINUTE_MS).0.unwrap();
    let ahead_ms = NOON_MS + 365 * 24 * 60 * MINUTE_MS;
    assert_eq!(due(s, &often, ahead_ms), [ahead_ms], "a year is past, for this tick");
    assert!(next_at(s, "often") > Some(ahead_ms));
    // The clock is right again: what is due by then is enqueued each minute.
    assert_eq!(due(s, &often, NOON_MS), [0; 0]);
    assert_eq!(next_at(s, "often"), Some(NOON_MS + MINUTE_MS));
    for minute in 1..=3 {
        let due_ms = NOON_MS + minute * MINUTE_MS;
        assert_eq!(due(s, &often, due_ms + 7), [due_ms]);
    }
}

fn a_clock_that_is_set_back_repeats_nothing(s: &mut Scene) {
    let often = [minutely("often", "report")];
    pass(s, &often, NOON_MS - MINUTE_MS).0.unwrap();
    let mut fired: Vec<i64> = (0..5).flat_map(|n| due(s, &often, NOON_MS + n * MINUTE_MS)).collect();
    // Back by three and a half minutes, and through them again, in steps that differ.
    for half in 1..20 {
        fired.extend(due(s, &often, NOON_MS + half * 30_000));
    }
    assert_eq!(fired, (0..10).map(|n| NOON_MS + n * MINUTE_MS).collect::<Vec<_>>());
}

fn a_schedule_that_cannot_be_fired_keeps_nothing_else_from_being_done(s: &mut Scene) {
    let later = s.plant(NewTask { run_at_ms: Some(FAR_MS - 5), ..task("subject") });
    // No row can have such a job: its CHECK refuses it. And no such expression can be read.
    let unread = Schedule { timing: "* * * *".into(), ..minutely("u", "report") };
    let schedules = [minutely("a", &"x".repeat(201)), minutely("b", "report"), unread];
    pass(s, &schedules, NOON_MS - MINUTE_MS).0.unwrap();
    s.sql("UPDATE rowmill_schedule SET next_at = 5 WHERE name = 'u'");
    // All schedules are due, and so is the delayed task, but not the bystanders.
    let (ticked, started) = pass(s, &schedules, FAR_MS - 5);
    let words = ticked.unwrap_err().to_string();
    assert!(words.contains("schedule `u`") && words.contains("5 are needed"), "{words}");
    assert_eq!(s.number("SELECT count(*) FROM queue WHERE job = 'report'"), 1, "the other schedule is fired");
    assert_eq!(s.status(later), "ready");
    assert_eq!(started, (0..PARTITIONS).collect::<Vec<_>>());
    let words = pass(s, &schedules[..2], FAR_MS - 5).0.unwrap_err().to_string();
    assert!(words.contains("schedule `a`") && words.contains("job"), "{words}");
}

fn a_tick_beside_another_does_nothing(s: &mut Scene) {
    let mut other = s.another();
    let lock = other.scheduler().unwrap();
    assert!(lock.is_some());
    let (ticked, started) = pass(s, &[minutely("a", "report")], NOON_MS);
    assert_eq!((ticked.unwrap(), started), (Ticked { left_to_another: true, ..Ticked::default() }, vec![]));
    assert_eq!(s.store.schedules().unwrap(), []);
}

fn a_worker_that_cannot_be_started_is_said_after_the_rest_is_done(s: &mut Scene) {
    let schedules = [minutely("a", "report")];
    pass(s, &schedules, NOON_MS - MINUTE_MS).0.unwrap();
    let mut start = |_| Err(rowmill::Error::try_again("no more processes"));
    let mut calendar = Calendar { schedules: &schedules, ask: &mut |_| Answer::Wanted };
    let ticked =
        tick(s.store.as_mut(), &mut calendar, PARTITIONS, NOON_MS, STALL, &|_| panic!("nobody died"), &mut start);
    assert_eq!(ticked.unwrap_err().kind(), Kind::TryAgain);
    assert_eq!(s.number("SELECT count(*) FROM queue WHERE job = 'report'"), 1);
}

fn a_command_decides_once_the_rest_is_done(s: &mut Scene) {
    let asking = ["late", "no", "yes"].map(|name| Schedule { guarded: true, ..minutely(name, name) });
    let schedules = [asking.to_vec(), vec![minutely("z", "z")]].concat();
    pass(s, &schedules, NOON_MS - MINUTE_MS).0.unwrap();
    let looks = rusqlite::Connection::open(s.database.path()).unwrap();
    let count = "SELECT count(*) FROM rowmill_occurrence WHERE schedule = 'z' AND outcome = 'fired'";
    let mut said = Vec::new();
    let mut ask = |name: &str| {
        let others: i64 = looks.query_row(count, [], |r| r.get(0)).unwrap();
        said.push((name.to_string(), others));
        match name {
            "yes" => Answer::Wanted,
            "no" => Answer::NotWanted("exit code 1".into()),
            _ => Answer::Later("no process is to be had".into()),
        }
    };
    let fired = asked(s, &schedules, NOON_MS, &mut ask).0.unwrap().fired;
    assert_eq!(fired.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), ["z", "yes"]);
    said.sort();
    assert_eq!(said, ["late", "no", "yes"].map(|name| (name.to_string(), 1)), "each once, after the others");
    let no = s.store.schedule("no").unwrap().unwrap();
    assert_eq!(no.missed, Some((NOON_MS, "only_if: exit code 1".to_string())));
    assert_eq!(no.next_at, Some(NOON_MS + MINUTE_MS));
    assert_eq!(next_at(s, "late"), Some(NOON_MS), "it is asked again");
    let again = asked(s, &schedules, NOON_MS + 1, &mut |_| Answer::Wanted).0.unwrap().fired;
    assert!(matches!(&again[..], [(name, NOON_MS, _)] if name == "late"), "{again:?}");
}

fn what_waits_is_asked_for_when_its_time_has_come(s: &mut Scene) {
    let param = "{\"day\":\"{date}\",\"at\":{due_ms}}".replace("{due_ms}", "\"{due_ms}\"");
    let queued = Schedule { overlap: Overlap::Queue, catch_up: CatchUp::All, param, ..minutely("q", "subject") };
    let schedules = [queued];
    pass(s, &schedules, NOON_MS - MINUTE_MS).0.unwrap();
    assert_eq!(due(s, &schedules, NOON_MS + 2 * MINUTE_MS), [NOON_MS]);
    for waited in 1..=2 {
        let id = s.number("SELECT max(id) FROM queue");
        assert_eq!(due(s, &schedules, NOON_MS + 2 * MINUTE_MS + waited), [0; 0], "its task is unsettled");
        s.sql(&format!("UPDATE queue SET status = 'cancelled' WHERE id = {id}"));
        let due_ms = NOON_MS + waited * MINUTE_MS;
        assert_eq!(due(s, &schedules, NOON_MS + 2 * MINUTE_MS + waited), [due_ms]);
        let row = s.number("SELECT max(id) FROM queue");
        let param = String::from_utf8(s.store.task(row).unwrap().unwrap().param).unwrap();
        assert_eq!(param, format!("{{\"day\":\"2030-01-01\",\"at\":\"{due_ms}\"}}"), "the time at which it was due");
    }
}

fn jitter_delays_the_task_and_not_the_schedule(s: &mut Scene) {
    let schedules = [Schedule { jitter_ms: 30_000, ..minutely("j", "report") }];
    pass(s, &schedules, NOON_MS - MINUTE_MS).0.unwrap();
    assert_eq!(due(s, &schedules, NOON_MS), [NOON_MS]);
    let later = s.number("SELECT run_at FROM queue WHERE job = 'report'") - NOON_MS;
    assert!((1..=30_000).contains(&later), "{later}");
    assert_eq!(s.number("SELECT count(*) FROM rowmill_delayed JOIN queue USING (id) WHERE job = 'report'"), 1);
    assert_eq!(next_at(s, "j"), Some(NOON_MS + MINUTE_MS));
}

fn a_one_off_time_is_due_once(s: &mut Scene) {
    // Without a year: the next one after the schedule was made, and never again.
    let schedules = [Schedule { timing: "at 01-01 12:05".into(), ..minutely("once", "report") }];
    pass(s, &schedules, NOON_MS).0.unwrap();
    let at_ms = NOON_MS + 5 * MINUTE_MS;
    assert_eq!(due(s, &schedules, at_ms + 7), [at_ms]);
    assert_eq!(next_at(s, "once"), None);
    let year_ms = 365 * 24 * 60 * MINUTE_MS;
    for now_ms in [at_ms + year_ms, at_ms + 3 * year_ms, at_ms - 1, at_ms + 1] {
        assert_eq!(due(s, &schedules, now_ms), [0; 0]);
    }
}

fn a_trigger_that_ends_the_transaction_stops_one_schedule_alone(s: &mut Scene) {
    let schedules = [minutely("a", "report"), minutely("b", "cursed"), minutely("c", "report")];
    pass(s, &schedules, NOON_MS - MINUTE_MS).0.unwrap();
    s.sql(
        "CREATE TRIGGER curse BEFORE INSERT ON queue WHEN NEW.job = 'cursed' BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
    );
    let words = pass(s, &schedules, NOON_MS).0.unwrap_err().to_string();
    assert!(words.contains("schedule `b`") && words.contains("no"), "{words}");
    assert_eq!(s.number("SELECT count(*) FROM queue WHERE job = 'report'"), 2);
    assert_eq!(next_at(s, "b"), Some(NOON_MS), "it stands where it was");
    s.sql("DROP TRIGGER curse");
    assert_eq!(due(s, &schedules, NOON_MS + 1), [NOON_MS]);
}
