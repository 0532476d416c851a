//! `fire` and its kin: what becomes of due times.
//!
//! An occurrence is enqueued at most once, whoever fires it, however late he learned of it, and wherever the clock goes.

use super::schedules::{DUE_MS, MADE_MS, MINUTE_MS, NEXT_MS, asked, fire, firing, kept, schedule, set};
use crate::scene::{FAR_MS, Scene, done, retried, task};
use rowmill::store::{Firing, Kept, LastFired, Overlap, Passed, Schedule, release_waiting};
use rowmill::task::{NewTask, Settlement};

on_every_backend!(
    an_occurrence_is_enqueued_once,
    a_late_firer_changes_nothing,
    a_schedule_that_is_gone_or_paused_is_not_fired,
    a_refused_task_moves_no_schedule_and_no_other,
    overlap_skip_leaves_out_what_comes_too_early,
    overlap_queue_waits_and_goes_on_in_order,
    overlap_queue_holds_a_thousand_and_says_so,
    overlap_is_judged_by_tasks_that_are_unsettled,
    a_key_that_is_taken_skips_the_occurrence,
    what_is_not_enqueued_is_written_down_in_runs,
    a_run_by_hand_is_a_task_of_the_schedule,
    a_schedule_that_was_moved_by_a_clock_ahead_is_taken_back,
);

fn overlapping(overlap: Overlap) -> Schedule {
    Schedule { overlap, ..schedule("a") }
}

/// What became of the due times of `a`, in order: minutes after the first, outcome, count, reason.
fn outcomes(s: &mut Scene) -> Vec<(i64, String, u32, Option<String>)> {
    let mut found = s.store.occurrences("a", 100).unwrap();
    found.reverse();
    let line = |o: rowmill::store::Occurrence| ((o.due_at - DUE_MS) / MINUTE_MS, o.outcome, o.count, o.reason);
    found.into_iter().map(line).collect()
}

fn word(minute: i64, outcome: &str) -> (i64, String, u32, Option<String>) {
    (minute, outcome.to_string(), 1, None)
}

fn skipped(minute: i64, reason: &str) -> (i64, String, u32, Option<String>) {
    (minute, "skipped".to_string(), 1, Some(reason.to_string()))
}

/// Settles the task, which must be the next one of its partition.
fn settle(s: &mut Scene, id: i64, settlement: Settlement) {
    let plan = s.store.plan().unwrap();
    let hold = crate::scene::hold_as(s.store.as_mut(), plan.partition_of(id), 1).unwrap();
    let task = s.store.fetch(&hold, 1).unwrap().tasks.remove(0);
    assert_eq!(task.0.id, id);
    s.store.settle(&hold, &[crate::scene::settled(task, settlement)], &[]).unwrap();
}

fn reports(s: &Scene) -> i64 {
    s.number("SELECT count(*) FROM queue WHERE job = 'report'")
}

fn an_occurrence_is_enqueued_once(s: &mut Scene) {
    set(s, &[schedule("a"), schedule("b")]);
    let fired = fire(s, &[DUE_MS]);
    let [(DUE_MS, id)] = fired[..] else { panic!("{fired:?}") };
    let row = s.store.task(id).unwrap().unwrap();
    assert_eq!((row.job.as_str(), &row.param[..], row.priority), ("report", &b"{\"kind\":\"daily\"}"[..], 4));
    assert_eq!((s.status(id), s.keys(id)), ("ready", vec!["ready at 4".to_string()]));
    assert_eq!(s.number("SELECT task FROM rowmill_occurrence WHERE schedule = 'a'"), id);
    let a = kept(s, "a");
    assert_eq!((a.next_at, a.last.unwrap().due_at), (Some(NEXT_MS), DUE_MS));
    let b = kept(s, "b");
    assert_eq!((b.next_at, b.last), (Some(DUE_MS), None), "the other schedule stands where it stood");
    // Also when the schedule begins anew at the same instant; all that is due besides is enqueued.
    set(s, &[]);
    set(s, &[schedule("a")]);
    assert_eq!(s.store.known_from("a", DUE_MS).unwrap(), [DUE_MS]);
    assert_eq!(fire(s, &[DUE_MS, NEXT_MS]).into_iter().map(|(due, _)| due).collect::<Vec<_>>(), [NEXT_MS]);
    assert_eq!(reports(s), 2);
}

fn a_late_firer_changes_nothing(s: &mut Scene) {
    set(s, &[schedule("a")]);
    let mut other = s.another();
    let (mine, theirs) = (kept(s, "a"), other.schedule("a").unwrap().unwrap());
    assert!(s.store.fire(&[firing(&mine, &[DUE_MS])]).unwrap().remove(0).unwrap().is_some());
    let late = Firing { next_at: Some(NEXT_MS + 9), ..firing(&theirs, &[DUE_MS, NEXT_MS]) };
    assert_eq!(other.fire(&[late]).unwrap().remove(0).unwrap(), None);
    assert_eq!(s.number("SELECT next_at FROM rowmill_schedule"), NEXT_MS);
    assert_eq!((s.number("SELECT count(*) FROM rowmill_occurrence"), reports(s)), (1, 1));
    // Not even when it was taken back to where it had read it.
    let back = kept(s, "a");
    assert!(s.store.rewind(&back, Some(DUE_MS), DUE_MS - 5).unwrap());
    assert_eq!(other.fire(&[firing(&theirs, &[DUE_MS, NEXT_MS])]).unwrap().remove(0).unwrap(), None);
    assert_eq!(reports(s), 1);
}

fn a_schedule_that_is_gone_or_paused_is_not_fired(s: &mut Scene) {
    set(s, &[schedule("a"), schedule("b")]);
    let (a, b) = (kept(s, "a"), kept(s, "b"));
    set(s, &[schedule("b")]);
    s.store.pause_schedule("b", "me", 5).unwrap();
    let rows = s.number("SELECT count(*) FROM queue");
    let answers = s.store.fire(&[firing(&a, &[DUE_MS]), firing(&b, &[DUE_MS])]).unwrap();
    assert!(answers.into_iter().all(|answer| answer.unwrap().is_none()));
    assert_eq!(s.number("SELECT count(*) FROM queue"), rows);
    assert_eq!(s.number("SELECT count(*) FROM rowmill_occurrence"), 0);
    assert_eq!(kept(s, "b"), Kept { paused: kept(s, "b").paused, ..b });
}

fn a_refused_task_moves_no_schedule_and_no_other(s: &mut Scene) {
    set(s, &[schedule("a"), schedule("b"), schedule("c")]);
    let wrong = NewTask { priority: 1 << 40, ..asked() };
    let (a, b, c) = (kept(s, "a"), kept(s, "b"), kept(s, "c"));
    let refused = Firing { due: vec![(DUE_MS, asked()), (NEXT_MS, wrong)], ..firing(&b, &[DUE_MS]) };
    let answers = s.store.fire(&[firing(&a, &[DUE_MS]), refused, firing(&c, &[DUE_MS])]).unwrap();
    let words: Vec<String> = answers.into_iter().filter_map(|answer| answer.err()).map(|e| e.to_string()).collect();
    assert!(matches!(&words[..], [one] if one.contains("priority")), "{words:?}");
    assert_eq!(kept(s, "b"), b, "its first task is undone, too");
    assert_eq!((reports(s), s.number("SELECT count(*) FROM rowmill_occurrence")), (2, 2));
}

fn overlap_skip_leaves_out_what_comes_too_early(s: &mut Scene) {
    set(s, &[overlapping(Overlap::Skip)]);
    let id = fire(s, &[DUE_MS])[0].1;
    assert_eq!(fire(s, &[NEXT_MS]), []);
    assert_eq!(fire(s, &[NEXT_MS + MINUTE_MS]), []);
    let reason = format!("overlap: task {id} was not settled");
    let run = (1, "skipped".to_string(), 2, Some(reason.clone()));
    assert_eq!(outcomes(s), [word(0, "fired"), run], "two for one reason are one row");
    assert_eq!(kept(s, "a").missed, Some((NEXT_MS + MINUTE_MS, reason)));
    settle(s, id, done());
    let second = fire(s, &[NEXT_MS + 2 * MINUTE_MS])[0].1;
    // Of several at once, the first is in the way of the others.
    settle(s, second, done());
    let three: Vec<i64> = (3..6).map(|n| NEXT_MS + n * MINUTE_MS).collect();
    assert_eq!(fire(s, &three).len(), 1);
    assert_eq!(reports(s), 3);
}

fn overlap_queue_waits_and_goes_on_in_order(s: &mut Scene) {
    set(s, &[overlapping(Overlap::Queue), schedule("b")]);
    let id = fire(s, &[DUE_MS])[0].1;
    assert_eq!(fire(s, &[NEXT_MS, NEXT_MS + MINUTE_MS]), []);
    assert_eq!(outcomes(s), [word(0, "fired"), word(1, "waiting"), word(2, "waiting")]);
    let waits = |s: &mut Scene| -> Vec<i64> {
        s.store.waiting_occurrences().unwrap().into_iter().map(|(_, due)| due).collect()
    };
    assert_eq!(waits(s), [0; 0], "a task of it is unsettled");
    assert_eq!(s.store.fire_waiting("a", NEXT_MS, &asked(), 5).unwrap(), None, "who has not looked is told so");
    settle(s, id, done());
    assert_eq!(waits(s), [NEXT_MS]);
    // What is due now queues up behind those that wait, although nothing runs.
    assert_eq!(fire(s, &[NEXT_MS + 2 * MINUTE_MS]), []);
    let second = s.store.fire_waiting("a", NEXT_MS, &asked(), FAR_MS).unwrap().unwrap();
    assert_eq!(s.store.fire_waiting("a", NEXT_MS, &asked(), FAR_MS).unwrap(), None, "it waits no more");
    assert_eq!(kept(s, "a").last.unwrap(), LastFired { due_at: NEXT_MS, fired_at: FAR_MS, task: second });
    assert_eq!((waits(s), reports(s)), (vec![], 2));
    settle(s, second, done());
    assert_eq!(waits(s), [NEXT_MS + MINUTE_MS]);
    s.store.pause_schedule("a", "me", 5).unwrap();
    assert_eq!(waits(s), [0; 0], "a paused one is not seen to");
}

fn overlap_queue_holds_a_thousand_and_says_so(s: &mut Scene) {
    set(s, &[overlapping(Overlap::Queue)]);
    let minutes = |of: std::ops::Range<i64>| of.map(|n| DUE_MS + n * MINUTE_MS).collect::<Vec<_>>();
    let waiting = |s: &Scene| s.number("SELECT count(*) FROM rowmill_occurrence WHERE outcome = 'waiting'");
    let id = fire(s, &minutes(0..1))[0].1;
    assert_eq!((fire(s, &minutes(1..1_000)).len(), waiting(s)), (0, 999));
    // The last place is taken by the first of these three.
    assert_eq!((fire(s, &minutes(1_000..1_003)).len(), waiting(s)), (0, 1_000));
    let latest = s.store.occurrences("a", 2).unwrap();
    let said =
        latest.iter().map(|o| ((o.due_at - DUE_MS) / MINUTE_MS, o.outcome.as_str(), o.count, o.reason.as_deref()));
    let full = (1_001, "skipped", 2, Some("overlap: 1000 wait already"));
    assert_eq!(said.collect::<Vec<_>>(), [full, (1_000, "waiting", 1, None)]);
    settle(s, id, done());
    assert_eq!(release_waiting(s.store.as_mut(), 5).unwrap().len(), 1, "the first of them, and no more");
    assert_eq!((fire(s, &minutes(1_003..1_005)).len(), waiting(s)), (0, 1_000), "a place is free, for one");
    assert_eq!(reports(s), 2);
}

fn overlap_is_judged_by_tasks_that_are_unsettled(s: &mut Scene) {
    set(s, &[overlapping(Overlap::Skip)]);
    let id = fire(s, &[DUE_MS])[0].1;
    // Delayed, dead, put back, cancelled, gone: what counts is whether it can still run.
    settle(s, id, retried());
    assert_eq!(fire(s, &[NEXT_MS]), []);
    s.sql(&format!("UPDATE queue SET run_at = 1700000000000 WHERE id = {id}"));
    s.store.promote(DUE_MS, 10).unwrap();
    settle(s, id, crate::scene::dead());
    let second = fire(s, &[NEXT_MS + MINUTE_MS])[0].1;
    settle(s, second, done());
    s.store.retry(&rowmill::store::Chosen::Ids(&[id]), DUE_MS, &mut |_, _| ()).unwrap();
    assert_eq!(fire(s, &[NEXT_MS + 2 * MINUTE_MS]), [], "the dead one was put back");
    s.sql(&format!("UPDATE queue SET status = 'cancelled' WHERE id = {id}"));
    let third = fire(s, &[NEXT_MS + 3 * MINUTE_MS])[0].1;
    s.sql(&format!("DELETE FROM queue WHERE id = {third}"));
    assert_eq!(fire(s, &[NEXT_MS + 4 * MINUTE_MS]).len(), 1);
    assert_eq!(s.number("SELECT count(*) FROM rowmill_occurrence WHERE open = 1"), 1, "what is over is not looked at");
}

fn a_key_that_is_taken_skips_the_occurrence(s: &mut Scene) {
    set(s, &[schedule("a")]);
    let other = s.plant(NewTask { unique_key: Some("mine".into()), ..task("subject") });
    let keyed = NewTask { unique_key: Some("mine".into()), ..asked() };
    let due = Firing { due: vec![(DUE_MS, keyed)], ..firing(&kept(s, "a"), &[DUE_MS]) };
    let fired = s.store.fire(&[due]).unwrap().remove(0).unwrap().unwrap();
    let reason = format!("unique_key: task {other} has it");
    assert_eq!((fired.tasks, fired.skipped), (vec![], vec![(DUE_MS, reason.clone())]));
    assert_eq!((outcomes(s), kept(s, "a").next_at), (vec![skipped(0, &reason)], Some(NEXT_MS)));
    s.finish(other, done());
}

fn what_is_not_enqueued_is_written_down_in_runs(s: &mut Scene) {
    set(s, &[schedule("a")]);
    let passed = |from: i64, to: i64, skipped, reason: &str| Passed {
        first_ms: DUE_MS + from * MINUTE_MS,
        last_ms: DUE_MS + to * MINUTE_MS,
        count: u32::try_from(to - from + 1).unwrap(),
        skipped,
        reason: reason.into(),
    };
    let mut first = firing(&kept(s, "a"), &[DUE_MS + 9 * MINUTE_MS]);
    first.passed = vec![passed(0, 4, true, "paused"), passed(5, 8, false, "nobody")];
    s.store.fire(&[first]).unwrap().remove(0).unwrap().unwrap();
    let mut second = firing(&kept(s, "a"), &[]);
    (second.next_at, second.passed) = (Some(FAR_MS), vec![passed(10, 12, false, "nobody")]);
    s.store.fire(&[second]).unwrap().remove(0).unwrap().unwrap();
    let mut third = firing(&kept(s, "a"), &[]);
    (third.next_at, third.passed) = (Some(FAR_MS + 1), vec![passed(13, 10_012, false, "nobody")]);
    s.store.fire(&[third]).unwrap().remove(0).unwrap().unwrap();
    let line =
        |minute, outcome: &str, count, reason: &str| (minute, outcome.to_string(), count, Some(reason.to_string()));
    let wanted = [
        line(0, "skipped", 5, "paused"),
        line(5, "missed", 4, "nobody"),
        word(9, "fired"),
        line(10, "missed", rowmill::store::MOST_COUNTED, "nobody"),
    ];
    assert_eq!(outcomes(s), wanted);
    assert_eq!(kept(s, "a").missed, Some((DUE_MS + 10_012 * MINUTE_MS, "nobody".to_string())));
}

fn a_run_by_hand_is_a_task_of_the_schedule(s: &mut Scene) {
    set(s, &[overlapping(Overlap::Skip), schedule("b")]);
    assert_eq!(s.store.run_schedule("none", &asked(), DUE_MS).unwrap(), None);
    s.store.pause_schedule("a", "me", 5).unwrap();
    let first = s.store.run_schedule("a", &asked(), DUE_MS).unwrap().unwrap();
    let second = s.store.run_schedule("a", &asked(), DUE_MS).unwrap().unwrap();
    assert_ne!(first, second);
    assert_eq!(kept(s, "a").next_at, Some(DUE_MS), "its times are as they were");
    s.store.resume_schedule("a", DUE_MS).unwrap();
    assert_eq!(s.store.known_from("a", 0).unwrap(), [0; 0], "it is no occurrence");
    assert_eq!(fire(s, &[DUE_MS]), [], "its tasks are unsettled");
    settle(s, first, done());
    settle(s, second, done());
    assert_eq!(fire(s, &[NEXT_MS]).len(), 1);
}

fn a_schedule_that_was_moved_by_a_clock_ahead_is_taken_back(s: &mut Scene) {
    set(s, &[overlapping(Overlap::Queue)]);
    assert_eq!(s.store.ahead_schedules(MADE_MS).unwrap(), []);
    // The clock is ahead by ten minutes: the last of them is enqueued, one waits, the others are missed.
    let mut ahead = firing(&kept(s, "a"), &[DUE_MS + 9 * MINUTE_MS, DUE_MS + 10 * MINUTE_MS]);
    let run =
        Passed { first_ms: DUE_MS, last_ms: DUE_MS + 8 * MINUTE_MS, count: 9, skipped: false, reason: "nobody".into() };
    ahead.passed = vec![run];
    s.store.fire(&[ahead]).unwrap().remove(0).unwrap().unwrap();
    let now_ms = DUE_MS + 3 * MINUTE_MS + 1;
    let [found] = &s.store.ahead_schedules(now_ms).unwrap()[..] else { panic!("it is ahead") };
    assert!(s.store.rewind(found, Some(DUE_MS + 4 * MINUTE_MS), now_ms).unwrap());
    assert!(!s.store.rewind(found, Some(DUE_MS), now_ms).unwrap(), "it has moved");
    assert_eq!(s.store.ahead_schedules(now_ms).unwrap(), []);
    let a = kept(s, "a");
    assert_eq!((a.next_at, a.seen_at, &a.missed), (Some(DUE_MS + 4 * MINUTE_MS), now_ms, &None));
    let past = (0, "missed".to_string(), 9, Some("nobody; the clock was set back".to_string()));
    assert_eq!(outcomes(s), [past, word(9, "fired")], "what was enqueued stays so");
    assert_eq!(s.number("SELECT last_at FROM rowmill_occurrence WHERE outcome = 'missed'"), now_ms);
    assert_eq!(s.store.known_from("a", DUE_MS).unwrap(), [DUE_MS + 9 * MINUTE_MS]);
}
