//! `fetch_past` and `has_others`: reading a partition past rows that others are to run.
//!
//! What would be found here: a row that is passed over although its job is not one of those, an order that is not kept
//! among the others, rows of high standing that come in late and are not seen, and a reading that begins at the top of
//! thousands of rows each time.

use crate::scene::{HOME, Scene, done, task};
use rowmill::store::{Batch, Hold, Mark, Settling};
use rowmill::task::NewTask;

on_every_backend!(
    the_others_come_in_their_order,
    it_keeps_to_its_limit_and_writes_nothing,
    orphans_and_paused_rows_are_what_they_are_elsewhere,
    behind_thousands_it_goes_on_where_it_was,
    rows_that_come_in_at_the_top_are_seen_at_once_and_all_are_with_a_new_mark,
    whether_a_partition_has_others_is_told_without_a_hold,
);

fn of(job: &str, priority: i64) -> NewTask {
    NewTask { priority, ..task(job) }
}

fn strange() -> [String; 2] {
    ["strange".into(), "stranger".into()]
}

fn ids(batch: &Batch) -> Vec<i64> {
    batch.tasks.iter().map(|(task, _)| task.id).collect()
}

/// As many rows of a job in each partition.
fn many(s: &mut Scene, each: usize, job: &str, priority: i64) {
    s.store.enqueue_many(&vec![of(job, priority); 4 * each]).unwrap();
}

fn past(s: &mut Scene, hold: &Hold, limit: usize, mark: &mut Option<Mark>) -> Batch {
    s.store.fetch_past(hold, limit, &strange(), mark).unwrap()
}

fn the_others_come_in_their_order(s: &mut Scene) {
    let planted = [("strange", 9), ("subject", 5), ("stranger", 5), ("strange2", 5), ("strange", 0), ("subject", 7)]
        .map(|(job, priority)| s.plant(of(job, priority)));
    let hold = s.hold();
    let batch = past(s, &hold, 3, &mut None);
    assert_eq!((ids(&batch), batch.passed), (vec![planted[5], planted[1], planted[3]], 2));
    let all = s.store.fetch(&hold, 6).unwrap();
    assert_eq!((all.tasks.len(), all.passed), (6, 0));
    // What was passed over is there for whoever knows it, and the rights of the others settle.
    let (task, right) = s.store.fetch_past(&hold, 1, &strange(), &mut None).unwrap().tasks.remove(0);
    let settling = s.store.settle(&hold, &[crate::scene::settled((task, right), done())], &[]).unwrap();
    assert!(matches!(settling, Settling::Committed(_)) && s.status(planted[5]) == "done");
    assert_eq!((s.status(planted[0]), s.status(planted[2])), ("ready", "ready"));
}

fn it_keeps_to_its_limit_and_writes_nothing(s: &mut Scene) {
    let planted = ["strange", "subject", "subject"].map(|job| s.plant(task(job)));
    let before = planted.map(|id| s.raw(id));
    let hold = s.hold();
    let version = s.number("PRAGMA data_version");
    assert_eq!(ids(&past(s, &hold, 1, &mut None)), planted[1..2]);
    assert_eq!(ids(&past(s, &hold, 2, &mut None)), planted[1..]);
    assert_eq!((planted.map(|id| s.raw(id)), s.number("PRAGMA data_version")), (before, version));
    for _ in 0..4 {
        s.plant(NewTask { param: vec![b'x'; 4 << 20], ..of("strange", 8) });
        s.plant(NewTask { param: vec![b'x'; 4 << 20], ..of("subject", 8) });
    }
    let batch = past(s, &hold, 4, &mut None);
    assert_eq!(batch.tasks.len(), 3, "it ends with the one that passes 8 MiB, and only what is to be run counts");
}

fn orphans_and_paused_rows_are_what_they_are_elsewhere(s: &mut Scene) {
    let orphan = s.plant(of("strange", 5));
    s.delete_without_triggers(orphan);
    let paused = s.plant(of("held", 4));
    s.store.pause("held", "me", 5).unwrap();
    let hold = s.hold();
    let batch = past(s, &hold, 2, &mut None);
    assert_eq!((batch.orphans[0].id(), batch.paused[0].id()), (orphan, paused));
    assert_eq!((batch.tasks.len(), batch.passed), (0, 0));
    assert!(s.store.has_others(HOME, &strange(), &mut None).unwrap(), "they are to be seen to");
    s.store.settle(&hold, &[], &batch.orphans).unwrap();
    s.store.resume("held").unwrap();
}

fn behind_thousands_it_goes_on_where_it_was(s: &mut Scene) {
    many(s, 1_500, "strange", 7);
    many(s, 1_500, "stranger", 6);
    let planted = [of("subject", 6), of("strange", 5), of("subject", 5)].map(|task| s.plant(task));
    let mut mark = None;
    let hold = s.hold();
    let first = past(s, &hold, 2, &mut mark);
    assert_eq!((ids(&first), first.passed), (vec![planted[0], planted[2]], 3_001));
    let second = past(s, &hold, 2, &mut mark);
    assert_eq!((ids(&second), second.passed), (vec![planted[0], planted[2]], 251), "the thousands are read once");
    // Another priority, and then none that the mark could be in: the same rows.
    s.sql(&format!("UPDATE queue SET status = 'cancelled' WHERE job = 'stranger' OR id = {}", planted[0]));
    assert_eq!(ids(&past(s, &hold, 1, &mut mark)), planted[2..]);
    s.sql("UPDATE queue SET status = 'cancelled' WHERE job = 'strange'");
    assert_eq!(ids(&past(s, &hold, 1, &mut mark)), planted[2..]);
    let fresh = past(s, &hold, 1, &mut None);
    assert_eq!((ids(&fresh), fresh.passed), (planted[2..].to_vec(), 0));
}

fn rows_that_come_in_at_the_top_are_seen_at_once_and_all_are_with_a_new_mark(s: &mut Scene) {
    many(s, 2_500, "strange", 7);
    let low = s.plant(of("subject", 6));
    let mut mark = None;
    let hold = s.hold();
    assert_eq!(ids(&past(s, &hold, 1, &mut mark)), [low]);
    let middle = s.plant(of("subject", 7));
    assert_eq!(ids(&past(s, &hold, 2, &mut mark)), [middle, low], "it came in behind the mark");
    let top = s.plant(of("subject", 8));
    assert_eq!(ids(&past(s, &hold, 1, &mut mark)), [top]);
    s.sql(&format!("UPDATE queue SET status = 'cancelled' WHERE id IN ({top}, {middle})"));
    assert_eq!(ids(&past(s, &hold, 1, &mut mark)), [low]);
    // One that comes in among those that are taken for read.
    let late = s.plant(of("subject", 5));
    let between = "SELECT max(id) - 4 FROM queue WHERE job = 'strange' AND id % 4 = 1";
    let between = s.number(between);
    s.sql(&format!("UPDATE queue SET priority = 99 WHERE id = {between} + 4"));
    s.sql_without_triggers(&format!("UPDATE queue SET job = 'subject' WHERE id = {between}"));
    assert_eq!(ids(&past(s, &hold, 2, &mut mark)), [low, late]);
    assert_eq!(ids(&past(s, &hold, 2, &mut None)), [between, low], "a new mark misses nothing");
}

fn whether_a_partition_has_others_is_told_without_a_hold(s: &mut Scene) {
    let _held_by_another = s.hold();
    let has = |s: &mut Scene, jobs: &[&str]| {
        let jobs: Vec<String> = jobs.iter().map(|job| (*job).to_string()).collect();
        s.store.has_others(HOME, &jobs, &mut None).unwrap()
    };
    let bystanders = "SELECT count(*) FROM rowmill_ready r JOIN queue q USING (id) WHERE r.partition = 1
                         AND q.job <> 'bystander'";
    assert_eq!(s.number(bystanders), 0);
    assert!(has(s, &[]) && has(s, &["strange"]));
    assert!(!has(s, &["bystander"]));
    s.plant(of("strange", 5));
    assert!(!has(s, &["bystander", "strange"]));
    s.plant(of("subject", -99));
    assert!(has(s, &["bystander", "strange"]));
}
