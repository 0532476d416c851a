//! The verb that examines the data: laws, what breaks them, and the state of what lies around them.
//!
//! A law is a sentence that holds after every transaction, whoever wrote it. Examining reads, and never writes. It takes
//! many short read transactions instead of a long one, because a reader keeps the write-ahead log from being truncated;
//! each compares what it looks at within one instant, so that nothing that is only under way is taken for a breach.

use crate::clock::Millis;
use crate::error::Result;
use std::collections::BTreeMap;

/// So many examples of what breaks a law are named.
pub const EXAMPLES: usize = 10;

/// What examines a database.
pub trait Examine {
    /// Looks at every law over all of the data. Reads each row a few times; memory is bounded, and each read transaction takes a
    /// fraction of a second where the disk is not very slow, however many rows there are. `step` hears how far it has come.
    ///
    /// Safe to repeat: yes, because it only reads.
    fn examine(&mut self, now_ms: Millis, step: &mut dyn FnMut(Step)) -> Result<Examined>;

    /// Has the database check every page of its file, and that foreign keys point somewhere. One read transaction, which
    /// takes as long as reading the whole file: meanwhile the write-ahead log is not truncated.
    ///
    /// Safe to repeat: yes, because it only reads.
    fn examine_file(&mut self) -> Result<Vec<Found>>;

    /// How the files, the processes and the settings around the data stand.
    ///
    /// Safe to repeat: yes, because it only looks.
    fn condition(&mut self) -> Result<Condition>;
}

/// A sentence that holds for the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Law {
    /// Its name, for scripts.
    pub name: &'static str,
    /// What holds.
    pub sentence: &'static str,
    /// What it means when it does not.
    pub severity: Severity,
    /// What a person does about it then.
    pub remedy: &'static str,
}

/// What it means that a law does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The data are wrong: tasks may be lost, done twice, or wait forever.
    Breach,
    /// Worth knowing; the engine gets along with it.
    Note,
}

impl Severity {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Breach => "breach",
            Severity::Note => "note",
        }
    }
}

/// What breaks a law.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The law.
    pub law: &'static Law,
    /// How many break it. While others write, what moves may be counted twice.
    pub count: u64,
    /// Some of them, the first ones that were met: at most [`EXAMPLES`].
    pub examples: Vec<Example>,
    /// Why it could not be looked at, or not at all of the data.
    pub left_out: Option<String>,
}

impl Found {
    /// Nothing, so far.
    pub fn nothing(law: &'static Law) -> Found {
        Found { law, count: 0, examples: Vec::new(), left_out: None }
    }

    /// Counts one more.
    pub fn add(&mut self, example: Example) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(example);
        }
    }

    /// Whether this says that the data are wrong.
    pub fn is_breach(&self) -> bool {
        self.count > 0 && self.law.severity == Severity::Breach
    }
}

/// One thing that breaks a law.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Example {
    /// A number: the id of a task, where the law speaks of tasks.
    Id(i64),
    /// Something else, in words.
    Text(String),
}

/// What examining has found.
#[derive(Debug, Default)]
pub struct Examined {
    /// For every law, in the order of their list, what breaks it: also where nothing does.
    pub found: Vec<Found>,
    /// What waits.
    pub waiting: Backlog,
}

/// What waits, as the examination met it.
#[derive(Debug, Default)]
pub struct Backlog {
    /// Tasks that wait, by job: the first 1,000 names.
    pub jobs: BTreeMap<String, Queued>,
    /// The ready tasks that wait longest, by id, which rises with time: task and since when. At most five.
    pub longest: Vec<(i64, Millis)>,
}

/// How many tasks of a job wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Queued {
    /// To be run.
    pub ready: u64,
    /// For their time.
    pub delayed: u64,
    /// For a person, or for a worker that knows the job.
    pub parked: u64,
}

/// How far an examination has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What is looked at.
    pub part: &'static str,
    /// How many of its rows or ids are behind it.
    pub done: u64,
    /// How many there are, where that is known without counting.
    pub of: Option<u64>,
}

/// How what lies around the data stands.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    /// The version of the database engine.
    pub engine: String,
    /// Versions of the tables, with the checksum of the text that made them.
    pub schema: Vec<(u32, i64)>,
    /// Settings of the database file by name.
    pub settings: BTreeMap<&'static str, String>,
    /// Length of the database file, in bytes.
    pub file_bytes: u64,
    /// How much of it holds nothing, in bytes.
    pub unused_bytes: u64,
    /// Length of the write-ahead log, in bytes.
    pub log_bytes: u64,
    /// The length at which the log is truncated, in bytes.
    pub log_bound: u64,
    /// What is free on the disk for this user, in bytes.
    pub free_bytes: u64,
    /// The file system of the database.
    pub file_system: String,
    /// The file system of the run folder; `None` when there is none, or it cannot be looked into.
    pub run_file_system: Option<String>,
    /// When a tick last took the scheduler's lock, by the clock of then.
    pub last_tick: Option<Millis>,
    /// When the outcome that has waited longest to be folded was settled.
    pub oldest_fresh: Option<Millis>,
    /// Dead worker processes whose claims wait to be recovered.
    pub dead: Vec<DeadWorker>,
    /// What lies in the run folder.
    pub run: RunFolder,
}

/// A dead worker process whose claims wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadWorker {
    /// Its index.
    pub index: u32,
    /// The process that it was.
    pub pid: i64,
    /// Its claimed tasks: at most [`EXAMPLES`].
    pub tasks: Vec<i64>,
    /// The earliest of these claims.
    pub since: Millis,
}

/// What lies in the run folder besides the locks of the living.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFolder {
    /// Why it could not be looked into.
    pub closed: Option<String>,
    /// Body files that nobody has locked and of whose worker nothing is written down. They are only in the way.
    pub bodies: Vec<String>,
    /// Body files that something still has locked, although their worker is gone: file, and the processes.
    pub strays: Vec<(String, Vec<i64>)>,
    /// Locks of workers and partitions that a process has which is not written down as a worker: lock, and the processes.
    pub orphans: Vec<(String, Vec<i64>)>,
    /// Sockets whose worker has ended. The next one of that index replaces it.
    pub sockets: Vec<String>,
    /// Files whose names are none of ours.
    pub foreign: Vec<String>,
}
