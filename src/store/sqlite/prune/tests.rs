//! Retention beside bystanders: rows that are young, unsettled, not folded yet, or lie behind those that are old.

use super::*;
use crate::store::sqlite::Create;
use crate::store::{Durability, Ended, Govern, Look, Settled, Store};
use crate::task::{NewTask, Settlement, Status};
use tempfile::TempDir;

/// Old, final, and neither.
const OLD: i64 = 200_000_000_000;
const CUTOFF: i64 = 300_000_000_000;

/// A database with a row for each word: the status, in capitals when it became so long ago; `-` for one that was
/// inserted lately and became final before that, which only a clock that was set can do.
fn with_rows(folder: &TempDir, words: &str) -> Sqlite {
    let path = folder.path().join("q.db");
    let mut store = Sqlite::open(&path, Durability::Normal, Create::WithPartitions(4)).unwrap();
    for word in words.split_whitespace() {
        let id = store.enqueue(&[NewTask { job: "noop".into(), ..NewTask::default() }]).unwrap()[0].id();
        store.conn.execute("UPDATE queue SET created_at = ?2 WHERE id = ?1", [id, OLD]).unwrap();
        let at = if word.to_uppercase() == word { OLD } else { CUTOFF };
        let status = word.to_lowercase();
        if status == "ready" {
            continue;
        }
        let key = "DELETE FROM rowmill_ready WHERE id = ?1";
        store.conn.execute(key, [id]).unwrap();
        let is_final = ["done", "dead", "cancelled"].contains(&status.as_str());
        let set = "UPDATE queue SET status = ?2, finished_at = ?3, error = 'e', cause = 'c' WHERE id = ?1";
        store.conn.execute(set, params![id, status, is_final.then_some(at)]).unwrap();
    }
    store
}

fn left(store: &Sqlite) -> String {
    let all = "SELECT coalesce(group_concat(id, ' '), '') FROM (SELECT id FROM queue ORDER BY id)";
    store.conn.query_row(all, [], |r| r.get(0)).unwrap()
}

#[test]
fn only_old_final_rows_go_in_bounded_steps() {
    let folder = TempDir::new().unwrap();
    let mut store = with_rows(&folder, "DONE DEAD done PARKED CANCELLED READY dead DONE cancelled DONE");
    store.count(10).unwrap();
    let counted = store.prune(0, CUTOFF, 100, true).unwrap();
    assert_eq!((counted, left(&store).len()), (Pruned { rows: 5, next: None }, "1 2 3 4 5 6 7 8 9 10".len()));
    assert_eq!(store.prune(0, CUTOFF, 4, false).unwrap(), Pruned { rows: 2, next: Some(4) });
    assert_eq!(left(&store), "3 4 5 6 7 8 9 10");
    assert_eq!(store.prune(4, CUTOFF, 4, false).unwrap(), Pruned { rows: 2, next: Some(8) });
    assert_eq!(store.prune(8, CUTOFF, 4, false).unwrap(), Pruned { rows: 1, next: None });
    assert_eq!(left(&store), "3 4 6 7 9");
    assert_eq!(store.prune(0, CUTOFF, 100, false).unwrap(), Pruned { rows: 0, next: None });
    let keys: i64 = store.conn.query_row("SELECT count(*) FROM rowmill_ready", [], |r| r.get(0)).unwrap();
    assert_eq!(keys, 1, "the one that is ready keeps its key");
    let counts = store.counts().unwrap();
    let of = |status| counts.total(status);
    assert_eq!(Status::ALL.map(of), [1, 0, 0, 1, 1, 1, 1], "what is deleted is counted no more");
}

#[test]
fn a_fresh_outcome_keeps_its_row_until_it_is_folded() {
    let folder = TempDir::new().unwrap();
    let mut store = with_rows(&folder, "READY DONE");
    let me = store.enlist(0, 5).unwrap().unwrap();
    let place = store.plan().unwrap().partition_of(1);
    let hold = store.hold(place, &me, 5, &|_| panic!("nobody is to blame")).unwrap().unwrap();
    let (_, right) = store.fetch(&hold, 1).unwrap().tasks.remove(0);
    let settlement = Settlement::Done { attempt: 1, result: None };
    let settled =
        Settled { right, ended: Ended { settlement, started_at_ms: OLD, finished_at_ms: OLD, company: None } };
    store.settle(&hold, &[settled], &[]).unwrap();
    assert_eq!(store.prune(0, CUTOFF, 100, false).unwrap().rows, 1);
    assert_eq!(left(&store), "1");
    store.fold(100).unwrap();
    assert_eq!(store.prune(0, CUTOFF, 100, false).unwrap().rows, 1);
    assert_eq!(left(&store), "");
}

#[test]
fn a_pass_ends_where_the_young_rows_begin_and_the_next_one_waits() {
    let folder = TempDir::new().unwrap();
    let mut store = with_rows(&folder, "DONE DONE PARKED done done done done");
    store.conn.execute("UPDATE queue SET created_at = ?1 WHERE id > 3", [CUTOFF]).unwrap();
    // What would be deleted if the pass went on: it is not even looked at.
    store.conn.execute("UPDATE queue SET finished_at = ?1 WHERE id = 7", [OLD]).unwrap();
    let now = CUTOFF + 1_000;
    assert_eq!(store.sweep(CUTOFF, now, 3).unwrap(), Some(Pruned { rows: 2, next: Some(3) }));
    // A program that was killed here goes on where it was.
    let mut again = Sqlite::open(&folder.path().join("q.db"), Durability::Normal, Create::Never).unwrap();
    assert_eq!(again.sweep(CUTOFF, now, 3).unwrap(), Some(Pruned { rows: 0, next: None }));
    assert_eq!(left(&store), "3 4 5 6 7");
    assert_eq!(store.sweep(CUTOFF, now + PASS_EVERY_MS - 1, 3).unwrap(), None);
    assert!(store.sweep(CUTOFF, now + PASS_EVERY_MS, 3).unwrap().is_some());
    assert!(store.sweep(CUTOFF, OLD, 3).unwrap().is_some(), "a clock that was set back stops nothing");
}

#[test]
fn the_names_of_jobs_without_tasks_are_forgotten_when_a_pass_is_over() {
    let folder = TempDir::new().unwrap();
    let mut store = with_rows(&folder, "DONE DONE done");
    store.enqueue(&[NewTask { job: "other".into(), ..NewTask::default() }]).unwrap();
    store.count(4).unwrap();
    store.conn.execute("DELETE FROM queue WHERE job = 'noop'", []).unwrap();
    let names = |store: &Sqlite| -> String {
        store.conn.query_row("SELECT group_concat(job) FROM rowmill_count", [], |r| r.get(0)).unwrap()
    };
    assert_eq!(names(&store), "noop,other");
    assert_eq!(store.sweep(CUTOFF, CUTOFF, 100).unwrap(), Some(Pruned { rows: 0, next: None }));
    assert_eq!(names(&store), "other");
}

#[test]
fn occurrences_go_schedule_by_schedule() {
    let folder = TempDir::new().unwrap();
    let mut store = with_rows(&folder, "");
    for (schedule, due_at) in [("a", 1), ("a", 2), ("a", 3), ("a", CUTOFF), ("b", CUTOFF), ("c", 1)] {
        let add =
            "INSERT INTO rowmill_occurrence (schedule, due_at, outcome, task, last_at) VALUES (?1, ?2, 'fired', 0, ?2)";
        store.conn.execute(add, params![schedule, due_at]).unwrap();
    }
    assert_eq!(store.prune_occurrences(CUTOFF, 2, true).unwrap(), 4);
    let rounds: Vec<usize> = (0..3).map(|_| store.prune_occurrences(CUTOFF, 2, false).unwrap()).collect();
    assert_eq!(rounds, [3, 1, 0]);
    let rest: i64 = store.conn.query_row("SELECT count(*) FROM rowmill_occurrence", [], |r| r.get(0)).unwrap();
    assert_eq!(rest, 2);
}
