//! The jobs of the histories, and a hand that works on them: what a worker does, one verb after the other.
//!
//! What a job does follows from its task alone, so that whoever runs it, before a cut or after, does the same. Some write
//! into the application's table `entry` by an effect: a row there is what must happen once. An application's trigger
//! writes down in `wanted` which tasks were asked for by other tasks and by schedules.

use super::super::scene::laws;
use rowmill::Result;
use rowmill::schedule::recover;
use rowmill::store::sqlite::{Sqlite, as_application};
use rowmill::store::{Badge, Claim, Claiming, Ended, Govern, Hold, Settled, Store};
use rowmill::task::{Cause, Delivery, Ending, NewTask, Outcome, Partition, Policy, Right, Settlement, Task, decide};
use rusqlite::Connection;
use std::path::Path;

/// The instant at which everything happens, in 2017: what is put off by it is due at once for everybody else.
pub(crate) const NOW_MS: i64 = 1_500_000_000_000;
/// When everything that can be put off is due.
pub(crate) const LATE_MS: i64 = 5_000_000_000_000;

/// What the application has in the same file.
pub(crate) const APPLICATION: &str = "
    CREATE TABLE entry (task INTEGER NOT NULL, attempt INTEGER NOT NULL);
    CREATE TABLE wanted (job TEXT NOT NULL, param TEXT NOT NULL);
    CREATE TRIGGER wanted_leaf AFTER INSERT ON queue WHEN NEW.job IN ('leaf', 'scheduled')
    BEGIN INSERT INTO wanted VALUES (NEW.job, CAST(NEW.param AS TEXT)); END;";

/// Jobs whose tasks leave one entry each when they are done, and none before.
const WITH_EFFECT: &str = "'note', 'fan', 'flaky', 'long', 'once'";

pub(crate) fn policy_of(job: &str) -> Policy {
    let delivery = if job == "once" { Delivery::AtMostOnce } else { Delivery::AtLeastOnce };
    Policy { delivery, effects_ms: 60_000, ..Policy::default() }
}

/// Whether a task is claimed before it begins.
pub(crate) fn is_claimed_first(task: &Task) -> bool {
    task.careful || matches!(task.job.as_str(), "long" | "once")
}

/// Runs a task.
pub(crate) fn run(task: &Task) -> Ended {
    let (id, attempt) = (task.id, i64::from(task.attempts_charged) + 1);
    let note = move |outcome: Outcome| {
        outcome.effect(move |tx| {
            tx.execute("INSERT INTO entry (task, attempt) VALUES (?1, ?2)", &[id.into(), attempt.into()])?;
            Ok(())
        })
    };
    let ending = match task.job.as_str() {
        "unheard" => Ending::UnknownJob,
        "doomed" => Ending::Answered(Outcome::Reject { reason: "no".into() }),
        "flaky" if task.attempts_charged == 0 => Ending::Failed(Cause::Error("not yet".into())),
        "fan" => {
            let many: usize = String::from_utf8_lossy(&task.param).parse().unwrap();
            let leaves = (0..many).map(|n| NewTask::of("leaf", format!("{id}/{n}")));
            Ending::Answered(note(Outcome::done()).then_all(leaves))
        }
        "note" | "flaky" | "long" | "once" => Ending::Answered(note(Outcome::done())),
        _ => Ending::Answered(Outcome::with_result(format!("result of {id}"))),
    };
    ended(task, ending)
}

fn ended(task: &Task, ending: Ending) -> Ended {
    let policy = policy_of(&task.job);
    let (ending, company) = ending.part(&policy);
    let settlement = decide(task, ending, &policy, NOW_MS);
    Ended { settlement, started_at_ms: NOW_MS - 5, finished_at_ms: NOW_MS, company }
}

/// What becomes of a task whose worker died.
pub(crate) fn blame(task: &Task) -> Settlement {
    decide(task, Ending::Failed(Cause::WorkerDied), &policy_of(&task.job), NOW_MS)
}

/// Settles what the claims of dead workers have left.
pub(crate) fn recover_all(store: &mut Sqlite) -> Result<()> {
    recover(store, NOW_MS, &|lost| lost.settlement(policy_of(&lost.task.job), NOW_MS)).map(|_| ())
}

/// Holds a partition; nobody else is there in these tests.
pub(crate) fn hold(store: &mut Sqlite, partition: Partition, badge: &Badge) -> Result<Hold> {
    let hold = store.hold(partition, badge, NOW_MS, &blame)?;
    Ok(hold.unwrap_or_else(|| panic!("somebody else holds {partition:?}")))
}

/// Claims a task.
pub(crate) fn claim(store: &mut Sqlite, hold: &Hold, badge: &Badge, task: &Task, right: &Right) -> Result<Claim> {
    let delivery = policy_of(&task.job).delivery;
    match store.claim(hold, badge, right, task.attempts_charged, NOW_MS, delivery)? {
        Claiming::Claimed(claim) => Ok(claim),
        Claiming::Lost => panic!("the hold is lost"),
    }
}

/// Enlists as a worker.
pub(crate) fn enlist(store: &mut Sqlite, index: u32) -> Result<Badge> {
    let badge = store.enlist(index, NOW_MS)?;
    Ok(badge.unwrap_or_else(|| panic!("somebody else is worker {index}")))
}

/// Finishes everything, as the next boot would: whoever had something in hand is gone.
pub(crate) fn drain(store: &mut Sqlite, path: &Path) -> Result<()> {
    as_application(path, "UPDATE rowmill_worker SET boot = 'another'")?;
    store.start(NOW_MS)?;
    // Also when it is not paused: who resumed it may have been broken off in the middle.
    store.resume("note")?;
    while store.release_paused("note", 0, 500)?.count > 0 {}
    recover_all(store)?;
    let badge = enlist(store, 0)?;
    loop {
        store.release_known(&["unheard"])?;
        while store.spread()?.is_some() {}
        while !store.promote(LATE_MS, 500)?.is_empty() {}
        let waiting = store.waiting()?;
        if waiting.is_empty() {
            break;
        }
        for partition in waiting {
            let hold = hold(store, partition, &badge)?;
            while drain_some(store, &hold, &badge)? > 0 {}
        }
    }
    while store.fold(4_000)?.is_some_and(|folded| folded > 0) {}
    store.retire(badge)
}

/// The next tasks of a partition. By now somebody has come who knows the job that nobody knew.
fn drain_some(store: &mut Sqlite, hold: &Hold, badge: &Badge) -> Result<usize> {
    let batch = store.fetch(hold, 500)?;
    let count = batch.tasks.len() + batch.orphans.len();
    let mut together = Vec::new();
    for (mut task, right) in batch.tasks {
        if task.job == "unheard" {
            task.job = "plain".into();
        }
        if is_claimed_first(&task) {
            let claim = claim(store, hold, badge, &task, &right)?;
            store.settle_claim(&claim, &run(&task))?;
        } else {
            together.push(Settled { right, ended: run(&task) });
        }
    }
    store.settle(hold, &together, &batch.orphans)?;
    Ok(count)
}

/// What must find nothing, at every commit.
fn laws_of_these() -> Vec<(&'static str, String)> {
    vec![
        (
            "a task has its effect exactly when it is done",
            format!(
                "SELECT t.id FROM task t WHERE t.job IN ({WITH_EFFECT})
                    AND (t.status = 'done') <> (SELECT count(*) FROM entry e WHERE e.task = t.id)"
            ),
        ),
        ("an effect happens once", "SELECT task FROM entry GROUP BY task HAVING count(*) > 1".into()),
        (
            "the follow-ups of a done task are asked for, each once, and those of no other",
            "SELECT t.id FROM task t WHERE t.job = 'fan'
                AND (SELECT count(*) FROM wanted WHERE job = 'leaf' AND param LIKE t.id || '/%')
                  + (SELECT coalesce(sum(json_array_length(tasks)), 0) FROM rowmill_followup WHERE parent = t.id)
                 <> (t.status = 'done') * CAST(CAST(t.param AS TEXT) AS INTEGER)"
                .into(),
        ),
        (
            "nothing is asked for twice by one task",
            "SELECT min(rowid) FROM wanted WHERE job = 'leaf' GROUP BY param HAVING count(*) > 1".into(),
        ),
        (
            "no follow-up was refused",
            "SELECT chunk FROM rowmill_followup WHERE error IS NOT NULL".into(),
        ),
        (
            "each occurrence has become one task",
            "SELECT 1 WHERE (SELECT count(*) FROM wanted WHERE job = 'scheduled')
                         <> (SELECT count(*) FROM rowmill_occurrence)"
                .into(),
        ),
        (
            "a schedule stands behind its last occurrence",
            "SELECT 1 FROM rowmill_occurrence o JOIN rowmill_schedule s ON s.name = o.schedule
              WHERE o.due_at >= s.next_at OR o.due_at > s.last_due_at"
                .into(),
        ),
        (
            "a claim belongs to a running task, unless that was cancelled or deleted",
            "SELECT c.id FROM rowmill_claim c JOIN queue q ON q.id = c.id
              WHERE q.status NOT IN ('running', 'cancelled')"
                .into(),
        ),
        (
            "a running task has a claim, and the claim a worker",
            "SELECT q.id FROM queue q WHERE q.status = 'running' AND NOT EXISTS
               (SELECT 1 FROM rowmill_claim c JOIN rowmill_worker w ON w.incarnation = c.incarnation WHERE c.id = q.id)"
                .into(),
        ),
        (
            "what became final was counted",
            "SELECT min(t.id) FROM task t WHERE t.status IN ('done', 'dead', 'cancelled') GROUP BY t.job, t.status
             HAVING count(*) > (SELECT coalesce(sum(count), 0) FROM rowmill_history h
                                 WHERE h.job = t.job AND h.status = t.status)"
                .into(),
        ),
        (
            "a task that may run only once has not been put back",
            "SELECT id FROM task WHERE job = 'once' AND attempt > 0 AND status NOT IN ('running', 'done', 'dead', 'cancelled')"
                .into(),
        ),
    ]
}

/// Every breach of a law, in words.
pub(crate) fn breaches(conn: &Connection) -> Vec<String> {
    let mut found = laws::breaches(conn);
    let orphans = laws::orphans(conn);
    if !orphans.is_empty() {
        found.push(format!("a key or an outcome has a row: broken by {orphans:?}"));
    }
    for (law, sql) in laws_of_these() {
        let mut query = conn.prepare(&sql).unwrap();
        let ids: Vec<i64> = query.query_map([], |r| r.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
        if !ids.is_empty() {
            found.push(format!("{law}: broken by {ids:?}, {:?}", laws::raw(conn, ids[0])));
        }
    }
    found
}

/// What is not finished after a drain.
pub(crate) fn unfinished(conn: &Connection) -> Vec<String> {
    let left =
        "SELECT id || ' (' || job || ') is ' || status FROM queue WHERE status NOT IN ('done', 'dead', 'cancelled')
                UNION ALL SELECT 'an outcome is not folded: ' || id FROM rowmill_settled
                UNION ALL SELECT 'follow-ups wait' FROM rowmill_followup
                UNION ALL SELECT 'a claim is left: ' || id FROM rowmill_claim";
    let mut query = conn.prepare(left).unwrap();
    query.query_map([], |r| r.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
}
