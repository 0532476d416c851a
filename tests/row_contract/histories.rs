//! Random short histories: statements of an application between the verbs of the engine, in any order.
//!
//! After each step the laws of the data must hold; what was final must be as it was; no id may come twice; and what a
//! worker fetches must be ready to whoever reads it, and nothing ready of its partition may stand before it. At the end
//! all is drained, and no key is left without a row. A failure names its seed and prints the history, which is the same at
//! each run.

use crate::scene::{FAR_MS, PARTITIONS, Scene, dead, done, hold_as, laws, parked, patiently, retried, settled, task};
use rowmill::store::{Batch, Hold, Settling, Verdict};
use rowmill::task::{NewTask, Partition, Settlement};
use std::collections::{BTreeMap, BTreeSet};

const STEPS: u64 = 24;

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }
}

/// A queue and what is known of it.
struct History {
    scene: Scene,
    chance: Chance,
    /// What happened, to be printed.
    steps: Vec<String>,
    /// Batches in the hands of workers.
    hands: BTreeMap<u32, (Hold, Batch)>,
    /// Final rows as they were when they were first seen final.
    finals: BTreeMap<i64, Vec<String>>,
    ids: BTreeSet<i64>,
    first_id: i64,
}

#[test]
fn whatever_applications_and_workers_do_the_laws_hold() {
    run(0..60);
}

#[test]
fn and_in_other_histories_too() {
    run(60..120);
}

#[test]
fn and_in_yet_others() {
    run(120..180);
}

#[test]
fn and_in_the_last_ones() {
    run(180..240);
}

/// Histories follow each other in one database: each begins by deleting what the last one left.
fn run(seeds: std::ops::Range<u64>) {
    let mut scene = Scene::empty();
    for seed in seeds {
        let first_id = 1 + scene.number("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'queue'");
        let (hands, finals, ids) = Default::default();
        let chance = Chance(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let mut history = History { scene, chance, steps: Vec::new(), hands, finals, ids, first_id };
        let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| history.live()));
        // The panic itself has been printed; this adds how it came to that.
        assert!(lived.is_ok(), "seed {seed}:\n{}", history.steps.join("\n"));
        scene = history.scene;
    }
}

impl History {
    fn live(&mut self) {
        self.sql("DELETE FROM queue WHERE true");
        for _ in 0..STEPS {
            match self.chance.below(20) {
                0..5 => self.insert(),
                5..8 => self.change(),
                8..10 => self.take_back(),
                10 => self.roll_back(),
                11 => self.enqueue(),
                12..15 => self.fetch(),
                15..18 => self.settle(),
                18 => self.fold(),
                _ => self.promote(),
            }
            if self.chance.below(2) == 0 {
                let counted = self.scene.store.count(1 + self.chance.below(8) as usize).unwrap();
                self.steps.push(format!("count: {counted}"));
            }
            self.look();
        }
        self.drain();
        self.scene.count();
        self.look();
        laws::hold(&self.scene.database.conn);
        let left = self.scene.number("SELECT count(*) FROM task WHERE status IN ('ready', 'delayed', 'running')");
        assert_eq!(left, 0, "tasks that can run were left behind");
    }

    fn sql(&mut self, statement: &str) {
        self.steps.push(statement.to_string());
        self.scene.sql(statement);
    }

    /// An id of this history, maybe of a row that is gone, or `all`.
    fn target(&mut self) -> String {
        let last = self.scene.number("SELECT coalesce(max(seq), 1) FROM sqlite_sequence WHERE name = 'queue'");
        let id = self.first_id + self.chance.below((last - self.first_id + 2).max(1) as u64) as i64;
        match self.chance.below(12) {
            0 => "true".to_string(),
            1 => "id % 2 = 0".to_string(),
            _ => format!("id = {id}"),
        }
    }

    /// Now, in the past, or ahead: some of these the promotions reach, some not.
    fn time(&mut self) -> String {
        match self.chance.below(4) {
            0 | 1 => "NULL".to_string(),
            2 => "1000000000000".to_string(),
            _ => (FAR_MS + self.chance.below(12) as i64).to_string(),
        }
    }

    fn insertion(&mut self) -> String {
        let (priority, run_at) = (self.chance.below(4), self.time());
        let key = self.chance.of(&["NULL", "NULL", "'a'", "'b'"]);
        let (verb, conflict) = self.chance.of(&[
            ("INSERT OR IGNORE", ""),
            ("INSERT", "ON CONFLICT DO NOTHING"),
            ("INSERT", "ON CONFLICT DO UPDATE SET priority = excluded.priority, run_at = excluded.run_at"),
            ("INSERT", "ON CONFLICT DO UPDATE SET status = 'cancelled'"),
            ("INSERT OR REPLACE", ""),
        ]);
        let row = format!("('subject', {priority}, {run_at}, {key})");
        let other = if self.chance.below(4) == 0 { ", ('subject', 1, NULL, 'b')" } else { "" };
        format!("{verb} INTO queue (job, priority, run_at, unique_key) VALUES {row}{other} {conflict}")
    }

    fn insert(&mut self) {
        let triggers = self.chance.of(&["ON", "OFF"]);
        let insertion = self.insertion();
        self.sql(&format!("PRAGMA recursive_triggers = {triggers}; {insertion}"));
    }

    fn update(&mut self) -> String {
        let (time, priority, target) = (self.time(), self.chance.below(4), self.target());
        let clause = self.chance.of(&["", "", "OR IGNORE ", "OR REPLACE "]);
        let set = match self.chance.below(7) {
            6 if !clause.is_empty() => format!("unique_key = {}", self.chance.of(&["NULL", "'a'", "'b'"])),
            0 => format!("priority = {priority}"),
            1 => format!("run_at = {time}"),
            2 => "param = param || 'x'".to_string(),
            3 => format!("priority = {priority}, run_at = {time}, param = 'y'"),
            4 => "priority = priority + 1".to_string(),
            _ => format!("run_at = {time}, priority = -{priority}"),
        };
        format!("UPDATE {clause}queue SET {set} WHERE {target}")
    }

    fn change(&mut self) {
        let update = self.update();
        self.sql(&update);
        // A final row may be given another priority: that is what it says then.
        self.finals.clear();
    }

    fn taking_back(&mut self) -> String {
        let (priority, target) = (self.chance.below(4), self.target());
        match self.chance.below(4) {
            0 => format!("DELETE FROM queue WHERE {target}"),
            1 => format!("UPDATE queue SET status = 'cancelled', priority = {priority}, run_at = NULL WHERE {target}"),
            _ => format!("UPDATE queue SET status = 'cancelled' WHERE {target}"),
        }
    }

    fn take_back(&mut self) {
        let statement = self.taking_back();
        self.sql(&statement);
        // A deleted row is not final, and one that was cancelled twice may have got another priority.
        self.finals.clear();
    }

    fn roll_back(&mut self) {
        let (insertion, update, taking_back) = (self.insertion(), self.update(), self.taking_back());
        self.sql(&format!("BEGIN IMMEDIATE; {insertion}; {update}; {taking_back}; ROLLBACK"));
    }

    fn enqueue(&mut self) {
        let key = self.chance.of(&[None, None, Some("a"), Some("b")]);
        let run_at_ms = self.chance.of(&[None, None, Some(FAR_MS)]);
        let priority = self.chance.below(4) as i64;
        let new = NewTask { unique_key: key.map(String::from), run_at_ms, priority, ..task("subject") };
        let answer = self.scene.store.enqueue(&[new.clone(), new]).unwrap();
        self.steps.push(format!("enqueue {key:?} {run_at_ms:?}: {answer:?}"));
    }

    /// Takes a batch of a partition that nobody has.
    fn fetch(&mut self) {
        let index = self.chance.below(u64::from(PARTITIONS)) as u32;
        if self.hands.contains_key(&index) {
            return;
        }
        let partition = Partition { generation: 1, index };
        let hold = patiently(|| hold_as(self.scene.store.as_mut(), partition, index));
        let limit = 1 + self.chance.below(4) as usize;
        let batch = self.scene.store.fetch(&hold, limit).unwrap();
        let ids: Vec<i64> = batch.tasks.iter().map(|(t, _)| t.id).collect();
        self.steps.push(format!("fetch {limit} of {index}: {ids:?}, orphans {:?}", batch.orphans));
        let first = self.first_of(index);
        assert!(first.starts_with(&ids), "{first:?} was the order of partition {index}");
        assert!(ids.len() + batch.orphans.len() >= limit.min(first.len()), "{first:?} were ready in partition {index}");
        for id in ids {
            assert_eq!(self.scene.status(id), "ready", "task {id} was handed out");
        }
        self.hands.insert(index, (hold, batch));
    }

    /// What a reader takes for the order of a partition: its ready rows, larger priorities first.
    fn first_of(&self, index: u32) -> Vec<i64> {
        let order = "SELECT id FROM task WHERE status = 'ready' AND id % ?1 = ?2 ORDER BY priority DESC, id";
        let mut query = self.scene.database.conn.prepare_cached(order).unwrap();
        query.query_map([PARTITIONS, index], |r| r.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    fn outcome(&mut self) -> Settlement {
        match self.chance.below(8) {
            0 => retried(),
            1 => dead(),
            2 => parked(),
            3 => Settlement::Untouched,
            _ => done(),
        }
    }

    /// Settles what a worker has, or lets it die instead.
    fn settle(&mut self) {
        let Some(index) = self.hands.keys().next().copied() else { return };
        let (hold, batch) = self.hands.remove(&index).unwrap();
        if self.chance.below(6) == 0 {
            self.steps.push(format!("the worker of {index} dies"));
            return;
        }
        let outcomes: Vec<Settlement> = batch.tasks.iter().map(|_| self.outcome()).collect();
        let words: Vec<_> = batch.tasks.iter().zip(&outcomes).map(|(t, o)| (t.0.id, o.word())).collect();
        let batch_of: Vec<_> = batch.tasks.into_iter().zip(outcomes).map(|(t, o)| settled(t, o)).collect();
        let answer = self.scene.store.settle(&hold, &batch_of, &batch.orphans).unwrap();
        self.steps.push(format!("settle {words:?}: {answer:?}"));
        let Settling::Committed(verdicts) = answer else { panic!("the hold was good") };
        for ((id, word), verdict) in words.into_iter().zip(verdicts).filter(|((_, word), _)| *word != "ready") {
            let expected = match verdict {
                Verdict::Written => word,
                Verdict::Cancelled => "cancelled",
                Verdict::Gone => "gone",
                Verdict::Known => panic!("nobody lives who could know it"),
                Verdict::Refused(ref why) => panic!("nothing came with it that could be refused: {why}"),
            };
            assert_eq!(self.scene.status(id), expected, "task {id}, settled as {word}: {verdict:?}");
        }
    }

    fn fold(&mut self) {
        let before = seen_by_readers(&self.scene);
        let folded = patiently(|| self.scene.store.fold(1 + self.chance.below(40) as usize).unwrap());
        self.steps.push(format!("fold: {folded}"));
        assert_eq!(seen_by_readers(&self.scene), before, "a reader sees a fold");
        self.finals.clear();
    }

    fn promote(&mut self) {
        let (now_ms, limit) = (FAR_MS + self.chance.below(10) as i64, 1 + self.chance.below(5) as usize);
        let partitions = self.scene.store.promote(now_ms, limit).unwrap();
        let released = self.scene.store.release_known(&["subject"]).unwrap();
        self.steps.push(format!("promote {limit} up to {now_ms}: {partitions:?}; release: {released}"));
    }

    /// Checks what must hold after each step.
    fn look(&mut self) {
        let conn = &self.scene.database.conn;
        let breaches = laws::breaches(conn);
        assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
        let mut query = conn.prepare_cached("SELECT id, status IN ('done', 'dead', 'cancelled') FROM task").unwrap();
        let rows = query.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
        let rows: Vec<(i64, bool)> = rows.collect::<Result<_, _>>().unwrap();
        let largest = self.ids.last().copied().unwrap_or(self.first_id - 1);
        for (id, _) in &rows {
            assert!(self.ids.contains(id) || *id > largest, "id {id} came after {largest}");
        }
        self.ids.extend(rows.iter().map(|(id, _)| *id));
        for (id, _) in rows.iter().filter(|(_, is_final)| *is_final) {
            let seen = laws::seen(conn, *id);
            let before = self.finals.entry(*id).or_insert_with(|| seen.clone());
            assert_eq!(&seen, before, "what is final stays final");
        }
    }

    /// Lets all workers finish all work, until nothing is left that can run.
    fn drain(&mut self) {
        self.steps.push("drain".to_string());
        self.hands.clear();
        while !self.scene.store.promote(FAR_MS * 2, 100).unwrap().is_empty() {}
        for index in 0..PARTITIONS {
            let hold = patiently(|| hold_as(self.scene.store.as_mut(), Partition { generation: 1, index }, index));
            loop {
                let batch = self.scene.store.fetch(&hold, 5).unwrap();
                if batch.tasks.is_empty() && batch.orphans.is_empty() {
                    break;
                }
                let all: Vec<_> = batch.tasks.into_iter().map(|t| settled(t, done())).collect();
                let answer = self.scene.store.settle(&hold, &all, &batch.orphans).unwrap();
                assert_eq!(answer, Settling::Committed(vec![Verdict::Written; all.len()]));
            }
        }
        self.scene.fold();
        self.finals.clear();
    }
}

/// Everything that a reader sees.
fn seen_by_readers(scene: &Scene) -> Vec<Vec<String>> {
    let mut query = scene.database.conn.prepare_cached("SELECT id FROM task ORDER BY id").unwrap();
    let ids: Vec<i64> = query.query_map([], |r| r.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    ids.into_iter().map(|id| laws::seen(&scene.database.conn, id)).collect()
}
