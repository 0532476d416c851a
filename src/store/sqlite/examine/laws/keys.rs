//! Laws of keys and fresh outcomes: what stands apart from the rows that it belongs to.
//!
//! That a task has one key at most follows: a second one would stand at another place, priority or time than its row says.

use super::{Over, Rule, place_of};
use crate::store::Severity::{Breach, Note};
use crate::store::sqlite::examine::walk::Walk::{Delayed, Fresh, Order};
use crate::store::{Law, Severity};

const fn law(name: &'static str, severity: Severity, sentence: &'static str, remedy: &'static str) -> Law {
    Law { name, sentence, severity, remedy }
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        law: law(
            "key-has-ready-row",
            Breach,
            "a key in the order of work is that of a ready task, at its partition and priority",
            "stop the workers first: the task could run although it must not, or run twice. Then cancel the task",
        ),
        over: Over::Page(
            Order,
            concat!(
                "SELECT r.id FROM page r JOIN queue q ON q.id = r.id
                  WHERE q.status <> 'ready' OR r.priority <> q.priority OR (r.generation, r.partition) <> ",
                place_of!("q.id")
            ),
        ),
    },
    Rule {
        law: law(
            "key-without-row",
            Note,
            "a key in the order of work has a row",
            "a program that deletes rows with the triggers off leaves such keys behind; the next worker that meets them drops them",
        ),
        over: Over::Page(Order, "SELECT r.id FROM page r WHERE NOT EXISTS (SELECT 1 FROM queue q WHERE q.id = r.id)"),
    },
    Rule {
        law: law(
            "delayed-key-has-delayed-row",
            Breach,
            "a key in the delayed order is that of a delayed task, at its time",
            "the task could become ready although it must not: cancel it and ask for it anew",
        ),
        over: Over::Page(
            Delayed,
            "SELECT d.id FROM page d JOIN queue q ON q.id = d.id
              WHERE q.status <> 'delayed' OR d.run_at <> coalesce(q.run_at, 0)",
        ),
    },
    Rule {
        law: law(
            "delayed-key-without-row",
            Note,
            "a key in the delayed order has a row",
            "a program that deletes rows with the triggers off leaves such keys behind; they are dropped when their time has come",
        ),
        over: Over::Page(Delayed, "SELECT d.id FROM page d WHERE NOT EXISTS (SELECT 1 FROM queue q WHERE q.id = d.id)"),
    },
    Rule {
        law: law(
            "outcome-has-ready-row",
            Breach,
            "a fresh outcome is that of a task which is ready in queue itself, at its partition",
            "folding it would overwrite what the row says: keep a copy of the database before workers go on",
        ),
        over: Over::Page(
            Fresh,
            concat!(
                "SELECT s.id FROM page s JOIN queue q ON q.id = s.id
                  WHERE q.status <> 'ready' OR (s.generation, s.partition) <> ",
                place_of!("q.id")
            ),
        ),
    },
    Rule {
        law: law(
            "outcome-has-no-key",
            Breach,
            "a task with a fresh outcome has left the order of work",
            "stop the workers first: the task is done and would run again",
        ),
        over: Over::Page(
            Fresh,
            "SELECT s.id FROM page s JOIN queue q ON q.id = s.id
              WHERE EXISTS (SELECT 1 FROM rowmill_ready r
                     WHERE r.generation = s.generation AND r.partition = s.partition
                       AND r.priority = q.priority AND r.id = s.id)",
        ),
    },
    Rule {
        law: law(
            "outcome-frees-its-key",
            Breach,
            "a fresh outcome is that of a task without unique_key: one with a key frees it in its settlement",
            "the key is taken until the outcome is folded, which the next tick does",
        ),
        over: Over::Page(Fresh, "SELECT s.id FROM page s JOIN queue q ON q.id = s.id WHERE q.unique_key IS NOT NULL"),
    },
    Rule {
        law: law(
            "outcome-without-row",
            Note,
            "a fresh outcome has a row",
            "a program that deletes rows with the triggers off leaves such outcomes behind; the next fold drops them",
        ),
        over: Over::Page(Fresh, "SELECT s.id FROM page s WHERE NOT EXISTS (SELECT 1 FROM queue q WHERE q.id = s.id)"),
    },
];
