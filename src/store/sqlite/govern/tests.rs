//! Steering, verb by verb, with bystanders that must stay as they are.

use super::*;
use crate::store::sqlite::Create;
use crate::store::{Claiming, Durability, Ended, Look, Settled, Store};
use crate::task::{Cause, Delivery, NewTask, Partition, Settlement, Status};
use tempfile::TempDir;

fn open(folder: &TempDir) -> Sqlite {
    Sqlite::open(&folder.path().join("q.db"), Durability::Normal, Create::WithPartitions(4)).unwrap()
}

fn add(store: &mut Sqlite, job: &str) -> i64 {
    store.enqueue(&[NewTask { job: job.into(), ..NewTask::default() }]).unwrap()[0].id()
}

fn generations(store: &Sqlite) -> Vec<(i64, i64, i64)> {
    let all = "SELECT generation, first_id, partitions FROM rowmill_generation ORDER BY generation";
    let mut query = store.conn.prepare(all).unwrap();
    query.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).unwrap().map(|row| row.unwrap()).collect()
}

#[test]
fn a_new_n_begins_after_the_last_id_ever_given() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let first = add(&mut store, "noop");
    let gone = add(&mut store, "noop");
    store.conn.execute("DELETE FROM queue WHERE id = ?1", [gone]).unwrap();
    let (generation, changed) = store.scale(3).unwrap();
    assert_eq!((generation.first_id, generation.partitions, changed), (gone + 1, 3, true));
    assert_eq!(store.scale(3).unwrap(), (generation, false));
    let third = add(&mut store, "noop");
    let waiting = store.waiting().unwrap();
    let there = [(1, u32::try_from(first % 4).unwrap()), (2, u32::try_from(third % 3).unwrap())];
    assert_eq!(waiting, there.map(|(generation, index)| Partition { generation, index }));
    assert_eq!(generations(&store), [(1, 0, 4), (2, gone + 1, 3)]);
}

#[test]
fn a_generation_without_a_row_is_changed_in_place() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    assert!(store.scale(9).unwrap().1 && store.scale(5).unwrap().1);
    assert_eq!(generations(&store), [(1, 0, 5)]);
    add(&mut store, "noop");
    assert!(store.scale(2).unwrap().1 && store.scale(7).unwrap().1);
    assert_eq!(generations(&store), [(1, 0, 5), (2, 2, 7)]);
    for wrong in [0, 4097] {
        assert!(store.scale(wrong).is_err());
    }
    assert_eq!(generations(&store), [(1, 0, 5), (2, 2, 7)]);
}

#[test]
fn a_hundred_generations_are_told_apart_in_every_statement() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let mut ids = Vec::new();
    for n in 1..=100 {
        store.scale(n).unwrap();
        ids.push(add(&mut store, "noop"));
    }
    let plan = store.plan().unwrap();
    // What the triggers wrote is what the plan says, for each id.
    let keys = |store: &Sqlite| -> Vec<(i64, i64, u32)> {
        let mut keys = store.conn.prepare("SELECT id, generation, partition FROM rowmill_ready ORDER BY id").unwrap();
        keys.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).unwrap().map(|row| row.unwrap()).collect()
    };
    let keys = keys(&store);
    assert_eq!(keys.len(), 100);
    for (id, generation, index) in keys {
        assert_eq!(plan.partition_of(id), Partition { generation, index });
    }
    // Moved and cancelled by an application, the keys of old generations are found again.
    store.conn.execute("UPDATE queue SET priority = 5", []).unwrap();
    let moved = "SELECT count(*) FROM rowmill_ready WHERE priority = 5";
    assert_eq!(store.conn.query_row(moved, [], |r| r.get::<_, i64>(0)).unwrap(), 100);
    store.conn.execute("UPDATE queue SET status = 'cancelled' WHERE id < ?1", [ids[50]]).unwrap();
    assert_eq!(store.waiting().unwrap().len(), 50);
}

#[test]
fn the_first_order_to_stop_stands_until_it_is_taken_back() {
    let folder = TempDir::new().unwrap();
    let (mut store, mut other) = (open(&folder), open(&folder));
    let bystander = add(&mut store, "noop");
    assert_eq!((store.stopped().unwrap(), store.start(9).unwrap()), (None, None));
    let order = Order { since: 7, by_whom: "ann@here".to_string() };
    assert_eq!(store.stop("ann@here", 7).unwrap(), order);
    assert_eq!(other.stop("bob@there", 8).unwrap(), order);
    assert_eq!(other.stopped().unwrap(), Some(order.clone()));
    assert_eq!(other.start(9).unwrap(), Some(order));
    assert_eq!(store.stopped().unwrap(), None);
    assert_eq!(store.task(bystander).unwrap().unwrap().status.word(), "ready");
}

#[test]
fn the_crew_is_who_lives_with_what_it_has_claimed() {
    let folder = TempDir::new().unwrap();
    let (mut store, mut other) = (open(&folder), open(&folder));
    let (id, bystander) = (add(&mut store, "noop"), add(&mut store, "noop"));
    assert!(store.crew().unwrap().is_empty());
    let (me, second) = (store.enlist(0, 5).unwrap().unwrap(), other.enlist(1, 6).unwrap().unwrap());
    let place = store.plan().unwrap().partition_of(id);
    let hold = store.hold(place, &me, 5, &|_| panic!("nobody is to blame")).unwrap().unwrap();
    let (task, right) = store.fetch(&hold, 1).unwrap().tasks.remove(0);
    store.claim(&hold, &me, &right, task.attempts_charged, 9, Delivery::AtLeastOnce).unwrap();
    let crew = other.crew().unwrap();
    assert_eq!(crew.iter().map(|hand| hand.info.index).collect::<Vec<_>>(), [0, 1]);
    assert!(crew.iter().all(|hand| hand.process.is_some()), "this process is both of them");
    assert_eq!(crew[0].claimed, Some(Claimed { task: id, job: Some("noop".into()), since: 9 }));
    assert_eq!(crew[1].claimed, None);
    drop(me);
    assert_eq!(other.crew().unwrap().len(), 1);
    drop(second);
    assert_eq!(store.task(bystander).unwrap().unwrap().status.word(), "ready");
}

#[test]
fn a_paused_job_is_parked_when_it_is_fetched_and_released_in_steps() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    store.scale(1).unwrap();
    let ids: Vec<i64> = (0..5).map(|_| add(&mut store, "mail")).collect();
    let bystander = add(&mut store, "noop");
    let order = store.pause("mail", "ann@here", 7).unwrap();
    assert_eq!(store.pause("mail", "bob@there", 8).unwrap(), order);
    assert_eq!(store.paused().unwrap(), [("mail".to_string(), order.clone())]);
    assert!(store.pause("", "ann@here", 7).is_err());
    let me = store.enlist(0, 5).unwrap().unwrap();
    let place = store.plan().unwrap().partition_of(bystander);
    let hold = store.hold(place, &me, 5, &|_| panic!("nobody is to blame")).unwrap().unwrap();
    let batch = store.fetch(&hold, 100).unwrap();
    assert_eq!(batch.tasks.iter().map(|(task, _)| task.id).collect::<Vec<_>>(), [bystander]);
    // An application moves one of them meanwhile: that one is left to the next fetch.
    store.conn.execute("UPDATE queue SET priority = 9 WHERE id = ?1", [ids[4]]).unwrap();
    assert_eq!(store.park_paused(&hold, &batch.paused).unwrap(), Some(4));
    assert_eq!(store.park_paused(&hold, &batch.paused).unwrap(), Some(0));
    let row = store.task(ids[0]).unwrap().unwrap();
    assert_eq!((row.status.word(), row.attempt, row.cause.as_deref()), ("parked", 0, Some("paused")));
    assert_eq!(store.task(ids[4]).unwrap().unwrap().status.word(), "ready");
    assert_eq!(store.task(bystander).unwrap().unwrap().status.word(), "ready");
    assert_eq!(store.release_known(&["mail"]).unwrap(), 0, "that it is known does not resume it");
    // Fetched while paused, parked after the resume: it stays ready.
    let late = store.fetch(&hold, 100).unwrap().paused;
    assert_eq!(late.len(), 1);
    assert_eq!((store.resume("mail").unwrap(), store.resume("mail").unwrap()), (Some(order), None));
    assert_eq!(store.park_paused(&hold, &late).unwrap(), Some(0));
    let first = store.release_paused("mail", 0, 3).unwrap();
    assert_eq!((first.count, first.last_id, &first.partitions[..]), (3, ids[2], &[place][..]));
    assert_eq!(store.release_paused("mail", first.last_id, 3).unwrap().count, 1);
    assert_eq!(store.release_paused("mail", 0, 3).unwrap().count, 0);
    assert_eq!(store.fetch(&hold, 100).unwrap().tasks.len(), 6);
    let row = store.task(ids[0]).unwrap().unwrap();
    assert_eq!((row.status.word(), row.attempt, row.error, row.cause), ("ready", 0, None, None));
}

#[test]
fn whatever_becomes_final_is_counted_once_on_its_day() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    store.scale(1).unwrap();
    let ids: Vec<i64> = ["mail", "mail", "noop", "mail", "mail"].map(|job| add(&mut store, job)).to_vec();
    let me = store.enlist(0, 5).unwrap().unwrap();
    let place = store.plan().unwrap().partition_of(ids[0]);
    let hold = store.hold(place, &me, 5, &|_| panic!("nobody is to blame")).unwrap().unwrap();
    let (day, before) = (86_400_000, 86_399_999);
    let done = |task: &crate::task::Task| Settlement::Done { attempt: task.attempts_charged + 1, result: None };
    let mut tasks = store.fetch(&hold, 4).unwrap().tasks;
    let (last, claimed_right) = tasks.pop().unwrap();
    store.conn.execute("UPDATE queue SET status = 'cancelled' WHERE id = ?1", [ids[2]]).unwrap();
    let settled: Vec<Settled> = tasks
        .into_iter()
        .zip([day, before, day])
        .map(|((task, right), finished_at_ms)| {
            let ended = Ended { settlement: done(&task), started_at_ms: 0, finished_at_ms, company: None };
            Settled { right, ended }
        })
        .collect();
    store.settle(&hold, &settled, &[]).unwrap();
    let Claiming::Claimed(claim) = store.claim(&hold, &me, &claimed_right, 0, day, Delivery::AtLeastOnce).unwrap()
    else {
        panic!()
    };
    let dead = Settlement::Dead { attempt: 1, cause: Cause::Timeout { after_ms: 5 } };
    let ended = Ended { settlement: dead, started_at_ms: day, finished_at_ms: day, company: None };
    store.settle_claim(&claim, &ended).unwrap();
    assert_eq!(store.settle_claim(&claim, &ended).unwrap(), None, "a second time changes nothing");
    store.fold(100).unwrap();
    store.conn.execute("DELETE FROM queue WHERE id = ?1", [ids[0]]).unwrap();
    let counted = |day: i64, job: &str, status, count| DayCount { day, job: job.into(), status, count };
    let early = [counted(0, "mail", Status::Done, 1), counted(1, "mail", Status::Dead, 1)];
    let mut found = store.history(0).unwrap();
    let cancelled = found.pop().unwrap();
    assert!(cancelled.day > 20_000 && cancelled == counted(cancelled.day, "noop", Status::Cancelled, 1));
    assert_eq!(found, [&early[..], &[counted(1, "mail", Status::Done, 1)]].concat());
    assert_eq!(store.history(2).unwrap(), [cancelled]);
    assert_eq!((last.id, store.task(ids[4]).unwrap().unwrap().status), (ids[3], Status::Ready));
}
