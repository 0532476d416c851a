//! What everybody has left behind, read into one history: the rows, the lines of the runs, the effects, the deaths.

use super::strike::Kind;
use crate::installation::Installation;
use std::collections::{BTreeMap, BTreeSet};

/// Why a process is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// By the campaign.
    Killed(Kind),
    /// By another worker or a tick, because the campaign had stopped it.
    Stopped,
    /// The same, because the machine did not let it run.
    Frozen,
}

/// The end of a process.
#[derive(Debug, Clone)]
pub(super) struct Death {
    pub(super) fate: Fate,
    pub(super) pid: i32,
    /// Just before the signal; of a stopped one, before it was stopped; of a frozen one, when its end was written down.
    pub(super) at_ms: i64,
    /// The workers that lived then, but this one.
    pub(super) living: Vec<i32>,
}

/// A task as it ended.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) job: String,
    pub(super) status: String,
    pub(super) attempt: i64,
    pub(super) cause: Option<String>,
    pub(super) parent: Option<i64>,
    /// The number that it came in with.
    pub(super) number: Option<i64>,
    /// Whether it was to leave an effect, and how many follow-ups.
    pub(super) effect: bool,
    pub(super) notes: i64,
}

/// A line of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Begin,
    Beat,
    End,
}

/// What one run said of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) word: Word,
    pub(super) task: i64,
    pub(super) attempt: i64,
    pub(super) pid: i32,
    pub(super) worker: i32,
    pub(super) at_ms: i64,
}

#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) tasks: BTreeMap<i64, Task>,
    /// In the order in which they were written.
    pub(super) lines: Vec<Line>,
    pub(super) deaths: Vec<Death>,
    pub(super) acked: BTreeSet<i64>,
    /// How often each task's effect happened.
    pub(super) effects: BTreeMap<i64, i64>,
    /// How often the log says that a task is done.
    pub(super) said_done: BTreeMap<i64, i64>,
}

impl History {
    /// Reads everything, when nobody works any more.
    pub(super) fn read(here: &Installation, acked: BTreeSet<i64>, mut deaths: Vec<Death>) -> History {
        let known: BTreeSet<i32> = deaths.iter().map(|death| death.pid).collect();
        deaths.extend(frozen(here).into_iter().filter(|death| !known.contains(&death.pid)));
        History {
            tasks: tasks(here),
            lines: here.read("runs").lines().map(line).collect(),
            deaths,
            acked,
            effects: pairs(here, "SELECT task, count(*) FROM outbox GROUP BY task"),
            said_done: said_done(here),
        }
    }
}

fn tasks(here: &Installation) -> BTreeMap<i64, Task> {
    let conn = here.sql();
    let all = "SELECT id, job, status, attempt, cause, parent, iif(job = 'note', NULL, param ->> 'n'),
                      job = 'note' OR coalesce(param ->> 'effect', 0), iif(job = 'note', 0, coalesce(param ->> 'notes', 0))
                 FROM task";
    let mut query = conn.prepare(all).unwrap();
    let rows = query.query_map([], |r| {
        let (job, status, attempt, cause) = (r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?);
        let (parent, number, effect, notes) = (r.get(5)?, r.get(6)?, r.get(7)?, r.get(8)?);
        Ok((r.get(0)?, Task { job, status, attempt, cause, parent, number, effect, notes }))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn pairs(here: &Installation, sql: &str) -> BTreeMap<i64, i64> {
    let conn = here.sql();
    let mut query = conn.prepare(sql).unwrap();
    let rows = query.query_map([], |r| Ok((r.get(0)?, r.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

fn line(text: &str) -> Line {
    let words: Vec<&str> = text.split(' ').collect();
    let word = match words[0] {
        "begin" => Word::Begin,
        "beat" => Word::Beat,
        "end" => Word::End,
        other => panic!("{other} is no word of a run: {text}"),
    };
    let number = |n: usize| words[n].parse::<i64>().unwrap();
    let pid = |n: usize| words[n].parse::<i32>().unwrap();
    Line { word, task: number(1), attempt: number(2), pid: pid(3), worker: pid(4), at_ms: number(5) }
}

/// The days of the log, in their order.
pub(super) fn log(here: &Installation) -> String {
    let mut names: Vec<String> = std::fs::read_dir(here.path("logs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("rowmill-"))
        .collect();
    names.sort();
    names.iter().map(|name| here.read(&format!("logs/{name}"))).collect()
}

/// Those who were killed because they got nowhere, as the log says.
fn frozen(here: &Installation) -> Vec<Death> {
    let log = log(here);
    let lines = log.lines().filter(|line| line.contains("made no progress for") && line.ends_with("was killed"));
    lines
        .map(|line| {
            let (time, rest) = line.split_once(' ').unwrap();
            let at_ms = chrono::DateTime::parse_from_rfc3339(time).unwrap().timestamp_millis();
            let pid = rest.split_once("(pid ").unwrap().1.split_once(')').unwrap().0.parse().unwrap();
            Death { fate: Fate::Frozen, pid, at_ms, living: Vec::new() }
        })
        .collect()
}

fn said_done(here: &Installation) -> BTreeMap<i64, i64> {
    let mut found = BTreeMap::new();
    for line in log(here).lines().filter(|line| line.contains(" done run_ms=")) {
        let id = line.split(' ').find_map(|word| word.strip_prefix("task=")).unwrap();
        *found.entry(id.parse().unwrap()).or_insert(0) += 1;
    }
    found
}
