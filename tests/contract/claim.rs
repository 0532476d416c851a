//! `claim`, `settle_claim`, `lost_claims`: tasks that are written as running, and what an application does to them then.
//!
//! The rule is that of tasks in hand: the settlement finds the row as it now stands and says so. A claim is settled once,
//! by its worker or by whoever finds that worker dead; a machine that went down charges nobody.

use crate::scene::{FAR_MS, HOME, RAN, Scene, dead, done, laws, parked, patiently, retried, task};
use rowmill::Delivery;
use rowmill::store::{Badge, Claim, Claiming, Ended, Verdict};
use rowmill::task::{Cause, Ending, NewTask, Settlement};

on_every_backend!(
    a_claimed_task_is_written_as_running,
    a_claim_without_its_hold_is_lost,
    every_settlement_of_a_claim_is_written,
    a_running_task_that_is_cancelled_or_deleted_stays_so,
    a_running_task_keeps_the_priority_and_the_param_that_it_is_given,
    a_running_task_that_is_put_off_runs_again_no_sooner,
    a_task_that_is_changed_before_its_claim_is_claimed_as_it_stands,
    the_claim_of_a_dead_worker_is_settled_once,
    a_power_cut_charges_no_claim,
    a_suspect_that_is_put_back_stays_one,
);

/// A claimed task in the hands of worker 3, whose badge must be kept while it is to live.
fn claimed(s: &mut Scene, asked: NewTask, act: &str) -> (i64, Badge, Claim) {
    let id = s.plant(asked);
    let badge = patiently(|| s.store.enlist(3, 5).unwrap());
    let hold = patiently(|| s.store.hold(HOME, &badge, 5, &|task| panic!("task {} is blamed", task.id)).unwrap());
    let (task, right) = s.store.fetch(&hold, 1).unwrap().tasks.remove(0);
    assert_eq!(task.id, id);
    s.sql(&act.replace("{id}", &id.to_string()));
    match s.store.claim(&hold, &badge, &right, task.attempts_charged, RAN.0, Delivery::AtLeastOnce).unwrap() {
        Claiming::Claimed(claim) => (id, badge, claim),
        Claiming::Lost => panic!("nobody else holds it"),
    }
}

fn subject() -> NewTask {
    NewTask { priority: 1, ..task("subject") }
}

fn ended(settlement: Settlement) -> Ended {
    Ended { settlement, started_at_ms: RAN.0, finished_at_ms: RAN.1, company: None }
}

fn suspect() -> Settlement {
    Settlement::Suspect { attempt: 1 }
}

const SETTLEMENTS: [fn() -> Settlement; 6] = [done, retried, dead, parked, suspect, || Settlement::Untouched];

/// Claims a task, lets an application act on it, settles it.
fn meanwhile(s: &mut Scene, act: &str, settlement: Settlement) -> (i64, Verdict) {
    let (id, _badge, claim) = claimed(s, subject(), "");
    s.sql(&act.replace("{id}", &id.to_string()));
    let verdict = s.store.settle_claim(&claim, &ended(settlement)).unwrap().expect("the claim is still there");
    assert_eq!(s.number("SELECT count(*) FROM rowmill_claim"), 0);
    laws::hold(&s.database.conn);
    (id, verdict)
}

/// Takes a row away that the next round would find in its way.
fn away(s: &Scene, id: i64) {
    s.sql(&format!("DELETE FROM queue WHERE id = {id}"));
}

fn a_claimed_task_is_written_as_running(s: &mut Scene) {
    let (id, _badge, _claim) = claimed(s, subject(), "");
    let row = s.store.task(id).unwrap().unwrap();
    assert_eq!((row.status.word(), row.attempt, row.worker, row.started_at), ("running", 1, Some(3), Some(RAN.0)));
    assert_eq!(s.keys(id), [""; 0]);
    assert!(s.another().lost_claims().unwrap().is_empty(), "its worker lives");
}

fn a_claim_without_its_hold_is_lost(s: &mut Scene) {
    let id = s.ready();
    let badge = patiently(|| s.store.enlist(3, 5).unwrap());
    let hold = patiently(|| s.store.hold(HOME, &badge, 5, &|_| panic!("nobody died")).unwrap());
    let (_, right) = s.store.fetch(&hold, 1).unwrap().tasks.remove(0);
    s.sql("UPDATE rowmill_partition SET epoch = epoch + 1 WHERE partition = 1");
    let before = s.raw(id);
    assert_eq!(s.store.claim(&hold, &badge, &right, 0, RAN.0, Delivery::AtLeastOnce).unwrap(), Claiming::Lost);
    assert_eq!((s.raw(id), s.number("SELECT count(*) FROM rowmill_claim")), (before, 0));
}

fn every_settlement_of_a_claim_is_written(s: &mut Scene) {
    for settlement in SETTLEMENTS {
        let (id, verdict) = meanwhile(s, "", settlement());
        assert_eq!((verdict, s.status(id)), (Verdict::Written, settlement().word()));
        let row = s.store.task(id).unwrap().unwrap();
        let (attempt, cause) = match settlement() {
            Settlement::Done { .. } => (1, None),
            Settlement::Suspect { .. } => (1, Some("worker_died")),
            Settlement::Delayed { .. } | Settlement::Dead { .. } => (1, Some("error")),
            Settlement::Parked { .. } => (0, Some("unknown_job")),
            Settlement::Untouched => (0, None),
        };
        assert_eq!((row.attempt, row.cause.as_deref()), (attempt, cause), "{}", settlement().word());
        away(s, id);
    }
}

fn a_running_task_that_is_cancelled_or_deleted_stays_so(s: &mut Scene) {
    for settlement in SETTLEMENTS {
        for act in [
            "UPDATE queue SET status = 'cancelled' WHERE id = {id}",
            "UPDATE queue SET status = 'cancelled', priority = 8, run_at = 4000000000009 WHERE id = {id}",
        ] {
            let (id, verdict) = meanwhile(s, act, settlement());
            assert_eq!((verdict, s.status(id), s.keys(id)), (Verdict::Cancelled, "cancelled", vec![]));
            away(s, id);
        }
        let (id, verdict) = meanwhile(s, "DELETE FROM queue WHERE id = {id}", settlement());
        assert_eq!((verdict, s.raw(id)), (Verdict::Gone, vec![]));
    }
}

fn a_running_task_keeps_the_priority_and_the_param_that_it_is_given(s: &mut Scene) {
    for settlement in SETTLEMENTS {
        let act = "UPDATE queue SET priority = 77, param = 'new' WHERE id = {id}";
        let (id, verdict) = meanwhile(s, act, settlement());
        assert_eq!((verdict, s.status(id)), (Verdict::Written, settlement().word()));
        let row = s.store.task(id).unwrap().unwrap();
        assert_eq!((row.priority, &row.param[..]), (77, &b"new"[..]));
        if row.status.word() == "ready" {
            assert_eq!(s.keys(id), ["ready at 77"]);
        }
        away(s, id);
    }
}

fn a_running_task_that_is_put_off_runs_again_no_sooner(s: &mut Scene) {
    let later = FAR_MS + 5;
    let put_off = format!("UPDATE queue SET run_at = {later} WHERE id = {{id}}");
    for settlement in [retried, suspect, || Settlement::Untouched] {
        let (id, verdict) = meanwhile(s, &put_off, settlement());
        assert_eq!((verdict, s.status(id)), (Verdict::Written, "delayed"), "{}", settlement().word());
        assert_eq!(s.keys(id), [format!("delayed to {later}")]);
        assert_eq!(s.store.task(id).unwrap().unwrap().run_at, Some(later));
        away(s, id);
    }
    // An earlier time is overtaken by the retry.
    let (id, _) = meanwhile(s, &put_off.replace(&later.to_string(), &(FAR_MS - 5).to_string()), retried());
    assert_eq!(s.keys(id), [format!("delayed to {FAR_MS}")]);
    for settlement in [done, dead, parked] {
        let (id, _) = meanwhile(s, &put_off, settlement());
        assert_eq!((s.status(id), s.keys(id)), (settlement().word(), vec![]));
        assert_eq!(s.store.task(id).unwrap().unwrap().run_at, Some(later));
        away(s, id);
    }
}

fn a_task_that_is_changed_before_its_claim_is_claimed_as_it_stands(s: &mut Scene) {
    for (act, running, settled) in [
        ("UPDATE queue SET priority = 8 WHERE id = {id}", "running", (Verdict::Written, "done")),
        ("UPDATE queue SET run_at = 4000000000009 WHERE id = {id}", "running", (Verdict::Written, "done")),
        ("UPDATE queue SET status = 'cancelled' WHERE id = {id}", "cancelled", (Verdict::Cancelled, "cancelled")),
        ("DELETE FROM queue WHERE id = {id}", "gone", (Verdict::Gone, "gone")),
    ] {
        let (id, badge, claim) = claimed(s, subject(), act);
        assert_eq!((s.status(id), s.keys(id)), (running, vec![]));
        laws::hold(&s.database.conn);
        let verdict = s.store.settle_claim(&claim, &ended(done())).unwrap().unwrap();
        assert_eq!((verdict, s.status(id)), settled);
        drop(badge);
    }
}

fn the_claim_of_a_dead_worker_is_settled_once(s: &mut Scene) {
    let (id, badge, claim) = claimed(s, subject(), "");
    drop(badge);
    let mut other = s.another();
    let lost = patiently(|| Some(other.lost_claims().unwrap()).filter(|lost| !lost.is_empty()));
    let died = Ending::Failed(Cause::WorkerDied);
    assert_eq!((lost.len(), lost[0].task.id, lost[0].task.attempts_charged, lost[0].ending.clone()), (1, id, 0, died));
    assert_eq!(other.settle_claim(&lost[0].claim, &ended(suspect())).unwrap(), Some(Verdict::Written));
    let after = s.raw(id);
    assert_eq!(s.store.settle_claim(&claim, &ended(done())).unwrap(), None, "a late finisher settles nothing");
    assert_eq!(s.raw(id), after);
    assert!(other.lost_claims().unwrap().is_empty());
}

fn a_suspect_that_is_put_back_stays_one(s: &mut Scene) {
    let careful = |s: &mut Scene| {
        let mut other = s.another();
        let badge = patiently(|| other.enlist(2, 5).unwrap());
        let hold = patiently(|| other.hold(HOME, &badge, 5, &|_| panic!("nobody died")).unwrap());
        let (task, _) = other.fetch(&hold, 1).unwrap().tasks.remove(0);
        (task.careful, task.attempts_charged)
    };
    let died = |s: &mut Scene| {
        let (id, verdict) = meanwhile(s, "", suspect());
        assert_eq!((verdict, s.status(id)), (Verdict::Written, "ready"));
        id
    };
    let id = died(s);
    assert_eq!(careful(s), (true, 1));
    // It is claimed again, and broken off by a stop, or its machine goes down.
    let badge = patiently(|| s.store.enlist(3, 5).unwrap());
    let hold = patiently(|| s.store.hold(HOME, &badge, 5, &|_| panic!("nobody died")).unwrap());
    let (task, right) = s.store.fetch(&hold, 1).unwrap().tasks.remove(0);
    let claiming = s.store.claim(&hold, &badge, &right, task.attempts_charged, RAN.0, Delivery::AtLeastOnce).unwrap();
    let Claiming::Claimed(claim) = claiming else { panic!("nobody else holds it") };
    assert_eq!(s.store.task(id).unwrap().unwrap().attempt, 2);
    s.store.settle_claim(&claim, &ended(Settlement::Untouched)).unwrap().unwrap();
    drop((hold, badge));
    assert_eq!(careful(s), (true, 1), "its death is not forgotten");
}

fn a_power_cut_charges_no_claim(s: &mut Scene) {
    let (id, _badge, claim) = claimed(s, subject(), "");
    // Whoever has the same pid and lock now is another process than the one that claimed.
    s.sql("UPDATE rowmill_worker SET boot = 'an earlier one'");
    let lost = s.another().lost_claims().unwrap();
    assert_eq!((lost.len(), lost[0].ending.clone()), (1, Ending::PowerCut));
    let settled = s.another().settle_claim(&lost[0].claim, &ended(Settlement::Untouched)).unwrap();
    assert_eq!((settled, s.status(id), s.keys(id)), (Some(Verdict::Written), "ready", vec!["ready at 1".to_string()]));
    let row = s.store.task(id).unwrap().unwrap();
    assert_eq!((row.attempt, row.error, row.cause), (0, None, None));
    assert_eq!(s.store.settle_claim(&claim, &ended(done())).unwrap(), None);
}
