//! Many tasks at once: what a filter means, the steps of a verb, who is rung, and rows of an older generation.
//!
//! What would be found here: a filter that takes too much, a verb that does everything in one transaction, a worker that
//! sleeps on beside a task that has become ready, a key in a partition that its row does not belong to.

use super::*;

#[test]
fn a_filter_means_job_status_since_and_the_newest() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let ids: Vec<i64> = ["a", "b", "a", "a"].map(|job| add(&mut store, job, None, None)).to_vec();
    let late = add(&mut store, "a", Some(AHEAD), None);
    store.conn.execute("UPDATE queue SET created_at = 5 WHERE id = ?1", [ids[0]]).unwrap();
    let chosen = |filter: &Filter, store: &mut Sqlite| -> Vec<i64> {
        let mut seen = Vec::new();
        store.foresee(Operation::Cancel, &Chosen::Matching(filter), NOW, &mut |id, _| seen.push(id)).unwrap();
        seen
    };
    assert_eq!(chosen(&matching(None, None, 9), &mut store), [late, ids[3], ids[2], ids[1], ids[0]]);
    assert_eq!(chosen(&matching(None, Some("a"), 2), &mut store), [late, ids[3]]);
    assert_eq!(chosen(&matching(Some(Status::Ready), Some("a"), 9), &mut store), [ids[3], ids[2], ids[0]]);
    let recent = Filter { since_ms: Some(6), ..matching(Some(Status::Ready), Some("a"), 9) };
    assert_eq!(chosen(&recent, &mut store), [ids[3], ids[2]]);
    let wrong = store.cancel(&Chosen::Matching(&matching(Some(Status::Done), None, 9)), NOW, &mut |_, _| {});
    assert_eq!(wrong.unwrap_err().to_string(), "cancel is not for tasks that are done");
}

#[test]
fn more_than_one_step_is_done_in_steps_and_each_is_told_after_its_commit() {
    let folder = TempDir::new().unwrap();
    let (mut store, other) = (open(&folder), open(&folder));
    let tasks = vec![NewTask { job: "j".into(), ..NewTask::default() }; 1_201];
    store.enqueue_many(&tasks).unwrap();
    let left = || -> i64 { other.conn.query_row("SELECT count(*) FROM rowmill_ready", [], |r| r.get(0)).unwrap() };
    let mut seen = Vec::new();
    let tally =
        store.cancel(&Chosen::Matching(&matching(None, None, 1_200)), NOW, &mut |_, _| seen.push(left())).unwrap();
    assert_eq!(tally.changed, 1_200);
    assert_eq!((seen[0], seen[499], seen[500], seen[1_199]), (701, 701, 201, 1));
    assert_sound(&store);
}

#[test]
fn the_home_workers_of_what_became_ready_are_rung() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let me = store.enlist(0, NOW).unwrap().unwrap();
    let id = make(&mut store, &me, "dead");
    let home = store.plan().unwrap().partition_of(id).index;
    let ears: Vec<std::os::unix::net::UnixDatagram> = (0..3)
        .map(|index| {
            let ear = std::os::unix::net::UnixDatagram::bind(store.run.join(format!("bell-{index}"))).unwrap();
            ear.set_nonblocking(true).unwrap();
            ear
        })
        .collect();
    let heard = || (0..3u32).filter(|i| ears[*i as usize].recv(&mut [0; 8]).is_ok()).collect::<Vec<_>>();
    tell(&mut store, Operation::Retry, &[id], &[Fate::Changed(Status::Ready)]);
    assert_eq!(heard(), [home]);
    tell(&mut store, Operation::Cancel, &[id], &[Fate::Changed(Status::Cancelled)]);
    assert_eq!(heard(), [0; 0], "nothing to do for anybody");
}

#[test]
fn a_task_of_an_older_generation_returns_to_its_partition() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let me = store.enlist(0, NOW).unwrap().unwrap();
    let old = make(&mut store, &me, "dead");
    store.conn.execute("INSERT INTO rowmill_generation VALUES (2, ?1, 7)", [old + 1]).unwrap();
    let young = make(&mut store, &me, "dead");
    tell(&mut store, Operation::Retry, &[old, young], &[Fate::Changed(Status::Ready); 2]);
    assert_sound(&store);
    settle(&mut store, &me, old, done());
    settle(&mut store, &me, young, done());
}
