//! What looking costs, in instructions of SQLite's machine: the same for a long backlog and for all that is kept.
//!
//! Each look is made at a small queue and at one fifty times as long. A scan of any table would show.

use super::*;
use crate::store::Filter;
use crate::task::Status;
use std::sync::atomic::{AtomicU64, Ordering};

/// A queue with that many rows that are done, half as many that are dead, and as many that are ready at three priorities
/// or delayed; everything is folded and counted.
fn queue_of(folder: &TempDir, rows: usize) -> Sqlite {
    let mut store = open(folder);
    let task = |i: usize| NewTask { job: format!("job {}", i % 3), priority: i as i64 % 3, ..NewTask::default() };
    let me = badge(&mut store, 0);
    let finish = |store: &mut Sqlite, settlement: Settlement| {
        for place in store.waiting().unwrap() {
            let hold = store.hold(place, &me, 5, &nobody).unwrap().unwrap();
            let batch = store.fetch(&hold, rows).unwrap();
            let settled: Vec<Settled> = batch.tasks.into_iter().map(done).collect();
            let settled: Vec<Settled> = settled
                .into_iter()
                .map(|one| Settled { ended: Ended { settlement: settlement.clone(), ..one.ended }, ..one })
                .collect();
            store.settle(&hold, &settled, &[]).unwrap();
        }
    };
    store.enqueue_many(&(0..rows).map(task).collect::<Vec<_>>()).unwrap();
    finish(&mut store, Settlement::Done { attempt: 1, result: None });
    store.enqueue_many(&(0..rows / 2).map(task).collect::<Vec<_>>()).unwrap();
    finish(&mut store, Settlement::Dead { attempt: 1, cause: Cause::Error("no".into()) });
    store.enqueue_many(&(0..rows).map(task).collect::<Vec<_>>()).unwrap();
    let far = |i| NewTask { run_at_ms: Some(4_000_000_000_000), ..task(i) };
    store.enqueue_many(&(0..rows).map(far).collect::<Vec<_>>()).unwrap();
    while store.fold(1_000).unwrap() != Some(0) {}
    while store.count(1).unwrap() > 0 {}
    store
}

/// How many instructions a look takes.
fn cost(store: &mut Sqlite, look: fn(&mut Sqlite)) -> u64 {
    let taken = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&taken);
    let each = move || {
        count.fetch_add(1, Ordering::Relaxed);
        false
    };
    store.conn.progress_handler(1, Some(each)).unwrap();
    look(store);
    store.conn.progress_handler(0, None::<fn() -> bool>).unwrap();
    taken.load(Ordering::Relaxed)
}

fn list(store: &mut Sqlite, status: Option<Status>, job: Option<&str>, since_ms: Option<i64>) {
    store.tasks(&Filter { status, job: job.map(str::to_string), since_ms, limit: 5 }).unwrap();
}

/// A look, and its name.
type Named = (&'static str, fn(&mut Sqlite));

const LOOKS: &[Named] = &[
    ("counts", |s| drop(s.counts().unwrap())),
    ("count", |s| assert_eq!(s.count(100).unwrap(), 0)),
    ("oldest_ready", |s| assert!(s.oldest_ready().unwrap().is_some())),
    ("waiting", |s| assert_eq!(s.waiting().unwrap().len(), 4)),
    ("next_delayed", |s| assert!(s.next_delayed().unwrap().is_some())),
    ("fold", |s| assert_eq!(s.fold(100).unwrap(), Some(0))),
    ("history", |s| drop(s.history(0).unwrap())),
    ("crew", |s| drop(s.crew().unwrap())),
    ("lost_claims", |s| drop(s.lost_claims().unwrap())),
    ("tasks", |s| list(s, None, None, None)),
    ("tasks, dead", |s| list(s, Some(Status::Dead), None, None)),
    ("tasks, dead, of a job", |s| list(s, Some(Status::Dead), Some("job 1"), None)),
    ("tasks, parked", |s| list(s, Some(Status::Parked), None, None)),
    ("tasks, of no job", |s| list(s, None, Some("nobody"), None)),
    ("tasks, since the end of time", |s| list(s, None, None, Some(i64::MAX))),
    ("tasks, dead since the end of time", |s| list(s, Some(Status::Dead), None, Some(i64::MAX))),
];

#[test]
fn no_look_costs_more_for_a_backlog_or_for_what_is_kept() {
    let (few, many) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (mut few, mut many) = (queue_of(&few, 40), queue_of(&many, 2_000));
    for (name, look) in LOOKS {
        let (little, much) = (cost(&mut few, *look), cost(&mut many, *look));
        // Halving takes some rounds more, and each is a few instructions.
        assert!(much <= little + 120, "{name}: {little} instructions of few rows, {much} of many");
    }
}
