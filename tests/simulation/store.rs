//! The real store, with a seam before and, but in a short calm, after each verb, and the world in the place of sleep, bells and file times.

use super::arena::Lent;
use super::record::Fetched;
use super::world::{Inner, Kind, Simulated};
use crate::clock::{Millis, world};
use crate::error::Result;
use crate::store::*;
use crate::task::{Delivery, NewTask, Partition, Plan, Right, Settlement, Task};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

/// A process's store in a run.
pub(super) struct SeamStore {
    pub(super) real: Lent,
    pub(super) world: Arc<Simulated>,
    pub(super) process: usize,
    /// When the last sleep ended, commits were this many.
    pub(super) seen: u64,
    /// What is kept until the process has ended.
    pub(super) kept: Vec<(Badge, Option<Hold>)>,
}

impl SeamStore {
    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.world.inner())
    }

    /// The seam after a verb. In a short calm the one before the next will do.
    fn passed(&self, verb: &'static str) {
        if self.with(|inner| !inner.hurries) {
            world::pass(verb);
        }
    }
}

/// Verbs that are passed on, with their seams.
macro_rules! passed_on {
    ($(fn $verb:ident(&mut self $(, $name:ident: $kind:ty)*) -> $answer:ty;)*) => {
        $(fn $verb(&mut self $(, $name: $kind)*) -> $answer {
            world::pass(stringify!($verb));
            let answer = self.real.$verb($($name),*);
            self.passed(stringify!($verb));
            answer
        })*
    };
}

impl Store for SeamStore {
    passed_on! {
        fn plan(&mut self) -> Result<Plan>;
        fn enqueue(&mut self, tasks: &[NewTask]) -> Result<Vec<Enqueued>>;
        fn enqueue_many(&mut self, tasks: &[NewTask]) -> Result<Vec<Enqueued>>;
        fn enlist(&mut self, index: u32, now_ms: Millis) -> Result<Option<Badge>>;
        fn know(&mut self, badge: &Badge, jobs: &[&str]) -> Result<()>;
        fn knowers(&mut self, job: &str) -> Result<Option<u64>>;
        fn was_known(&mut self, partition: Partition, jobs: &[String]) -> Result<bool>;
        fn fetch_past(&mut self, hold: &Hold, limit: usize, jobs: &[String], mark: &mut Option<Mark>) -> Result<Batch>;
        fn has_others(&mut self, partition: Partition, jobs: &[String], mark: &mut Option<Mark>) -> Result<bool>;
        fn count(&mut self, limit: usize) -> Result<usize>;
        fn retire(&mut self, badge: Badge) -> Result<()>;
        fn stay(&mut self, badge: &Badge, hold: Option<Hold>) -> Result<Option<Hold>>;
        fn scheduler(&mut self) -> Result<Option<Lock>>;
        fn hold(&mut self, partition: Partition, badge: &Badge, now_ms: Millis, blame: &dyn Fn(&Task) -> Settlement)
            -> Result<Option<Hold>>;
        fn claim(&mut self, hold: &Hold, badge: &Badge, right: &Right, charged: u32, at: Millis, delivery: Delivery)
            -> Result<Claiming>;
        fn settle_claim(&mut self, claim: &Claim, ended: &Ended) -> Result<Option<Verdict>>;
        fn last_word(&mut self, claim: &Claim, word: LastWord) -> Result<()>;
        fn lost_claims(&mut self) -> Result<Vec<LostClaim>>;
        fn settle(&mut self, hold: &Hold, settled: &[Settled], orphans: &[Right]) -> Result<Settling>;
        fn spread(&mut self) -> Result<Option<Vec<Partition>>>;
        fn promote(&mut self, now_ms: Millis, limit: usize) -> Result<Vec<Partition>>;
        fn next_delayed(&mut self) -> Result<Option<Millis>>;
        fn waiting(&mut self) -> Result<Vec<Partition>>;
        fn release_known(&mut self, jobs: &[&str]) -> Result<usize>;
    }

    fn fetch(&mut self, hold: &Hold, limit: usize) -> Result<Batch> {
        world::pass("fetch");
        let batch = self.real.fetch(hold, limit)?;
        let fetched: Fetched = batch.tasks.iter().map(|(task, _)| (task.priority, task.id)).collect();
        let process = self.process;
        self.with(|inner| inner.record.fetched(process, hold.partition(), &fetched));
        self.passed("fetch");
        Ok(batch)
    }

    fn fold(&mut self, limit: usize) -> Result<Option<usize>> {
        world::pass("fold");
        let folded = self.real.fold(limit);
        self.with(|inner| inner.record.folded_us = inner.now_us);
        self.passed("fold");
        folded
    }

    fn outlast(&mut self, badge: Badge, hold: Option<Hold>) {
        self.kept.push((badge, hold));
    }

    fn ring_wanted(&mut self, wanted: u64, workers: u32) {
        let all: Vec<u32> = (0..workers).filter(|index| wanted & (1 << (index % 64)) != 0).collect();
        self.rouse(&all);
    }

    fn watchman(&self, _own: Option<&Badge>, _workers: u32) -> Box<dyn Watchman> {
        // Who is frozen for too long is killed by the run itself.
        Box::new(Nobody)
    }

    fn beat(&mut self) {}

    fn since_tick(&mut self) -> Result<Option<Duration>> {
        Ok(Some(self.with(|inner| Duration::from_micros(inner.now_us - inner.record.ticked_us))))
    }

    fn since_fold(&mut self) -> Result<Option<Duration>> {
        Ok(Some(self.with(|inner| Duration::from_micros(inner.now_us - inner.record.folded_us))))
    }

    fn listen(&mut self, _index: u32) -> Result<()> {
        Ok(())
    }

    fn sleep(&mut self, span: Duration, _stop: BorrowedFd<'_>) -> Result<Woken> {
        let commits = self.with(|inner| inner.record.commits());
        if std::mem::replace(&mut self.seen, commits) == commits {
            world::wait("sleep", span.min(Duration::from_secs(1)));
            self.seen = self.with(|inner| inner.record.commits());
        }
        Ok(Woken::Rung)
    }

    fn is_lookout(&self) -> bool {
        true
    }

    fn pass_lookout(&mut self, _workers: u32) {}

    fn ring(&mut self, partitions: &[Partition], workers: u32) {
        let all: Vec<u32> = partitions.iter().map(|partition| partition.index % workers.max(1)).collect();
        self.rouse(&all);
    }
}

impl SeamStore {
    fn rouse(&mut self, workers: &[u32]) {
        self.with(|inner| {
            let rung = inner.living(|kind| matches!(kind, Kind::Worker(index) if workers.contains(&index)));
            inner.rouse("engine", |process| rung.contains(&process));
        });
    }
}

struct Nobody;

impl Watchman for Nobody {
    fn look(&mut self, _stall: Duration) -> Result<Vec<Frozen>> {
        Ok(Vec::new())
    }
}

impl Look for SeamStore {
    passed_on! {
        fn is_held(&mut self, partition: Partition) -> Result<bool>;
        fn is_alive(&mut self, index: u32) -> Result<bool>;
        fn workers(&mut self) -> Result<Vec<WorkerInfo>>;
        fn counts(&mut self) -> Result<Counts>;
        fn oldest_ready(&mut self) -> Result<Option<Waiting>>;
        fn tasks(&mut self, filter: &Filter) -> Result<Vec<Row>>;
        fn task(&mut self, id: i64) -> Result<Option<Row>>;
    }
}

impl Timetable for SeamStore {
    passed_on! {
        fn schedules(&mut self) -> Result<Vec<Kept>>;
        fn schedule(&mut self, name: &str) -> Result<Option<Kept>>;
        fn due_schedules(&mut self, now_ms: Millis) -> Result<Vec<Kept>>;
        fn known_from(&mut self, name: &str, from_ms: Millis) -> Result<Vec<Millis>>;
        fn occurrences(&mut self, name: &str, limit: u32) -> Result<Vec<Occurrence>>;
        fn set_schedules(&mut self, wanted: &[Schedule], digest: i64, now_ms: Millis, first: &First<'_>) -> Result<()>;
        fn add_schedule(&mut self, schedule: &Schedule, next_at: Option<Millis>, now_ms: Millis) -> Result<bool>;
        fn remove_schedule(&mut self, name: &str) -> Result<bool>;
        fn pause_schedule(&mut self, name: &str, by_whom: &str, now_ms: Millis) -> Result<Option<Order>>;
        fn resume_schedule(&mut self, name: &str, now_ms: Millis) -> Result<Option<Order>>;
        fn run_schedule(&mut self, name: &str, task: &NewTask, now_ms: Millis) -> Result<Option<i64>>;
        fn fire(&mut self, firings: &[Firing]) -> Result<Vec<Result<Option<Fired>>>>;
        fn waiting_occurrences(&mut self) -> Result<Vec<(Kept, Millis)>>;
        fn fire_waiting(&mut self, name: &str, due_at: Millis, task: &NewTask, now_ms: Millis) -> Result<Option<i64>>;
        fn ahead_schedules(&mut self, now_ms: Millis) -> Result<Vec<Kept>>;
        fn rewind(&mut self, kept: &Kept, next_at: Option<Millis>, now_ms: Millis) -> Result<bool>;
    }
}

impl Operate for SeamStore {
    passed_on! {
        fn retry(&mut self, chosen: &Chosen<'_>, now_ms: Millis, tell: &mut Tell<'_>) -> Result<Tally>;
        fn cancel(&mut self, chosen: &Chosen<'_>, now_ms: Millis, tell: &mut Tell<'_>) -> Result<Tally>;
        fn release(&mut self, chosen: &Chosen<'_>, now_ms: Millis, tell: &mut Tell<'_>) -> Result<Tally>;
        fn foresee(&mut self, operation: Operation, chosen: &Chosen<'_>, now_ms: Millis, tell: &mut Tell<'_>)
            -> Result<Tally>;
    }
}

impl Govern for SeamStore {
    passed_on! {
        fn scale(&mut self, partitions: u32) -> Result<(crate::task::Generation, bool)>;
        fn stop(&mut self, by_whom: &str, now_ms: Millis) -> Result<Order>;
        fn start(&mut self, now_ms: Millis) -> Result<Option<Order>>;
        fn stopped(&mut self) -> Result<Option<Order>>;
        fn pause(&mut self, job: &str, by_whom: &str, now_ms: Millis) -> Result<Order>;
        fn resume(&mut self, job: &str) -> Result<Option<Order>>;
        fn release_paused(&mut self, job: &str, after: i64, limit: usize) -> Result<Released>;
        fn paused(&mut self) -> Result<Vec<(String, Order)>>;
        fn park_paused(&mut self, hold: &Hold, rights: &[Right]) -> Result<Option<usize>>;
        fn history(&mut self, from_day: i64) -> Result<Vec<DayCount>>;
        fn prune(&mut self, after: i64, cutoff_ms: Millis, limit: usize, dry: bool) -> Result<Pruned>;
        fn sweep(&mut self, cutoff_ms: Millis, now_ms: Millis, limit: usize) -> Result<Option<Pruned>>;
        fn prune_occurrences(&mut self, cutoff_ms: Millis, limit: usize, dry: bool) -> Result<usize>;
        fn set_curb(&mut self, curb: Option<&Curb>) -> Result<()>;
        fn curb(&mut self) -> Result<Option<Curb>>;
        fn reside(&mut self, now_ms: Millis) -> Result<Option<Lock>>;
        fn resident(&mut self) -> Result<Option<Resident>>;
    }

    fn crew(&mut self) -> Result<Vec<Hand>> {
        world::pass("crew");
        let there = self.real.workers()?;
        let crew = self.with(|inner| {
            let hand = |info: WorkerInfo| {
                let found = inner.record.newest_of(info.index).filter(|process| inner.processes[*process].alive);
                let process = found.map(|process| inner.end_of(process));
                let pid = found.map_or(0, |process| process as i32);
                Hand { info: WorkerInfo { pid, ..info }, process, claimed: None, jobs: Vec::new() }
            };
            there.into_iter().map(hand).collect()
        });
        self.passed("crew");
        Ok(crew)
    }
}
