//! `plan` and `enqueue`: which rows and keys come into being, and when none does.
//!
//! Enqueueing is a plain insert behind a transaction; what the triggers and CHECKs see to is met here through the verb,
//! and in the row contract through an application's own connection.

use crate::scene::{FAR_MS, HOME, PARTITIONS, PAST_MS, Scene, done, keyed, laws, task};
use rowmill::error::Kind;
use rowmill::store::Enqueued;
use rowmill::task::{Codec, NewTask};

on_every_backend!(
    the_plan_is_what_the_database_says,
    a_task_becomes_a_row_with_its_key,
    everything_that_was_asked_stands_in_the_row,
    a_future_task_is_delayed_and_a_past_one_ready,
    bytes_that_are_no_text_come_back_as_they_were,
    answers_are_in_order,
    a_key_that_is_taken_answers_with_its_task,
    a_key_counts_within_one_call,
    a_key_is_free_again_once_its_task_is_settled,
    one_wrong_task_leaves_none_of_them,
    what_cannot_be_is_refused_with_words,
    no_tasks_are_no_error,
);

fn the_plan_is_what_the_database_says(s: &mut Scene) {
    let plan = s.store.plan().unwrap();
    assert_eq!(plan.current().partitions, PARTITIONS);
    assert_eq!(plan, s.another().plan().unwrap());
    assert_eq!(plan.partition_of(5), HOME);
}

fn a_task_becomes_a_row_with_its_key(s: &mut Scene) {
    let before = s.number("SELECT count(*) FROM queue");
    let id = s.store.enqueue(&[task("subject")]).unwrap()[0];
    assert!(matches!(id, Enqueued::New(_)), "{id:?}");
    assert_eq!(s.status(id.id()), "ready");
    assert_eq!(s.keys(id.id()), ["ready at 0"]);
    assert_eq!(s.number("SELECT count(*) FROM queue"), before + 1);
}

fn everything_that_was_asked_stands_in_the_row(s: &mut Scene) {
    let asked = NewTask {
        job: "subject".into(),
        param: b"uid=4&uids[]=6".to_vec(),
        codec: Codec::Form,
        priority: -5,
        run_at_ms: Some(PAST_MS),
        unique_key: Some("one".into()),
        max_attempts: Some(7),
    };
    let id = s.store.enqueue(std::slice::from_ref(&asked)).unwrap()[0].id();
    let row = s.store.task(id).unwrap().unwrap();
    assert_eq!((row.job, row.param, row.codec.as_str()), (asked.job, asked.param, "form"));
    assert_eq!((row.priority, row.run_at, row.unique_key), (-5, Some(PAST_MS), asked.unique_key));
    assert_eq!((row.max_attempts, row.attempt, row.worker), (Some(7), 0, None));
    assert_eq!((row.started_at, row.finished_at, row.result, row.error, row.cause), (None, None, None, None, None));
    assert_eq!(row.partition, s.store.plan().unwrap().partition_of(id));
    assert_eq!(s.keys(id), ["ready at -5"]);
}

fn a_future_task_is_delayed_and_a_past_one_ready(s: &mut Scene) {
    let at = |run_at_ms| NewTask { run_at_ms: Some(run_at_ms), ..task("subject") };
    let ids = s.store.enqueue(&[at(FAR_MS), at(PAST_MS)]).unwrap();
    assert_eq!(s.status(ids[0].id()), "delayed");
    assert_eq!(s.keys(ids[0].id()), [format!("delayed to {FAR_MS}")]);
    assert_eq!(s.status(ids[1].id()), "ready");
    assert_eq!(s.keys(ids[1].id()), ["ready at 0"]);
}

fn bytes_that_are_no_text_come_back_as_they_were(s: &mut Scene) {
    for param in [&b"\xff\x00\xfe"[..], b"a\0b", "grün".as_bytes(), b""] {
        let id = s.plant(NewTask { param: param.to_vec(), codec: Codec::Bincode, ..task("subject") });
        assert_eq!(s.store.task(id).unwrap().unwrap().param, param);
        let (hold, fetched) = s.take_one(id);
        assert_eq!(fetched.0.param, param);
        s.settle(&hold, fetched, done());
    }
}

fn answers_are_in_order(s: &mut Scene) {
    let new = s.store.enqueue(&[task("a"), keyed("low-0"), task("b")]).unwrap();
    assert!(matches!(new[..], [Enqueued::New(_), Enqueued::Exists(_), Enqueued::New(_)]), "{new:?}");
    assert_eq!(s.store.task(new[0].id()).unwrap().unwrap().job, "a");
    assert_eq!(s.store.task(new[2].id()).unwrap().unwrap().job, "b");
}

fn a_key_that_is_taken_answers_with_its_task(s: &mut Scene) {
    let first = s.plant(keyed("mine"));
    let rows = s.number("SELECT count(*) FROM queue");
    assert_eq!(s.store.enqueue(&[keyed("mine")]).unwrap(), [Enqueued::Exists(first)]);
    assert_eq!(s.number("SELECT count(*) FROM queue"), rows);
}

fn a_key_counts_within_one_call(s: &mut Scene) {
    let twice = s.store.enqueue(&[keyed("mine"), keyed("mine"), keyed("yours")]).unwrap();
    assert_eq!(twice[1], Enqueued::Exists(twice[0].id()));
    assert!(matches!(twice[2], Enqueued::New(_)));
}

fn a_key_is_free_again_once_its_task_is_settled(s: &mut Scene) {
    let first = s.plant(keyed("mine"));
    s.finish(first, done());
    let second = s.store.enqueue(&[keyed("mine")]).unwrap()[0];
    assert!(matches!(second, Enqueued::New(id) if id > first), "{second:?} after {first}");
}

fn one_wrong_task_leaves_none_of_them(s: &mut Scene) {
    let before = s.number("SELECT count(*) FROM queue");
    let wrong = NewTask { max_attempts: Some(0), ..task("subject") };
    assert!(s.store.enqueue(&[task("subject"), wrong]).is_err());
    assert_eq!(s.number("SELECT count(*) FROM queue"), before);
    laws::hold(&s.database.conn);
    assert!(s.store.enqueue(&[task("subject")]).is_ok(), "the store goes on");
}

fn what_cannot_be_is_refused_with_words(s: &mut Scene) {
    let plain = task("subject");
    let late = NewTask { run_at_ms: Some(253_402_300_800_000), ..plain.clone() };
    for (wrong, words) in [
        (task(""), "job must be a name"),
        (task(&"x".repeat(201)), "job must be a name"),
        (NewTask { priority: 1 << 31, ..plain.clone() }, "priority must be an integer"),
        (NewTask { run_at_ms: Some(1_700_000_000), ..plain.clone() }, "smaller looks like seconds"),
        (late, "run_at must be UTC milliseconds"),
        (NewTask { unique_key: Some(String::new()), ..plain.clone() }, "unique_key must be a text"),
        (NewTask { max_attempts: Some(1001), ..plain.clone() }, "max_attempts must be an integer"),
        (NewTask { param: vec![b'x'; (16 << 20) + 1], ..plain.clone() }, "param must be text or bytes"),
    ] {
        let error = s.store.enqueue(&[wrong]).unwrap_err();
        assert!(
            error.to_string().starts_with("the task was refused: ") && error.to_string().contains(words),
            "{error}"
        );
        assert_eq!(error.kind(), Kind::Usage);
    }
    // The largest of everything is still right.
    let key = Some("k".repeat(500));
    let largest =
        NewTask { priority: (1 << 31) - 1, unique_key: key, max_attempts: Some(1000), ..task(&"x".repeat(200)) };
    assert!(s.store.enqueue(&[largest]).is_ok());
    assert!(s.store.enqueue(&[NewTask { run_at_ms: Some(253_402_300_799_999), ..plain }]).is_ok());
}

fn no_tasks_are_no_error(s: &mut Scene) {
    assert_eq!(s.store.enqueue(&[]).unwrap(), []);
}
