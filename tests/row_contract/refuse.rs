//! What cannot be right is refused, in words that tell what to mend, and nothing is written.
//!
//! The same words come from an insert and from a later update.

use super::application::Application;
use super::moments::{Moment, bring};
use crate::scene::Scene;

by_every_application!(
    a_wrong_insert_is_refused_in_words,
    a_wrong_update_is_refused_in_the_same_words,
    what_belongs_to_the_engine_is_not_inserted,
    an_id_is_never_given,
    an_id_never_changes,
    the_bounds_themselves_are_right,
    or_ignore_leaves_a_wrong_row_out,
);

const JOB: &str = "job must be a name of 1 to 200 characters";
const PARAM: &str = "param must be text or bytes of at most 16777216 bytes";
const CODEC: &str = "codec must be json, form, bincode or text";
const PRIORITY: &str = "priority must be an integer from -2147483648 to 2147483647";
const RUN_AT: &str = "run_at must be UTC milliseconds, an integer from 100000000000 on (smaller looks like seconds)";
const UNIQUE_KEY: &str = "unique_key must be a text of 1 to 500 characters";
const MAX_ATTEMPTS: &str = "max_attempts must be an integer from 1 to 1000";

/// Column, value, words.
const WRONG: &[(&str, &str, &str)] = &[
    ("job", "''", JOB),
    ("job", "printf('%.201c', 'x')", JOB),
    ("job", "x'6a6f62'", JOB),
    ("job", "NULL", "queue.job"),
    ("param", "zeroblob(16777217)", PARAM),
    ("param", "NULL", "queue.param"),
    ("codec", "'xml'", CODEC),
    ("codec", "'JSON'", CODEC),
    ("codec", "x'6a736f6e'", CODEC),
    ("priority", "'high'", PRIORITY),
    ("priority", "1.5", PRIORITY),
    ("priority", "2147483648", PRIORITY),
    ("priority", "-2147483649", PRIORITY),
    ("priority", "NULL", "queue.priority"),
    // Seconds, a float of milliseconds, a text, the year 10000.
    ("run_at", "1700000000", RUN_AT),
    ("run_at", "0", RUN_AT),
    ("run_at", "-1", RUN_AT),
    ("run_at", "1700000000000.5", RUN_AT),
    ("run_at", "'2026-11-21 21:14:03'", RUN_AT),
    ("run_at", "253402300800000", RUN_AT),
    ("unique_key", "''", UNIQUE_KEY),
    ("unique_key", "printf('%.501c', 'x')", UNIQUE_KEY),
    ("unique_key", "x'00'", UNIQUE_KEY),
    ("max_attempts", "0", MAX_ATTEMPTS),
    ("max_attempts", "1001", MAX_ATTEMPTS),
    ("max_attempts", "'many'", MAX_ATTEMPTS),
];

fn a_wrong_insert_is_refused_in_words(s: &mut Scene, app: &mut Application) {
    let rows = s.number("SELECT count(*) FROM queue");
    for (column, value, words) in WRONG {
        let insert = match *column {
            "job" => format!("INSERT INTO queue (job) VALUES ({value})"),
            column => format!("INSERT INTO queue (job, {column}) VALUES ('subject', {value})"),
        };
        app.refused(&[&insert], words);
    }
    app.refused(&["INSERT INTO queue (param) VALUES ('{}')"], "queue.job");
    assert_eq!(s.number("SELECT count(*) FROM queue"), rows);
}

fn a_wrong_update_is_refused_in_the_same_words(s: &mut Scene, app: &mut Application) {
    for moment in [Moment::Ready, Moment::Delayed, Moment::Parked] {
        let task = bring(s, moment);
        let before = s.raw(task.id);
        for (column, value, words) in WRONG {
            app.refused(&[&format!("UPDATE queue SET {column} = {value} WHERE id = {}", task.id)], words);
        }
        assert_eq!(s.raw(task.id), before);
        app.run(&[&format!("DELETE FROM queue WHERE id = {}", task.id)]);
    }
}

fn what_belongs_to_the_engine_is_not_inserted(s: &mut Scene, app: &mut Application) {
    let rows = s.number("SELECT count(*) FROM queue");
    for (column, value) in [
        ("status", "'done'"),
        ("status", "'cancelled'"),
        ("status", "'running'"),
        ("status", "'delayed'"),
        ("attempt", "1"),
        ("attempt", "-1"),
        ("started_at", "1700000000000"),
        ("finished_at", "1700000000000"),
        ("worker", "0"),
        ("result", "'ok'"),
        ("error", "'no'"),
        ("cause", "'error'"),
        // What frameworks write by themselves into a column of this name.
        ("created_at", "'2026-11-21 21:14:03'"),
    ] {
        let insert = format!("INSERT INTO queue (job, {column}) VALUES ('subject', {value})");
        app.refused(
            &[&insert],
            if column == "created_at" {
                "created_at is set by the database: leave it out"
            } else {
                "set by the engine: leave"
            },
        );
    }
    assert_eq!(s.number("SELECT count(*) FROM queue"), rows);
    // The default itself says nothing, and is what some libraries write out.
    app.run(&["INSERT INTO queue (id, job, status, attempt, error) VALUES (NULL, 'subject', 'ready', 0, NULL)"]);
    assert_eq!(s.number("SELECT count(*) FROM queue"), rows + 1);
}

fn an_id_is_never_given(s: &mut Scene, app: &mut Application) {
    let task = bring(s, Moment::Ready);
    let before = s.raw(task.id);
    let (next, last) = (task.id + 1, s.number("SELECT count(*) FROM queue"));
    for id in [next, task.id, next + 1_000_000, 0, -1, -2, i64::MAX] {
        for verb in ["INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE", "REPLACE"] {
            for column in ["id", "rowid", "_rowid_", "oid"] {
                let insert = format!("{verb} INTO queue ({column}, job) VALUES ({id}, 'subject')");
                // A CHECK sees to -1, which reads as "not given" in the trigger; that one OR IGNORE leaves out.
                match app.try_run(&[&insert]) {
                    Ok(_) => assert!(id == -1 && verb == "INSERT OR IGNORE", "{insert}"),
                    Err(error) => assert!(error.contains("id is given by the database: leave it out"), "{error}"),
                }
            }
        }
    }
    assert_eq!((s.raw(task.id), s.number("SELECT count(*) FROM queue")), (before, last));
    assert_eq!(app.number("INSERT INTO queue (job) VALUES ('subject') RETURNING id"), next, "no id was used up");
}

fn an_id_never_changes(s: &mut Scene, app: &mut Application) {
    for moment in Moment::ALL {
        let task = bring(s, moment);
        let before = s.raw(task.id);
        for column in ["id", "rowid", "_rowid_", "oid", "\"ID\""] {
            for verb in ["UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE"] {
                let update = format!("{verb} queue SET {column} = {column} + 1000 WHERE id = {}", task.id);
                app.refused(&[&update], "id is given by the database and never changes");
            }
        }
        assert_eq!(s.raw(task.id), before);
        app.run(&[&format!("UPDATE queue SET id = id WHERE id = {}", task.id)]);
        app.run(&[&format!("DELETE FROM queue WHERE id = {}", task.id)]);
    }
}

fn the_bounds_themselves_are_right(s: &mut Scene, app: &mut Application) {
    let rows = s.number("SELECT count(*) FROM queue");
    let right = [
        ("job", "printf('%.200c', 'x')"),
        ("param", "zeroblob(16777216)"),
        ("param", "''"),
        ("priority", "-2147483648"),
        ("priority", "2147483647"),
        ("run_at", "100000000000"),
        ("run_at", "253402300799999"),
        ("unique_key", "printf('%.500c', 'x')"),
        ("max_attempts", "1"),
    ];
    for (column, value) in right {
        let job = if column == "job" { value } else { "'subject'" };
        let insert = match column {
            "job" => format!("INSERT INTO queue (job) VALUES ({job})"),
            column => format!("INSERT INTO queue (job, {column}) VALUES ({job}, {value})"),
        };
        app.run(&[&insert]);
    }
    assert_eq!(s.number("SELECT count(*) FROM queue"), rows + right.len() as i64);
}

/// That is what SQLite's clause means; whoever writes it is told nothing, and no half of a row is left.
fn or_ignore_leaves_a_wrong_row_out(s: &mut Scene, app: &mut Application) {
    let rows = s.number("SELECT count(*) FROM queue");
    let insert =
        "INSERT OR IGNORE INTO queue (job, run_at) VALUES ('a', 1700000000), ('b', NULL), ('c', 5) RETURNING job";
    assert_eq!(app.run(&[insert]), ["b"]);
    assert_eq!(s.number("SELECT count(*) FROM queue"), rows + 1);
    let last = s.number("SELECT max(id) FROM queue");
    assert_eq!(s.keys(last), ["ready at 0"]);
}
