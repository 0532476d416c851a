//! What is particular to SQLite: locks, the epoch, the triggers as applications meet them.

use super::*;
use crate::task::{Settlement, Task};
use tempfile::TempDir;

fn open(folder: &TempDir) -> Sqlite {
    let path = folder.path().join("q.db");
    Sqlite::open(&path, Durability::Normal, Create::WithPartitions(4)).unwrap()
}

fn add(store: &mut Sqlite, job: &str, priority: i64) -> i64 {
    let task = NewTask { job: job.into(), priority, ..NewTask::default() };
    store.enqueue(&[task]).unwrap()[0].id()
}

fn done(task: Task) -> Settled {
    let settlement = Settlement::Done { attempt: task.attempts_charged + 1, result: Some(b"ok".to_vec()) };
    Settled { right: task.right, settlement, started_at_ms: 1_000, finished_at_ms: 1_001 }
}

fn home(store: &mut Sqlite, id: i64) -> Partition {
    store.plan().unwrap().partition_of(id)
}

#[test]
fn a_task_goes_from_insert_to_folded() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let id = add(&mut store, "noop", 0);
    let place = home(&mut store, id);
    let hold = store.hold(place, 0, 5).unwrap().unwrap();
    let batch = store.fetch(&hold, 10).unwrap();
    assert_eq!(batch.tasks.len(), 1);
    let settled: Vec<Settled> = batch.tasks.into_iter().map(done).collect();
    assert_eq!(store.settle(&hold, &settled, &[]).unwrap(), Settling::Committed(vec![Verdict::Written]));
    assert_eq!(store.task(id).unwrap().unwrap().status.word(), "done");
    let in_queue = |store: &Sqlite| -> String {
        store.conn.query_row("SELECT status FROM queue WHERE id = ?1", [id], |r| r.get(0)).unwrap()
    };
    assert_eq!(in_queue(&store), "ready", "not folded yet");
    assert_eq!(store.fold(100).unwrap(), Some(1));
    assert_eq!(in_queue(&store), "done");
    assert_eq!(store.task(id).unwrap().unwrap().result.as_deref(), Some(&b"ok"[..]));
    assert_eq!(store.fold(100).unwrap(), Some(0));
}

#[test]
fn a_second_holder_is_refused_and_a_later_one_makes_the_first_ones_settlement_worthless() {
    let folder = TempDir::new().unwrap();
    let (mut one, mut two) = (open(&folder), open(&folder));
    let id = add(&mut one, "noop", 0);
    let place = home(&mut one, id);
    let first = one.hold(place, 0, 5).unwrap().unwrap();
    assert!(two.hold(place, 1, 5).unwrap().is_none());
    let batch = one.fetch(&first, 10).unwrap();
    // Somebody deletes the lock file: the kernel's lock is worth nothing then, the epoch still is.
    let name = format!("q.db-run/partition-{}-{}", place.generation, place.index);
    std::fs::remove_file(folder.path().join(name)).unwrap();
    let second = two.hold(place, 1, 5).unwrap().unwrap();
    let late: Vec<Settled> = batch.tasks.into_iter().map(done).collect();
    assert_eq!(one.settle(&first, &late, &[]).unwrap(), Settling::Lost);
    assert_eq!(one.task(id).unwrap().unwrap().status.word(), "ready");
    let again = two.fetch(&second, 10).unwrap().tasks;
    assert_eq!(again.len(), 1);
    let settled: Vec<Settled> = again.into_iter().map(done).collect();
    assert_eq!(two.settle(&second, &settled, &[]).unwrap(), Settling::Committed(vec![Verdict::Written]));
}
