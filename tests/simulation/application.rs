//! Programs that ask for work, and people who mend: what they do to the rows, at every moment of a task's life.

use super::arena::{Lines, Other, Who};
use super::chance::Chance;
use super::jobs::{End, Play};
use super::store::SeamStore;
use super::world::Simulated;
use crate::clock::{Millis, world};
use crate::store::{Chosen, Curb, Govern, Operate, Store};
use crate::task::NewTask;
use rusqlite::{Connection, params};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Most tasks of a run.
const MOST_TASKS: usize = 18;

fn a_play(chance: &mut Chance) -> Play {
    let parts = chance.below(3);
    let spans = (0..parts).map(|_| if chance.once_in(6) { chance.below(400) } else { chance.below(6) }).collect();
    let end = *chance.one_of(&[
        End::Done,
        End::Done,
        End::Done,
        End::Effect,
        End::Effect,
        End::Fail,
        End::Fail,
        End::Reject,
        End::Snooze,
        End::Die,
    ]);
    Play { spans, end, times: 1 + chance.below(5) as u32 }
}

fn a_task(chance: &mut Chance, now_ms: Millis) -> NewTask {
    let param = serde_json::to_vec(&a_play(chance)).unwrap();
    NewTask {
        job: if chance.once_in(6) { "once" } else { "play" }.into(),
        param,
        priority: *chance.one_of(&[0, 0, 0, 5, -5]),
        run_at_ms: chance.once_in(5).then(|| now_ms + chance.below(300) as Millis),
        unique_key: chance.once_in(5).then(|| format!("key-{}", chance.below(3))),
        ..NewTask::default()
    }
}

/// An application: some requests, by the library or by SQL of its own.
pub(super) fn apply(
    there: &Arc<Simulated>,
    mut store: SeamStore,
    lines: &Arc<Lines>,
    database: &Path,
    mut chance: Chance,
) {
    let conn = Other::open(lines, Who::Application, database);
    for _ in 0..3 + chance.below(8) {
        world::pass("application");
        if there.inner().record.asked.len() >= MOST_TASKS {
            return change(there, &conn, &mut chance);
        }
        let now_ms = there.clock.now_ms();
        match chance.below(10) {
            0..=4 => {
                let tasks: Vec<NewTask> = (0..1 + chance.below(4)).map(|_| a_task(&mut chance, now_ms)).collect();
                let asked = match chance.once_in(2) {
                    true => store.enqueue(&tasks),
                    false => store.enqueue_many(&tasks),
                };
                for answer in asked.unwrap_or_default() {
                    note(there, answer.id());
                }
            }
            5..=6 => insert(there, &conn, &a_task(&mut chance, now_ms), &mut chance),
            _ => change(there, &conn, &mut chance),
        }
    }
}

fn note(there: &Arc<Simulated>, id: i64) {
    there.inner().record.asked.insert(id);
}

/// One insert by SQL, alone or in a transaction that takes its time.
fn insert(there: &Arc<Simulated>, conn: &Connection, task: &NewTask, chance: &mut Chance) {
    let how = match (&task.unique_key, chance.below(3)) {
        (Some(_), 0) => "INSERT OR REPLACE",
        (Some(_), 1) => "INSERT OR IGNORE",
        _ => "INSERT",
    };
    let sql = format!("{how} INTO queue (job, param, priority, run_at, unique_key) VALUES (?1, ?2, ?3, ?4, ?5)");
    let param = String::from_utf8(task.param.clone()).unwrap();
    let slow = chance.once_in(4);
    if slow && conn.execute_batch("BEGIN IMMEDIATE").is_err() {
        return;
    }
    let before: Vec<i64> = ids(conn, "SELECT id FROM queue WHERE unique_key IS NOT NULL");
    let inserted = run(conn, &sql, params![task.job, param, task.priority, task.run_at_ms, task.unique_key]);
    let id = conn.last_insert_rowid();
    if slow {
        world::wait("application holds the lock", Duration::from_millis(chance.below(40)));
        if conn.execute_batch("COMMIT").is_err() {
            let _ = conn.execute_batch("ROLLBACK");
            return;
        }
    }
    if inserted == Ok(1) {
        note(there, id);
        if how == "INSERT OR REPLACE" {
            let mut inner = there.inner();
            inner.record.may_be_gone.extend(before);
        }
    }
}

fn run(conn: &Connection, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<usize> {
    conn.prepare_cached(sql)?.execute(params)
}

fn ids(conn: &Connection, sql: &str) -> Vec<i64> {
    let mut query = conn.prepare_cached(sql).unwrap();
    query.query_map([], |r| r.get(0)).and_then(Iterator::collect).unwrap_or_default()
}

/// One change by SQL of a row in any state.
fn change(there: &Arc<Simulated>, conn: &Connection, chance: &mut Chance) {
    let all = ids(conn, "SELECT id FROM queue");
    if all.is_empty() {
        return;
    }
    let id = *chance.one_of(&all);
    let now_ms = there.clock.now_ms();
    let done = match chance.below(5) {
        0 => run(conn, "UPDATE queue SET status = 'cancelled' WHERE id = ?1", [id]),
        1 => run(conn, "DELETE FROM queue WHERE id = ?1", [id]).inspect(|_| {
            there.inner().record.may_be_gone.insert(id);
        }),
        2 => run(conn, "UPDATE queue SET priority = ?2 WHERE id = ?1", [id, chance.below(9) as i64]),
        3 => run(conn, "UPDATE queue SET run_at = ?2 WHERE id = ?1", [id, now_ms + chance.below(200) as i64]),
        _ => run(conn, "UPDATE queue SET run_at = NULL WHERE id = ?1", [id]),
    };
    there.inner().record.say(format_args!("an application changes {id}: {done:?}"));
}

/// A person at the command line.
pub(super) fn administer(there: &Arc<Simulated>, store: &mut SeamStore, mut chance: Chance) {
    let now_ms = there.clock.now_ms();
    let all: Vec<i64> = there.inner().record.asked.iter().copied().collect();
    let some: Vec<i64> = all.iter().copied().filter(|_| chance.once_in(4)).collect();
    let nobody = &mut |_, _| {};
    // Locked or full: a person would call it again.
    let _ = match chance.below(9) {
        0 | 1 => store.scale(1 + chance.below(4) as u32).map(drop),
        2 => {
            there.inner().record.retried.extend(&some);
            store.retry(&Chosen::Ids(&some), now_ms, nobody).map(drop)
        }
        3 => store.cancel(&Chosen::Ids(&some), now_ms, nobody).map(drop),
        4 => store.release(&Chosen::Ids(&some), now_ms, nobody).map(drop),
        5 => store.pause("play", "a person", now_ms).map(drop),
        6 => store.resume("play").map(drop),
        7 => {
            // What a tick does when the machine is busy.
            let curb = Curb { workers: 1, since: now_ms, why: "load".into() };
            store.set_curb(chance.once_in(2).then_some(&curb))
        }
        _ => store.stop("a person", now_ms).and_then(|_| store.start(now_ms)).map(drop),
    };
}
