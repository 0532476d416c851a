//! `settle`: what each settlement writes into a task that nobody touched meanwhile.
//!
//! For every kind of settlement, with and without a `unique_key`: the row, its keys, what a reader sees, and what stays
//! unwritten. What an application does to a task in hand is the matter of the module beside this one.

use crate::scene::{FAR_MS, RAN, Scene, dead, done, keyed, laws, parked, retried, settled, task};
use rowmill::store::{Settling, Verdict};
use rowmill::task::{Cause, NewTask, Settlement};

on_every_backend!(
    done_is_a_fresh_outcome_at_once,
    done_with_a_key_is_final_in_its_row,
    delayed_goes_to_the_delayed_order,
    delayed_without_a_cause_has_none,
    delayed_keeps_its_key,
    dead_is_final_in_its_row,
    dead_frees_its_key,
    parked_keeps_the_reason_and_its_key,
    untouched_writes_nothing,
    every_cause_has_its_word,
    verdicts_are_in_order,
    an_error_writes_none_of_a_batch,
    an_older_right_finds_its_task_settled,
    a_retried_task_that_succeeds_forgets_its_error,
    a_large_result_comes_back,
);

fn done_is_a_fresh_outcome_at_once(s: &mut Scene) {
    let id = s.ready();
    assert_eq!(s.finish(id, done()), Verdict::Written);
    assert_eq!((s.keys(id), s.stored_status(id).as_str()), (vec!["fresh".to_string()], "ready"));
    let row = s.store.task(id).unwrap().unwrap();
    assert_eq!((row.status.word(), row.attempt, row.worker), ("done", 1, Some(3)));
    assert_eq!((row.started_at, row.finished_at), (Some(RAN.0), Some(RAN.1)));
    assert_eq!((row.result.as_deref(), row.error, row.cause), (Some(&b"ok"[..]), None, None));
}

fn done_with_a_key_is_final_in_its_row(s: &mut Scene) {
    let id = s.plant(keyed("mine"));
    assert_eq!(s.finish(id, done()), Verdict::Written);
    assert_eq!((s.keys(id), s.stored_status(id).as_str()), (vec![], "done"));
    let row = s.store.task(id).unwrap().unwrap();
    assert_eq!((row.attempt, row.worker, row.started_at, row.finished_at), (1, Some(3), Some(RAN.0), Some(RAN.1)));
    assert_eq!((row.result.as_deref(), row.unique_key.as_deref()), (Some(&b"ok"[..]), Some("mine")));
}

fn delayed_goes_to_the_delayed_order(s: &mut Scene) {
    let id = s.ready();
    assert_eq!(s.finish(id, retried()), Verdict::Written);
    assert_eq!(s.keys(id), [format!("delayed to {FAR_MS}")]);
    let row = s.store.task(id).unwrap().unwrap();
    assert_eq!((row.status.word(), row.attempt, row.run_at), ("delayed", 1, Some(FAR_MS)));
    assert_eq!((row.started_at, row.finished_at, row.worker), (Some(RAN.0), None, Some(3)));
    assert_eq!((row.error.as_deref(), row.cause.as_deref()), (Some("no"), Some("error")));
}

fn delayed_without_a_cause_has_none(s: &mut Scene) {
    let id = s.ready();
    s.finish(id, Settlement::Delayed { attempt: 0, run_at_ms: FAR_MS, cause: None });
    let row = s.store.task(id).unwrap().unwrap();
    assert_eq!((row.status.word(), row.attempt, row.error, row.cause), ("delayed", 0, None, None));
}

fn delayed_keeps_its_key(s: &mut Scene) {
    let id = s.plant(keyed("mine"));
    s.finish(id, retried());
    assert_eq!(s.store.enqueue(&[keyed("mine")]).unwrap()[0].id(), id);
}

fn dead_is_final_in_its_row(s: &mut Scene) {
    let id = s.ready();
    assert_eq!(s.finish(id, dead()), Verdict::Written);
    assert_eq!((s.keys(id), s.stored_status(id).as_str()), (vec![], "dead"));
    let row = s.store.task(id).unwrap().unwrap();
    assert_eq!((row.status.word(), row.attempt, row.worker), ("dead", 1, Some(3)));
    assert_eq!((row.started_at, row.finished_at), (Some(RAN.0), Some(RAN.1)));
    assert_eq!((row.error.as_deref(), row.cause.as_deref(), row.result), (Some("no"), Some("error"), None));
}

fn dead_frees_its_key(s: &mut Scene) {
    let id = s.plant(keyed("mine"));
    s.finish(id, dead());
    assert_ne!(s.store.enqueue(&[keyed("mine")]).unwrap()[0].id(), id);
}

fn parked_keeps_the_reason_and_its_key(s: &mut Scene) {
    let id = s.plant(keyed("mine"));
    assert_eq!(s.finish(id, parked()), Verdict::Written);
    assert_eq!(s.keys(id), [""; 0]);
    let row = s.store.task(id).unwrap().unwrap();
    assert_eq!((row.status.word(), row.attempt, row.finished_at), ("parked", 0, None));
    assert_eq!((row.error.as_deref(), row.cause.as_deref()), (Some("nobody knows it"), Some("unknown_job")));
    assert_eq!(s.store.enqueue(&[keyed("mine")]).unwrap()[0].id(), id);
}

fn untouched_writes_nothing(s: &mut Scene) {
    let id = s.ready();
    let before = s.raw(id);
    assert_eq!(s.finish(id, Settlement::Untouched), Verdict::Written);
    assert_eq!(s.raw(id), before);
    assert_eq!(s.finish(id, done()), Verdict::Written, "it is still there to be run");
}

fn every_cause_has_its_word(s: &mut Scene) {
    let (code, tail, name) = (3, "oops".to_string(), "SIGKILL".to_string());
    for cause in [
        Cause::Error("a".into()),
        Cause::Timeout { after_ms: 5 },
        Cause::Exit { code, tail },
        Cause::Signal { name },
        Cause::Panic("b".into()),
        Cause::NotStarted("c".into()),
        Cause::Rejected("d".into()),
    ] {
        let id = s.ready();
        s.finish(id, Settlement::Dead { attempt: 1, cause: cause.clone() });
        let row = s.store.task(id).unwrap().unwrap();
        assert_eq!((row.error, row.cause.as_deref()), (Some(cause.text()), Some(cause.word())));
    }
}

fn verdicts_are_in_order(s: &mut Scene) {
    let ids = [s.ready(), s.ready(), s.ready(), s.ready()];
    let (hold, tasks) = s.take(&ids);
    s.sql(&format!("DELETE FROM queue WHERE id = {}", ids[1]));
    s.sql(&format!("UPDATE queue SET status = 'cancelled' WHERE id = {}", ids[2]));
    let settlements = [done(), done(), dead(), retried()];
    let batch: Vec<_> = tasks.into_iter().zip(settlements).map(|(t, settlement)| settled(t, settlement)).collect();
    let verdicts = [Verdict::Written, Verdict::Gone, Verdict::Cancelled, Verdict::Written];
    assert_eq!(s.store.settle(&hold, &batch, &[]).unwrap(), Settling::Committed(verdicts.to_vec()));
    assert_eq!(ids.map(|id| s.status(id)), ["done", "gone", "cancelled", "delayed"]);
}

/// A time before 1973 is refused by the row's CHECK, as an example of a settlement that cannot be written.
fn an_error_writes_none_of_a_batch(s: &mut Scene) {
    let ids = [s.ready(), s.ready()];
    let before = ids.map(|id| s.raw(id));
    let (hold, tasks) = s.take(&ids);
    let wrong = Settlement::Delayed { attempt: 1, run_at_ms: 5, cause: None };
    let mut batch: Vec<_> =
        tasks.into_iter().zip([done(), wrong]).map(|(t, settlement)| settled(t, settlement)).collect();
    assert!(s.store.settle(&hold, &batch, &[]).is_err());
    assert_eq!(ids.map(|id| s.raw(id)), before);
    laws::hold(&s.database.conn);
    // The settlements were only borrowed: mended, they can be handed in again.
    batch[1].ended.settlement = retried();
    let written = vec![Verdict::Written; 2];
    assert_eq!(s.store.settle(&hold, &batch, &[]).unwrap(), Settling::Committed(written));
}

fn an_older_right_finds_its_task_settled(s: &mut Scene) {
    for first in [done, dead, parked] {
        let id = s.ready();
        let (hold, task) = s.take_one(id);
        let older = s.store.fetch(&hold, 1).unwrap().tasks.remove(0);
        s.settle(&hold, task, first());
        let after = s.raw(id);
        assert_eq!(s.settle(&hold, older, retried()), Verdict::Gone, "after {}", first().word());
        assert_eq!(s.raw(id), after);
    }
}

fn a_retried_task_that_succeeds_forgets_its_error(s: &mut Scene) {
    for asked in [task("subject"), keyed("mine")] {
        let id = s.plant(NewTask { priority: 5, ..asked });
        let soon = Settlement::Delayed { attempt: 1, run_at_ms: FAR_MS, cause: Some(Cause::Error("no".into())) };
        s.finish(id, soon);
        s.sql(&format!("UPDATE queue SET run_at = NULL WHERE id = {id}"));
        s.store.promote(FAR_MS - 1, 1).unwrap();
        let (hold, task) = s.take_one(id);
        assert_eq!(task.0.attempts_charged, 1);
        s.settle(&hold, task, Settlement::Done { attempt: 2, result: None });
        let row = s.store.task(id).unwrap().unwrap();
        assert_eq!((row.status.word(), row.attempt, row.error, row.cause), ("done", 2, None, None));
    }
}

fn a_large_result_comes_back(s: &mut Scene) {
    let result = vec![0xa5; 1 << 20];
    let id = s.ready();
    s.finish(id, Settlement::Done { attempt: 1, result: Some(result.clone()) });
    assert_eq!(s.store.task(id).unwrap().unwrap().result, Some(result.clone()));
    s.expect_folds();
    while s.store.fold(100).unwrap() != Some(0) {}
    assert_eq!(s.store.task(id).unwrap().unwrap().result, Some(result));
}
