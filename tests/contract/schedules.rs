//! `set_schedules`, `schedules`, `fire`: the stored schedules and their occurrences.
//!
//! An occurrence is enqueued at most once, whoever fires it and however late he learned of it.

use crate::scene::Scene;
use rowmill::store::Schedule;

on_every_backend!(
    schedules_are_stored_and_listed_by_name,
    a_time_beyond_what_the_expression_says_is_set_back,
    an_unchanged_schedule_keeps_its_place,
    a_changed_time_begins_anew_and_a_changed_job_does_not,
    a_schedule_that_is_not_wanted_is_removed,
    an_occurrence_is_enqueued_once,
    a_late_firer_changes_nothing,
    a_schedule_that_is_gone_is_not_fired,
    a_wrong_param_moves_no_schedule,
);

const DUE_MS: i64 = 1_700_000_000_000;
const NEXT_MS: i64 = 1_700_000_060_000;

fn schedule(name: &str) -> Schedule {
    Schedule {
        name: name.into(),
        cron: "* * * * *".into(),
        timezone: "UTC".into(),
        job: "report".into(),
        param: "{\"kind\":\"daily\"}".into(),
        priority: 4,
        next_at: DUE_MS,
        last_at: None,
    }
}

fn schedules_are_stored_and_listed_by_name(s: &mut Scene) {
    assert_eq!(s.store.schedules().unwrap(), []);
    let wanted = [schedule("b"), schedule("a")];
    s.store.set_schedules(&wanted).unwrap();
    assert_eq!(s.another().schedules().unwrap(), [schedule("a"), schedule("b")]);
}

/// A schedule as it is asked for when its first time is past.
fn later(name: &str) -> Schedule {
    Schedule { next_at: NEXT_MS, ..schedule(name) }
}

fn a_time_beyond_what_the_expression_says_is_set_back(s: &mut Scene) {
    // As after a tick whose clock had jumped ahead.
    s.store.set_schedules(&[Schedule { next_at: NEXT_MS + 31_000_000_000, ..schedule("a") }]).unwrap();
    s.store.set_schedules(&[later("a")]).unwrap();
    assert_eq!(s.store.schedules().unwrap()[0].next_at, NEXT_MS);
}

fn an_unchanged_schedule_keeps_its_place(s: &mut Scene) {
    s.store.set_schedules(&[schedule("a")]).unwrap();
    s.store.fire(&schedule("a"), DUE_MS, NEXT_MS).unwrap().unwrap();
    let version = s.number("PRAGMA data_version");
    s.store.set_schedules(&[later("a")]).unwrap();
    assert_eq!(s.number("PRAGMA data_version"), version, "what is the same is not written");
    let stored = s.store.schedules().unwrap();
    assert_eq!((stored[0].next_at, stored[0].last_at), (NEXT_MS, Some(DUE_MS)));
}

fn a_changed_time_begins_anew_and_a_changed_job_does_not(s: &mut Scene) {
    s.store.set_schedules(&[schedule("a"), schedule("b"), schedule("c")]).unwrap();
    for name in ["a", "b"] {
        s.store.fire(&schedule(name), DUE_MS, NEXT_MS).unwrap().unwrap();
    }
    let job = Schedule { job: "other".into(), param: "1".into(), priority: 5, ..later("a") };
    let time = Schedule { cron: "5 * * * *".into(), next_at: DUE_MS + 7, ..schedule("b") };
    let zone = Schedule { timezone: "Europe/Berlin".into(), next_at: DUE_MS + 8, ..schedule("c") };
    s.store.set_schedules(&[job.clone(), time.clone(), zone.clone()]).unwrap();
    let stored = s.store.schedules().unwrap();
    assert_eq!(stored[0], Schedule { next_at: NEXT_MS, last_at: Some(DUE_MS), ..job });
    assert_eq!((stored[1].next_at, stored[1].cron.as_str()), (DUE_MS + 7, "5 * * * *"));
    assert_eq!(stored[2], zone);
}

fn a_schedule_that_is_not_wanted_is_removed(s: &mut Scene) {
    s.store.set_schedules(&[schedule("a"), schedule("b")]).unwrap();
    s.store.set_schedules(&[schedule("b")]).unwrap();
    assert_eq!(s.store.schedules().unwrap(), [schedule("b")]);
    s.store.set_schedules(&[]).unwrap();
    assert_eq!(s.store.schedules().unwrap(), []);
}

fn an_occurrence_is_enqueued_once(s: &mut Scene) {
    s.store.set_schedules(&[schedule("a"), schedule("b")]).unwrap();
    let seen = s.another().schedules().unwrap().remove(0);
    let id = s.store.fire(&seen, DUE_MS, NEXT_MS).unwrap().expect("it was due");
    let row = s.store.task(id).unwrap().unwrap();
    assert_eq!((row.job.as_str(), &row.param[..], row.priority), ("report", &b"{\"kind\":\"daily\"}"[..], 4));
    assert_eq!((s.status(id), s.keys(id)), ("ready", vec!["ready at 4".to_string()]));
    assert_eq!(s.number("SELECT task FROM rowmill_occurrence WHERE schedule = 'a'"), id);
    let stored = s.store.schedules().unwrap();
    assert_eq!((stored[0].next_at, stored[0].last_at), (NEXT_MS, Some(DUE_MS)));
    assert_eq!(stored[1], schedule("b"), "the other schedule stands where it stood");
    // Also when the schedule begins anew at the same instant.
    s.store.set_schedules(&[]).unwrap();
    s.store.set_schedules(&[schedule("a")]).unwrap();
    assert_eq!(s.store.fire(&schedule("a"), DUE_MS, NEXT_MS).unwrap(), None);
    assert_eq!(s.number("SELECT count(*) FROM queue WHERE job = 'report'"), 1);
}

fn a_late_firer_changes_nothing(s: &mut Scene) {
    s.store.set_schedules(&[schedule("a")]).unwrap();
    let mut other = s.another();
    let (mine, theirs) = (s.store.schedules().unwrap().remove(0), other.schedules().unwrap().remove(0));
    assert!(s.store.fire(&mine, DUE_MS, NEXT_MS).unwrap().is_some());
    assert_eq!(other.fire(&theirs, DUE_MS, NEXT_MS + 9).unwrap(), None);
    assert_eq!(s.number("SELECT next_at FROM rowmill_schedule"), NEXT_MS);
    assert_eq!(s.number("SELECT count(*) FROM rowmill_occurrence"), 1);
    assert_eq!(s.number("SELECT count(*) FROM queue WHERE job = 'report'"), 1);
}

fn a_schedule_that_is_gone_is_not_fired(s: &mut Scene) {
    let rows = s.number("SELECT count(*) FROM queue");
    assert_eq!(s.store.fire(&schedule("a"), DUE_MS, NEXT_MS).unwrap(), None);
    assert_eq!(s.number("SELECT count(*) FROM queue"), rows);
    assert_eq!(s.number("SELECT count(*) FROM rowmill_occurrence"), 0);
}

fn a_wrong_param_moves_no_schedule(s: &mut Scene) {
    let wrong = Schedule { priority: 1 << 40, ..schedule("a") };
    s.store.set_schedules(std::slice::from_ref(&wrong)).unwrap();
    assert!(s.store.fire(&wrong, DUE_MS, NEXT_MS).is_err());
    assert_eq!(s.store.schedules().unwrap(), [wrong]);
    assert_eq!(s.number("SELECT count(*) FROM rowmill_occurrence"), 0);
}
