//! What is particular to SQLite: locks, the epoch, the triggers as applications meet them.

mod bare;
mod claims;
mod company;
mod costs;
mod near;
mod streams;

use super::*;
use crate::task::{Cause, Ending, Settlement, Task};
use std::sync::Arc;
use tempfile::TempDir;

fn open(folder: &TempDir) -> Sqlite {
    let path = folder.path().join("q.db");
    Sqlite::open(&path, Durability::Normal, Create::WithPartitions(4)).unwrap()
}

fn add(store: &mut Sqlite, job: &str, priority: i64) -> i64 {
    let task = NewTask { job: job.into(), priority, ..NewTask::default() };
    store.enqueue(&[task]).unwrap()[0].id()
}

fn done((task, right): (Task, Right)) -> Settled {
    let settlement = Settlement::Done { attempt: task.attempts_charged + 1, result: Some(b"ok".to_vec()) };
    Settled { right, ended: Ended { settlement, started_at_ms: 1_000, finished_at_ms: 1_001, company: None } }
}

fn badge(store: &mut Sqlite, index: u32) -> Badge {
    store.enlist(index, 5).unwrap().unwrap()
}

fn nobody(_: &Task) -> Settlement {
    panic!("nobody is to blame")
}

fn suspect(task: &Task) -> Settlement {
    Settlement::Suspect { attempt: task.attempts_charged + 1 }
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
    let me = badge(&mut store, 0);
    let hold = store.hold(place, &me, 5, &nobody).unwrap().unwrap();
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
    let (me, other) = (badge(&mut one, 0), badge(&mut two, 1));
    let first = one.hold(place, &me, 5, &nobody).unwrap().unwrap();
    assert!(!first.note().is_wanted());
    assert!(two.hold(place, &other, 5, &nobody).unwrap().is_none());
    assert_eq!(first.note().take_wanted(), 1 << 1, "the holder is told who waits");
    let batch = one.fetch(&first, 10).unwrap();
    // Somebody deletes the lock file: the kernel's lock is worth nothing then. While the process lives, what is written
    // down keeps others out; when it seems to be gone, the epoch keeps it from settling.
    let name = format!("q.db-run/partition-{}-{}", place.generation, place.index);
    std::fs::remove_file(folder.path().join(name)).unwrap();
    assert!(two.hold(place, &other, 5, &nobody).unwrap().is_none(), "its process lives");
    one.conn
        .execute("UPDATE rowmill_worker SET pid_start = pid_start + 1, lock_inode = 0 WHERE worker = 0", [])
        .unwrap();
    let second = two.hold(place, &other, 5, &nobody).unwrap().unwrap();
    let late: Vec<Settled> = batch.tasks.into_iter().map(done).collect();
    assert_eq!(one.settle(&first, &late, &[]).unwrap(), Settling::Lost);
    assert_eq!(one.task(id).unwrap().unwrap().status.word(), "ready");
    let again = two.fetch(&second, 10).unwrap().tasks;
    assert_eq!(again.len(), 1);
    let settled: Vec<Settled> = again.into_iter().map(done).collect();
    assert_eq!(two.settle(&second, &settled, &[]).unwrap(), Settling::Committed(vec![Verdict::Written]));
}

#[test]
fn whoever_comes_back_to_a_new_run_folder_lets_others_hold_what_it_held() {
    let folder = TempDir::new().unwrap();
    let (mut one, mut two) = (open(&folder), open(&folder));
    let id = add(&mut one, "noop", 0);
    let place = home(&mut one, id);
    let (me, other) = (badge(&mut one, 0), badge(&mut two, 1));
    let idle = one.hold(place, &me, 5, &nobody).unwrap();
    let idle = one.stay(&me, idle).unwrap();
    assert!(idle.is_some(), "nothing has changed");
    std::fs::rename(folder.path().join("q.db-run"), folder.path().join("away")).unwrap();
    assert!(two.hold(place, &other, 5, &nobody).unwrap().is_none());
    assert!(two.enlist(0, 6).unwrap().is_none(), "worker 0 lives, although its lock is elsewhere");
    assert!(one.stay(&me, idle).unwrap().is_none(), "it is given back");
    assert!(two.is_alive(0).unwrap());
    assert!(two.hold(place, &other, 7, &nobody).unwrap().is_some());
}

/// A hold that ended without a word: the lock is free, the note is still there.
fn die(hold: Hold) {
    drop(hold);
}

#[test]
fn the_task_that_ran_when_its_worker_died_is_charged_once_and_its_neighbours_are_not() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let ids: Vec<i64> = (0..12).map(|_| add(&mut store, "noop", 0)).collect();
    let place = home(&mut store, ids[3]);
    let me = badge(&mut store, 0);
    let hold = store.hold(place, &me, 5, &nobody).unwrap().unwrap();
    hold.note().starts(ids[7]);
    die(hold);
    let hold = store.hold(place, &me, 6, &suspect).unwrap().unwrap();
    die(hold);
    let hold = store.hold(place, &me, 7, &nobody).unwrap().unwrap();
    let batch = store.fetch(&hold, 10).unwrap();
    let seen: Vec<(i64, u32, bool)> = batch.tasks.iter().map(|(t, _)| (t.id, t.attempts_charged, t.careful)).collect();
    assert_eq!(seen, [(ids[3], 0, false), (ids[7], 1, true), (ids[11], 0, false)]);
}

#[test]
fn a_death_is_charged_to_a_task_that_an_application_put_off_while_it_ran() {
    const LATER: i64 = 4_000_000_000_000;
    let dead = |task: &Task| {
        let attempt = task.attempts_charged + 1;
        Settlement::Dead { attempt, cause: Cause::WorkerDied }
    };
    let again = |task: &Task| {
        let attempt = task.attempts_charged + 1;
        Settlement::Delayed { attempt, run_at_ms: 1_000, cause: Some(Cause::WorkerDied) }
    };
    let blames: [fn(&Task) -> Settlement; 3] = [suspect, again, dead];
    for (blame, status) in blames.iter().zip(["delayed", "delayed", "dead"]) {
        let folder = TempDir::new().unwrap();
        let mut store = open(&folder);
        let ids: Vec<i64> = (0..8).map(|_| add(&mut store, "noop", 0)).collect();
        let (me, place) = (badge(&mut store, 0), home(&mut store, ids[3]));
        let hold = store.hold(place, &me, 5, &nobody).unwrap().unwrap();
        hold.note().starts(ids[3]);
        store.conn.execute("UPDATE queue SET run_at = ?1 WHERE id IN (?2, ?3)", [LATER, ids[3], ids[7]]).unwrap();
        die(hold);
        drop(store.hold(place, &me, 6, blame).unwrap().unwrap());
        let row = store.task(ids[3]).unwrap().unwrap();
        assert_eq!((row.attempt, row.status.word(), row.cause.as_deref()), (1, status, Some("worker_died")));
        let keys = "SELECT count(*) FROM rowmill_delayed WHERE id = ?1 AND run_at = ?2";
        let keys: i64 = store.conn.query_row(keys, [ids[3], LATER], |r| r.get(0)).unwrap();
        assert_eq!(keys == 1, status == "delayed", "it keeps the time that it was put off to");
        assert_eq!(store.task(ids[7]).unwrap().unwrap().attempt, 0, "a neighbour");
        drop(store.hold(place, &me, 7, &nobody).unwrap().unwrap());
    }
}

#[test]
fn a_note_of_an_earlier_boot_charges_nobody() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let id = add(&mut store, "noop", 0);
    let (me, place) = (badge(&mut store, 0), home(&mut store, id));
    let hold = store.hold(place, &me, 5, &nobody).unwrap().unwrap();
    hold.note().starts(id);
    die(hold);
    // The machine went down, and the page had been written to the disk before.
    let path = folder.path().join("q.db-run").join(hold::partition_lock(place));
    let mut page = std::fs::read(&path).unwrap();
    page[24..32].copy_from_slice(&7u64.to_ne_bytes());
    std::fs::write(&path, page).unwrap();
    let hold = store.hold(place, &me, 6, &nobody).unwrap().unwrap();
    let (task, _) = store.fetch(&hold, 1).unwrap().tasks.remove(0);
    assert_eq!((task.attempts_charged, task.careful), (0, false));
}

#[test]
fn a_note_about_a_task_of_another_partition_charges_nobody() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let (a, b) = (add(&mut store, "noop", 0), add(&mut store, "noop", 0));
    let (me, place) = (badge(&mut store, 0), home(&mut store, a));
    let hold = store.hold(place, &me, 5, &nobody).unwrap().unwrap();
    hold.note().starts(b);
    die(hold);
    drop(store.hold(place, &me, 6, &nobody).unwrap().unwrap());
    assert_eq!(store.task(b).unwrap().unwrap().attempt, 0);
}

#[test]
fn a_note_that_outlives_its_hold_does_not_keep_the_partition() {
    let folder = TempDir::new().unwrap();
    let (mut one, mut two) = (open(&folder), open(&folder));
    let id = add(&mut one, "noop", 0);
    let place = home(&mut one, id);
    let (me, other) = (badge(&mut one, 0), badge(&mut two, 1));
    let hold = one.hold(place, &me, 5, &nobody).unwrap().unwrap();
    let _note = Arc::clone(hold.note());
    drop(hold);
    assert!(two.hold(place, &other, 5, &nobody).unwrap().is_some());
}

#[test]
fn a_claim_is_settled_by_its_worker_or_recovered_from_a_dead_one_and_never_both() {
    let folder = TempDir::new().unwrap();
    let (mut one, mut two) = (open(&folder), open(&folder));
    let id = add(&mut one, "noop", 3);
    let place = home(&mut one, id);
    let me = badge(&mut one, 0);
    let hold = one.hold(place, &me, 5, &nobody).unwrap().unwrap();
    let (task, right) = one.fetch(&hold, 10).unwrap().tasks.remove(0);
    let Claiming::Claimed(claim) =
        one.claim(&hold, &me, &right, task.attempts_charged, 7, Delivery::AtLeastOnce).unwrap()
    else {
        panic!()
    };
    drop(hold);
    let row = one.task(id).unwrap().unwrap();
    assert_eq!((row.status.word(), row.attempt, row.worker), ("running", 1, Some(0)));
    assert!(two.lost_claims().unwrap().is_empty(), "its worker lives");
    drop(me);
    let lost = two.lost_claims().unwrap();
    assert_eq!((lost.len(), lost[0].task.attempts_charged), (1, 0));
    assert_eq!(lost[0].ending, Ending::Failed(Cause::WorkerDied));
    let settlement = suspect(&lost[0].task);
    let ended = Ended { settlement, started_at_ms: 7, finished_at_ms: 9, company: None };
    assert_eq!(two.settle_claim(&lost[0].claim, &ended).unwrap(), Some(Verdict::Written));
    let row = one.task(id).unwrap().unwrap();
    assert_eq!((row.status.word(), row.attempt, row.cause.as_deref()), ("ready", 1, Some("worker_died")));
    let late = Ended {
        settlement: Settlement::Done { attempt: 1, result: None },
        started_at_ms: 7,
        finished_at_ms: 9,
        company: None,
    };
    assert_eq!(one.settle_claim(&claim, &late).unwrap(), None, "the claim was taken away");
    assert_eq!(one.waiting().unwrap(), [place]);
}

#[test]
fn a_death_between_the_claim_and_the_end_of_its_note_is_charged_once() {
    let folder = TempDir::new().unwrap();
    let (mut one, mut two) = (open(&folder), open(&folder));
    let id = add(&mut one, "noop", 0);
    let place = home(&mut one, id);
    let (me, other) = (badge(&mut one, 0), badge(&mut two, 1));
    let hold = one.hold(place, &me, 5, &nobody).unwrap().unwrap();
    let (task, right) = one.fetch(&hold, 10).unwrap().tasks.remove(0);
    hold.note().starts(id);
    let delivery = crate::task::Delivery::AtLeastOnce;
    assert!(matches!(one.claim(&hold, &me, &right, task.attempts_charged, 7, delivery), Ok(Claiming::Claimed(_))));
    // The note still names the task: its end comes after the commit.
    die(hold);
    drop(me);
    let lost = two.lost_claims().unwrap().remove(0);
    let settlement = suspect(&lost.task);
    let ended = Ended { settlement, started_at_ms: 7, finished_at_ms: 9, company: None };
    assert_eq!(two.settle_claim(&lost.claim, &ended).unwrap(), Some(Verdict::Written));
    let _hold = two.hold(place, &other, 10, &suspect).unwrap().unwrap();
    assert_eq!(two.task(id).unwrap().unwrap().attempt, 1);
}
