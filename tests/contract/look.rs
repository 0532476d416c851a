//! The verbs that look: `counts`, `oldest_ready`, `tasks`, `task`; and `count`, which makes the first of them cheap.
//!
//! They tell the truth at every instant: a task that is settled counts as done before its outcome is folded, and no
//! row that an application can insert makes them fail for the others.

use crate::scene::{FAR_MS, PAST_MS, Scene, dead, done, task};
use rowmill::store::{Counts, Filter};
use rowmill::task::{NewTask, Status};

on_every_backend!(
    counts_are_the_truth_before_and_after_a_fold,
    what_is_not_counted_yet_is_seen_all_the_same,
    rows_are_counted_once_in_steps,
    a_task_that_settles_before_it_is_counted_is_counted_once,
    the_oldest_ready_task_is_known,
    the_oldest_is_looked_for_in_every_partition_and_priority,
    of_too_many_priorities_some_are_looked_at,
    tasks_are_listed_newest_first,
    a_filter_holds_back_the_others,
    every_filter_lists_what_a_scan_finds,
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

fn what_is_not_counted_yet_is_seen_all_the_same(s: &mut Scene) {
    let before = s.store.counts().unwrap();
    s.store.enqueue(&[task("new"), NewTask { run_at_ms: Some(FAR_MS), ..task("new") }, task("subject")]).unwrap();
    let counts = s.store.counts().unwrap();
    assert_eq!(of(&counts, "new"), [(Status::Ready, 1), (Status::Delayed, 1)]);
    assert_eq!(counts.total(Status::Ready), before.total(Status::Ready) + 2);
    s.count();
    assert_eq!(s.store.counts().unwrap(), counts);
    s.sql("DELETE FROM queue WHERE job = 'new'");
    assert_eq!(of(&s.store.counts().unwrap(), "new"), [], "a job without tasks is not told of");
}

fn rows_are_counted_once_in_steps(s: &mut Scene) {
    assert_eq!(s.store.count(1).unwrap(), 0);
    let ids: Vec<i64> = (0..5).map(|_| s.store.enqueue(&[task("new")]).unwrap()[0].id()).collect();
    s.sql(&format!("DELETE FROM queue WHERE id = {}", ids[1]));
    let steps = [6, 3, 3, 1, 1].map(|limit| s.store.count(limit).unwrap());
    assert_eq!(steps, [0, 3, 0, 1, 0], "fewer than are asked for are left for another time");
    assert_eq!(of(&s.store.counts().unwrap(), "new"), [(Status::Ready, 4)]);
}

/// Settled beside its row, in its row, and beside it again: each is seen by the one who counts.
fn a_task_that_settles_before_it_is_counted_is_counted_once(s: &mut Scene) {
    for (settlement, status) in [(done(), Status::Done), (dead(), Status::Dead), (done(), Status::Done)] {
        let before = s.store.counts().unwrap().total(status);
        s.count();
        let id = s.plant_uncounted(task("late"));
        s.finish(id, settlement);
        assert_eq!(s.store.counts().unwrap().total(status), before + 1);
        s.count();
        assert_eq!(s.store.counts().unwrap().total(status), before + 1);
        s.close();
    }
}

fn the_oldest_ready_task_is_known(_: &mut Scene) {
    let mut s = Scene::empty();
    assert_eq!(s.store.oldest_ready().unwrap(), None);
    s.store.enqueue(&[NewTask { run_at_ms: Some(FAR_MS), ..task("subject") }]).unwrap();
    assert_eq!(s.store.oldest_ready().unwrap(), None, "a delayed one does not wait for a worker");
    let waits = s.store.enqueue(&[task("subject"), task("subject")]).unwrap()[0].id();
    let created = s.number(&format!("SELECT created_at FROM queue WHERE id = {waits}"));
    assert_eq!(s.store.oldest_ready().unwrap().map(|oldest| oldest.since_ms), Some(created));
    // One whose time has come waits since then, not since its insert.
    s.store.promote(FAR_MS, 10).unwrap();
    assert_eq!(s.store.oldest_ready().unwrap().map(|oldest| oldest.since_ms), Some(FAR_MS));
    s.close();
}

/// Low priorities wait longest.
fn the_oldest_is_looked_for_in_every_partition_and_priority(_: &mut Scene) {
    let mut s = Scene::empty();
    for priorities in [[5, 4, 3, 2, 1, 0, -1, -2, -3], [-3, -2, -1, 0, 1, 2, 3, 4, 5]] {
        let tasks = priorities.map(|priority| NewTask { priority, ..task("subject") });
        s.store.enqueue(&tasks).unwrap();
    }
    let ids = |s: &Scene| s.number("SELECT min(id) FROM rowmill_ready");
    while s.number("SELECT count(*) FROM rowmill_ready") > 0 {
        let id = ids(&s);
        s.sql(&format!("UPDATE queue SET created_at = {} WHERE id = {id}", PAST_MS + id));
        let oldest = s.store.oldest_ready().unwrap().unwrap();
        assert_eq!((oldest.since_ms, oldest.at_least), (PAST_MS + id, false));
        s.sql(&format!("DELETE FROM queue WHERE id = {id}"));
    }
}

fn of_too_many_priorities_some_are_looked_at(_: &mut Scene) {
    let mut s = Scene::empty();
    let tasks: Vec<NewTask> = (0..5_100).map(|priority| NewTask { priority, ..task("subject") }).collect();
    s.store.enqueue_many(&tasks).unwrap();
    let oldest = s.store.oldest_ready().unwrap().unwrap();
    assert!(oldest.at_least);
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

/// Each filter takes its own way to the rows; all of them lead to the same ones.
fn every_filter_lists_what_a_scan_finds(_: &mut Scene) {
    let mut s = Scene::fresh();
    s.sql("INSERT INTO queue (job) VALUES (CAST(x'ff6f' AS TEXT))");
    let created = s.number("SELECT max(created_at) FROM queue");
    s.sql("UPDATE queue SET created_at = 1000000000000 + id WHERE id < 20");
    let words: Vec<Option<Status>> = Status::ALL.into_iter().map(Some).chain([None]).collect();
    for status in words {
        for job in [None, Some("bystander"), Some("unheard-of"), Some("nobody")] {
            for since_ms in [None, Some(created), Some(PAST_MS + 7), Some(FAR_MS)] {
                for limit in [1, 3, 1000] {
                    let text = |value: Option<String>| value.map_or("NULL".to_string(), |value| format!("'{value}'"));
                    let scan = format!(
                        "SELECT coalesce(group_concat(id), '') FROM (SELECT id FROM task
                          WHERE coalesce(status = {}, true) AND coalesce(job = {}, true)
                            AND coalesce(created_at >= {}, true) ORDER BY id DESC LIMIT {limit})",
                        text(status.map(|s| s.to_string())),
                        text(job.map(str::to_string)),
                        since_ms.map_or("NULL".to_string(), |at| at.to_string()),
                    );
                    let expected: String = s.database.conn.query_row(&scan, [], |r| r.get(0)).unwrap();
                    let filter = Filter { status, job: job.map(str::to_string), since_ms, limit };
                    let rows = s.store.tasks(&filter).unwrap();
                    let ids: Vec<String> = rows.iter().map(|row| row.id.to_string()).collect();
                    assert_eq!(ids.join(","), expected, "{filter:?}");
                }
            }
        }
    }
}

fn an_unknown_task_is_none(s: &mut Scene) {
    for id in [0, -1, PAST_MS, i64::MAX] {
        assert_eq!(s.store.task(id).unwrap(), None);
    }
}
