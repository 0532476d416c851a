//! `fold` and `since_fold`: fresh outcomes go into their rows, and a reader never sees the difference.
//!
//! Bystanders with fresh outcomes are folded along, which is the verb's business; the scene still holds every reader's
//! view of them, and everything about the others, against what it was.

use crate::scene::{HOME, PARTITIONS, RAN, Scene, done, hold_as, laws, patiently, settled, task};
use rowmill::task::{NewTask, Partition, Settlement};

on_every_backend!(
    a_fold_writes_the_outcome_into_the_row,
    nothing_fresh_is_nothing_folded,
    folds_of_bounded_steps_reach_everything,
    a_fold_step_writes_the_lowest_ids_of_all_partitions,
    a_fold_step_is_bounded_in_bytes_of_results,
    one_process_folds_at_a_time,
    a_deleted_row_takes_its_fresh_outcome_along,
    a_fold_takes_the_error_of_earlier_attempts_away,
    the_time_since_the_last_fold_is_known,
);

fn a_fold_writes_the_outcome_into_the_row(s: &mut Scene) {
    s.expect_folds();
    let id = s.ready();
    s.finish(id, Settlement::Done { attempt: 1, result: Some(b"ok".to_vec()) });
    let seen = s.store.task(id).unwrap();
    assert_eq!(s.store.fold(1000).unwrap(), Some(1 + PARTITIONS as usize), "the bystanders' are folded along");
    assert_eq!((s.stored_status(id).as_str(), s.keys(id)), ("done", vec![]));
    assert_eq!(s.store.task(id).unwrap(), seen);
    assert_eq!(s.number(&format!("SELECT finished_at FROM queue WHERE id = {id}")), RAN.1);
}

fn nothing_fresh_is_nothing_folded(s: &mut Scene) {
    s.expect_folds();
    assert_eq!(s.store.fold(1000).unwrap(), Some(PARTITIONS as usize));
    let version = s.number("PRAGMA data_version");
    assert_eq!(s.store.fold(1000).unwrap(), Some(0));
    assert_eq!(s.number("PRAGMA data_version"), version, "an idle fold commits nothing");
}

/// Settles `each` tasks in every partition; their ids.
fn settle_many(s: &mut Scene, each: usize) -> Vec<i64> {
    let tasks = vec![NewTask { priority: 20, ..task("subject") }; each * PARTITIONS as usize];
    let ids = s.store.enqueue(&tasks).unwrap().iter().map(|e| e.id()).collect();
    for index in 0..PARTITIONS {
        let hold = hold_as(s.store.as_mut(), Partition { index, ..HOME }, index).unwrap();
        let batch = s.store.fetch(&hold, each).unwrap().tasks;
        let batch: Vec<_> = batch.into_iter().map(|t| settled(t, done())).collect();
        s.store.settle(&hold, &batch, &[]).unwrap();
    }
    ids
}

fn folds_of_bounded_steps_reach_everything(s: &mut Scene) {
    s.expect_folds();
    let ids = settle_many(s, 50);
    let mut folded = 0;
    loop {
        match s.store.fold(64).unwrap().unwrap() {
            0 => break,
            n => {
                assert!(n <= 64, "a step of {n}");
                folded += n;
                laws::hold(&s.database.conn);
            }
        }
    }
    assert_eq!(folded, 51 * PARTITIONS as usize);
    assert!(ids.iter().all(|id| s.stored_status(*id) == "done"));
}

/// Each page of the table is to be written once, so that a step must not leave lower ids for a later one.
fn a_fold_step_writes_the_lowest_ids_of_all_partitions(s: &mut Scene) {
    s.expect_folds();
    s.store.fold(1000).unwrap();
    settle_many(s, 40);
    let folded = s.store.fold(64).unwrap().unwrap();
    assert!(folded > 0);
    let fresh = "SELECT min(id) FROM rowmill_settled";
    let last = format!("SELECT count(*) FROM queue WHERE status = 'done' AND id >= ({fresh})");
    assert_eq!(s.number(&last), 0, "a row beyond the lowest fresh outcome was folded already");
}

/// A step that took as many results as rows would hold all of them in memory, and in one transaction.
fn a_fold_step_is_bounded_in_bytes_of_results(s: &mut Scene) {
    s.expect_folds();
    s.store.fold(1000).unwrap();
    let (each, large) = (25, vec![b'x'; 1 << 20]);
    let tasks = vec![NewTask { priority: 20, ..task("subject") }; each * PARTITIONS as usize];
    let ids: Vec<i64> = s.store.enqueue(&tasks).unwrap().iter().map(|e| e.id()).collect();
    for index in 0..PARTITIONS {
        let hold = patiently(|| hold_as(s.store.as_mut(), Partition { index, ..HOME }, index));
        let batch = s.store.fetch(&hold, each).unwrap().tasks;
        let result = || Settlement::Done { attempt: 1, result: Some(large.clone()) };
        let batch: Vec<_> = batch.into_iter().map(|t| settled(t, result())).collect();
        s.store.settle(&hold, &batch, &[]).unwrap();
    }
    let mut steps = Vec::new();
    while steps.last() != Some(&0) {
        steps.push(s.store.fold(4_000).unwrap().unwrap());
    }
    // 8 MiB together, and from each partition the one that passes its share.
    assert!(steps.iter().all(|folded| *folded <= 8 + PARTITIONS as usize), "{steps:?}");
    assert_eq!(steps.iter().sum::<usize>(), 100);
    assert!(ids.iter().all(|id| s.stored_status(*id) == "done"));
}

fn one_process_folds_at_a_time(s: &mut Scene) {
    let id = s.ready();
    s.finish(id, done());
    let path = s.database.run_folder().join("fold");
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.lock().unwrap();
    let before = s.raw(id);
    assert_eq!(s.store.fold(1000).unwrap(), None);
    assert_eq!(s.raw(id), before);
    drop(file);
    s.expect_folds();
    assert!(s.store.fold(1000).unwrap().is_some());
}

fn a_deleted_row_takes_its_fresh_outcome_along(s: &mut Scene) {
    s.expect_folds();
    let ids = [s.ready(), s.ready()];
    let (hold, tasks) = s.take(&ids);
    let batch: Vec<_> = tasks.into_iter().map(|t| settled(t, done())).collect();
    s.store.settle(&hold, &batch, &[]).unwrap();
    s.sql(&format!("DELETE FROM queue WHERE id = {}", ids[0]));
    assert_eq!(s.raw(ids[0]), [""; 0]);
    assert_eq!(s.store.fold(1000).unwrap(), Some(1 + PARTITIONS as usize));
    assert_eq!(s.raw(ids[0]), [""; 0]);
    assert_eq!(s.stored_status(ids[1]), "done");
}

fn a_fold_takes_the_error_of_earlier_attempts_away(s: &mut Scene) {
    s.expect_folds();
    let id = s.ready();
    s.finish(id, crate::scene::retried());
    s.sql(&format!("UPDATE queue SET run_at = NULL, priority = 5 WHERE id = {id}"));
    s.store.promote(1_600_000_000_000, 10).unwrap();
    s.finish(id, Settlement::Done { attempt: 2, result: None });
    s.store.fold(1000).unwrap();
    let row = s.store.task(id).unwrap().unwrap();
    assert_eq!((row.status.word(), row.attempt, row.error, row.cause), ("done", 2, None, None));
    let left = format!("SELECT count(*) FROM queue WHERE id = {id} AND (error IS NOT NULL OR cause IS NOT NULL)");
    assert_eq!(s.number(&left), 0);
}

fn the_time_since_the_last_fold_is_known(s: &mut Scene) {
    let path = s.database.run_folder().join("fold");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(s.store.since_fold().unwrap(), None);
    s.expect_folds();
    s.store.fold(1000).unwrap();
    assert!(s.store.since_fold().unwrap().is_some());
    // What it says is the age of the lock file: an hour when that was an hour ago.
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let then = file.metadata().unwrap().modified().unwrap() - std::time::Duration::from_secs(3600);
    file.set_modified(then).unwrap();
    assert!(s.another().since_fold().unwrap().unwrap() >= std::time::Duration::from_secs(3600));
}
