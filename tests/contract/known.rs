//! `know`, `knowers`, `was_known`, and the settlement that parks: a row is parked because nobody knows its job only if that
//! is so.
//!
//! What would be found here: a row that is parked although somebody could run it, one that is kept ready for a worker that
//! is dead, gone or knows another name, and a list that outlives its process.

use crate::scene::{HOME, Scene, done, parked, patiently, settled, task};
use rowmill::store::{Badge, Claiming, Ended, Settling, Store, Verdict};
use rowmill::task::{Delivery, NewTask, Partition, Settlement};

on_every_backend!(
    a_row_stays_ready_while_a_living_worker_knows_its_job,
    a_list_counts_from_when_it_is_written_to_the_end_of_its_worker,
    only_that_very_name_counts,
    other_reasons_to_park_do,
    verdicts_of_a_mixed_batch_are_in_order,
    a_row_beside_company_stays_ready_too,
    a_lost_hold_is_lost_whoever_knows_the_job,
    who_knows_a_job_is_told_with_those_that_are_free,
    who_held_a_partition_last_is_told_by_what_it_knows,
);

/// A living worker that knows these jobs.
fn who_knows(store: &mut dyn Store, index: u32, jobs: &[&str]) -> Badge {
    let badge = patiently(|| store.enlist(index, 5).unwrap());
    store.know(&badge, jobs).unwrap();
    badge
}

fn a_row_stays_ready_while_a_living_worker_knows_its_job(s: &mut Scene) {
    let mut other = s.another();
    for plant in [task("subject"), crate::scene::keyed("mine")] {
        let knower = who_knows(other.as_mut(), 0, &["else", "subject"]);
        let id = s.plant(plant);
        let before = s.raw(id);
        assert_eq!(s.finish(id, parked()), Verdict::Known);
        assert_eq!(s.raw(id), before, "nothing was written");
        drop(knower);
        // It died before it took the row.
        assert_eq!((s.finish(id, parked()), s.status(id)), (Verdict::Written, "parked"));
    }
}

fn a_list_counts_from_when_it_is_written_to_the_end_of_its_worker(s: &mut Scene) {
    let mut other = s.another();
    let [first, second, third] = [s.ready(), s.ready(), s.ready()];
    let badge = patiently(|| other.enlist(0, 5).unwrap());
    assert_eq!(s.finish(first, parked()), Verdict::Written, "it has not said yet what it knows");
    other.know(&badge, &["subject"]).unwrap();
    assert_eq!(s.finish(second, parked()), Verdict::Known);
    // What was parked before is found by whoever has just written its list.
    assert_eq!(other.release_known(&["subject"]).unwrap(), 1);
    assert_eq!(s.status(first), "ready");
    other.know(&badge, &["else"]).unwrap();
    assert_eq!(s.finish(first, parked()), Verdict::Written, "the list was replaced");
    other.know(&badge, &["subject"]).unwrap();
    other.retire(badge).unwrap();
    assert_eq!(s.finish(second, parked()), Verdict::Written);
    drop(who_knows(other.as_mut(), 0, &["subject"]));
    let _successor = who_knows(other.as_mut(), 0, &["else"]);
    assert_eq!(s.finish(third, parked()), Verdict::Written, "a list is its process's, not its index's");
}

fn only_that_very_name_counts(s: &mut Scene) {
    let mut other = s.another();
    let _knower =
        who_knows(other.as_mut(), 0, &["subjec", "subject2", "Subject", " subject", "[\"subject\"]", "%", ""]);
    let odd = "o'dd \"job\" \\ [ü]";
    let _odd = who_knows(other.as_mut(), 1, &[odd]);
    let (id, known) = (s.ready(), s.plant(task(odd)));
    assert_eq!(s.finish(id, parked()), Verdict::Written);
    assert_eq!(s.finish(known, parked()), Verdict::Known);
}

fn other_reasons_to_park_do(s: &mut Scene) {
    let mut other = s.another();
    let _knower = who_knows(other.as_mut(), 0, &["subject"]);
    let id = s.ready();
    let undecodable = Settlement::Parked { cause: "undecodable", reason: "not what it takes".into() };
    assert_eq!((s.finish(id, undecodable), s.status(id)), (Verdict::Written, "parked"));
}

fn verdicts_of_a_mixed_batch_are_in_order(s: &mut Scene) {
    let mut other = s.another();
    let _knower = who_knows(other.as_mut(), 0, &["known"]);
    let ids = ["known", "subject", "nobodys", "known"].map(|job| s.plant(task(job)));
    let before = [s.raw(ids[0]), s.raw(ids[3])];
    let (hold, tasks) = s.take(&ids);
    let ends = [parked(), done(), parked(), parked()];
    let all: Vec<_> = tasks.into_iter().zip(ends).map(|(task, end)| settled(task, end)).collect();
    let verdicts = vec![Verdict::Known, Verdict::Written, Verdict::Written, Verdict::Known];
    assert_eq!(s.store.settle(&hold, &all, &[]).unwrap(), Settling::Committed(verdicts));
    assert_eq!(ids.map(|id| s.status(id)), ["ready", "done", "parked", "ready"]);
    assert_eq!([s.raw(ids[0]), s.raw(ids[3])], before);
}

fn a_row_beside_company_stays_ready_too(s: &mut Scene) {
    let mut other = s.another();
    let _knower = who_knows(other.as_mut(), 0, &["known"]);
    let ids = ["known", "subject"].map(|job| s.plant(task(job)));
    let (hold, mut tasks) = s.take(&ids);
    let mut accompanied = settled(tasks.remove(1), done());
    let outcome = rowmill::Outcome::done().then(NewTask { run_at_ms: Some(crate::scene::FAR_MS), ..task("after") });
    let rowmill::Outcome::Done { company, .. } = outcome else { panic!("{outcome:?}") };
    accompanied.ended.company = company;
    let all = [settled(tasks.remove(0), parked()), accompanied];
    let verdicts = vec![Verdict::Known, Verdict::Written];
    assert_eq!(s.store.settle(&hold, &all, &[]).unwrap(), Settling::Committed(verdicts));
    assert_eq!(ids.map(|id| s.status(id)), ["ready", "done"]);
}

fn a_lost_hold_is_lost_whoever_knows_the_job(s: &mut Scene) {
    let mut other = s.another();
    let _knower = who_knows(other.as_mut(), 0, &["subject"]);
    let id = s.ready();
    let (late, task) = s.take_one(id);
    s.sql("UPDATE rowmill_partition SET epoch = epoch + 1 WHERE partition = 1");
    assert_eq!(s.store.settle(&late, &[settled(task, parked())], &[]).unwrap(), Settling::Lost);
    assert_eq!(s.status(id), "ready");
}

fn who_knows_a_job_is_told_with_those_that_are_free(s: &mut Scene) {
    let (mut one, mut two) = (s.another(), s.another());
    assert_eq!(s.store.knowers("subject").unwrap(), None);
    let zero = who_knows(one.as_mut(), 0, &["subject", "more"]);
    let seventy = who_knows(two.as_mut(), 70, &["subject"]);
    assert_eq!(s.store.knowers("subject").unwrap(), Some(1 | 1 << 6));
    assert_eq!((s.store.knowers("more").unwrap(), s.store.knowers("mor").unwrap()), (Some(1), None));
    // One that runs a long task lives, and does not come.
    let id = s.ready();
    let hold = one.hold(HOME, &zero, 5, &|task| panic!("task {} is blamed", task.id)).unwrap().unwrap();
    let (_, right) = one.fetch(&hold, 1).unwrap().tasks.remove(0);
    let claiming = one.claim(&hold, &zero, &right, 0, 7, Delivery::AtLeastOnce).unwrap();
    let Claiming::Claimed(claim) = claiming else { panic!("{claiming:?}") };
    assert_eq!(s.store.knowers("subject").unwrap(), Some(1 << 6));
    assert_eq!(s.store.knowers("more").unwrap(), Some(0));
    // One that died with its claim knows nothing any more, although it is still written down.
    drop((zero, hold));
    assert_eq!((s.store.knowers("more").unwrap(), s.store.knowers("subject").unwrap()), (None, Some(1 << 6)));
    drop(seventy);
    assert_eq!(s.store.knowers("subject").unwrap(), None);
    let ended = Ended { settlement: done(), started_at_ms: 7, finished_at_ms: 8, company: None };
    let settled = one.settle_claim(&claim, &ended).unwrap();
    assert_eq!((settled, s.status(id)), (Some(Verdict::Written), "done"));
}

fn who_held_a_partition_last_is_told_by_what_it_knows(s: &mut Scene) {
    let mut other = s.another();
    let jobs = ["new".to_string(), "newer".to_string()];
    assert!(!s.store.was_known(Partition { generation: 9, index: 1 }, &jobs).unwrap(), "nobody ever held it");
    drop(s.hold());
    assert!(!s.store.was_known(HOME, &jobs).unwrap());
    let badge = who_knows(other.as_mut(), 0, &["old", "newer"]);
    assert!(!s.store.was_known(HOME, &jobs).unwrap(), "it has not held it");
    let hold = other.hold(HOME, &badge, 5, &|task| panic!("task {} is blamed", task.id)).unwrap();
    assert!(hold.is_some() && s.store.was_known(HOME, &jobs).unwrap());
    assert!(!s.store.was_known(Partition { index: 2, ..HOME }, &jobs).unwrap());
    assert!(!s.store.was_known(HOME, &jobs[..1]).unwrap() && !s.store.was_known(HOME, &[]).unwrap());
    drop(hold);
    drop(s.hold());
    assert!(!s.store.was_known(HOME, &jobs).unwrap(), "another one has held it since");
}
