//! Many tasks at once against the plain insert: whatever is enqueued, rows, keys, defaults and refusals are the same.
//!
//! What would be found here: a trigger or default that the bulk verb does not know of, a key in another place, a task that
//! one of the two refuses.

use crate::store::sqlite::*;
use crate::task::Codec;
use proptest::prelude::*;
use tempfile::TempDir;

fn open(folder: &TempDir) -> Sqlite {
    let mut store = Sqlite::open(&folder.path().join("q.db"), Durability::Normal, Create::WithPartitions(3)).unwrap();
    store.enqueue(&[NewTask { job: "earlier".into(), unique_key: Some("a".into()), ..NewTask::default() }]).unwrap();
    store.conn.execute("INSERT INTO rowmill_generation VALUES (2, 2, 5)", []).unwrap();
    store
}

/// All that an insert writes, but for the instant of it; and whether that is about now.
fn dump(store: &Sqlite) -> Vec<String> {
    let mut all = Vec::new();
    for sql in [
        "SELECT id, job, typeof(param), param, codec, priority, run_at, unique_key, max_attempts, status, attempt,
                started_at, finished_at, worker, result, error, cause,
                abs(created_at - CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)) < 60000
           FROM queue ORDER BY id",
        "SELECT * FROM rowmill_ready",
        "SELECT * FROM rowmill_delayed",
        "SELECT * FROM rowmill_settled",
        "SELECT name, seq FROM sqlite_sequence",
    ] {
        let mut query = store.conn.prepare(sql).unwrap();
        let columns = query.column_count();
        let mut rows = query.query([]).unwrap();
        while let Some(r) = rows.next().unwrap() {
            all.push((0..columns).map(|i| format!("{:?} ", r.get_ref(i).unwrap())).collect());
        }
    }
    all
}

fn rarely<T: Clone + std::fmt::Debug + 'static>(
    usual: impl Strategy<Value = T> + 'static,
    odd: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<T> {
    prop_oneof![12 => usual, 1 => odd].boxed()
}

fn task() -> impl Strategy<Value = NewTask> {
    let job = rarely("[a-zé]{1,8}", "(|\\PC{199,202}|a\u{0}b|\u{0})");
    let param = prop_oneof!["\\PC{0,20}".prop_map(String::into_bytes), proptest::collection::vec(any::<u8>(), 0..20)];
    let codec = prop_oneof![Just(Codec::Json), Just(Codec::Form), Just(Codec::Bincode), Just(Codec::Text)];
    let priority = rarely(prop_oneof![-3i64..3, Just(i64::from(i32::MIN)), Just(i64::from(i32::MAX))], any::<i64>());
    // Now lies between the two ranges, whenever the test runs.
    let at = rarely(
        prop_oneof![100_000_000_000i64..1_700_000_000_000, 4_000_000_000_000i64..253_402_300_799_999],
        any::<i64>(),
    );
    let key = rarely("[a-c]", "(|x{500,501})");
    let attempts = rarely(1u32..=1_000, 0u32..2_000);
    let rest = (proptest::option::of(at), proptest::option::weighted(0.3, key), proptest::option::of(attempts));
    (job, param, codec, priority, rest).prop_map(
        |(job, param, codec, priority, (run_at_ms, unique_key, max_attempts))| NewTask {
            job,
            param,
            codec,
            priority,
            run_at_ms,
            unique_key,
            max_attempts,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn many_at_once_are_what_plain_inserts_would_be(
        batches in proptest::collection::vec(proptest::collection::vec(task(), 0..12), 1..4),
    ) {
        let (here, there) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let (mut plain, mut bulk) = (open(&here), open(&there));
        for tasks in batches {
            let words = |e: Error| (e.to_string(), e.kind());
            let one_by_one = plain.enqueue(&tasks).map_err(words);
            let at_once = bulk.enqueue_many(&tasks).map_err(words);
            prop_assert_eq!(&one_by_one, &at_once);
            prop_assert_eq!(dump(&plain), dump(&bulk));
            prop_assert!(at_once.is_err() || bulk.count(1).unwrap() == 0, "they are counted as they come");
            prop_assert_eq!(plain.counts().unwrap(), bulk.counts().unwrap());
        }
    }
}

/// A fresh database each, so that no key is taken.
fn assert_refusal_is_the_databases(task: &NewTask) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("q.db");
    let mut store = Sqlite::open(&path, Durability::Normal, Create::WithPartitions(3)).unwrap();
    let words = store.enqueue(std::slice::from_ref(task)).err().map(|e| e.to_string());
    assert_eq!(words, task.refusal().map(|words| format!("the task was refused: {words}")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]
    #[test]
    fn what_a_task_says_of_the_checks_is_what_they_say(task in task()) {
        assert_refusal_is_the_databases(&task);
    }
}

#[test]
fn the_bounds_of_lengths_are_the_checks() {
    let task = |job: usize, param: usize, key: usize| NewTask {
        job: "ü".repeat(job),
        param: vec![b'x'; param],
        unique_key: Some("ü".repeat(key)),
        ..NewTask::default()
    };
    let within = task(200, 16_777_216, 500);
    assert_eq!(within.refusal(), None);
    assert_refusal_is_the_databases(&within);
    for beyond in [task(201, 0, 1), task(1, 16_777_217, 1), task(1, 0, 501)] {
        assert!(beyond.refusal().is_some());
        assert_refusal_is_the_databases(&beyond);
    }
}

#[test]
fn the_triggers_are_on_again_whether_it_was_refused_or_not() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let task = |job: &str| NewTask { job: job.into(), ..NewTask::default() };
    store.enqueue_many(&[task("a")]).unwrap();
    store.enqueue_many(&[task("a"), task("")]).unwrap_err();
    let id = store.enqueue(&[task("b")]).unwrap()[0].id();
    let keys: i64 = store.conn.query_row("SELECT count(*) FROM rowmill_ready", [], |r| r.get(0)).unwrap();
    assert_eq!((id, keys), (3, 3), "the refused batch left nothing");
    assert!(store.conn.execute("UPDATE queue SET status = 'running' WHERE id = ?1", [id]).is_err());
}
