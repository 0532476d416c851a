//! Each law finds what breaks it, by its id, among bystanders of every kind that keep it.
//!
//! The data are broken by SQL with triggers and CHECKs off, as no application and no engine writes. What would be found here:
//! a law that holds whatever the data are, one that names rows that keep it, a law without a case.

use crate::scene::{FAR_MS, Scene, done, task};
use rowmill::clock::Clock;
use rowmill::store::sqlite::{examine, laws};
use rowmill::store::{Example, Severity};
use rowmill::task::NewTask;
use rusqlite::config::DbConfig;
use std::collections::BTreeSet;

/// What breaks a law: what to do to a scene, and what must be named.
struct Case {
    law: &'static str,
    breaks: fn(&mut Scene) -> Example,
    /// Other laws that cannot hold then.
    also: &'static [&'static str],
}

const fn case(law: &'static str, breaks: fn(&mut Scene) -> Example) -> Case {
    Case { law, breaks, also: &[] }
}

/// Runs statements in which `$` is the task, with nothing in their way.
fn force(s: &Scene, id: i64, sql: &str) -> Example {
    let conn = &s.database.conn;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    // The counts are of no row, so that they are right whatever is done to one.
    conn.execute_batch("DELETE FROM rowmill_count; UPDATE rowmill_counted SET up_to = 0").unwrap();
    conn.execute_batch(&format!("PRAGMA ignore_check_constraints = ON; {}", sql.replace('$', &id.to_string())))
        .unwrap();
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true).unwrap();
    Example::Id(id)
}

/// The same to a ready task.
fn ready(s: &mut Scene, sql: &str) -> Example {
    let id = s.ready();
    force(s, id, sql)
}

/// The same to a ready task whose key is taken away.
fn keyless(s: &mut Scene, sql: &str) -> Example {
    ready(s, &format!("DELETE FROM rowmill_ready WHERE id = $; {sql}"))
}

fn delayed(s: &mut Scene, sql: &str) -> Example {
    let id = s.plant(NewTask { run_at_ms: Some(FAR_MS), ..task("subject") });
    force(s, id, sql)
}

/// The same to a task with a fresh outcome.
fn fresh(s: &mut Scene, sql: &str) -> Example {
    let id = s.ready();
    s.finish(id, done());
    force(s, id, sql)
}

/// Statements that are about no task.
fn small(s: &Scene, sql: &str, named: &str) -> Example {
    force(s, 0, sql);
    Example::Text(named.to_string())
}

/// A task that is none of the scene's.
const NOBODY: i64 = 1_000_000;

const CASES: &[Case] = &[
    case("tables-are-ours", |s| small(s, "DROP TRIGGER rowmill_cancel", "trigger rowmill_cancel is missing")),
    case("ready-has-key", |s| keyless(s, "")),
    case("delayed-has-key", |s| delayed(s, "DELETE FROM rowmill_delayed WHERE id = $")),
    case("running-has-claim", |s| keyless(s, "UPDATE queue SET status = 'running' WHERE id = $")),
    case("finished-when-final", |s| keyless(s, "UPDATE queue SET status = 'cancelled' WHERE id = $")),
    case("parked-says-why", |s| keyless(s, "UPDATE queue SET status = 'parked' WHERE id = $")),
    case("dead-says-why", |s| {
        keyless(
            s,
            "UPDATE queue SET status = 'dead', finished_at = 1 WHERE id = $;
             INSERT INTO rowmill_history VALUES (0, 'subject', 'dead', 1)",
        )
    }),
    case("done-says-how", |s| {
        keyless(
            s,
            "UPDATE queue SET status = 'done', finished_at = 1, started_at = 1, worker = 1 WHERE id = $;
             INSERT INTO rowmill_history VALUES (0, 'subject', 'done', 1)",
        )
    }),
    case("row-is-lawful", |s| ready(s, "UPDATE queue SET codec = 'xml' WHERE id = $")),
    Case {
        law: "unique-key-once",
        breaks: |s| ready(s, "DROP INDEX rowmill_unique; UPDATE queue SET unique_key = 'low-0' WHERE id = $"),
        also: &["tables-are-ours"],
    },
    case("id-was-given", |s| ready(s, "UPDATE sqlite_sequence SET seq = $ - 1 WHERE name = 'queue'")),
    case("parent-is-done", |s| {
        ready(s, "UPDATE queue SET parent = (SELECT min(id) FROM queue WHERE status = 'parked') WHERE id = $")
    }),
    case("history-counts-all", |s| {
        let named = "2017-07-14 bystander dead: 4 are there, 3 counted";
        small(s, "UPDATE rowmill_history SET count = count - 1 WHERE job = 'bystander' AND status = 'dead'", named)
    }),
    case("created-in-the-past", |s| ready(s, "UPDATE queue SET created_at = 4000000000000 WHERE id = $")),
    case("finished-in-the-past", |s| {
        keyless(
            s,
            "UPDATE queue SET status = 'cancelled', finished_at = 4000000000000 WHERE id = $;
             INSERT INTO rowmill_history VALUES (4000000000000 / 86400000, 'subject', 'cancelled', 1)",
        )
    }),
    case("key-has-ready-row", |s| {
        ready(s, "INSERT INTO rowmill_ready SELECT generation, partition, 77, id FROM rowmill_ready WHERE id = $")
    }),
    case("key-without-row", |s| ready(s, "DELETE FROM queue WHERE id = $")),
    case("delayed-key-has-delayed-row", |s| ready(s, "INSERT INTO rowmill_delayed VALUES (4000000000000, $)")),
    case("delayed-key-without-row", |s| delayed(s, "DELETE FROM queue WHERE id = $")),
    case("outcome-has-ready-row", |s| fresh(s, "UPDATE queue SET status = 'parked', error = 'x' WHERE id = $")),
    case("outcome-has-no-key", |s| {
        fresh(s, "INSERT INTO rowmill_ready SELECT generation, partition, 0, id FROM rowmill_settled WHERE id = $")
    }),
    case("outcome-frees-its-key", |s| fresh(s, "UPDATE queue SET unique_key = 'taken' WHERE id = $")),
    case("outcome-without-row", |s| fresh(s, "DELETE FROM queue WHERE id = $")),
    case("claimed-row-runs", |s| {
        ready(
            s,
            "INSERT INTO rowmill_claim SELECT $, max(incarnation), 5, 'at_least_once', NULL, NULL FROM rowmill_worker",
        )
    }),
    case("claim-is-somebodys", |s| {
        force(s, NOBODY, "INSERT INTO rowmill_claim VALUES ($, $, 5, 'at_least_once', NULL, NULL)")
    }),
    case("worker-was-given", |s| {
        force(
            s,
            NOBODY,
            "INSERT INTO rowmill_worker (incarnation, worker, boot, pid, pid_start, pid_space, lock_device, lock_inode, started_at)
               VALUES ($, 1, 'boot', 1, 1, 1, 1, 1, 1);
             UPDATE sqlite_sequence SET seq = $ - 1 WHERE name = 'rowmill_worker'",
        )
    }),
    case("generations-follow", |s| {
        force(s, NOBODY, "INSERT INTO rowmill_generation VALUES (3, $, 4)");
        Example::Id(3)
    }),
    case("partition-is-there", |s| small(s, "INSERT INTO rowmill_partition VALUES (1, 99, 1, 1, 0, 0, 0)", "1/99")),
    case("follow-ups-are-of-done", |s| ready(s, "INSERT INTO rowmill_followup (parent, tasks) VALUES ($, '[]')")),
    case("follow-ups-can-be-read", |s| {
        force(s, NOBODY, "INSERT INTO rowmill_followup (parent, tasks) VALUES ($, '[')")
    }),
    case("follow-ups-are-taken", |s| {
        force(s, NOBODY, "INSERT INTO rowmill_followup (parent, tasks, error) VALUES ($, '[]', 'no')")
    }),
    case("occurrence-has-task", |s| {
        let fired = "INSERT INTO rowmill_occurrence (schedule, due_at, outcome, task, last_at)
                       VALUES ('nightly', 5, 'fired', 0, 5), ('other', 5, 'fired', 1, 5);
                     INSERT INTO rowmill_occurrence (schedule, due_at, outcome, reason, last_at)
                       VALUES ('other', 6, 'missed', 'x', 6)";
        small(s, fired, "nightly at 5")
    }),
    case("schedule-agrees", |s| {
        let schedules = "WITH s (name, last) AS (VALUES ('nightly', 10), ('new', NULL), ('swept', 10))
             INSERT INTO rowmill_schedule (name, origin, timing, timezone, job, param, priority, catch_up, overlap, guarded,
                 jitter_ms, enabled, made_at, seen_at, last_due_at)
               SELECT name, 'file', '@daily', 'UTC', 'noop', '', 0, 'skip', 'allow', 0, 0, 1, 1, 1, last FROM s;
             INSERT INTO rowmill_occurrence (schedule, due_at, outcome, task, last_at) VALUES ('nightly', 5, 'fired', 1, 5)";
        small(s, schedules, "nightly")
    }),
    case("counts-are-right", |s| {
        small(s, "INSERT INTO rowmill_count VALUES ('noop', 0, 0, 0, 0, 1, 0, 0)", "noop done")
    }),
    case("history-is-lawful", |s| {
        small(s, "INSERT INTO rowmill_history VALUES (7, 'noop', 'done', -1)", "7 noop done")
    }),
];

fn names(case: &Case) -> Vec<&'static str> {
    std::iter::once(case.law).chain(case.also.iter().copied()).collect()
}

#[test]
fn each_law_finds_what_breaks_it_and_nothing_else() {
    for case in CASES {
        let mut scene = Scene::fresh();
        let named = (case.breaks)(&mut scene);
        let examined = examine(&scene.database.conn, Clock::System.now_ms(), &mut |_| {}).unwrap();
        let broken: Vec<_> = examined.found.iter().filter(|found| found.count > 0).collect();
        let law = broken.iter().find(|found| found.law.name == case.law);
        let law = law.unwrap_or_else(|| panic!("{} was not found, but {broken:?}", case.law));
        assert_eq!((law.count, &law.examples), (1, &vec![named]), "{}", case.law);
        let others: Vec<_> =
            broken.iter().map(|found| found.law.name).filter(|law| !names(case).contains(law)).collect();
        assert_eq!(others, [""; 0], "{}", case.law);
        assert!(examined.found.iter().all(|found| found.left_out.is_none()), "{}", case.law);
    }
}

#[test]
fn every_law_has_a_case_and_a_name_of_its_own() {
    let cases: BTreeSet<&str> = CASES.iter().map(|case| case.law).chain(super::file::LAWS).collect();
    let names: BTreeSet<&str> = laws().iter().map(|law| law.name).collect();
    assert_eq!(cases, names);
    assert_eq!(names.len(), laws().len(), "two laws have one name");
    for law in laws() {
        let lawful = law.name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        assert!(lawful && !law.sentence.ends_with('.') && !law.remedy.is_empty(), "{law:?}");
    }
    assert!(laws().iter().any(|law| law.severity == Severity::Note));
}

#[test]
fn ten_are_named_and_all_are_counted() {
    let mut scene = Scene::fresh();
    let ids: Vec<i64> = (0..12).map(|_| scene.ready()).collect();
    for id in &ids {
        force(&scene, *id, "DELETE FROM rowmill_ready WHERE id = $");
    }
    let examined = examine(&scene.database.conn, Clock::System.now_ms(), &mut |_| {}).unwrap();
    let broken: Vec<_> = examined.found.iter().filter(|found| found.count > 0).collect();
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0].count, 12);
    assert_eq!(broken[0].examples, ids[..10].iter().map(|id| Example::Id(*id)).collect::<Vec<_>>());
}

#[test]
fn rows_of_every_encoding_keep_their_laws() {
    // A job in another encoding is counted in the history, and waits, like any other.
    let mut scene = Scene::fresh();
    scene.sql("INSERT INTO queue (job) VALUES (CAST(x'ff41' AS TEXT)), (CAST(x'ff42' AS TEXT))");
    scene.sql("UPDATE queue SET status = 'cancelled' WHERE job = CAST(x'ff42' AS TEXT)");
    let examined = examine(&scene.database.conn, Clock::System.now_ms(), &mut |_| {}).unwrap();
    assert!(examined.found.iter().all(|found| found.count == 0), "{examined:?}");
    assert_eq!(examined.waiting.jobs["\u{fffd}A"].ready, 1);
    let oldest = scene.store.oldest_ready().unwrap().map(|oldest| oldest.since_ms);
    assert_eq!(examined.waiting.longest.first().map(|(_, since)| *since), oldest);
}
