//! Laws of tasks: of the rows of `queue` by themselves, and with what must stand beside them.
//!
//! (`+q.status` keeps SQLite from going by the index of exceptional rows, all of which it would read for every page.)

use super::{Over, Rule, place_of};
use crate::store::Severity::{Breach, Note};
use crate::store::sqlite::examine::survey;
use crate::store::sqlite::examine::walk::Walk::Queue;
use crate::store::{Law, Severity};

const fn law(name: &'static str, severity: Severity, sentence: &'static str, remedy: &'static str) -> Law {
    Law { name, sentence, severity, remedy }
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        law: law(
            "ready-has-key",
            Breach,
            "a ready task without a fresh outcome has its key in the order of work",
            "it would never run: cancel it and ask for it anew",
        ),
        over: Over::Page(
            Queue,
            concat!(
                "SELECT q.id FROM page q WHERE q.status = 'ready'
                    AND NOT EXISTS (SELECT 1 FROM rowmill_ready r WHERE (r.generation, r.partition) = ",
                place_of!("q.id"),
                " AND r.priority = q.priority AND r.id = q.id)
                    AND NOT EXISTS (SELECT 1 FROM rowmill_settled s WHERE (s.generation, s.partition) = ",
                place_of!("q.id"),
                " AND s.id = q.id)"
            ),
        ),
    },
    Rule {
        law: law(
            "delayed-has-key",
            Breach,
            "a delayed task has its key in the delayed order, at its time",
            "it would never become ready: cancel it and ask for it anew",
        ),
        over: Over::Page(
            Queue,
            "SELECT q.id FROM page q WHERE q.status = 'delayed' AND NOT EXISTS
               (SELECT 1 FROM rowmill_delayed d WHERE d.run_at = coalesce(q.run_at, 0) AND d.id = q.id)",
        ),
    },
    Rule {
        law: law(
            "running-has-claim",
            Breach,
            "a running task has a claim, by a worker process that is written down",
            "nobody would settle or recover it: cancel it and ask for it anew, if it may run again",
        ),
        over: Over::Page(
            Queue,
            "SELECT q.id FROM page q WHERE +q.status = 'running' AND NOT EXISTS
               (SELECT 1 FROM rowmill_claim c JOIN rowmill_worker w USING (incarnation) WHERE c.id = q.id)",
        ),
    },
    Rule {
        law: law(
            "finished-when-final",
            Breach,
            "a task has finished_at exactly when it is final",
            "retention goes by it: one that is final without it stays forever; delete such rows by hand",
        ),
        over: Over::Page(
            Queue,
            "SELECT q.id FROM page q
              WHERE (q.status IN ('done', 'dead', 'cancelled')) <> (q.finished_at IS NOT NULL)",
        ),
    },
    Rule {
        law: law(
            "parked-says-why",
            Breach,
            "a parked task says why in error",
            "see whether its job is known and its param is right, then `rowmill release` it",
        ),
        over: Over::Page(Queue, "SELECT q.id FROM page q WHERE +q.status = 'parked' AND q.error IS NULL"),
    },
    Rule {
        law: law(
            "dead-says-why",
            Breach,
            "a dead task says why in cause",
            "the day's log has its last attempt; then `rowmill retry` it, or leave it",
        ),
        over: Over::Page(Queue, "SELECT q.id FROM page q WHERE +q.status = 'dead' AND q.cause IS NULL"),
    },
    Rule {
        law: law(
            "done-says-how",
            Breach,
            "a done task says at which attempt it was done, when that began, and by which worker",
            "whoever wrote `done` was no worker: see whether the work was done at all",
        ),
        over: Over::Page(
            Queue,
            "SELECT q.id FROM page q WHERE q.status = 'done'
                AND (q.attempt < 1 OR q.started_at IS NULL OR q.worker IS NULL)",
        ),
    },
    Rule {
        law: law(
            "row-is-lawful",
            Breach,
            "the columns of a task are what the CHECKs of queue allow",
            "somebody wrote with CHECKs switched off: mend the columns by SQL, or cancel the task",
        ),
        over: Over::Page(
            Queue,
            "SELECT q.id FROM page q WHERE (
                   typeof(q.job) = 'text' AND length(q.job) BETWEEN 1 AND 200
               AND typeof(q.param) IN ('text', 'blob') AND octet_length(q.param) <= 16777216
               AND q.codec IN ('json', 'form', 'bincode', 'text')
               AND typeof(q.priority) = 'integer' AND q.priority BETWEEN -2147483648 AND 2147483647
               AND (q.run_at IS NULL OR (typeof(q.run_at) = 'integer' AND q.run_at BETWEEN 100000000000 AND 253402300799999))
               AND (q.unique_key IS NULL OR (typeof(q.unique_key) = 'text' AND length(q.unique_key) BETWEEN 1 AND 500))
               AND (q.max_attempts IS NULL OR (typeof(q.max_attempts) = 'integer' AND q.max_attempts BETWEEN 1 AND 1000))
               AND q.status IN ('ready', 'delayed', 'running', 'parked', 'done', 'dead', 'cancelled')
               AND typeof(q.attempt) = 'integer' AND q.attempt BETWEEN 0 AND 4294967295
               AND typeof(q.created_at) = 'integer') IS NOT TRUE",
        ),
    },
    Rule {
        law: law(
            "unique-key-once",
            Breach,
            "at most one unsettled task has a given unique_key",
            "the later one should not be there: see which of them is wanted, and cancel the other",
        ),
        // The later one of two. (What the index rowmill_unique has been told of is unique; so this finds what it has not.)
        over: Over::Page(
            Queue,
            "SELECT q.id FROM page q
              WHERE q.unique_key IS NOT NULL AND q.status <> 'done' AND q.status <> 'dead' AND q.status <> 'cancelled'
                AND EXISTS (SELECT 1 FROM queue o
                     WHERE o.unique_key = q.unique_key AND o.unique_key IS NOT NULL AND o.id < q.id
                       AND o.status <> 'done' AND o.status <> 'dead' AND o.status <> 'cancelled')",
        ),
    },
    Rule {
        law: law(
            "id-was-given",
            Breach,
            "no id of a task is beyond those that the database has given",
            "the next insert could get an id that was used: set seq of queue in sqlite_sequence to the highest id",
        ),
        over: Over::Page(
            Queue,
            "SELECT q.id FROM page q
              WHERE q.id > (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'queue')",
        ),
    },
    Rule {
        law: law(
            "parent-is-done",
            Breach,
            "the task that a follow-up names as its parent was asked for before it, and is done or gone",
            "the follow-up came without its parent's settlement: cancel it, since the parent brings it again",
        ),
        over: Over::Page(
            Queue,
            concat!(
                "SELECT q.id FROM page q WHERE q.parent IS NOT NULL
                    AND (q.parent >= q.id OR EXISTS (SELECT 1 FROM queue p WHERE p.id = q.parent AND p.status <> 'done'
                         AND NOT EXISTS (SELECT 1 FROM rowmill_settled s WHERE (s.generation, s.partition) = ",
                place_of!("p.id"),
                " AND s.id = p.id)))"
            ),
        ),
    },
    Rule {
        law: law(
            "history-counts-all",
            Breach,
            "the history has counted every task that is final: by day, job and status, it is not below what is there",
            "only what `rowmill history` shows is wrong; no task is",
        ),
        over: Over::Survey(survey::compare),
    },
    Rule {
        law: law(
            "created-in-the-past",
            Note,
            "no task was inserted later than now, by the clock of now",
            "the machine's clock was set back, or another one's is ahead: delays and schedules follow the clock of now",
        ),
        // A minute of grace: clocks are set by small steps all the time.
        over: Over::Page(Queue, "SELECT q.id FROM page q WHERE q.created_at > :now + 60000"),
    },
    Rule {
        law: law(
            "finished-in-the-past",
            Note,
            "no task became final later than now, by the clock of now",
            "the machine's clock was set back: retention keeps these rows until their time has come",
        ),
        over: Over::Page(Queue, "SELECT q.id FROM page q WHERE q.finished_at > :now + 60000"),
    },
];
