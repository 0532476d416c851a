//! Walks: every row is met once, in the order of its key, whatever the length of the pages.

use super::walk::{Place, Walk, bind};
use super::*;
use crate::store::sqlite::open;

/// A database in memory with keys in several generations, partitions, priorities and times.
fn database() -> Connection {
    let mut conn = Connection::open_in_memory().unwrap();
    open::make(&mut conn).unwrap();
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    conn.execute_batch(
        "WITH RECURSIVE n (i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i < 199)
           INSERT INTO rowmill_ready SELECT 1 + i % 2, i % 3, i % 5 - 2, i FROM n;
         INSERT INTO rowmill_delayed SELECT id / 7, id FROM rowmill_ready;
         INSERT INTO rowmill_settled SELECT generation, partition, id, 1, 1, 1, 1, NULL FROM rowmill_ready;
         INSERT INTO rowmill_followup (parent, tasks) SELECT id, '[]' FROM rowmill_ready;
         INSERT INTO rowmill_occurrence (schedule, due_at, outcome, task, last_at)
           SELECT 's' || (id / 9), id, 'fired', 1, id FROM rowmill_ready;
         INSERT INTO queue (id, job) SELECT id * 3 + 1, 'noop' FROM rowmill_ready;",
    )
    .unwrap();
    conn
}

/// What a walk meets, by the last column of the law's query.
fn met(conn: &Connection, walk: Walk, of: &str, limit: i64) -> Vec<i64> {
    let mut ids = Vec::new();
    let mut place = Place::with_pages_of(walk, limit);
    let law = walk.statement(&format!("SELECT {of} FROM page"));
    let mut look = |bounds: &Bounds| {
        let mut query = conn.prepare_cached(&law)?;
        let mut rows = bind(&mut query, bounds)?;
        while let Some(row) = rows.next()? {
            ids.push(row.get(0)?);
        }
        Ok(())
    };
    while place.turn(conn, &mut look).unwrap() {}
    ids
}

#[test]
fn walks_meet_every_row_once() {
    let conn = database();
    for (walk, of) in [
        (Walk::Order, "id"),
        (Walk::Delayed, "id"),
        (Walk::Fresh, "id"),
        (Walk::FollowUps, "parent"),
        (Walk::Occurrences, "due_at"),
        (Walk::Queue, "id / 3"),
    ] {
        for limit in [1, 2, 7, 500] {
            let mut ids = met(&conn, walk, of, limit);
            ids.sort_unstable();
            assert_eq!(ids, (0..200).collect::<Vec<i64>>(), "{walk:?}, pages of {limit}");
        }
    }
}

/// How SQLite is going to run a statement, step by step.
fn plan(conn: &Connection, sql: &str) -> Vec<String> {
    let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let mut rows = plan.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get(3).unwrap());
    }
    steps
}

#[test]
fn pages_are_found_by_their_key_and_laws_by_the_keys_of_other_tables() {
    let conn = database();
    let walks = Walk::ALL.map(|walk| (walk.word(), walk.reach().to_string()));
    let laws = rules().filter_map(|rule| match rule.over {
        Over::Page(walk, law) => Some((rule.law.name, walk.statement(law))),
        _ => None,
    });
    for (name, sql) in walks.into_iter().chain(laws) {
        let steps = plan(&conn, &sql);
        // Where a page is not merged into the law, the one thing that is read from end to end is the page.
        let scans = steps.iter().filter(|step| step.starts_with("SCAN")).count();
        let pages = usize::from(steps[0] == "CO-ROUTINE page");
        let sorts = steps.iter().any(|step| step.contains("TEMP B-TREE") || step.contains("AUTOMATIC"));
        let begins = |step: &String| step.contains("KEY (rowid>?") || step.contains(">(?") || step.contains("id>?");
        assert!(scans == pages && !sorts && steps.iter().any(begins), "{name}: {steps:?}");
    }
}

#[test]
fn a_long_param_ends_a_page() {
    let conn = database();
    conn.execute("UPDATE queue SET param = zeroblob(16777216) WHERE id < 20", []).unwrap();
    let mut pages = 0;
    let mut place = Place::before(Walk::Queue);
    while place
        .turn(&conn, &mut |_| {
            pages += 1;
            Ok(())
        })
        .unwrap()
    {}
    assert!(pages >= 3, "seven params of 16 MiB are not passed over in {pages} pages");
    assert_eq!(place.rows, 200);
}

#[test]
fn a_law_that_takes_too_long_is_left_out() {
    let mut conn = database();
    let patience = Patience::of(Duration::ZERO);
    let over = patience.clone();
    conn.progress_handler(1, Some(move || over.is_over())).unwrap();
    let rule = rules().find(|rule| matches!(rule.over, Over::Whole(_))).unwrap();
    let mut found = Found::nothing(&rule.law);
    let Over::Whole(sql) = rule.over else { panic!() };
    whole(&conn, &patience, sql, 0, &mut found).unwrap();
    assert!(found.count == 0 && found.left_out.is_some(), "{found:?}");
    // Nothing else is broken off.
    gather(&conn, sql, &Vec::new(), &mut found).unwrap();
}
