//! `promote`, `next_delayed`, `waiting`, `release_known`: what makes tasks ready again.
//!
//! Time is an argument here: tasks are due at instants of the year 2096, and the verb is told that it is that year.

use crate::scene::{FAR_MS, HOME, PARTITIONS, Scene, done, laws, parked, task};
use rowmill::task::{NewTask, Partition, Status};

on_every_backend!(
    nothing_due_is_nothing_written,
    a_due_task_becomes_ready_at_its_priority,
    a_task_is_due_at_its_instant_and_not_before,
    the_earliest_come_first_and_the_limit_holds,
    a_priority_changed_while_delayed_counts,
    a_cancelled_or_deleted_task_does_not_come_back,
    a_delayed_key_without_a_row_is_dropped,
    the_earliest_delayed_task_is_known,
    waiting_names_each_partition_with_ready_rows_once,
    a_known_job_is_released,
    a_parked_task_that_was_put_off_is_delayed_when_released,
    more_parked_rows_than_one_step_are_released,
);

/// Before every bystander.
const SOON_MS: i64 = FAR_MS - 1000;

fn delayed(run_at_ms: i64) -> NewTask {
    NewTask { run_at_ms: Some(run_at_ms), ..task("subject") }
}

fn nothing_due_is_nothing_written(s: &mut Scene) {
    s.plant(delayed(SOON_MS));
    let version = s.number("PRAGMA data_version");
    assert_eq!(s.store.promote(SOON_MS - 1, 100).unwrap(), []);
    assert_eq!(s.number("PRAGMA data_version"), version);
}

fn a_due_task_becomes_ready_at_its_priority(s: &mut Scene) {
    let id = s.plant(NewTask { priority: 6, ..delayed(SOON_MS) });
    assert_eq!(s.store.promote(SOON_MS + 1, 100).unwrap(), [HOME]);
    assert_eq!((s.status(id), s.keys(id)), ("ready", vec!["ready at 6".to_string()]));
    assert_eq!(s.store.task(id).unwrap().unwrap().run_at, Some(SOON_MS));
    assert_eq!(s.store.promote(SOON_MS + 1, 100).unwrap(), [], "once");
}

fn a_task_is_due_at_its_instant_and_not_before(s: &mut Scene) {
    let id = s.plant(delayed(SOON_MS));
    s.store.promote(SOON_MS - 1, 100).unwrap();
    assert_eq!(s.status(id), "delayed");
    s.store.promote(SOON_MS, 100).unwrap();
    assert_eq!(s.status(id), "ready");
}

fn the_earliest_come_first_and_the_limit_holds(s: &mut Scene) {
    let (late, early, middle) =
        (s.plant(delayed(SOON_MS)), s.plant(delayed(SOON_MS - 20)), s.plant(delayed(SOON_MS - 10)));
    let statuses = |s: &mut Scene| [early, middle, late].map(|id| s.status(id));
    assert_eq!(s.store.promote(SOON_MS, 2).unwrap(), [HOME], "a partition is named once");
    assert_eq!(statuses(s), ["ready", "ready", "delayed"]);
    assert_eq!(s.store.promote(SOON_MS, 2).unwrap(), [HOME]);
    assert_eq!(statuses(s), ["ready", "ready", "ready"]);
}

fn a_priority_changed_while_delayed_counts(s: &mut Scene) {
    let id = s.plant(delayed(SOON_MS));
    s.sql(&format!("UPDATE queue SET priority = 33 WHERE id = {id}"));
    s.store.promote(SOON_MS, 100).unwrap();
    assert_eq!(s.keys(id), ["ready at 33"]);
}

fn a_cancelled_or_deleted_task_does_not_come_back(s: &mut Scene) {
    let (cancelled, deleted) = (s.plant(delayed(SOON_MS)), s.plant(delayed(SOON_MS)));
    s.sql(&format!("UPDATE queue SET status = 'cancelled' WHERE id = {cancelled}"));
    s.sql(&format!("DELETE FROM queue WHERE id = {deleted}"));
    assert_eq!(s.store.promote(SOON_MS, 100).unwrap(), []);
    assert_eq!((s.status(cancelled), s.status(deleted)), ("cancelled", "gone"));
}

/// A program that has switched the triggers off may leave one behind.
fn a_delayed_key_without_a_row_is_dropped(s: &mut Scene) {
    let old = s.plant_uncounted(delayed(SOON_MS));
    s.delete_without_triggers(old);
    assert_eq!(laws::orphans(&s.database.conn), [old]);
    assert_eq!(s.store.promote(SOON_MS, 100).unwrap(), []);
    assert_eq!(s.raw(old), [""; 0]);
}

fn the_earliest_delayed_task_is_known(s: &mut Scene) {
    assert_eq!(s.store.next_delayed().unwrap(), Some(FAR_MS), "the bystanders'");
    s.plant(delayed(SOON_MS));
    let id = s.plant(delayed(SOON_MS - 5));
    assert_eq!(s.store.next_delayed().unwrap(), Some(SOON_MS - 5));
    s.sql(&format!("UPDATE queue SET run_at = {} WHERE id = {id}", SOON_MS + 5));
    assert_eq!(s.store.next_delayed().unwrap(), Some(SOON_MS));
    let mut nothing = Scene::empty();
    assert_eq!(nothing.store.next_delayed().unwrap(), None);
}

fn waiting_names_each_partition_with_ready_rows_once(s: &mut Scene) {
    let all: Vec<Partition> = (0..PARTITIONS).map(|index| Partition { index, ..HOME }).collect();
    assert_eq!(s.store.waiting().unwrap(), all, "every partition has bystanders");
    let mut other = Scene::empty();
    assert_eq!(other.store.waiting().unwrap(), []);
    let id = other.ready();
    other.ready();
    other.sql(&format!("DELETE FROM queue WHERE id NOT IN ({id}, {id} + 1, {id} + 4)"));
    assert_eq!(other.store.waiting().unwrap(), [HOME, Partition { index: 2, ..HOME }]);
}

fn a_known_job_is_released(s: &mut Scene) {
    let (mine, yours) = (s.plant(task("mine")), s.plant(task("yours")));
    let (hold, mut tasks) = s.take(&[mine, yours]);
    s.settle(&hold, tasks.remove(0), parked());
    s.settle(&hold, tasks.remove(0), parked());
    s.sql(&format!("UPDATE queue SET priority = 12 WHERE id = {mine}"));
    let version = s.number("PRAGMA data_version");
    assert_eq!(s.store.release_known(&["nobody", "subject"]).unwrap(), 0, "an undecodable one is not released");
    assert_eq!(s.number("PRAGMA data_version"), version, "nothing to release is nothing written");
    assert_eq!(s.store.release_known(&["nobody", "mine"]).unwrap(), 1);
    assert_eq!((s.status(mine), s.status(yours)), ("ready", "parked"));
    assert_eq!(s.keys(mine), ["ready at 12"]);
    let row = s.store.task(mine).unwrap().unwrap();
    assert_eq!((row.error, row.cause, row.attempt), (None, None, 0));
    assert_eq!(s.store.release_known(&["mine"]).unwrap(), 0);
    drop(hold);
    s.finish(mine, done());
}

fn a_parked_task_that_was_put_off_is_delayed_when_released(s: &mut Scene) {
    let id = s.plant(task("mine"));
    s.finish(id, parked());
    s.sql(&format!("UPDATE queue SET run_at = {SOON_MS} WHERE id = {id}"));
    assert_eq!(s.store.release_known(&["mine"]).unwrap(), 1);
    assert_eq!((s.status(id), s.keys(id)), ("delayed", vec![format!("delayed to {SOON_MS}")]));
    let row = s.store.task(id).unwrap().unwrap();
    assert_eq!((row.error, row.cause), (None, None));
    s.store.promote(SOON_MS, 10).unwrap();
    assert_eq!(s.status(id), "ready");
}

fn more_parked_rows_than_one_step_are_released(s: &mut Scene) {
    let tasks = vec![NewTask { priority: 30, ..task("mine") }; 510 * PARTITIONS as usize];
    s.store.enqueue(&tasks).unwrap();
    let hold = s.hold();
    let batch = s.store.fetch(&hold, 510).unwrap().tasks;
    let batch: Vec<_> = batch.into_iter().map(|t| crate::scene::settled(t, parked())).collect();
    s.store.settle(&hold, &batch, &[]).unwrap();
    let ready = s.store.counts().unwrap().total(Status::Ready);
    assert_eq!(s.store.release_known(&["mine"]).unwrap(), 510);
    assert_eq!(s.store.counts().unwrap().total(Status::Ready), ready + 510);
}
