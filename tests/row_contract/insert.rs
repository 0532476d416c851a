//! Asking for work: every form of insert that applications write.
//!
//! Each must leave a row with its key, answer with the task's id, and belong to the application's own transaction.

use super::application::Application;
use crate::scene::{FAR_MS, PAST_MS, Scene, hold_as, laws, parked, patiently, task};
use rowmill::clock::Clock;
use rowmill::store::{Filter, Verdict};

by_every_application!(
    job_and_param_are_all_it_takes,
    everything_that_may_be_set_is_kept,
    a_row_for_each_value,
    rows_from_a_select,
    a_rolled_back_insert_was_never_there,
    a_savepoint_takes_back_its_own,
    returning_answers_the_id,
    the_last_insert_rowid_is_the_id,
    an_own_trigger_asks_for_work,
    an_own_statements_conflict_clause_reaches_no_key,
    numbers_may_be_written_as_text,
    ids_are_never_used_twice,
    a_future_row_is_promoted_when_it_is_due,
    a_reader_finds_the_outcome,
    a_text_in_another_encoding_hides_nobody,
);

fn job_and_param_are_all_it_takes(s: &mut Scene, app: &mut Application) {
    let before = Clock::System.now_ms();
    let param = r#"{"uid":4,"uids":[6,234],"content":"hi"}"#;
    app.run(&[&format!("INSERT INTO queue (job, param) VALUES ('send_message', '{param}')")]);
    let after = Clock::System.now_ms();
    let id = s.number("SELECT max(id) FROM queue");
    let row = s.store.task(id).unwrap().unwrap();
    assert_eq!((row.job.as_str(), row.param, row.codec.as_str()), ("send_message", param.into(), "json"));
    assert_eq!((row.priority, row.status.word(), row.attempt, row.max_attempts), (0, "ready", 0, None));
    assert_eq!((row.run_at, row.unique_key, row.finished_at), (None, None, None));
    // SQLite rounds to the nearest millisecond, the clock cuts off.
    assert!((before..=after + 1).contains(&row.created_at), "{before} <= {} <= {after}", row.created_at);
    assert_eq!(s.keys(id), ["ready at 0"]);
}

fn everything_that_may_be_set_is_kept(s: &mut Scene, app: &mut Application) {
    app.run(&[&format!(
        "INSERT INTO queue (job, param, codec, priority, run_at, unique_key, max_attempts)
         VALUES ('subject', 'uid=4&uids[]=6&', 'form', 2147483647, {FAR_MS}, 'mine', 1000)"
    )]);
    let id = s.number("SELECT max(id) FROM queue");
    let row = s.store.task(id).unwrap().unwrap();
    assert_eq!((row.param, row.codec.as_str(), row.priority), (b"uid=4&uids[]=6&".to_vec(), "form", 2_147_483_647));
    assert_eq!((row.run_at, row.unique_key.as_deref(), row.max_attempts), (Some(FAR_MS), Some("mine"), Some(1000)));
    assert_eq!((row.status.word(), s.keys(id)), ("delayed", vec![format!("delayed to {FAR_MS}")]));
    // NULL is what was not given, where there is no default.
    app.run(&["INSERT INTO queue (job, run_at, unique_key, max_attempts) VALUES ('subject', NULL, NULL, NULL)"]);
    assert_eq!(s.keys(id + 1), ["ready at 0"]);
}

fn a_row_for_each_value(s: &mut Scene, app: &mut Application) {
    let insert = format!(
        "INSERT INTO queue (job, priority, run_at) VALUES ('a', 1, NULL), ('b', 2, {FAR_MS}), ('c', 3, {PAST_MS})"
    );
    app.run(&[&insert]);
    let last = s.number("SELECT max(id) FROM queue");
    assert_eq!(s.keys(last - 2), ["ready at 1"]);
    assert_eq!(s.keys(last - 1), [format!("delayed to {FAR_MS}")]);
    assert_eq!(s.keys(last), ["ready at 3"]);
}

fn rows_from_a_select(s: &mut Scene, app: &mut Application) {
    let rows = s.number("SELECT count(*) FROM queue");
    app.run(&[
        "CREATE TABLE customer (uid INTEGER PRIMARY KEY, name TEXT)",
        "INSERT INTO customer (name) VALUES ('a'), ('b'), ('c'), ('d')",
        "INSERT INTO queue (job, param, priority) SELECT 'subject', '{\"uid\":' || uid || '}', uid FROM customer",
    ]);
    assert_eq!(s.number("SELECT count(*) FROM queue"), rows + 4);
    assert_eq!(s.number("SELECT count(*) FROM rowmill_ready r JOIN queue q USING (id) WHERE q.job = 'subject'"), 4);
    let id = s.number("SELECT id FROM queue WHERE param = '{\"uid\":3}'");
    assert_eq!(s.keys(id), ["ready at 3"]);
}

fn a_rolled_back_insert_was_never_there(s: &mut Scene, app: &mut Application) {
    let (rows, keys) = (s.number("SELECT count(*) FROM queue"), s.number("SELECT count(*) FROM rowmill_ready"));
    let future = format!("INSERT INTO queue (job, run_at) VALUES ('subject', {FAR_MS})");
    app.run(&["BEGIN IMMEDIATE", "INSERT INTO queue (job) VALUES ('subject')", &future, "ROLLBACK"]);
    // Nor are the rows before one that is refused.
    app.refused(
        &["BEGIN", "INSERT INTO queue (job) VALUES ('subject')", "INSERT INTO queue (job) VALUES ('')"],
        "job must",
    );
    app.refused(&["INSERT INTO queue (job) VALUES ('subject'), ('')"], "job must be a name of 1 to 200 characters");
    assert_eq!(s.number("SELECT count(*) FROM queue"), rows);
    assert_eq!(s.number("SELECT count(*) FROM rowmill_ready"), keys);
}

fn a_savepoint_takes_back_its_own(s: &mut Scene, app: &mut Application) {
    let rows = s.number("SELECT count(*) FROM queue");
    app.run(&[
        "BEGIN IMMEDIATE",
        "INSERT INTO queue (job) VALUES ('kept')",
        "SAVEPOINT part",
        "INSERT INTO queue (job) VALUES ('taken back')",
        "ROLLBACK TO part",
        "COMMIT",
    ]);
    assert_eq!(s.number("SELECT count(*) FROM queue"), rows + 1);
    assert_eq!(s.number("SELECT count(*) FROM queue WHERE job = 'kept'"), 1);
}

fn returning_answers_the_id(s: &mut Scene, app: &mut Application) {
    let id = app.number("INSERT INTO queue (job) VALUES ('mine') RETURNING id");
    assert_eq!(s.store.task(id).unwrap().unwrap().job, "mine");
    let future =
        format!("INSERT INTO queue (job, run_at) VALUES ('later', {FAR_MS}), ('soon', NULL) RETURNING id, job");
    assert_eq!(app.run(&[&future]), [format!("{}|later", id + 1), format!("{}|soon", id + 2)]);
    assert_eq!(s.status(id + 1), "delayed");
}

fn the_last_insert_rowid_is_the_id(s: &mut Scene, app: &mut Application) {
    let ask = "SELECT last_insert_rowid() || '|' || changes()";
    let future = format!("INSERT INTO queue (job, run_at) VALUES ('subject', {FAR_MS})");
    let first = app.run(&["INSERT INTO queue (job) VALUES ('subject')", ask]);
    let last = s.number("SELECT max(id) FROM queue");
    assert_eq!(first, [format!("{last}|1")]);
    assert_eq!(app.run(&[&future, ask]), [format!("{}|1", last + 1)]);
}

/// The application's tables live in the same file: an order and its task are written together or not at all.
fn an_own_trigger_asks_for_work(s: &mut Scene, app: &mut Application) {
    app.run(&[
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, paid INTEGER, run_at INTEGER)",
        "CREATE TRIGGER order_paid AFTER UPDATE OF paid ON orders WHEN NEW.paid BEGIN
           INSERT INTO queue (job, param, run_at) VALUES ('invoice', '{\"order\":' || NEW.id || '}', NEW.run_at);
         END",
    ]);
    app.run(&[&format!("INSERT INTO orders (id, run_at) VALUES (70001, NULL), (70002, {FAR_MS})")]);
    let order =
        app.run(&["UPDATE orders SET paid = 1", "INSERT INTO orders (paid) VALUES (0)", "SELECT last_insert_rowid()"]);
    assert_eq!(order, ["70003"], "the application's own last row");
    let id = s.number("SELECT id FROM queue WHERE param = '{\"order\":70001}'");
    assert_eq!((s.keys(id), s.keys(id + 1)), (vec!["ready at 0".to_string()], vec![format!("delayed to {FAR_MS}")]));
    // A refusal inside of the trigger takes the application's own statement back.
    let rows = s.number("SELECT count(*) FROM queue");
    let wrong = "UPDATE orders SET paid = 2, run_at = 1700000000";
    app.refused(&[wrong], "smaller looks like seconds");
    assert_eq!(app.run(&["SELECT count(*) FROM orders WHERE paid = 2"]), ["0"]);
    assert_eq!(s.number("SELECT count(*) FROM queue"), rows);
}

/// A conflict clause of the outermost statement reaches into every trigger, ours included.
fn an_own_statements_conflict_clause_reaches_no_key(s: &mut Scene, app: &mut Application) {
    app.run(&[
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, run_at INTEGER)",
        "CREATE TRIGGER ordered AFTER INSERT ON orders BEGIN
           INSERT INTO queue (job, priority, run_at, unique_key)
             VALUES ('invoice', NEW.id, NEW.run_at, CAST(NEW.id % 10 AS TEXT));
         END",
    ]);
    for clause in ["OR IGNORE", "OR REPLACE", "OR FAIL", "OR ROLLBACK", "OR ABORT"] {
        app.run(&["DELETE FROM orders", "DELETE FROM queue WHERE job = 'invoice'"]);
        app.run(&[&format!(
            "INSERT {clause} INTO orders (id, run_at) VALUES (71, NULL), (72, {FAR_MS}), (73, {PAST_MS})"
        )]);
        let keys = s.number(
            "SELECT (SELECT count(*) FROM rowmill_ready JOIN queue USING (id) WHERE job = 'invoice') * 10
                  + (SELECT count(*) FROM rowmill_delayed JOIN queue USING (id) WHERE job = 'invoice')",
        );
        assert_eq!(keys, 21, "{clause}");
        laws::hold(&s.database.conn);
    }
}

fn numbers_may_be_written_as_text(s: &mut Scene, app: &mut Application) {
    let id = app.number(&format!(
        "INSERT INTO queue (job, priority, run_at, max_attempts, unique_key) VALUES (7, '5', '{FAR_MS}', '3', 12) RETURNING id"
    ));
    let row = s.store.task(id).unwrap().unwrap();
    assert_eq!((row.job.as_str(), row.priority, row.max_attempts), ("7", 5, Some(3)));
    assert_eq!((row.unique_key.as_deref(), row.run_at), (Some("12"), Some(FAR_MS)));
    assert_eq!(s.keys(id), [format!("delayed to {FAR_MS}")]);
}

/// In a queue of its own: everything in it is deleted.
fn ids_are_never_used_twice(s: &mut Scene, app: &mut Application) {
    let last = s.number("SELECT max(id) FROM queue");
    app.run(&["CREATE TABLE kept AS SELECT max(id) AS id FROM queue"]);
    let id = app.number("INSERT INTO queue (job) VALUES ('subject') RETURNING id");
    assert_eq!(id, last + 1);
    for _ in 0..2 {
        app.run(&[&format!("DELETE FROM queue WHERE id >= {id}")]);
        let next = app.number("INSERT INTO queue (job) VALUES ('subject') RETURNING id");
        assert!(next > id, "{next} after {id}");
        app.run(&[&format!("DELETE FROM queue WHERE id = {next}")]);
    }
    let mut other = Scene::empty();
    for n in 1..4 {
        assert_eq!(other.store.enqueue(&[task("subject")]).unwrap()[0].id(), n);
        other.sql("DELETE FROM queue; VACUUM");
        laws::hold(&other.database.conn);
    }
}

fn a_future_row_is_promoted_when_it_is_due(s: &mut Scene, app: &mut Application) {
    let soon = FAR_MS - 7;
    let id = app.number(&format!("INSERT INTO queue (job, run_at) VALUES ('subject', {soon}) RETURNING id"));
    assert_eq!(s.store.next_delayed().unwrap(), Some(soon));
    s.store.promote(soon, 10).unwrap();
    assert_eq!((s.status(id), s.keys(id)), ("ready", vec!["ready at 0".to_string()]));
}

fn a_reader_finds_the_outcome(s: &mut Scene, app: &mut Application) {
    let id = s.ready();
    let door = format!("SELECT status, result, error FROM task WHERE id = {id}");
    assert_eq!(app.run(&[&door]), ["ready|NULL|NULL"]);
    s.finish(id, rowmill::task::Settlement::Done { attempt: 1, result: None });
    assert_eq!(app.run(&[&door]), ["done|NULL|NULL"], "before it is folded");
    s.expect_folds();
    s.fold();
    assert_eq!(app.run(&[&door]), ["done|NULL|NULL"]);
    let id = s.ready();
    s.finish(id, crate::scene::dead());
    assert_eq!(app.run(&[&format!("SELECT status, error, cause FROM task WHERE id = {id}")]), ["dead|no|error"]);
}

/// Latin-1, as an old application writes it. No job has such a name, so that its row is parked in the end.
fn a_text_in_another_encoding_hides_nobody(s: &mut Scene, app: &mut Application) {
    let id = app.number(
        "INSERT INTO queue (job, param, unique_key)
         VALUES (CAST(x'67726fdf' AS TEXT), CAST(x'fc' AS TEXT), CAST(x'fc' AS TEXT)) RETURNING id",
    );
    let counts = s.store.counts().unwrap();
    assert_eq!(counts.jobs["gro\u{fffd}"].values().sum::<u64>(), 1);
    let rows = s.store.tasks(&Filter { limit: 1000, ..Filter::default() }).unwrap();
    assert_eq!((rows[0].id, rows[0].job.as_str(), &rows[0].param[..]), (id, "gro\u{fffd}", &b"\xfc"[..]));
    assert_eq!(rows[0].unique_key.as_deref(), Some("\u{fffd}"));
    let home = s.store.plan().unwrap().partition_of(id);
    let hold = patiently(|| hold_as(s.store.as_mut(), home, 0));
    let task = s.store.fetch(&hold, 1).unwrap().tasks.remove(0);
    assert_eq!((task.0.id, task.0.job.as_str(), &task.0.param[..]), (id, "gro\u{fffd}", &b"\xfc"[..]));
    assert_eq!(s.settle(&hold, task, parked()), Verdict::Written);
    assert_eq!(s.status(id), "parked");
}
