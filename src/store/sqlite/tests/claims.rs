//! Claims whose worker is gone: what is known of how the run ended, and what becomes of tasks that run at most once.

use super::*;
use crate::task::Policy;
use std::sync::Mutex;

/// A claimed task and its worker.
fn claimed(store: &mut Sqlite, delivery: Delivery) -> (Badge, Claim) {
    let id = add(store, "noop", 0);
    let place = home(store, id);
    let me = badge(store, 0);
    let hold = store.hold(place, &me, 5, &nobody).unwrap().unwrap();
    let (_, right) = store.fetch(&hold, 1).unwrap().tasks.remove(0);
    let Claiming::Claimed(claim) = store.claim(&hold, &me, &right, 0, 7, delivery).unwrap() else { panic!("lost") };
    (me, claim)
}

/// What becomes of a claimed task whose worker is gone, after `before` was done to the database.
fn after_death(delivery: Delivery, before: impl FnOnce(&mut Sqlite, &Claim)) -> (String, i64, Option<String>) {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let (me, claim) = claimed(&mut store, delivery);
    before(&mut store, &claim);
    assert!(store.lost_claims().unwrap().is_empty() || before_boot(&store), "its worker lives");
    drop(me);
    let lost = store.lost_claims().unwrap().remove(0);
    // The policy that the job has now says something else: what counts is how the run began.
    let policy = Policy { delivery: Delivery::default(), ..Policy::default() };
    let settlement = lost.settlement(policy, 1_700_000_000_000);
    let ended = Ended { settlement, started_at_ms: 7, finished_at_ms: 9, company: None };
    assert_eq!(store.settle_claim(&lost.claim, &ended).unwrap(), Some(Verdict::Written));
    assert!(store.lost_claims().unwrap().is_empty());
    let row = store.task(claim.id()).unwrap().unwrap();
    (row.status.to_string(), row.attempt, row.cause)
}

fn before_boot(store: &Sqlite) -> bool {
    store.conn.query_row("SELECT boot = 'before' FROM rowmill_worker", [], |r| r.get(0)).unwrap()
}

fn power_cut(store: &mut Sqlite, _: &Claim) {
    store.conn.execute("UPDATE rowmill_worker SET boot = 'before'", []).unwrap();
}

fn says(word: LastWord) -> impl FnOnce(&mut Sqlite, &Claim) {
    move |store, claim| {
        store.last_word(claim, word).unwrap();
        assert_eq!(store.task(claim.id()).unwrap().unwrap().status.word(), "running", "it may still run");
    }
}

#[test]
fn what_its_worker_knew_decides_what_a_claimed_task_is_charged() {
    use Delivery::AtLeastOnce;
    let seen = |status: &str, attempt, cause: Option<&str>| (status.to_string(), attempt, cause.map(str::to_string));
    assert_eq!(after_death(AtLeastOnce, |_, _| {}), seen("ready", 1, Some("worker_died")));
    assert_eq!(after_death(AtLeastOnce, power_cut), seen("ready", 0, None));
    assert_eq!(after_death(AtLeastOnce, says(LastWord::Interrupted)), seen("ready", 0, None));
    let timed_out = says(LastWord::TimedOut { after_ms: 9 });
    assert_eq!(after_death(AtLeastOnce, timed_out), seen("delayed", 1, Some("timeout")));
}

#[test]
fn what_runs_at_most_once_is_dead_however_its_worker_went() {
    let cause = |before: &dyn Fn(&mut Sqlite, &Claim)| {
        let (status, attempt, cause) = after_death(Delivery::AtMostOnce, before);
        assert_eq!((status.as_str(), attempt), ("dead", 1));
        cause.unwrap()
    };
    assert_eq!(cause(&|_, _| {}), "worker_died");
    assert_eq!(cause(&power_cut), "power_cut");
    assert_eq!(cause(&|s, c| says(LastWord::Interrupted)(s, c)), "interrupted");
    assert_eq!(cause(&|s, c| says(LastWord::TimedOut { after_ms: 9 })(s, c)), "timeout");
}

#[test]
fn a_claim_for_what_runs_at_most_once_is_synced_whatever_the_durability_is() {
    use rusqlite::hooks::{AuthAction, Authorization};
    for (delivery, durability, expected) in [
        (Delivery::AtMostOnce, Durability::Normal, vec!["FULL", "commit", "NORMAL"]),
        (Delivery::AtMostOnce, Durability::Full, vec!["commit"]),
        (Delivery::AtLeastOnce, Durability::Normal, vec!["commit"]),
    ] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("q.db");
        let mut store = Sqlite::open(&path, durability, Create::WithPartitions(4)).unwrap();
        let id = add(&mut store, "noop", 0);
        let place = home(&mut store, id);
        let me = badge(&mut store, 0);
        let hold = store.hold(place, &me, 5, &nobody).unwrap().unwrap();
        let (_, right) = store.fetch(&hold, 1).unwrap().tasks.remove(0);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (pragmas, commits) = (Arc::clone(&seen), Arc::clone(&seen));
        let note = move |asked: rusqlite::hooks::AuthContext<'_>| {
            if let AuthAction::Pragma { pragma_name: "synchronous", pragma_value: Some(value) } = asked.action {
                pragmas.lock().unwrap().push(value.to_string());
            }
            Authorization::Allow
        };
        store.conn.authorizer(Some(note)).unwrap();
        let commit = move || {
            commits.lock().unwrap().push("commit".to_string());
            false
        };
        store.conn.commit_hook(Some(commit)).unwrap();
        store.claim(&hold, &me, &right, 0, 7, delivery).unwrap();
        assert_eq!(*seen.lock().unwrap(), expected, "{delivery:?} {durability:?}");
        let now: i64 = store.conn.query_row("PRAGMA synchronous", [], |r| r.get(0)).unwrap();
        assert_eq!(now, if durability == Durability::Full { 2 } else { 1 });
    }
}

#[test]
fn a_worker_process_that_is_not_written_down_any_more_claims_nothing_and_ends() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let id = add(&mut store, "noop", 0);
    let (place, me) = (home(&mut store, id), badge(&mut store, 0));
    let hold = store.hold(place, &me, 5, &nobody).unwrap().unwrap();
    let (_, right) = store.fetch(&hold, 1).unwrap().tasks.remove(0);
    // Another process has taken its index: this one could not be seen, and was taken for dead.
    store.conn.execute("DELETE FROM rowmill_worker", []).unwrap();
    assert_eq!(store.claim(&hold, &me, &right, 0, 7, Delivery::AtLeastOnce).unwrap(), Claiming::Lost);
    let row = store.task(id).unwrap().unwrap();
    assert_eq!((row.status.word(), row.attempt), ("ready", 0), "a claim of nobody's would stand for ever");
    std::fs::remove_file(store.run.join("worker-0")).unwrap();
    let e = store.stay(&me, Some(hold)).unwrap_err();
    assert!(e.to_string().contains("another process is worker 0 by now"), "{e}");
}

/// The one that was taken for dead is still written down where it had a claim. If it came back to its place, it would stand
/// for the later one, whose claims nobody would recover; its own would be recovered while it runs them.
#[test]
fn a_worker_process_whose_index_another_one_had_after_it_claims_nothing_and_ends_though_it_is_written_down() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let (first, second) = (add(&mut store, "noop", 0), add(&mut store, "noop", 0));
    let (place, me) = (home(&mut store, second), badge(&mut store, 0));
    let hold = store.hold(place, &me, 5, &nobody).unwrap().unwrap();
    let (_, right) = store.fetch(&hold, 1).unwrap().tasks.remove(0);
    let claim = "INSERT INTO rowmill_claim (id, incarnation, claimed_at, delivery) VALUES (?1, ?2, 5, 'at_least_once')";
    store.conn.execute(claim, [first, me.incarnation]).unwrap();
    let later =
        "INSERT INTO rowmill_worker (worker, boot, pid, pid_start, pid_space, lock_device, lock_inode, started_at)
                 SELECT worker, boot, pid, pid_start, pid_space, 1, 1, started_at FROM rowmill_worker";
    store.conn.execute(later, []).unwrap();
    assert_eq!(store.claim(&hold, &me, &right, 0, 7, Delivery::AtLeastOnce).unwrap(), Claiming::Lost);
    std::fs::remove_file(store.run.join("worker-0")).unwrap();
    let e = store.stay(&me, Some(hold)).unwrap_err();
    assert!(e.to_string().contains("another process is worker 0 by now"), "{e}");
}

#[test]
fn while_something_of_a_dead_workers_run_lives_its_task_waits_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let (mut one, mut two) = (open(&folder), open(&folder));
    let (id, next) = {
        let ids: Vec<i64> = (0..5).map(|_| add(&mut one, "noop", 0)).collect();
        (ids[0], ids[4])
    };
    let place = home(&mut one, id);
    let (me, other) = (badge(&mut one, 0), badge(&mut two, 1));
    let hold = one.hold(place, &me, 5, &nobody).unwrap().unwrap();
    hold.note().starts(id);
    // What the run has started has the body, and nobody may kill it: this process does not kill itself.
    let body = std::fs::File::create(body::path(&one.run, me.incarnation)).unwrap();
    rustix::fs::flock(&body, rustix::fs::FlockOperation::LockShared).unwrap();
    die(hold);
    drop(me);
    let hold = two.hold(place, &other, 6, &nobody).unwrap().unwrap();
    let row = two.task(id).unwrap().unwrap();
    assert_eq!((row.status.word(), row.attempt, row.worker), ("running", 1, Some(0)));
    let in_hand: Vec<i64> = two.fetch(&hold, 10).unwrap().tasks.iter().map(|(task, _)| task.id).collect();
    assert_eq!(in_hand, [next], "its partition goes on");
    assert!(two.lost_claims().unwrap().is_empty());
    let again = badge(&mut one, 0);
    assert!(one.lost_claims().unwrap().is_empty(), "the next worker of its index does not forget it");
    rustix::fs::flock(&body, rustix::fs::FlockOperation::Unlock).unwrap();
    let mut three = open(&folder);
    let lost = three.lost_claims().unwrap().remove(0);
    assert_eq!((lost.task.id, lost.ending.clone()), (id, Ending::Failed(Cause::WorkerDied)));
    let ended = Ended { settlement: suspect(&lost.task), started_at_ms: 7, finished_at_ms: 9, company: None };
    assert_eq!(three.settle_claim(&lost.claim, &ended).unwrap(), Some(Verdict::Written));
    let row = three.task(id).unwrap().unwrap();
    assert_eq!((row.status.word(), row.attempt, row.cause.as_deref()), ("ready", 1, Some("worker_died")));
    drop(again);
}
