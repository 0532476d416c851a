//! The verbs that look: `counts`, `ready_count`, `oldest_ready`, `casualties`, `tasks`, `task`.
//!
//! They tell the truth at every instant: a task that is settled counts as done before its outcome is folded, and no
//! row that an application can insert makes them fail for the others.

use crate::scene::{FAR_MS, PAST_MS, Scene, dead, done, parked, task};
use rowmill::store::{Counts, Filter};
use rowmill::task::{NewTask, Status};

on_every_backend!(
    counts_are_the_truth_before_and_after_a_fold,
    ready_are_counted_by_their_keys,
    the_oldest_ready_task_is_known,
    casualties_are_counted_from_an_instant,
    tasks_are_listed_newest_first,
    a_filter_holds_back_the_others,
    an_unknown_task_is_none,
);

fn of(counts: &Counts, job: &str) -> Vec<(Status, u64)> {
    counts.jobs.get(job).map(|of| of.iter().map(|(status, n)| (*status, *n)).collect()).unwrap_or_default()
}

fn counts_are_the_truth_before_and_after_a_fold(s: &mut Scene) {
    let before = s.store.counts().unwrap();
    let one = s.plant(task("one"));
    s.plant(NewTask { priority: -1, ..task("one") });
    s.finish(one, done());
    let two = s.plant(task("two"));
    s.finish(two, dead());
    let counts = s.store.counts().unwrap();
    assert_eq!(of(&counts, "one"), [(Status::Ready, 1), (Status::Done, 1)]);
    assert_eq!(of(&counts, "two"), [(Status::Dead, 1)]);
    assert_eq!(of(&counts, "nobody"), []);
    for (status, more) in [(Status::Done, 1), (Status::Dead, 1), (Status::Cancelled, 0), (Status::Delayed, 0)] {
        assert_eq!(counts.total(status), before.total(status) + more, "{status}");
    }
    s.expect_folds();
    s.store.fold(1000).unwrap();
    assert_eq!(s.store.counts().unwrap(), counts);
}

fn ready_are_counted_by_their_keys(s: &mut Scene) {
    let before = s.store.ready_count().unwrap();
    let id = s.ready();
    let fillers = s.number("SELECT count(*) FROM rowmill_ready") - i64::try_from(before).unwrap() - 1;
    let now = s.store.ready_count().unwrap();
    assert_eq!(now, before + 1 + u64::try_from(fillers).unwrap());
    s.finish(id, done());
    assert_eq!(s.store.ready_count().unwrap(), now - 1);
}

fn the_oldest_ready_task_is_known(_: &mut Scene) {
    let mut s = Scene::empty();
    assert_eq!(s.store.oldest_ready().unwrap(), None);
    s.store.enqueue(&[NewTask { run_at_ms: Some(FAR_MS), ..task("subject") }]).unwrap();
    assert_eq!(s.store.oldest_ready().unwrap(), None, "a delayed one does not wait for a worker");
    let waits = s.store.enqueue(&[task("subject"), task("subject")]).unwrap()[0].id();
    let created = s.number(&format!("SELECT created_at FROM queue WHERE id = {waits}"));
    assert_eq!(s.store.oldest_ready().unwrap(), Some(created));
    // One whose time has come waits since then, not since its insert.
    s.store.promote(FAR_MS, 10).unwrap();
    assert_eq!(s.store.oldest_ready().unwrap(), Some(FAR_MS));
    s.close();
}

fn casualties_are_counted_from_an_instant(s: &mut Scene) {
    let (dead_before, parked_before) = s.store.casualties(0).unwrap();
    let (killed, kept) = (s.ready(), s.ready());
    let (hold, mut tasks) = s.take(&[killed, kept]);
    let mut settled = crate::scene::settled(tasks.remove(0), dead());
    settled.ended.finished_at_ms = FAR_MS;
    s.store.settle(&hold, &[settled], &[]).unwrap();
    s.settle(&hold, tasks.remove(0), parked());
    assert_eq!(s.store.casualties(0).unwrap(), (dead_before + 1, parked_before + 1));
    assert_eq!(s.store.casualties(FAR_MS).unwrap(), (1, parked_before + 1), "at that instant counts");
    assert_eq!(s.store.casualties(FAR_MS + 1).unwrap(), (0, parked_before + 1), "parked ones have no instant");
}

fn tasks_are_listed_newest_first(s: &mut Scene) {
    let all = s.store.tasks(&Filter { limit: 1000, ..Filter::default() }).unwrap();
    assert_eq!(all.len() as i64, s.number("SELECT count(*) FROM queue"));
    assert!(all.windows(2).all(|pair| pair[0].id > pair[1].id));
    let three = s.store.tasks(&Filter { limit: 3, ..Filter::default() }).unwrap();
    assert_eq!(three, all[..3]);
    for row in all {
        assert_eq!(s.store.task(row.id).unwrap(), Some(row));
    }
}

fn a_filter_holds_back_the_others(s: &mut Scene) {
    let id = s.plant(task("mine"));
    s.finish(id, done());
    let list = |s: &mut Scene, filter: Filter| -> Vec<i64> {
        s.store.tasks(&Filter { limit: 1000, ..filter }).unwrap().iter().map(|row| row.id).collect()
    };
    let mine = Some("mine".to_string());
    assert_eq!(list(s, Filter { job: mine.clone(), ..Filter::default() }), [id]);
    assert_eq!(list(s, Filter { job: mine.clone(), status: Some(Status::Done), ..Filter::default() }), [id]);
    assert_eq!(list(s, Filter { job: mine, status: Some(Status::Ready), ..Filter::default() }), [0; 0]);
    let created = s.store.task(id).unwrap().unwrap().created_at;
    assert!(list(s, Filter { since_ms: Some(created), ..Filter::default() }).contains(&id));
    assert_eq!(list(s, Filter { since_ms: Some(FAR_MS), ..Filter::default() }), [0; 0]);
    for status in Status::ALL {
        let rows = s.store.tasks(&Filter { status: Some(status), limit: 1000, ..Filter::default() }).unwrap();
        assert!(rows.iter().all(|row| row.status == status));
        assert_eq!(rows.len() as u64, s.store.counts().unwrap().total(status), "{status}");
    }
}

fn an_unknown_task_is_none(s: &mut Scene) {
    for id in [0, -1, PAST_MS, i64::MAX] {
        assert_eq!(s.store.task(id).unwrap(), None);
    }
}
