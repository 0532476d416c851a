//! `hold` and `fetch`, and the locks of workers and of the scheduler: who may act, and on what.
//!
//! A hold is a kernel lock and an epoch. Both halves are tested apart: a second holder is refused by the lock, and one
//! that lost its lock without knowing is refused by the epoch when it settles.

use crate::scene::{FAR_MS, HOME, PARTITIONS, Scene, done, hold_as, settled, task};
use rowmill::store::{Settling, Verdict};
use rowmill::task::{NewTask, Partition};

on_every_backend!(
    a_partition_has_one_holder,
    other_partitions_are_free_meanwhile,
    a_hold_that_was_replaced_settles_nothing,
    a_hold_that_was_given_back_and_taken_again_is_another,
    a_fetch_answers_the_order_of_work,
    a_fetch_writes_nothing_and_answers_the_same_again,
    a_fetch_keeps_to_its_limit,
    a_batch_is_bounded_in_bytes,
    a_key_without_a_row_is_an_orphan_and_is_dropped,
    an_empty_partition_has_an_empty_batch,
    a_fetched_task_is_what_was_asked,
    a_worker_enlists_once,
    the_scheduler_is_one,
);

fn a_partition_has_one_holder(s: &mut Scene) {
    let mut other = s.another();
    let hold = s.hold();
    assert_eq!(hold.partition(), HOME);
    assert!(hold_as(other.as_mut(), HOME, 0).is_none());
    drop(hold);
    assert!(hold_as(other.as_mut(), HOME, 0).is_some());
}

fn other_partitions_are_free_meanwhile(s: &mut Scene) {
    let _home = s.hold();
    let mut other = s.another();
    for index in [0, 2, 3] {
        assert!(hold_as(other.as_mut(), Partition { index, ..HOME }, index).is_some(), "{index}");
    }
}

/// Somebody deletes the lock file: the kernel's lock is worth nothing then, the epoch still is.
fn a_hold_that_was_replaced_settles_nothing(s: &mut Scene) {
    let id = s.ready();
    let before = s.raw(id);
    let (late, task) = s.take_one(id);
    std::fs::remove_file(s.database.run_folder().join("partition-1-1")).unwrap();
    let mut other = s.another();
    let hold = hold_as(other.as_mut(), HOME, 0).unwrap();
    for settlement in [crate::scene::dead(), crate::scene::retried(), crate::scene::parked(), done()] {
        let again = s.store.fetch(&late, 1).unwrap().tasks.remove(0);
        assert_eq!(s.store.settle(&late, &[settled(again, settlement)], &[]).unwrap(), Settling::Lost);
        assert_eq!(s.raw(id), before, "nothing was written");
    }
    // Not even an orphan is dropped, or an empty batch acknowledged.
    let batch = s.store.fetch(&late, 1).unwrap().tasks.remove(0);
    assert_eq!(s.store.settle(&late, &[], &[batch.1]).unwrap(), Settling::Lost);
    assert_eq!(s.raw(id), before);
    let settling = other.settle(&hold, &[settled(task, done())], &[]).unwrap();
    assert_eq!(settling, Settling::Committed(vec![Verdict::Written]));
}

fn a_hold_that_was_given_back_and_taken_again_is_another(s: &mut Scene) {
    let id = s.ready();
    let epoch = "SELECT epoch FROM rowmill_partition WHERE partition = 1";
    let (first, _) = s.take_one(id);
    let before = s.number(epoch);
    drop(first);
    let _second = s.hold();
    assert_eq!(s.number(epoch), before + 1);
    assert_eq!(s.number("SELECT held_at FROM rowmill_partition WHERE partition = 1"), 5);
    let who = "SELECT w.worker FROM rowmill_partition JOIN rowmill_worker w USING (incarnation) WHERE partition = 1";
    assert_eq!(s.number(who), 3);
}

fn a_fetch_answers_the_order_of_work(s: &mut Scene) {
    let at = |priority| NewTask { priority, ..task("subject") };
    let planted: Vec<i64> = [0, 5, -3, 5, 2].map(|priority| s.plant(at(priority))).to_vec();
    s.plant(NewTask { run_at_ms: Some(FAR_MS), ..at(50) });
    let hold = s.hold();
    let batch = s.store.fetch(&hold, 5).unwrap();
    let order: Vec<i64> = batch.tasks.iter().map(|(t, _)| t.id).collect();
    assert_eq!(order, [planted[1], planted[3], planted[4], planted[0], planted[2]]);
    assert_eq!(batch.tasks.iter().map(|(t, _)| t.priority).collect::<Vec<_>>(), [5, 5, 2, 0, -3]);
    assert_eq!(batch.orphans, []);
}

fn a_fetch_writes_nothing_and_answers_the_same_again(s: &mut Scene) {
    let id = s.ready();
    let before = s.raw(id);
    let version = s.number("PRAGMA data_version");
    let hold = s.hold();
    let held = s.number("PRAGMA data_version");
    assert_ne!(held, version, "the hold was a commit");
    let first = s.store.fetch(&hold, 1).unwrap();
    let second = s.store.fetch(&hold, 1).unwrap();
    assert_eq!(first.tasks, second.tasks);
    assert_eq!(s.number("PRAGMA data_version"), held, "a fetch commits nothing");
    assert_eq!(s.raw(id), before);
}

fn a_fetch_keeps_to_its_limit(s: &mut Scene) {
    let ids = [s.ready(), s.ready(), s.ready()];
    let hold = s.hold();
    assert_eq!(s.store.fetch(&hold, 2).unwrap().tasks.iter().map(|(t, _)| t.id).collect::<Vec<_>>(), ids[..2]);
    let all = s.store.fetch(&hold, 1000).unwrap().tasks;
    let place = s.store.plan().unwrap();
    assert!(all.len() > 3 && all.iter().all(|t| place.partition_of(t.0.id) == HOME), "only its own partition's");
}

fn a_batch_is_bounded_in_bytes(s: &mut Scene) {
    for _ in 0..4 {
        s.plant(NewTask { param: vec![b'x'; 4 << 20], ..task("subject") });
    }
    let hold = s.hold();
    assert_eq!(s.store.fetch(&hold, 4).unwrap().tasks.len(), 3, "it ends with the one that passes 8 MiB");
}

/// A program that has switched the triggers off may leave one behind.
fn a_key_without_a_row_is_an_orphan_and_is_dropped(s: &mut Scene) {
    let first = s.plant_uncounted(task("subject"));
    s.delete_without_triggers(first);
    let hold = s.hold();
    let batch = s.store.fetch(&hold, 1).unwrap();
    assert_eq!((batch.tasks.len(), batch.orphans.len()), (0, 1));
    assert_eq!(batch.orphans[0].id(), first);
    assert_eq!(s.store.settle(&hold, &[], &batch.orphans).unwrap(), Settling::Committed(vec![]));
    assert_eq!(s.keys(first), [""; 0]);
}

fn an_empty_partition_has_an_empty_batch(s: &mut Scene) {
    s.store.scale(PARTITIONS + 1).unwrap();
    let hold = hold_as(s.store.as_mut(), Partition { generation: 2, index: PARTITIONS }, 0).unwrap();
    let batch = s.store.fetch(&hold, 10).unwrap();
    assert_eq!((batch.tasks, batch.orphans), (vec![], vec![]));
}

fn a_fetched_task_is_what_was_asked(s: &mut Scene) {
    let asked = NewTask { param: b"{}".to_vec(), max_attempts: Some(4), priority: 8, ..task("subject") };
    let id = s.plant(asked);
    let (_hold, task) = s.take_one(id);
    assert_eq!((task.0.job.as_str(), &task.0.param[..], task.0.codec.word()), ("subject", &b"{}"[..], "json"));
    assert_eq!((task.0.priority, task.0.attempts_charged, task.0.max_attempts), (8, 0, Some(4)));
    assert_eq!(task.1.id(), id);
}

fn a_worker_enlists_once(s: &mut Scene) {
    let mut other = s.another();
    assert!(!other.is_alive(2).unwrap());
    let lock = s.store.enlist(2, 77).unwrap().expect("nobody is worker 2");
    assert!(other.enlist(2, 78).unwrap().is_none());
    assert!(other.enlist(1, 79).unwrap().is_some(), "another index is free");
    assert!(other.is_alive(2).unwrap() && !other.is_alive(1).unwrap());
    let workers = other.workers().unwrap();
    assert_eq!(workers.len(), 1, "{workers:?}");
    let pid = i32::try_from(std::process::id()).unwrap();
    assert_eq!((workers[0].index, workers[0].pid, workers[0].started_at), (2, pid, 77));
    drop(lock);
    assert!(!other.is_alive(2).unwrap());
    assert_eq!(other.workers().unwrap(), []);
    assert!(other.enlist(2, 80).unwrap().is_some());
}

fn the_scheduler_is_one(s: &mut Scene) {
    let mut other = s.another();
    let lock = s.store.scheduler().unwrap().expect("no tick is under way");
    assert!(other.scheduler().unwrap().is_none());
    drop(lock);
    assert!(other.scheduler().unwrap().is_some());
}
