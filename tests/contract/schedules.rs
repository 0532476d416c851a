//! The verbs about schedules: what is stored, what is found, who switches it off.

use crate::scene::{FAR_MS, Scene, task};
use rowmill::store::{CatchUp, Firing, Kept, LastFired, Origin, Overlap, Schedule};
use rowmill::task::NewTask;

on_every_backend!(
    schedules_are_stored_and_listed_by_name,
    the_same_set_is_one_look,
    a_changed_time_begins_anew_and_a_changed_job_does_not,
    a_schedule_that_is_not_wanted_is_removed_unless_a_person_made_it,
    a_person_makes_and_removes_a_schedule,
    only_those_that_are_due_and_not_paused_are_found,
    a_pause_and_a_stop_leave_their_reason,
    a_row_that_cannot_be_understood_stops_no_other,
);

pub(crate) const DUE_MS: i64 = 1_700_000_040_000;
pub(crate) const MINUTE_MS: i64 = 60_000;
pub(crate) const NEXT_MS: i64 = DUE_MS + MINUTE_MS;
/// When the schedules of these tests are made, a little before they are due.
pub(crate) const MADE_MS: i64 = DUE_MS - 7;

pub(crate) fn schedule(name: &str) -> Schedule {
    let param = "{\"kind\":\"daily\"}".to_string();
    Schedule { origin: Origin::File, param, priority: 4, ..Schedule::new(name, "* * * * *", "report") }
}

/// Makes these the schedules of the configuration, all due at [`DUE_MS`].
pub(crate) fn set(s: &mut Scene, wanted: &[Schedule]) {
    let digest = s.number("SELECT coalesce(max(digest), 0) + 1 FROM rowmill_schedule_source");
    s.store.set_schedules(wanted, digest, MADE_MS, &|_, _| Some(DUE_MS)).unwrap();
}

pub(crate) fn kept(s: &mut Scene, name: &str) -> Kept {
    s.store.schedule(name).unwrap().unwrap()
}

/// The task of an occurrence.
pub(crate) fn asked() -> NewTask {
    NewTask { param: b"{\"kind\":\"daily\"}".to_vec(), priority: 4, ..task("report") }
}

/// The firing of a schedule as it stands, a minute per due time.
pub(crate) fn firing(kept: &Kept, due: &[i64]) -> Firing {
    let next_at = due.last().map_or(NEXT_MS, |last| last + MINUTE_MS);
    Firing {
        name: kept.schedule.name.clone(),
        was: (kept.next_at.unwrap(), kept.seen_at),
        due: due.iter().map(|at| (*at, asked())).collect(),
        passed: Vec::new(),
        next_at: Some(next_at),
        now_ms: next_at - 30_000,
    }
}

/// Fires what is due of `a` as it stands now; answers what it enqueued.
pub(crate) fn fire(s: &mut Scene, due: &[i64]) -> Vec<(i64, i64)> {
    let firing = firing(&kept(s, "a"), due);
    let mut answers = s.store.fire(&[firing]).unwrap();
    answers.remove(0).unwrap().expect("it stands where it was read").tasks
}

fn schedules_are_stored_and_listed_by_name(s: &mut Scene) {
    assert_eq!(s.store.schedules().unwrap(), []);
    let full = Schedule {
        zone: chrono_tz::Europe::Berlin,
        unique_key: Some("k-{date}".into()),
        catch_up: CatchUp::Window(5_400_500),
        overlap: Overlap::Queue,
        guarded: true,
        jitter_ms: 7,
        until_ms: Some(FAR_MS),
        enabled: false,
        ..schedule("b")
    };
    set(s, &[full.clone(), schedule("a")]);
    let stored = s.another().schedules().unwrap();
    let of = |schedule| Kept {
        schedule,
        made_at: MADE_MS,
        next_at: Some(DUE_MS),
        seen_at: MADE_MS,
        idle: None,
        paused: None,
        last: None,
        missed: None,
    };
    assert_eq!(stored, [of(schedule("a")), of(full)]);
}

fn the_same_set_is_one_look(s: &mut Scene) {
    set(s, &[schedule("a"), schedule("b")]);
    let fired = fire(s, &[DUE_MS]);
    let version = s.number("PRAGMA data_version");
    let digest = s.number("SELECT digest FROM rowmill_schedule_source");
    let never = |_: &Schedule, _: i64| -> Option<i64> { panic!("nothing has changed") };
    s.store.set_schedules(&[schedule("a"), schedule("b")], digest, NEXT_MS, &never).unwrap();
    // Not looked at: the digest stands for the set.
    s.store.set_schedules(&[], digest, NEXT_MS, &never).unwrap();
    assert_eq!(s.number("PRAGMA data_version"), version, "what is the same is not written");
    // Under another digest each is compared, and those that are the same keep their place.
    s.store.set_schedules(&[schedule("a"), schedule("b")], digest + 1, NEXT_MS, &|_, _| Some(1)).unwrap();
    let last = LastFired { due_at: DUE_MS, fired_at: NEXT_MS - 30_000, task: fired[0].1 };
    assert_eq!((kept(s, "a").next_at, kept(s, "a").last), (Some(NEXT_MS), Some(last)));
    assert_eq!(kept(s, "b").next_at, Some(DUE_MS));
}

fn a_changed_time_begins_anew_and_a_changed_job_does_not(s: &mut Scene) {
    let names = ["a", "b", "c", "d", "e", "f"];
    set(s, &names.map(schedule));
    fire(s, &[DUE_MS]);
    s.store.pause_schedule("a", "me", 5).unwrap();
    let changed = [
        Schedule { job: "other".into(), param: "1".into(), priority: 5, overlap: Overlap::Skip, ..schedule("a") },
        Schedule { timing: "5 * * * *".into(), ..schedule("b") },
        Schedule { zone: chrono_tz::Europe::Berlin, ..schedule("c") },
        Schedule { until_ms: Some(FAR_MS), ..schedule("d") },
        Schedule { enabled: false, ..schedule("e") },
        schedule("f"),
    ];
    s.store.set_schedules(&changed, 99, NEXT_MS, &|of, _| of.enabled.then_some(FAR_MS)).unwrap();
    let a = kept(s, "a");
    assert_eq!((&a.schedule, a.next_at, a.made_at), (&changed[0], Some(NEXT_MS), MADE_MS));
    assert!(a.last.is_some() && a.paused.is_some(), "{a:?}");
    for (name, next_at) in [("b", Some(FAR_MS)), ("c", Some(FAR_MS)), ("d", Some(FAR_MS)), ("e", None)] {
        let kept = kept(s, name);
        assert_eq!((kept.next_at, kept.made_at, kept.seen_at), (next_at, NEXT_MS, NEXT_MS), "{name}");
    }
    assert_eq!(kept(s, "f").next_at, Some(DUE_MS));
}

fn a_schedule_that_is_not_wanted_is_removed_unless_a_person_made_it(s: &mut Scene) {
    set(s, &[schedule("a"), schedule("b")]);
    let own = Schedule { origin: Origin::Person, ..schedule("own") };
    assert!(s.store.add_schedule(&own, Some(DUE_MS), MADE_MS).unwrap());
    set(s, &[schedule("b")]);
    let names: Vec<String> = s.store.schedules().unwrap().into_iter().map(|kept| kept.schedule.name).collect();
    assert_eq!(names, ["b", "own"]);
    // A file that names it makes it its own, and takes it away again.
    set(s, &[schedule("own")]);
    assert_eq!(kept(s, "own").schedule.origin, Origin::File);
    set(s, &[]);
    assert_eq!(s.store.schedules().unwrap(), []);
}

fn a_person_makes_and_removes_a_schedule(s: &mut Scene) {
    set(s, &[schedule("a")]);
    let own = Schedule { origin: Origin::Person, overlap: Overlap::Queue, ..schedule("own") };
    assert!(!s.store.add_schedule(&Schedule { name: "a".into(), ..own.clone() }, Some(1), MADE_MS).unwrap());
    assert!(s.store.add_schedule(&own, Some(DUE_MS), MADE_MS).unwrap());
    assert!(!s.store.add_schedule(&own, Some(1), MADE_MS).unwrap(), "it is there");
    let firing = firing(&kept(s, "own"), &[DUE_MS, NEXT_MS]);
    let fired = s.store.fire(&[firing]).unwrap().remove(0).unwrap().unwrap();
    assert_eq!((fired.tasks.len(), fired.waiting), (1, 1));
    assert!(!s.store.remove_schedule("a").unwrap(), "the file has it");
    assert!(s.store.remove_schedule("own").unwrap());
    assert!(!s.store.remove_schedule("own").unwrap());
    assert_eq!(s.store.waiting_occurrences().unwrap(), [], "nobody waits for what is gone");
    assert_eq!(s.store.schedules().unwrap().len(), 1);
}

fn only_those_that_are_due_and_not_paused_are_found(s: &mut Scene) {
    set(s, &["a", "b", "c", "d"].map(schedule));
    s.sql(&format!("UPDATE rowmill_schedule SET next_at = {} WHERE name = 'b'", DUE_MS - 5));
    s.sql(&format!("UPDATE rowmill_schedule SET next_at = {} WHERE name = 'd'", DUE_MS + 1));
    s.store.pause_schedule("c", "me", 5).unwrap();
    let names = |s: &mut Scene, now| -> Vec<String> {
        s.store.due_schedules(now).unwrap().into_iter().map(|kept| kept.schedule.name).collect()
    };
    assert_eq!(names(s, DUE_MS), ["b", "a"]);
    assert_eq!(names(s, DUE_MS - 6), [""; 0]);
    s.store.resume_schedule("c", DUE_MS).unwrap();
    assert_eq!(names(s, DUE_MS), ["b", "a", "c"]);
    let plan = "EXPLAIN QUERY PLAN SELECT name FROM rowmill_schedule
                 WHERE next_at IS NOT NULL AND paused_since IS NULL AND next_at <= 5";
    let steps: String = s.database.conn.query_row(plan, [], |r| r.get(3)).unwrap();
    assert!(steps.contains("rowmill_schedule_next"), "the others are not read: {steps}");
}

fn a_pause_and_a_stop_leave_their_reason(s: &mut Scene) {
    set(s, &[schedule("a"), schedule("b"), schedule("c")]);
    assert_eq!(s.store.pause_schedule("none", "me", 5).unwrap(), None);
    let order = s.store.pause_schedule("a", "me", 5).unwrap().unwrap();
    assert_eq!(s.store.pause_schedule("a", "you", 6).unwrap().unwrap(), order, "the first one stands");
    assert_eq!((kept(s, "a").paused.as_ref(), kept(s, "b").paused.as_ref()), (Some(&order), None));
    assert_eq!(s.store.resume_schedule("a", NEXT_MS).unwrap(), Some(order));
    assert_eq!(s.store.resume_schedule("a", NEXT_MS + 1).unwrap(), None);
    assert_eq!(kept(s, "a").idle, Some((NEXT_MS, "it was paused by me".to_string())));
    s.sql(&format!("UPDATE rowmill_schedule SET next_at = {FAR_MS} WHERE name = 'c'"));
    s.store.stop("root@here", 7).unwrap();
    s.store.start(NEXT_MS).unwrap();
    assert_eq!(kept(s, "b").idle, Some((NEXT_MS, "everything was stopped by root@here".to_string())));
    assert_eq!(kept(s, "c").idle, None, "it had nothing due");
    fire(s, &[DUE_MS]);
    fire(s, &[NEXT_MS]);
    assert_eq!(kept(s, "a").idle, None, "it is behind that");
}

fn a_row_that_cannot_be_understood_stops_no_other(s: &mut Scene) {
    set(s, &["a", "b", "c", "d"].map(schedule));
    s.sql("UPDATE rowmill_schedule SET timezone = 'Mars/Olympus' WHERE name = 'a'");
    s.sql("UPDATE rowmill_schedule SET catch_up = 'often' WHERE name = 'b'");
    s.sql("UPDATE rowmill_schedule SET param = x'00' WHERE name = 'c'");
    let due = s.store.due_schedules(DUE_MS).unwrap();
    assert_eq!(due.iter().map(|kept| kept.schedule.name.as_str()).collect::<Vec<_>>(), ["d"]);
    // The file mends them.
    set(s, &["a", "b", "c", "d"].map(schedule));
    assert_eq!(s.store.due_schedules(DUE_MS).unwrap().len(), 4);
}
