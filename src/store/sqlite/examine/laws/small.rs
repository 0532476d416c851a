//! Laws of what is small: claims, worker processes, generations, partitions, schedules; and of follow-ups and occurrences.

use super::{Over, Rule, place_of};
use crate::store::Severity::{Breach, Note};
use crate::store::sqlite::examine::walk::Walk::{FollowUps, Occurrences};
use crate::store::{Law, Severity};

const fn law(name: &'static str, severity: Severity, sentence: &'static str, remedy: &'static str) -> Law {
    Law { name, sentence, severity, remedy }
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        law: law(
            "claimed-row-runs",
            Breach,
            "a claimed task is running, or was taken back by an application",
            "it could run twice at the same time: stop the workers, then delete its row of rowmill_claim",
        ),
        over: Over::Whole(
            "SELECT c.id FROM rowmill_claim c JOIN queue q ON q.id = c.id WHERE q.status NOT IN ('running', 'cancelled')",
        ),
    },
    Rule {
        law: law(
            "claim-is-somebodys",
            Breach,
            "a claim is that of a worker process that is written down, and says how often its task may run",
            "nobody would recover it: stop the workers, delete its row of rowmill_claim, and ask for the task anew",
        ),
        over: Over::Whole(
            "SELECT c.id FROM rowmill_claim c WHERE c.delivery NOT IN ('at_least_once', 'at_most_once')
                 OR NOT EXISTS (SELECT 1 FROM rowmill_worker w WHERE w.incarnation = c.incarnation)",
        ),
    },
    Rule {
        law: law(
            "worker-was-given",
            Breach,
            "no worker process has a number beyond those that the database has given",
            "two processes could be taken for one: stop the workers, and raise seq of rowmill_worker in sqlite_sequence",
        ),
        over: Over::Whole(
            "SELECT incarnation FROM rowmill_worker
              WHERE incarnation > (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'rowmill_worker')",
        ),
    },
    Rule {
        law: law(
            "generations-follow",
            Breach,
            "generations are numbered from 1 on without a gap, each begins behind the one before, the first with the first \
             id, and each has 1 to 4,096 partitions",
            "rows would change their partition: stop the workers, and put rowmill_generation back as it was",
        ),
        over: Over::Whole(
            "SELECT g.generation FROM rowmill_generation g
              WHERE g.partitions NOT BETWEEN 1 AND 4096 OR (g.generation = 1) <> (g.first_id <= 1)
                 OR (g.generation <> 1 AND NOT EXISTS (SELECT 1 FROM rowmill_generation b
                      WHERE b.generation = g.generation - 1 AND b.first_id < g.first_id))
             UNION ALL SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM rowmill_generation)",
        ),
    },
    Rule {
        law: law(
            "partition-is-there",
            Breach,
            "what is written down of a hold names a partition of its generation, an epoch, and a worker process that there was",
            "stop the workers, and delete such rows of rowmill_partition: the next hold writes them anew",
        ),
        over: Over::Whole(
            "SELECT p.generation || '/' || p.partition FROM rowmill_partition p
              WHERE p.epoch < 1 OR p.partition < 0
                 OR NOT EXISTS (SELECT 1 FROM rowmill_generation g
                      WHERE g.generation = p.generation AND p.partition < g.partitions)
                 OR p.incarnation NOT BETWEEN 1
                      AND (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'rowmill_worker')",
        ),
    },
    Rule {
        law: law(
            "follow-ups-are-of-done",
            Breach,
            "follow-ups that are still to be inserted are those of a task that is done or gone",
            "delete such rows of rowmill_followup: the task brings its follow-ups again when it is done",
        ),
        over: Over::Page(
            FollowUps,
            concat!(
                "SELECT f.parent FROM page f JOIN queue p ON p.id = f.parent WHERE p.status <> 'done'
                    AND NOT EXISTS (SELECT 1 FROM rowmill_settled s WHERE (s.generation, s.partition) = ",
                place_of!("p.id"),
                " AND s.id = p.id)"
            ),
        ),
    },
    Rule {
        law: law(
            "follow-ups-can-be-read",
            Breach,
            "follow-ups that are still to be inserted are a list of tasks, as JSON",
            "they cannot be inserted, and hold up those behind them: mend the row of rowmill_followup by hand",
        ),
        over: Over::Page(
            FollowUps,
            "SELECT f.parent FROM page f WHERE iif(json_valid(f.tasks), json_type(f.tasks) <> 'array', true)",
        ),
    },
    Rule {
        law: law(
            "follow-ups-are-taken",
            Note,
            "no follow-up was refused",
            "a trigger of the application's refused it, see error in rowmill_followup: mend that, then clear the error by SQL",
        ),
        over: Over::Page(FollowUps, "SELECT f.parent FROM page f WHERE f.error IS NOT NULL"),
    },
    Rule {
        law: law(
            "occurrence-has-task",
            Breach,
            "an occurrence of a schedule that was fired names a task that there was",
            "that due time counts as enqueued and is not: `rowmill enqueue` its job, if it is still wanted",
        ),
        over: Over::Page(
            Occurrences,
            "SELECT o.schedule || ' at ' || o.due_at FROM page o WHERE o.outcome = 'fired'
                AND (o.task BETWEEN 1 AND (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'queue')) IS NOT TRUE",
        ),
    },
    Rule {
        law: law(
            "schedule-agrees",
            Breach,
            "the due time that a schedule enqueued last is that of an occurrence, unless retention has passed it",
            "its last time was not enqueued: `rowmill enqueue` its job, if it is still wanted",
        ),
        over: Over::Whole(
            "SELECT s.name FROM rowmill_schedule s WHERE s.last_due_at IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM rowmill_occurrence o WHERE o.schedule = s.name AND o.due_at = s.last_due_at)
                AND EXISTS (SELECT 1 FROM rowmill_occurrence o WHERE o.schedule = s.name AND o.due_at < s.last_due_at
                              AND o.outcome = 'fired' AND o.open = 0)",
        ),
    },
    Rule {
        law: law(
            "history-is-lawful",
            Breach,
            "the history counts what there was",
            "only what `rowmill history` shows is wrong; no task is",
        ),
        over: Over::Whole(
            "SELECT day || ' ' || job || ' ' || status FROM rowmill_history
              WHERE count < 0 OR status NOT IN ('done', 'dead', 'cancelled')",
        ),
    },
    Rule {
        law: law(
            "counts-are-right",
            Breach,
            "the counts by job and status are those of the tasks up to the one that was counted last",
            "only what `rowmill status` shows is wrong; no task is",
        ),
        // The one law that adds up all rows at one instant.
        over: Over::Whole(
            "SELECT job || ' ' || status FROM (
               SELECT job, 'ready' AS status, ready AS count FROM rowmill_count
               UNION ALL SELECT job, 'delayed', delayed FROM rowmill_count
               UNION ALL SELECT job, 'running', running FROM rowmill_count
               UNION ALL SELECT job, 'parked', parked FROM rowmill_count
               UNION ALL SELECT job, 'done', done FROM rowmill_count
               UNION ALL SELECT job, 'dead', dead FROM rowmill_count
               UNION ALL SELECT job, 'cancelled', cancelled FROM rowmill_count
               UNION ALL SELECT job, status, -1 FROM task WHERE id <= (SELECT up_to FROM rowmill_counted))
              GROUP BY job, status HAVING sum(count) <> 0",
        ),
    },
];
