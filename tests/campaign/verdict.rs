//! The checker: reads a history and says what of the promises does not hold, and what was run twice, and why.

use super::history::{Death, Fate, History, Line, Task, Word};
use super::strike::Kind;
use std::collections::{BTreeMap, BTreeSet};

/// Clocks are read, and lines written, a moment after what they are about.
const MOMENT_MS: i64 = 50;
/// The log says that a frozen worker was killed when others may have gone on already.
const SAID_LATE_MS: i64 = 5_000;

/// Why a task was run once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// Its worker died while it ran.
    WorkerDiedInRun(Fate),
    /// Its worker died after the run and before its settlement.
    WorkerDiedBeforeSettlement(Fate),
    /// Its own program was killed.
    ProgramKilled,
}

/// One run of a task.
#[derive(Debug, Clone, Copy)]
struct Run {
    attempt: i64,
    pid: i32,
    worker: i32,
    begun_ms: i64,
    ended: bool,
}

/// What came out.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// What must not be: each with its task, if it is about one.
    pub(super) faults: Vec<(Option<i64>, String)>,
    pub(super) lost: usize,
    pub(super) overlaps: usize,
    pub(super) effects_twice: usize,
    pub(super) runs: usize,
    /// Runs of a task after its first one.
    pub(super) again: BTreeMap<Reason, usize>,
    /// From a worker's death to the next run of what it had run, by one that lived at the time, in milliseconds.
    pub(super) by_living_ms: Vec<i64>,
    /// The same, by one that was started after it.
    pub(super) by_next_ms: Vec<i64>,
    /// The same, where another worker or a tick was killed or stopped meanwhile.
    pub(super) disturbed_ms: Vec<i64>,
    /// The same, where it was stopped and killed by others: from when it was stopped.
    pub(super) thaw_ms: Vec<i64>,
    /// Attempts that a death cost although no run had begun.
    pub(super) charged_unbegun: i64,
}

impl Verdict {
    pub(super) fn of(history: &History) -> Verdict {
        let mut verdict = Verdict::default();
        verdict.ends(history);
        verdict.company(history);
        let runs = verdict.runs(history);
        verdict.runs_again(history, &runs);
        verdict.charges(history, &runs);
        verdict
    }

    fn fault(&mut self, task: impl Into<Option<i64>>, text: impl Into<String>) {
        self.faults.push((task.into(), text.into()));
    }

    /// Every acknowledged row is there once, every row is final, and dead is only what may be.
    fn ends(&mut self, history: &History) {
        let mut found = BTreeSet::new();
        for (id, task) in &history.tasks {
            if let (Some(number), None) = (task.number, task.parent)
                && !found.insert(number)
            {
                self.fault(*id, format!("row {number} is there twice"));
            }
            let may_die = once(task);
            let good = task.status == "done" || (task.status == "dead" && may_die);
            if !good {
                self.fault(*id, format!("it ended as {} ({:?})", task.status, task.cause));
            }
            if history.said_done.get(id).is_some_and(|times| *times > 1) {
                self.fault(*id, "the log says more than once that it is done");
            }
        }
        for number in &history.acked {
            if !found.contains(number) {
                self.lost += 1;
                self.fault(None, format!("row {number} was acknowledged, and is lost"));
            }
        }
    }

    /// Effects and follow-ups of what is done are there once, of others never.
    fn company(&mut self, history: &History) {
        let mut children: BTreeMap<i64, i64> = BTreeMap::new();
        for parent in history.tasks.values().filter_map(|task| task.parent) {
            *children.entry(parent).or_insert(0) += 1;
        }
        for (id, task) in &history.tasks {
            let done = i64::from(task.status == "done");
            let effects = history.effects.get(id).copied().unwrap_or(0);
            if effects != done * i64::from(task.effect) {
                self.effects_twice += usize::from(effects > 1);
                self.fault(*id, format!("its effect happened {effects} times"));
            }
            let notes = children.get(id).copied().unwrap_or(0);
            if notes != done * task.notes {
                self.fault(*id, format!("it has {notes} follow-ups instead of {}", task.notes));
            }
        }
    }

    /// The runs of each task. A line of an earlier run after the beginning of a later one is an overlap.
    fn runs(&mut self, history: &History) -> BTreeMap<i64, Vec<Run>> {
        let mut runs: BTreeMap<i64, Vec<Run>> = BTreeMap::new();
        for Line { word, task, attempt, pid, worker, at_ms } in history.lines.iter().copied() {
            let of_task = runs.entry(task).or_default();
            if word == Word::Begin {
                of_task.push(Run { attempt, pid, worker, begun_ms: at_ms, ended: false });
                continue;
            }
            match of_task.last_mut() {
                Some(last) if (last.pid, last.attempt) == (pid, attempt) => last.ended |= word == Word::End,
                _ => {
                    self.overlaps += 1;
                    self.fault(task, format!("process {pid} still runs attempt {attempt} when a later run has begun"));
                }
            }
        }
        self.runs = runs.values().map(Vec::len).sum();
        runs
    }

    /// Each run after the first has a reason, and its attempt follows from that.
    fn runs_again(&mut self, history: &History, runs: &BTreeMap<i64, Vec<Run>>) {
        for (id, of_task) in runs {
            let Some(task) = history.tasks.get(id) else {
                self.fault(*id, "it ran, and there is no such row");
                continue;
            };
            if once(task) && of_task.len() > 1 {
                self.fault(*id, format!("it is to run at most once, and began {} times", of_task.len()));
            }
            for pair in of_task.windows(2) {
                let (before, after) = (pair[0], pair[1]);
                let Some((reason, death)) = reason(history, before, after.begun_ms) else {
                    self.fault(*id, format!("attempt {} runs although nobody had died", after.attempt));
                    continue;
                };
                *self.again.entry(reason).or_insert(0) += 1;
                let charged = !matches!(reason, Reason::WorkerDiedBeforeSettlement(_));
                if after.attempt < before.attempt + i64::from(charged) {
                    self.fault(*id, format!("attempt {} follows attempt {}", after.attempt, before.attempt));
                }
                let span_ms = (after.begun_ms - death.at_ms).max(0);
                match death.fate {
                    Fate::Killed(Kind::Worker) if is_disturbed(history, &death, after.begun_ms) => {
                        self.disturbed_ms.push(span_ms);
                    }
                    Fate::Killed(Kind::Worker) if death.living.contains(&after.worker) => {
                        self.by_living_ms.push(span_ms);
                    }
                    Fate::Killed(Kind::Worker) => self.by_next_ms.push(span_ms),
                    Fate::Stopped => self.thaw_ms.push(span_ms),
                    Fate::Frozen | Fate::Killed(_) => {}
                }
            }
        }
    }

    /// An attempt is charged for one death or one killed program, and a worker's death is charged to one task at most.
    fn charges(&mut self, history: &History, runs: &BTreeMap<i64, Vec<Run>>) {
        let (mut charged, mut killed_programs) = (0, 0);
        for (id, task) in &history.tasks {
            let none = Vec::new();
            let of_task = runs.get(id).unwrap_or(&none);
            let own = of_task.iter().filter(|run| !run.ended && program_death(history, run).is_some()).count() as i64;
            let by_others = task.attempt - own - i64::from(task.status == "done");
            killed_programs += own;
            charged += by_others.max(0);
            // Those of its runs that its worker did not see the end of, or had not settled.
            let died = of_task.iter().filter(|run| worker_death(history, run, i64::MAX).is_some()).count() as i64;
            self.charged_unbegun += (by_others - died).max(0);
        }
        let deaths = history.deaths.iter().filter(|death| is_workers(death)).count() as i64;
        if charged > deaths {
            self.fault(
                None,
                format!("{deaths} deaths of workers cost {charged} attempts ({killed_programs} more were own)"),
            );
        }
    }
}

/// Whether a task is to run at most once.
fn once(task: &Task) -> bool {
    task.job == "payment" || task.job == "pay"
}

fn is_workers(death: &Death) -> bool {
    matches!(death.fate, Fate::Stopped | Fate::Frozen | Fate::Killed(Kind::Worker))
}

/// Whether somebody else who could have seen to it was struck between a death and what came next.
fn is_disturbed(history: &History, death: &Death, until_ms: i64) -> bool {
    let could = |other: &Death| is_workers(other) || matches!(other.fate, Fate::Killed(Kind::Tick | Kind::Resident));
    let meanwhile = |other: &Death| death.at_ms - MOMENT_MS <= other.at_ms && other.at_ms <= until_ms;
    history.deaths.iter().any(|other| other.pid != death.pid && could(other) && meanwhile(other))
}

/// The death of the worker that did a run, before `until_ms`.
fn worker_death(history: &History, run: &Run, until_ms: i64) -> Option<Death> {
    let late = |death: &Death| if death.fate == Fate::Frozen { SAID_LATE_MS } else { MOMENT_MS };
    let its = |death: &&Death| {
        death.pid == run.worker
            && is_workers(death)
            && death.at_ms + MOMENT_MS >= run.begun_ms
            && death.at_ms <= until_ms.saturating_add(late(death))
    };
    history.deaths.iter().find(its).cloned()
}

/// The death of a run's own program.
fn program_death(history: &History, run: &Run) -> Option<Death> {
    let its = |death: &&Death| {
        death.fate == Fate::Killed(Kind::Script) && death.pid == run.pid && death.at_ms + MOMENT_MS >= run.begun_ms
    };
    history.deaths.iter().find(its).cloned()
}

/// Why a run was followed by another.
fn reason(history: &History, run: Run, until_ms: i64) -> Option<(Reason, Death)> {
    let program = program_death(history, &run).filter(|_| !run.ended);
    let death = match (worker_death(history, &run, until_ms), &program) {
        (Some(death), _) => death,
        (None, Some(death)) => return Some((Reason::ProgramKilled, death.clone())),
        (None, None) => return None,
    };
    let reason = match run.ended || program.is_some_and(|program| program.at_ms <= death.at_ms) {
        true => Reason::WorkerDiedBeforeSettlement(death.fate),
        false => Reason::WorkerDiedInRun(death.fate),
    };
    Some((reason, death))
}
