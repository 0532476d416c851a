//! Settlements with company: an effect and a follow-up are there exactly when their task is settled as done, whatever
//! fails, and whoever dies between two transactions.
//!
//! Every test has a bystander in the same group, which is to settle untouched by what the others do.

mod values;

use super::*;
use crate::error::Kind;
use crate::task::{JobError, Outcome, Policy, Tx};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A database of one partition with a table of an application's.
fn scene(folder: &TempDir) -> Sqlite {
    let path = folder.path().join("q.db");
    let store = Sqlite::open(&path, Durability::Normal, Create::WithPartitions(1)).unwrap();
    store.conn.execute_batch("CREATE TABLE IF NOT EXISTS outbox (n INTEGER PRIMARY KEY)").unwrap();
    store
}

fn ended(outcome: Outcome) -> Ended {
    let (ending, company) = Ending::Answered(outcome).part(&Policy { effects_ms: 1_000, ..Policy::default() });
    assert!(matches!(ending, Ending::Answered(_)), "{ending:?}");
    let settlement = Settlement::Done { attempt: 1, result: None };
    Ended { settlement, started_at_ms: 1_000, finished_at_ms: 1_001, company }
}

fn dead(right: Right) -> Settled {
    let settlement = Settlement::Dead { attempt: 1, cause: crate::task::Cause::Effect("no".into()) };
    Settled { right, ended: Ended { settlement, started_at_ms: 1, finished_at_ms: 2, company: None } }
}

/// Runs the ready tasks with these outcomes, in order, and settles them together.
fn settle(store: &mut Sqlite, outcomes: Vec<Outcome>) -> (Hold, Vec<Settled>, Result<Settling>) {
    let me = badge(store, 0);
    let place = Partition { generation: 1, index: 0 };
    let hold = store.hold(place, &me, 5, &nobody).unwrap().unwrap();
    let tasks = store.fetch(&hold, 1_000).unwrap().tasks;
    let settled: Vec<Settled> =
        tasks.into_iter().zip(outcomes).map(|((_, right), outcome)| Settled { right, ended: ended(outcome) }).collect();
    let settling = store.settle(&hold, &settled, &[]);
    (hold, settled, settling)
}

fn numbers(store: &Sqlite, sql: &str) -> Vec<i64> {
    let mut query = store.conn.prepare(sql).unwrap();
    query.query_map([], |r| r.get(0)).unwrap().map(|n| n.unwrap()).collect()
}

fn outbox(store: &Sqlite) -> Vec<i64> {
    numbers(store, "SELECT n FROM outbox ORDER BY n")
}

fn put(tx: &Tx<'_>, n: i64) -> std::result::Result<(), JobError> {
    tx.execute("INSERT INTO outbox (n) VALUES (?1)", &[n.into()]).map(|_| ())
}

fn status(store: &mut Sqlite, id: i64) -> String {
    store.task(id).unwrap().unwrap().status.to_string()
}

fn follow(n: usize) -> NewTask {
    NewTask::of("child", n.to_string())
}

#[test]
fn company_comes_with_the_settlement_and_remembers_its_parent() {
    let folder = TempDir::new().unwrap();
    let mut store = scene(&folder);
    let ids: Vec<i64> = (0..3).map(|_| add(&mut store, "noop", 0)).collect();
    store.conn.execute("UPDATE queue SET status = 'cancelled' WHERE id = ?1", [ids[2]]).unwrap();
    let later = NewTask { run_at_ms: Some(4_000_000_000_000), ..follow(2) };
    let with = |n: i64| Outcome::done().effect(move |tx| put(tx, n)).then(follow(1)).then(later.clone());
    let (_, _, settling) = settle(&mut store, vec![with(1), Outcome::done()]);
    assert_eq!(settling.unwrap(), Settling::Committed(vec![Verdict::Written, Verdict::Written]));
    assert_eq!(outbox(&store), [1]);
    let children = numbers(&store, "SELECT parent FROM task WHERE job = 'child' ORDER BY id");
    assert_eq!(children, [ids[0], ids[0]]);
    let words = "SELECT count(*) FROM queue WHERE job = 'child' AND status = iif(param = '1', 'ready', 'delayed')";
    assert_eq!(numbers(&store, words), [2]);
    let refused = store.conn.execute("INSERT INTO queue (job, parent) VALUES ('x', 1)", []).unwrap_err().to_string();
    assert!(refused.contains("set by the engine"), "{refused}");
}

#[test]
fn what_is_cancelled_gone_or_lost_has_no_company() {
    for (sql, verdict) in [
        ("UPDATE queue SET status = 'cancelled' WHERE id = 1", Verdict::Cancelled),
        ("DELETE FROM queue WHERE id = 1", Verdict::Gone),
        ("UPDATE rowmill_partition SET epoch = epoch + 1", Verdict::Written),
    ] {
        let folder = TempDir::new().unwrap();
        let mut store = scene(&folder);
        add(&mut store, "noop", 0);
        let me = badge(&mut store, 0);
        let hold = store.hold(Partition { generation: 1, index: 0 }, &me, 5, &nobody).unwrap().unwrap();
        let (_, right) = store.fetch(&hold, 1).unwrap().tasks.remove(0);
        store.conn.execute(sql, []).unwrap();
        let ended = ended(Outcome::done().effect(|tx| put(tx, 1)).then(follow(1)));
        let settling = store.settle(&hold, &[Settled { right, ended }], &[]).unwrap();
        let lost = sql.contains("epoch");
        assert_eq!(settling, if lost { Settling::Lost } else { Settling::Committed(vec![verdict]) }, "{sql}");
        assert!(outbox(&store).is_empty() && numbers(&store, "SELECT id FROM queue WHERE id > 1").is_empty(), "{sql}");
    }
}

/// Things of an application's that company can fail at.
const PITFALLS: &str = "
    CREATE TABLE child (n INTEGER REFERENCES outbox (n) DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER cursed BEFORE INSERT ON queue WHEN NEW.job = 'cursed'
    BEGIN SELECT RAISE(ABORT, 'not that one'); END;
    CREATE TRIGGER doomed BEFORE INSERT ON queue WHEN NEW.job = 'doomed'
    BEGIN SELECT RAISE(ROLLBACK, 'not any'); END;";

/// Ways for the company of one task to fail, each with words of what is said about it.
fn failures() -> Vec<(&'static str, Outcome)> {
    let first = || Outcome::done().effect(|tx| put(tx, 100));
    vec![
        ("says no", first().effect(|_| Err(JobError::new("says no")))),
        ("says no", Outcome::done().effect(|_| Err(JobError::new("says no"))).effect(|tx| put(tx, 100))),
        ("UNIQUE", first().effect(|tx| put(tx, 100)).then(follow(1))),
        ("panicked: oh", first().effect(|_| panic!("oh"))),
        ("UNIQUE", first().effect(|tx| tx.execute("INSERT OR ROLLBACK INTO outbox VALUES (100)", &[]).map(|_| ()))),
        (
            "ended the transaction",
            first().effect(|tx| {
                let _ = tx.execute("INSERT OR ROLLBACK INTO outbox VALUES (100)", &[]);
                let _ = put(tx, 101);
                Ok(())
            }),
        ),
        (
            "longer than 1s",
            first().effect(|tx| {
                tx.query("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c", &[])?;
                Ok(())
            }),
        ),
        (
            "longer than 1s",
            first().effect(|tx| {
                let endless = "WITH RECURSIVE c(n) AS (SELECT 200 UNION ALL SELECT n + 1 FROM c)
                           INSERT INTO outbox SELECT n FROM c";
                let _ = tx.execute(endless, &[]);
                Ok(())
            }),
        ),
        ("points nowhere", first().effect(|tx| tx.execute("INSERT INTO child VALUES (7)", &[]).map(|_| ()))),
        ("not that one", first().then(follow(1)).then(NewTask::of("cursed", "")).then(follow(2))),
        ("not any", first().then(follow(1)).then(NewTask::of("doomed", "")).then(follow(2))),
    ]
}

#[test]
fn whatever_fails_fails_its_own_task_and_nobody_else() {
    for (at, (words, outcome)) in failures().into_iter().enumerate() {
        let folder = TempDir::new().unwrap();
        let mut store = scene(&folder);
        store.conn.execute_batch(PITFALLS).unwrap();
        let ids: Vec<i64> = (0..4).map(|_| add(&mut store, "noop", 0)).collect();
        let good = |n: i64| Outcome::done().effect(move |tx| put(tx, n)).then(follow(n as usize));
        let (hold, settled, settling) = settle(&mut store, vec![good(1), outcome, good(2), Outcome::done()]);
        let Settling::Committed(verdicts) = settling.unwrap() else { panic!("lost") };
        assert!(matches!(&verdicts[1], Verdict::Refused(why) if why.contains(words)), "{at} {words}: {verdicts:?}");
        assert!([0, 2, 3].iter().all(|i| verdicts[*i] == Verdict::Written), "{at} {words}: {verdicts:?}");
        assert_eq!(outbox(&store), [1, 2], "{at} {words}");
        assert_eq!(numbers(&store, "SELECT parent FROM queue WHERE id > 4 ORDER BY id"), [ids[0], ids[2]], "{words}");
        assert_eq!(status(&mut store, ids[1]), "ready", "{at} {words}");
        let refused = settled.into_iter().nth(1).unwrap();
        let again = store.settle(&hold, &[dead(refused.right)], &[]).unwrap();
        assert_eq!(again, Settling::Committed(vec![Verdict::Written]));
        assert_eq!(status(&mut store, ids[1]), "dead");
        assert_eq!(store.task(ids[1]).unwrap().unwrap().cause.as_deref(), Some("effect"));
    }
}

#[test]
fn what_an_effect_may_not_do_is_refused_with_words() {
    let forbidden = [
        ("COMMIT", "transaction"),
        ("ROLLBACK", "transaction"),
        ("BEGIN", "transaction"),
        ("SAVEPOINT a", "transaction"),
        ("RELEASE rowmill_company", "transaction"),
        ("ROLLBACK TO rowmill_company", "transaction"),
        ("ATTACH ':memory:' AS x", "attach"),
        ("DETACH main", "attach"),
        ("PRAGMA synchronous = OFF", "PRAGMA"),
        ("PRAGMA writable_schema(1)", "PRAGMA"),
        ("PRAGMA wal_checkpoint", "PRAGMA"),
        ("CREATE TEMP TABLE queue (id)", "temporary"),
        ("CREATE TRIGGER rowmill_x AFTER INSERT ON outbox BEGIN DELETE FROM rowmill_ready; END", "triggers"),
        ("DROP TRIGGER rowmill_cancel", "triggers"),
        ("UPDATE queue SET attempt = 9", "of a row of queue"),
        ("UPDATE QUEUE SET parent = 9", "of a row of queue"),
        ("UPDATE queue SET result = 'x' WHERE id = 1", "of a row of queue"),
        ("INSERT INTO queue (job) VALUES ('x') ON CONFLICT DO UPDATE SET finished_at = 1", "of a row of queue"),
        ("DELETE FROM rowmill_ready", "belongs to the engine"),
        ("UPDATE ROWMILL_partition SET epoch = 1", "belongs to the engine"),
        ("INSERT INTO rowmill_claim VALUES (1, 1, 1)", "belongs to the engine"),
        ("UPDATE sqlite_sequence SET seq = 0", "belongs to the engine"),
        ("CREATE TABLE rowmill_mine (n)", "belongs to the engine"),
        ("ALTER TABLE queue ADD COLUMN x", "belongs to the engine"),
        ("DROP TABLE queue", "belongs to the engine"),
        ("DROP VIEW task", "belongs to the engine"),
        ("CREATE INDEX x ON queue (param)", "belongs to the engine"),
        ("ANALYZE", "analyze"),
        ("VACUUM", "VACUUM"),
        ("INSERT INTO outbox VALUES (1); SELECT 1", "Multiple statements"),
    ];
    for (sql, words) in forbidden {
        let folder = TempDir::new().unwrap();
        let mut store = scene(&folder);
        let id = add(&mut store, "noop", 0);
        let outcome = Outcome::done().effect(move |tx| tx.execute(sql, &[]).map(|_| ()));
        let (_, _, settling) = settle(&mut store, vec![outcome]);
        let Settling::Committed(verdicts) = settling.unwrap() else { panic!("lost") };
        assert!(matches!(&verdicts[0], Verdict::Refused(why) if why.contains(words)), "{sql}: {verdicts:?}");
        assert_eq!((status(&mut store, id).as_str(), outbox(&store).len()), ("ready", 0), "{sql}");
    }
}

#[test]
fn an_effect_may_do_what_an_application_may() {
    let folder = TempDir::new().unwrap();
    let mut store = scene(&folder);
    let ids: Vec<i64> = (0..3).map(|_| add(&mut store, "noop", 0)).collect();
    let outcome = Outcome::done().effect(|tx| {
        tx.execute("CREATE TABLE IF NOT EXISTS notes (a, b)", &[])?;
        tx.execute("CREATE INDEX notes_a ON notes (a)", &[])?;
        let values = [1.into(), None::<&str>.into()];
        tx.execute("INSERT INTO notes VALUES (?1, ?2)", &values)?;
        assert_eq!(tx.query("SELECT a, b FROM notes WHERE a = ?1", &[1.into()])?, [values.to_vec()]);
        tx.execute("INSERT INTO queue (job, run_at) VALUES ('x', 4000000000000), ('y', NULL)", &[])?;
        tx.execute("UPDATE queue SET priority = 5 WHERE id = 2", &[])?;
        tx.execute("UPDATE queue SET status = 'cancelled' WHERE id = 3", &[])?;
        put(tx, tx.query("SELECT id FROM task WHERE status = 'done'", &[])?.len() as i64)
    });
    let (_, _, settling) = settle(&mut store, vec![outcome]);
    assert_eq!(settling.unwrap(), Settling::Committed(vec![Verdict::Written]));
    assert_eq!(outbox(&store), [1], "it sees its own task as done");
    assert_eq!(status(&mut store, ids[2]), "cancelled");
    assert_eq!(numbers(&store, "SELECT count(*) FROM rowmill_ready WHERE priority = 5"), [1]);
    assert_eq!(numbers(&store, "SELECT count(*) FROM rowmill_delayed"), [1]);
}

#[test]
fn an_effect_may_be_called_again_and_still_happens_once() {
    let folder = TempDir::new().unwrap();
    let mut store = scene(&folder);
    for _ in 0..3 {
        add(&mut store, "noop", 0);
    }
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let counted = Outcome::done().effect(move |tx| {
        count.fetch_add(1, Ordering::Relaxed);
        put(tx, 1)
    });
    let destroys =
        || Outcome::done().effect(|tx| tx.execute("INSERT OR ROLLBACK INTO outbox VALUES (1)", &[]).map(|_| ()));
    let (_, _, settling) = settle(&mut store, vec![counted, destroys(), destroys()]);
    let Settling::Committed(verdicts) = settling.unwrap() else { panic!("lost") };
    let refused = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Refused(_))).count();
    assert_eq!((refused, calls.load(Ordering::Relaxed)), (2, 3), "{verdicts:?}");
    assert_eq!(outbox(&store), [1]);
}

#[test]
fn a_full_disk_is_nobodys_failed_attempt() {
    let folder = TempDir::new().unwrap();
    let mut store = scene(&folder);
    let id = add(&mut store, "noop", 0);
    let pages: i64 = store.conn.query_row("PRAGMA page_count", [], |r| r.get(0)).unwrap();
    store.conn.query_row(&format!("PRAGMA max_page_count = {}", pages + 4), [], |_| Ok(())).unwrap();
    let big = || {
        Outcome::done().effect(|tx| {
            tx.execute("CREATE TABLE big (b)", &[])?;
            let _ = tx.execute("INSERT INTO big VALUES (zeroblob(1000000))", &[]);
            Ok(())
        })
    };
    let (hold, settled, settling) = settle(&mut store, vec![big()]);
    assert_eq!(settling.unwrap_err().kind(), Kind::TryAgain);
    assert_eq!(status(&mut store, id), "ready");
    store.conn.query_row("PRAGMA max_page_count = 100000", [], |_| Ok(())).unwrap();
    assert_eq!(store.settle(&hold, &settled, &[]).unwrap(), Settling::Committed(vec![Verdict::Written]));
    assert_eq!(numbers(&store, "SELECT count(*) FROM big"), [1]);
}

#[test]
fn a_claimed_task_whose_company_fails_keeps_its_claim() {
    for (words, outcome) in failures() {
        let folder = TempDir::new().unwrap();
        let mut store = scene(&folder);
        store.conn.execute_batch(PITFALLS).unwrap();
        let id = add(&mut store, "noop", 0);
        let me = badge(&mut store, 0);
        let hold = store.hold(Partition { generation: 1, index: 0 }, &me, 5, &nobody).unwrap().unwrap();
        let (_, right) = store.fetch(&hold, 1).unwrap().tasks.remove(0);
        let Claiming::Claimed(claim) = store.claim(&hold, &me, &right, 0, 7, Delivery::AtLeastOnce).unwrap() else {
            panic!()
        };
        let verdict = store.settle_claim(&claim, &ended(outcome)).unwrap();
        assert!(matches!(&verdict, Some(Verdict::Refused(why)) if why.contains(words)), "{words}: {verdict:?}");
        assert_eq!((status(&mut store, id).as_str(), outbox(&store).len()), ("running", 0), "{words}");
        let good = ended(Outcome::done().effect(|tx| put(tx, 1)).then(follow(1)));
        assert_eq!(store.settle_claim(&claim, &good).unwrap(), Some(Verdict::Written));
        assert_eq!(store.settle_claim(&claim, &good).unwrap(), None, "it is settled once");
        assert_eq!((status(&mut store, id).as_str(), outbox(&store)), ("done", vec![1]), "{words}");
        assert_eq!(numbers(&store, "SELECT parent FROM queue WHERE id > 1"), [id]);
    }
}

/// Where the follow-ups stand: inserted, and waiting to be.
fn stands(store: &Sqlite) -> (i64, i64) {
    let inserted = numbers(store, "SELECT count(*) FROM queue WHERE job = 'child' AND parent = 1")[0];
    let waiting = "SELECT coalesce(sum(json_array_length(tasks)), 0) FROM rowmill_followup";
    (inserted, numbers(store, waiting)[0])
}

#[test]
fn many_follow_ups_are_neither_lost_nor_doubled_by_a_death_between_any_two_transactions() {
    let folder = TempDir::new().unwrap();
    let many = || Outcome::done().then_all((1..=3_500).map(follow)).effect(|tx| put(tx, 1));
    let mut store = scene(&folder);
    add(&mut store, "parent", 0);
    // It dies after the run: as if it had never been.
    let me = badge(&mut store, 0);
    let hold = store.hold(Partition { generation: 1, index: 0 }, &me, 5, &nobody).unwrap().unwrap();
    assert_eq!(store.fetch(&hold, 9).unwrap().tasks.len(), 1);
    drop((hold, me, store));
    let mut store = scene(&folder);
    assert_eq!((stands(&store), outbox(&store).len()), ((0, 0), 0));
    let (hold, settled, settling) = settle(&mut store, vec![many()]);
    assert_eq!(settling.unwrap(), Settling::Committed(vec![Verdict::Written]));
    // It dies after each transaction from here on, and each time somebody else goes on.
    let mut seen = vec![stands(&store)];
    drop((hold, settled, store));
    loop {
        let mut store = scene(&folder);
        assert_eq!(seen.last(), Some(&stands(&store)), "a death changes nothing");
        assert_eq!(outbox(&store), [1]);
        if store.spread().unwrap().is_none() {
            break;
        }
        seen.push(stands(&store));
    }
    assert_eq!(seen, [(1_000, 2_500), (2_000, 1_500), (3_000, 500), (3_500, 0)]);
    let store = scene(&folder);
    let params = numbers(&store, "SELECT CAST(param AS INTEGER) FROM queue WHERE parent = 1 ORDER BY id");
    assert_eq!(params, (1..=3_500).collect::<Vec<i64>>());
    let ready = "SELECT count(*) FROM rowmill_ready r JOIN queue q ON q.id = r.id WHERE q.parent = 1";
    assert_eq!(numbers(&store, ready), [3_500]);
}

#[test]
fn follow_ups_that_something_refuses_later_are_kept_with_the_reason() {
    for raise in ["ABORT", "ROLLBACK"] {
        let folder = TempDir::new().unwrap();
        let mut store = scene(&folder);
        add(&mut store, "parent", 0);
        let trigger = format!(
            "CREATE TRIGGER no BEFORE INSERT ON queue WHEN NEW.param = '1200' BEGIN SELECT RAISE({raise}, 'no'); END"
        );
        store.conn.execute_batch(&trigger).unwrap();
        let (_, _, settling) = settle(&mut store, vec![Outcome::done().then_all((1..=2_100).map(follow))]);
        settling.unwrap();
        while store.spread().unwrap().is_some() {}
        let kept = if raise == "ABORT" { 1 } else { 1_000 };
        assert_eq!(stands(&store), (2_100 - kept, kept), "{raise}");
        assert_eq!(numbers(&store, "SELECT count(*) FROM rowmill_followup WHERE error LIKE '%no%'"), [1]);
    }
}
