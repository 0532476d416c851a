//! Retry, cancel and release: each verb on a task in each state, with a bystander in every state that must stay as it is.
//!
//! What would be found here: a key without its row's status or the reverse, a second key, a task that a verb changes
//! although it is not for it, an outcome of a worker that overwrites what an admin did, a neighbour that is touched.

mod many;

use crate::store::sqlite::*;
use crate::task::{Cause, Delivery, Status};
use proptest::prelude::*;
use std::collections::BTreeMap;
use tempfile::TempDir;

const NOW: Millis = 1_900_000_000_000;
/// Far ahead of the machine's clock too, which the triggers ask.
const AHEAD: Millis = 4_000_000_000_000;
/// `done` first: it folds, and what is `fresh` is to stay so.
const STATES: [&str; 9] =
    ["done", "fresh", "ready", "delayed", "running", "parked", "parked_ahead", "dead", "cancelled"];

fn open(folder: &TempDir) -> Sqlite {
    let path = folder.path().join("q.db");
    Sqlite::open(&path, Durability::Normal, Create::WithPartitions(3)).unwrap()
}

fn add(store: &mut Sqlite, job: &str, run_at_ms: Option<Millis>, key: Option<&str>) -> i64 {
    let unique_key = key.map(str::to_string);
    store.enqueue(&[NewTask { job: job.into(), run_at_ms, unique_key, ..NewTask::default() }]).unwrap()[0].id()
}

fn blame(_: &Task) -> Settlement {
    Settlement::Untouched
}

fn ended(settlement: Settlement) -> Ended {
    Ended { settlement, started_at_ms: NOW - 2, finished_at_ms: NOW - 1, company: None }
}

fn hold(store: &mut Sqlite, badge: &Badge, id: i64) -> Hold {
    let place = store.plan().unwrap().partition_of(id);
    store.hold(place, badge, NOW, &blame).unwrap().unwrap()
}

fn right_to(store: &mut Sqlite, hold: &Hold, id: i64) -> Right {
    let tasks = store.fetch(hold, 10_000).unwrap().tasks;
    tasks.into_iter().find(|(task, _)| task.id == id).unwrap().1
}

fn settle(store: &mut Sqlite, badge: &Badge, id: i64, settlement: Settlement) {
    let hold = hold(store, badge, id);
    let right = right_to(store, &hold, id);
    let settled = [Settled { right, ended: ended(settlement) }];
    assert_eq!(store.settle(&hold, &settled, &[]).unwrap(), Settling::Committed(vec![Verdict::Written]));
}

fn done() -> Settlement {
    Settlement::Done { attempt: 1, result: Some(b"r".to_vec()) }
}

fn dead() -> Settlement {
    Settlement::Dead { attempt: 3, cause: Cause::Error("it broke".into()) }
}

/// A task in that state.
fn make(store: &mut Sqlite, badge: &Badge, state: &str) -> i64 {
    let id = add(store, "j", (state == "delayed").then_some(AHEAD), None);
    match state {
        "running" => {
            let hold = hold(store, badge, id);
            let right = right_to(store, &hold, id);
            assert!(matches!(
                store.claim(&hold, badge, &right, 0, NOW, Delivery::AtLeastOnce).unwrap(),
                Claiming::Claimed(_)
            ));
        }
        "parked" | "parked_ahead" => {
            settle(store, badge, id, Settlement::Parked { cause: "undecodable", reason: "bad".into() });
        }
        "done" | "fresh" => settle(store, badge, id, done()),
        "dead" => settle(store, badge, id, dead()),
        "cancelled" => tell(store, Operation::Cancel, &[id], &[Fate::Changed(Status::Cancelled)]),
        _ => {}
    }
    match state {
        "done" => assert_eq!(store.fold(1_000).unwrap(), Some(1)),
        // As applications may, and as they mend a param.
        "parked_ahead" => {
            store.conn.execute("UPDATE queue SET run_at = ?2 WHERE id = ?1", rusqlite::params![id, AHEAD]).unwrap();
        }
        _ => {}
    }
    id
}

/// Everything that the tables say about each task.
fn dump(store: &Sqlite) -> BTreeMap<i64, Vec<String>> {
    let mut all: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for table in ["queue", "rowmill_ready", "rowmill_delayed", "rowmill_settled", "rowmill_claim"] {
        let mut query = store.conn.prepare(&format!("SELECT id, * FROM {table} ORDER BY id")).unwrap();
        let columns = query.column_count();
        let mut rows = query.query([]).unwrap();
        while let Some(r) = rows.next().unwrap() {
            let cells = (1..columns).map(|i| format!("{:?}", r.get_ref(i).unwrap())).collect::<Vec<_>>();
            all.entry(r.get(0).unwrap()).or_default().push(format!("{table}: {}", cells.join(" ")));
        }
    }
    all
}

/// The invariant: a key stands in an order exactly while its row has that status, once, at its priority and time.
fn assert_sound(store: &Sqlite) {
    let ids = |sql: &str| -> Vec<i64> {
        let mut query = store.conn.prepare(sql).unwrap();
        query.query_map([], |r| r.get(0)).unwrap().map(|id| id.unwrap()).collect()
    };
    let ready = ids("SELECT q.id FROM queue q JOIN rowmill_ready k ON k.id = q.id AND k.priority = q.priority
                       AND (k.generation, k.partition) = (SELECT generation, q.id % partitions FROM rowmill_generation
                             WHERE first_id <= q.id ORDER BY generation DESC LIMIT 1) ORDER BY q.id");
    assert_eq!(ready, ids("SELECT id FROM task WHERE status = 'ready' ORDER BY id"));
    assert_eq!(ready, ids("SELECT id FROM rowmill_ready ORDER BY id"));
    let delayed = ids("SELECT q.id FROM queue q JOIN rowmill_delayed k ON k.id = q.id AND k.run_at = q.run_at
                        ORDER BY q.id");
    assert_eq!(delayed, ids("SELECT id FROM task WHERE status = 'delayed' ORDER BY id"));
    assert_eq!(delayed, ids("SELECT id FROM rowmill_delayed ORDER BY id"));
}

fn call(store: &mut Sqlite, operation: Operation, chosen: &Chosen<'_>) -> (Vec<(i64, Fate)>, Tally) {
    let mut told = Vec::new();
    let mut note = |id, fate| told.push((id, fate));
    let tally = match operation {
        Operation::Retry => store.retry(chosen, NOW, &mut note),
        Operation::Cancel => store.cancel(chosen, NOW, &mut note),
        Operation::Release => store.release(chosen, NOW, &mut note),
    };
    (told, tally.unwrap())
}

/// Asserts what becomes of these.
#[track_caller]
fn tell(store: &mut Sqlite, operation: Operation, ids: &[i64], fates: &[Fate]) {
    let (told, tally) = call(store, operation, &Chosen::Ids(ids));
    assert_eq!(told, ids.iter().copied().zip(fates.iter().copied()).collect::<Vec<_>>());
    assert_eq!(tally.changed + tally.left(), ids.len() as u64);
}

fn matching(status: Option<Status>, job: Option<&str>, limit: u32) -> Filter {
    Filter { status, job: job.map(str::to_string), since_ms: None, limit }
}

/// What an operation should make of a task in that state.
fn expected(operation: Operation, state: &str) -> Fate {
    let status = match state {
        "parked_ahead" => Status::Parked,
        "fresh" => Status::Done,
        word => Status::from_word(word).unwrap(),
    };
    match (operation, state) {
        (Operation::Retry, "dead") | (Operation::Release, "parked" | "delayed") => Fate::Changed(Status::Ready),
        (Operation::Release, "parked_ahead") => Fate::Changed(Status::Delayed),
        (Operation::Cancel, "ready" | "delayed" | "running" | "parked" | "parked_ahead") => {
            Fate::Changed(Status::Cancelled)
        }
        _ => Fate::Unfit(status),
    }
}

#[test]
fn each_verb_changes_the_states_that_it_is_for_and_no_other_task() {
    for operation in [Operation::Retry, Operation::Cancel, Operation::Release] {
        let folder = TempDir::new().unwrap();
        let mut store = open(&folder);
        let me = store.enlist(0, NOW).unwrap().unwrap();
        // Two in each state: the second one is the bystander.
        let pairs = STATES.map(|state| (state, make(&mut store, &me, state), make(&mut store, &me, state)));
        for (state, id, _) in pairs {
            let before = dump(&store);
            let fate = expected(operation, state);
            let mut foreseen = Vec::new();
            store.foresee(operation, &Chosen::Ids(&[id]), NOW, &mut |id, fate| foreseen.push((id, fate))).unwrap();
            assert_eq!((foreseen, dump(&store)), (vec![(id, fate)], before.clone()), "{operation:?} {state}");
            tell(&mut store, operation, &[id], &[fate]);
            let mut after = dump(&store);
            if let Fate::Changed(status) = fate {
                assert_eq!(store.task(id).unwrap().unwrap().status, status, "{operation:?} {state}");
                assert_ne!(after.insert(id, before[&id].clone()), before.get(&id).cloned());
            }
            assert_eq!(after, before, "{operation:?} {state}: others are touched");
            assert_sound(&store);
        }
        tell(&mut store, operation, &[10_000, -1], &[Fate::Missing, Fate::Missing]);
    }
}

#[test]
fn a_dead_task_that_is_retried_is_as_if_it_had_never_run_and_is_retried_once() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let me = store.enlist(0, NOW).unwrap().unwrap();
    let id = make(&mut store, &me, "dead");
    tell(&mut store, Operation::Retry, &[id, id], &[Fate::Changed(Status::Ready), Fate::Unfit(Status::Ready)]);
    tell(&mut store, Operation::Retry, &[id], &[Fate::Unfit(Status::Ready)]);
    assert_sound(&store);
    let row = store.task(id).unwrap().unwrap();
    assert_eq!((row.attempt, row.error, row.cause, row.result), (0, None, None, None));
    assert_eq!((row.started_at, row.finished_at, row.worker), (None, None, None));
    settle(&mut store, &me, id, done());
    assert_eq!(store.fold(10).unwrap(), Some(1));
    assert_eq!(store.task(id).unwrap().unwrap().status, Status::Done);
    tell(&mut store, Operation::Retry, &[id], &[Fate::Unfit(Status::Done)]);
}

#[test]
fn a_dead_task_that_was_put_off_while_it_ran_is_ready_when_it_is_retried() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let me = store.enlist(0, NOW).unwrap().unwrap();
    let id = add(&mut store, "j", None, None);
    let hold = hold(&mut store, &me, id);
    let right = right_to(&mut store, &hold, id);
    store.conn.execute("UPDATE queue SET run_at = ?2 WHERE id = ?1", rusqlite::params![id, AHEAD]).unwrap();
    store.settle(&hold, &[Settled { right, ended: ended(dead()) }], &[]).unwrap();
    tell(&mut store, Operation::Retry, &[id], &[Fate::Changed(Status::Ready)]);
    assert_eq!(store.task(id).unwrap().unwrap().run_at, Some(NOW));
    assert_sound(&store);
}

#[test]
fn a_task_whose_key_is_taken_stays_dead_until_it_is_free() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let me = store.enlist(0, NOW).unwrap().unwrap();
    let (one, two) = (add(&mut store, "j", None, Some("k")), add(&mut store, "other", None, Some("else")));
    settle(&mut store, &me, one, dead());
    let three = add(&mut store, "j", None, Some("k"));
    settle(&mut store, &me, three, dead());
    let holder = add(&mut store, "j", Some(AHEAD), Some("k"));
    let before = dump(&store);
    tell(&mut store, Operation::Retry, &[one, three], &[Fate::KeyTaken(holder); 2]);
    assert_eq!(dump(&store), before);
    tell(&mut store, Operation::Cancel, &[holder], &[Fate::Changed(Status::Cancelled)]);
    let (told, tally) = call(&mut store, Operation::Retry, &Chosen::Matching(&matching(None, Some("j"), 9)));
    assert_eq!(told, [(three, Fate::Changed(Status::Ready)), (one, Fate::KeyTaken(three))], "the newest first");
    assert_eq!(tally, Tally { changed: 1, key_taken: 1, ..Tally::default() });
    assert_eq!(
        store.enqueue(&[NewTask { job: "j".into(), unique_key: Some("k".into()), ..NewTask::default() }]).unwrap()[0],
        Enqueued::Exists(three)
    );
    assert_eq!(store.task(two).unwrap().unwrap().status, Status::Ready);
    assert_sound(&store);
}

#[test]
fn what_a_worker_has_in_hand_stays_cancelled_whatever_comes_of_it() {
    for outcome in [done(), dead(), Settlement::Delayed { attempt: 1, run_at_ms: AHEAD, cause: None }] {
        let folder = TempDir::new().unwrap();
        let (mut store, mut admin) = (open(&folder), open(&folder));
        let me = store.enlist(0, NOW).unwrap().unwrap();
        let ids: Vec<i64> = (0..6).map(|_| add(&mut store, "j", None, None)).collect();
        let hold = hold(&mut store, &me, ids[0]);
        let (right, beside) = (right_to(&mut store, &hold, ids[0]), right_to(&mut store, &hold, ids[3]));
        tell(&mut admin, Operation::Cancel, &[ids[0]], &[Fate::Changed(Status::Cancelled)]);
        let settled = [Settled { right, ended: ended(outcome) }, Settled { right: beside, ended: ended(done()) }];
        let verdicts = vec![Verdict::Cancelled, Verdict::Written];
        assert_eq!(store.settle(&hold, &settled, &[]).unwrap(), Settling::Committed(verdicts));
        let row = store.task(ids[0]).unwrap().unwrap();
        assert_eq!((row.status, row.result, row.finished_at), (Status::Cancelled, None, Some(NOW)));
        assert_sound(&store);
    }
}

#[test]
fn a_running_task_stays_cancelled_and_its_claim_is_gone_with_its_settlement() {
    let folder = TempDir::new().unwrap();
    let (mut store, mut admin) = (open(&folder), open(&folder));
    let me = store.enlist(0, NOW).unwrap().unwrap();
    let id = add(&mut store, "j", None, Some("k"));
    let hold = hold(&mut store, &me, id);
    let right = right_to(&mut store, &hold, id);
    let Claiming::Claimed(claim) = store.claim(&hold, &me, &right, 0, NOW, Delivery::AtLeastOnce).unwrap() else {
        panic!()
    };
    drop(hold);
    tell(&mut admin, Operation::Cancel, &[id], &[Fate::Changed(Status::Cancelled)]);
    for operation in [Operation::Retry, Operation::Cancel, Operation::Release] {
        tell(&mut admin, operation, &[id], &[Fate::Unfit(Status::Cancelled)]);
    }
    let next = add(&mut admin, "j", None, Some("k"));
    assert_ne!(next, id, "its key is free at once");
    assert_eq!(store.settle_claim(&claim, &ended(done())).unwrap(), Some(Verdict::Cancelled));
    assert_eq!(store.settle_claim(&claim, &ended(done())).unwrap(), None);
    assert_eq!(store.task(id).unwrap().unwrap().status, Status::Cancelled);
    assert_sound(&store);
}

#[test]
fn a_released_task_waits_for_its_time_or_runs_at_once() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let me = store.enlist(0, NOW).unwrap().unwrap();
    let (parked, delayed) = (make(&mut store, &me, "parked_ahead"), make(&mut store, &me, "delayed"));
    let failed = add(&mut store, "j", None, None);
    let cause = Some(Cause::Error("later".into()));
    settle(&mut store, &me, failed, Settlement::Delayed { attempt: 2, run_at_ms: AHEAD, cause });
    let (told, _) = call(&mut store, Operation::Release, &Chosen::Matching(&matching(None, None, 9)));
    assert_eq!(told, [(parked, Fate::Changed(Status::Delayed))], "delayed ones only when they are named");
    let row = store.task(parked).unwrap().unwrap();
    assert_eq!((row.run_at, row.error, row.cause), (Some(AHEAD), None, None));
    assert_eq!(store.next_delayed().unwrap(), Some(AHEAD));
    tell(&mut store, Operation::Release, &[delayed, failed], &[Fate::Changed(Status::Ready); 2]);
    let row = store.task(failed).unwrap().unwrap();
    assert_eq!((row.run_at, row.attempt, row.error.as_deref()), (Some(NOW), 2, Some("later")));
    assert_sound(&store);
    assert_eq!(store.promote(AHEAD, 10).unwrap(), [store.plan().unwrap().partition_of(parked)]);
    assert_sound(&store);
    settle(&mut store, &me, parked, done());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_asked_for_in_whatever_order_the_keys_agree_with_the_rows(
        steps in proptest::collection::vec((0usize..4, 0usize..9), 1..40),
    ) {
        let folder = TempDir::new().unwrap();
        let mut store = open(&folder);
        let me = store.enlist(0, NOW).unwrap().unwrap();
        let ids: Vec<i64> = STATES.iter().map(|state| make(&mut store, &me, state)).collect();
        for (verb, which) in steps {
            match verb {
                0 => drop(call(&mut store, Operation::Retry, &Chosen::Ids(&[ids[which]]))),
                1 => drop(call(&mut store, Operation::Release, &Chosen::Ids(&[ids[which]]))),
                2 if which > 4 => drop(call(&mut store, Operation::Cancel, &Chosen::Ids(&[ids[which]]))),
                _ => {
                    if store.task(ids[which]).unwrap().unwrap().status == Status::Ready {
                        settle(&mut store, &me, ids[which], dead());
                    }
                }
            }
            assert_sound(&store);
        }
    }
}

#[test]
fn a_cancelled_task_is_counted_on_the_day_on_which_it_is_said_to_have_ended() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let id = add(&mut store, "noop", None, None);
    // The clock of who cancels is years from that of SQLite's triggers.
    store.cancel(&Chosen::Ids(&[id]), NOW, &mut |_, _| {}).unwrap();
    let days: Vec<i64> = store.history(0).unwrap().iter().map(|day| day.day).collect();
    assert_eq!(days, [NOW / 86_400_000]);
}
