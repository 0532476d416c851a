//! What happened in a run, and what must be true of it at every moment.
//!
//! Runs of tasks are recorded by the jobs themselves, acknowledgements by those who asked for work, the order of work by
//! the store's seam. What is stored is looked at by a spectator after every commit.

use super::arena::Other;
use super::laws;
use super::world::{number_of, process_of};
use crate::task::Partition;
use rusqlite::OptionalExtension;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Priorities and ids of a batch, as it was fetched.
pub(super) type Fetched = Vec<(i64, i64)>;

/// How a run of a task went, as far as its job knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Went {
    /// It has not ended.
    On,
    /// It answered that the task is done.
    Done,
    /// It failed by itself.
    Failed,
    /// It ended without any fault: snoozed.
    Idle,
    /// Its process died in the middle.
    Died,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) task: i64,
    pub(super) attempt: u32,
    pub(super) process: usize,
    pub(super) went: Went,
    /// Its job has answered, and the worker's note may still say that it runs.
    noted: bool,
}

pub(super) struct Record {
    pub(super) spectator: Other,
    version: i64,
    commits: u64,
    /// The laws of the data are examined after each so many commits.
    laws_every: u64,
    pub(super) runs: Vec<Run>,
    /// Ids that somebody was told are there.
    pub(super) asked: BTreeSet<i64>,
    /// Ids whose row may be gone: deleted, or replaced.
    pub(super) may_be_gone: BTreeSet<i64>,
    /// Ids that a person has retried: their attempts were counted anew.
    pub(super) retried: BTreeSet<i64>,
    /// How often a process died that ran this task, or had claimed it.
    deaths: BTreeMap<i64, u32>,
    banished: BTreeSet<usize>,
    died_again: BTreeSet<usize>,
    /// Lock files were deleted, and notes with them: not every death could be charged.
    pub(super) notes_lost: bool,
    /// Processes that had the place of the resident scheduler.
    residents: BTreeSet<usize>,
    /// Processes that are dead.
    dead: BTreeSet<usize>,
    /// What people had ordered is taken back.
    pub(super) mended: bool,
    pub(super) folded_us: u64,
    pub(super) ticked_us: u64,
    /// The last turns, for whoever reads what went wrong.
    last: VecDeque<(usize, &'static str)>,
    pub(super) kills: u64,
    pub(super) says: bool,
    /// What went wrong first.
    pub(super) wrong: Option<String>,
}

impl Record {
    pub(super) fn new(spectator: Other, laws_every: u64) -> Record {
        Record {
            spectator,
            version: 0,
            commits: 0,
            laws_every,
            runs: Vec::new(),
            asked: BTreeSet::new(),
            may_be_gone: BTreeSet::new(),
            retried: BTreeSet::new(),
            deaths: BTreeMap::new(),
            banished: BTreeSet::new(),
            died_again: BTreeSet::new(),
            notes_lost: false,
            residents: BTreeSet::new(),
            dead: BTreeSet::new(),
            mended: false,
            folded_us: 0,
            ticked_us: 0,
            last: VecDeque::new(),
            kills: 0,
            says: std::env::var_os("ROWMILL_SIMULATION_SAY").is_some(),
            wrong: None,
        }
    }

    fn wrong(&mut self, why: String) {
        self.wrong.get_or_insert(why);
    }

    pub(super) fn say(&self, what: impl std::fmt::Display) {
        if self.says {
            println!("{what}");
        }
    }

    pub(super) fn passed(&mut self, process: usize, at: &'static str) {
        self.say(format_args!("  {process} at {at}"));
        if at == "rest" {
            self.is_not_noted(process);
        }
        self.last.push_back((process, at));
        if self.last.len() > 40 {
            self.last.pop_front();
        }
    }

    /// A process is taken for dead. What it does from now on counts for nothing, and must change nothing.
    pub(super) fn banished(&mut self, process: usize) {
        self.died(process);
        self.banished.insert(process);
        self.notes_lost = true;
    }

    fn is_not_noted(&mut self, process: usize) {
        for run in self.runs.iter_mut().filter(|run| run.process == process) {
            run.noted = false;
        }
    }

    pub(super) fn commits(&self) -> u64 {
        self.commits
    }

    pub(super) fn died(&mut self, process: usize) {
        // One that was banished before dies a second time, with what it has claimed since.
        let again = self.banished.contains(&process) && self.died_again.insert(process);
        if !self.dead.insert(process) && !again {
            return;
        }
        self.say(format_args!("{process} is dead"));
        let claimed = "SELECT c.id FROM rowmill_claim c JOIN rowmill_worker w USING (incarnation) WHERE w.pid = ?1";
        let mut in_hand: BTreeSet<i64> = {
            let mut query = self.spectator.prepare_cached(claimed).unwrap();
            query.query_map([number_of(process)], |r| r.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
        };
        for run in self.runs.iter_mut().filter(|run| run.process == process) {
            if run.went == Went::On {
                run.went = Went::Died;
                in_hand.insert(run.task);
            } else if run.noted {
                in_hand.insert(run.task);
            }
        }
        for task in in_hand {
            *self.deaths.entry(task).or_default() += 1;
        }
    }

    /// A process has the place of the resident scheduler.
    pub(super) fn resides(&mut self, process: usize) {
        self.say(format_args!("{process} is the resident scheduler"));
        if let Some(other) = self.residents.iter().find(|other| !self.dead.contains(other)).copied()
            && !self.notes_lost
        {
            self.wrong(format!("{process} resides while {other} does"));
        }
        self.residents.insert(process);
    }

    /// A task begins to run.
    pub(super) fn begins(&mut self, task: i64, once: bool, attempt: u32, process: usize) {
        self.say(format_args!("{process} runs {task}, attempt {attempt}"));
        if self.banished.contains(&process) {
            self.runs.push(Run { task, attempt, process, went: Went::Died, noted: false });
            return;
        }
        if let Some(other) = self.runs.iter().find(|run| run.task == task && run.went == Went::On) {
            let other = other.process;
            self.wrong(format!("task {task} runs in {process} and in {other} at the same time"));
        }
        let before: Vec<Run> = self.runs.iter().copied().filter(|run| run.task == task).collect();
        if once && !before.is_empty() && !self.retried.contains(&task) {
            self.wrong(format!("task {task} may run once, and runs again in {process}"));
        }
        let finished = before.iter().rev().find(|run| run.went == Went::Done);
        if let Some(run) = finished.filter(|run| !self.dead.contains(&run.process) && !self.retried.contains(&task)) {
            let first = run.process;
            self.wrong(format!("task {task} was done in {first}, which lives, and runs again in {process}"));
        }
        if let Some(last) = before.last().filter(|last| last.attempt > attempt && !self.retried.contains(&task)) {
            let last = last.attempt;
            self.wrong(format!("attempt {attempt} of task {task} comes after attempt {last}"));
        }
        self.is_not_noted(process);
        self.runs.push(Run { task, attempt, process, went: Went::On, noted: true });
    }

    /// It has ended.
    pub(super) fn ends(&mut self, task: i64, process: usize, went: Went) {
        self.say(format_args!("{process} has run {task}: {went:?}"));
        let on = |run: &&mut Run| run.task == task && run.process == process && run.went == Went::On;
        if let Some(run) = self.runs.iter_mut().find(on) {
            run.went = went;
        }
    }

    /// A batch was fetched: nothing may stand before it in the order of work.
    pub(super) fn fetched(&mut self, process: usize, partition: Partition, batch: &Fetched) {
        let next = "SELECT r.priority, r.id FROM rowmill_ready r JOIN queue q ON q.id = r.id
                     WHERE r.generation = ?1 AND r.partition = ?2
                       AND q.job NOT IN (SELECT job FROM rowmill_pause)
                     ORDER BY r.priority DESC, r.id LIMIT ?3";
        let place = rusqlite::params![partition.generation, partition.index, batch.len() as i64];
        let order: Fetched = {
            let mut query = self.spectator.prepare_cached(next).unwrap();
            let rows = query.query_map(place, |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
            rows.collect::<Result<_, _>>().unwrap()
        };
        if order != *batch {
            self.wrong(format!("{process} fetched {batch:?} while the order was {order:?}"));
        }
    }

    /// Looks at what is stored, if anything was committed since the last look.
    pub(super) fn look(&mut self) {
        let version: i64 =
            self.spectator.prepare_cached("PRAGMA data_version").unwrap().query_row([], |r| r.get(0)).unwrap();
        if std::mem::replace(&mut self.version, version) == version {
            return;
        }
        self.commits += 1;
        if self.commits.is_multiple_of(self.laws_every) {
            self.look_at_laws();
        }
        self.look_at_effects();
        self.look_at_runs();
    }

    /// All at one instant: nobody writes meanwhile, and a transaction for each law would cost more than the laws do.
    fn look_at_laws(&mut self) {
        let say = |sql| self.spectator.prepare_cached(sql).unwrap().execute([]).unwrap();
        say("BEGIN");
        let wrongs = laws::wrongs(&self.spectator);
        say("ROLLBACK");
        if let Some(first) = wrongs.first() {
            self.wrong(first.clone());
        }
    }

    /// What runs is settled by nobody else.
    fn look_at_runs(&mut self) {
        let on: Vec<Run> = self.runs.iter().copied().filter(|run| run.went == Went::On).collect();
        for Run { task, process, .. } in on {
            let status = "SELECT status FROM task WHERE id = ?1 AND status IN ('done', 'dead')";
            let found = self.spectator.prepare_cached(status).unwrap().query_row([task], |r| r.get::<_, String>(0));
            if let Ok(status) = found {
                self.wrong(format!("task {task} is {status} while {process} runs it"));
            }
        }
    }

    /// Whether a process runs a task just now.
    pub(super) fn is_running(&self, process: usize) -> bool {
        self.runs.iter().any(|run| run.process == process && run.went == Went::On)
    }

    /// The process that took a worker's place last.
    pub(super) fn newest_of(&self, index: u32) -> Option<usize> {
        let newest = "SELECT pid FROM rowmill_worker WHERE worker = ?1 ORDER BY incarnation DESC LIMIT 1";
        let pid = self.spectator.prepare_cached(newest).unwrap().query_row([index], |r| r.get(0)).optional();
        pid.unwrap().map(process_of)
    }

    /// Whether another process runs just now what this one ran when it died, or was taken for dead.
    pub(super) fn is_run_by_another(&self, process: usize) -> bool {
        let own = self.runs.iter().rev().find(|run| run.process == process && run.went == Went::Died);
        own.is_some_and(|own| self.runs.iter().any(|run| run.task == own.task && run.went == Went::On))
    }

    /// An effect is there exactly when its task is done.
    fn look_at_effects(&mut self) {
        let torn = "SELECT task, count(*) FROM effect GROUP BY task HAVING count(*) <> 1
                    UNION ALL SELECT e.task, 0 FROM effect e JOIN task t ON t.id = e.task WHERE t.status <> 'done'
                    UNION ALL SELECT t.id, -1 FROM task t WHERE t.status = 'done' AND t.param LIKE '%\"effect\"%'
                        AND NOT EXISTS (SELECT 1 FROM effect e WHERE e.task = t.id)";
        let torn: Option<(i64, i64)> = {
            let mut query = self.spectator.prepare_cached(torn).unwrap();
            query.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap().next().transpose().unwrap()
        };
        if let Some((task, count)) = torn {
            self.wrong(format!("task {task}: its effect was done {count} times (0: it is not done; -1: it is)"));
        }
        let family = "SELECT p.id, (SELECT count(*) FROM queue c WHERE c.parent = p.id) FROM task p
                       WHERE p.param LIKE '%\"effect\"%'
                         AND (SELECT count(*) FROM queue c WHERE c.parent = p.id) > iif(p.status = 'done', 2, 0)";
        let family: Option<(i64, i64)> = {
            let mut query = self.spectator.prepare_cached(family).unwrap();
            query.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap().next().transpose().unwrap()
        };
        if let Some((task, count)) = family {
            self.wrong(format!("task {task} has {count} follow-ups, and is not done or asked for two"));
        }
    }

    fn one(&self, sql: &str) -> i64 {
        self.spectator.prepare_cached(sql).unwrap().query_row([], |r| r.get(0)).unwrap()
    }

    /// Whether nothing is left to be done.
    pub(super) fn is_at_rest(&self) -> bool {
        self.one(
            "SELECT NOT EXISTS (SELECT 1 FROM rowmill_ready) AND NOT EXISTS (SELECT 1 FROM rowmill_delayed)
                AND NOT EXISTS (SELECT 1 FROM rowmill_settled) AND NOT EXISTS (SELECT 1 FROM rowmill_followup)
                AND NOT EXISTS (SELECT 1 FROM rowmill_claim)",
        ) == 1
    }

    /// What is left to be done, for a message.
    pub(super) fn left(&self) -> String {
        let tables = ["ready", "delayed", "settled", "followup", "claim"];
        let counts = tables.map(|table| (table, self.one(&format!("SELECT count(*) FROM rowmill_{table}"))));
        let left: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
        format!("{left:?}")
    }

    /// What must be true at the end.
    pub(super) fn close(&mut self) {
        self.look_at_laws();
        let rows: BTreeMap<i64, (String, u32)> = {
            let mut query = self.spectator.prepare_cached("SELECT id, status, attempt FROM queue").unwrap();
            let rows = query.query_map([], |r| Ok((r.get(0)?, (r.get(1)?, r.get(2)?)))).unwrap();
            rows.collect::<Result<_, _>>().unwrap()
        };
        for id in self.asked.clone() {
            match rows.get(&id) {
                None if self.may_be_gone.contains(&id) => {}
                None => self.wrong(format!("task {id} was acknowledged, and is gone")),
                Some((status, _)) if !["done", "dead", "cancelled"].contains(&status.as_str()) => {
                    self.wrong(format!("task {id} is {status} in the end"));
                }
                Some((status, attempt)) => self.close_one(id, status, *attempt),
            }
        }
        let mut query = self
            .spectator
            .prepare_cached("SELECT DISTINCT unique_key FROM queue WHERE unique_key IS NOT NULL")
            .unwrap();
        let keys: Vec<String> = query.query_map([], |r| r.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        drop(query);
        for key in keys {
            let again = "INSERT INTO queue (job, unique_key) VALUES ('play', ?1)";
            if let Err(e) = self.spectator.execute(again, [&key]) {
                self.wrong(format!("the key {key} is not free in the end: {e}"));
            }
        }
    }

    /// Nobody is charged for another's crash, and nothing is done that did not run.
    fn close_one(&mut self, id: i64, status: &str, attempt: u32) {
        if self.retried.contains(&id) {
            return;
        }
        let runs: Vec<Run> = self.runs.iter().copied().filter(|run| run.task == id).collect();
        // What a banished process did may still count, as long as nobody had taken its place.
        if runs.iter().any(|run| self.banished.contains(&run.process)) {
            return;
        }
        let of = |went: Went| runs.iter().filter(|run| run.went == went).count() as u32;
        let blame = of(Went::Failed) + self.deaths.get(&id).copied().unwrap_or(0);
        let charged = attempt - u32::from(status == "done");
        // A claim charges in advance; whoever takes the task back meanwhile leaves it so.
        if charged > blame && status != "cancelled" {
            self.wrong(format!(
                "task {id} ({status}) is charged {charged} attempts, and {blame} of its runs failed or died"
            ));
        }
        if !self.notes_lost && status != "cancelled" && charged < of(Went::Died) {
            let died = of(Went::Died);
            self.wrong(format!("task {id} ({status}) took {died} processes along, and is charged {charged} attempts"));
        }
        if status == "done" && of(Went::Done) == 0 {
            self.wrong(format!("task {id} is done, and no run of it was: {runs:?}"));
        }
    }

    /// The last turns, for whoever reads what went wrong.
    pub(super) fn last_turns(&self) -> String {
        self.last.iter().map(|(process, at)| format!("{process}:{at}")).collect::<Vec<_>>().join(" ")
    }
}
