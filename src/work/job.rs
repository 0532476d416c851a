//! Jobs: what a developer writes, and the registry in which a task's job name is looked up.
//!
//! A Rust job is a type that a param decodes into, with an `async fn run`. Its type is erased once, when it is
//! registered; behind the registry's door every handler looks the same. A name is looked up here and nowhere else.

use crate::error::{Error, Result};
use crate::task::{Codec, Delivery, JobError, Outcome, Policy, decode};
use crate::work::exec::Command;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

/// A job written in Rust: the type is its param.
///
/// ```
/// # use rowmill::{Context, Job, JobError, Outcome};
/// #[derive(serde::Deserialize)]
/// struct Greet { name: String }
///
/// impl Job for Greet {
///     const NAME: &'static str = "greet";
///     async fn run(self, cx: &Context) -> Result<Outcome, JobError> {
///         log::info!("hello {}, attempt {}", self.name, cx.attempt());
///         Ok(Outcome::done())
///     }
/// }
/// ```
pub trait Job: DeserializeOwned + Send + 'static {
    /// The name in the rows: 1 to 200 characters.
    const NAME: &'static str;

    /// What its failures cost.
    fn policy() -> Policy {
        Policy::default()
    }

    /// Runs one task. It may be called again for the same task: after an error, or when the worker died before the
    /// settlement. `Err` is a failed attempt, retried by policy.
    fn run(self, cx: &Context) -> impl Future<Output = std::result::Result<Outcome, JobError>> + Send;
}

/// What a handler may know about the task that it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    pub(crate) task: i64,
    pub(crate) job: String,
    pub(crate) attempt: u32,
    pub(crate) max_attempts: u32,
    pub(crate) priority: i64,
    pub(crate) worker: u32,
}

impl Context {
    /// The id of the task.
    pub fn task_id(&self) -> i64 {
        self.task
    }

    /// The name of its job.
    pub fn job(&self) -> &str {
        &self.job
    }

    /// Which attempt this is: 1, 2, …
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Attempts until the task is dead.
    pub fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// The task's priority.
    pub fn priority(&self) -> i64 {
        self.priority
    }

    /// The index of the worker that runs it.
    pub fn worker(&self) -> u32 {
        self.worker
    }

    /// The same text for every attempt of one task, and for no other task of this database.
    pub fn idempotency_key(&self) -> String {
        format!("rowmill-{}", self.task)
    }
}

/// The erased future of a Rust job's run.
pub type JobFuture = Pin<Box<dyn Future<Output = std::result::Result<Outcome, JobError>> + Send>>;

type Start = dyn Fn(Codec, &[u8], Context) -> std::result::Result<JobFuture, String> + Send + Sync;

/// How tasks of one name are run.
pub enum Handler {
    /// In this process. The error is that of a param that does not decode.
    Rust(Box<Start>),
    /// By starting an executable.
    Exec(Command),
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Handler::Rust(_) => f.write_str("Rust"),
            Handler::Exec(command) => f.debug_tuple("Exec").field(command).finish(),
        }
    }
}

/// A registered job.
#[derive(Debug)]
pub struct Registered {
    /// What its failures cost.
    pub policy: Policy,
    /// How its tasks are run.
    pub handler: Handler,
}

/// The jobs that a worker knows, by name.
#[derive(Debug, Default)]
pub struct Registry {
    jobs: BTreeMap<String, Registered>,
    some_run_once: bool,
}

impl Registry {
    /// A registry without jobs.
    pub fn new() -> Registry {
        Registry::default()
    }

    /// Registers a Rust job. An error says that the name is taken or cannot be one.
    pub fn job<J: Job>(&mut self) -> Result<()> {
        let start = |codec: Codec, param: &[u8], cx: Context| {
            let job: J = decode(codec, param)?;
            Ok(Box::pin(async move { job.run(&cx).await }) as JobFuture)
        };
        self.add(J::NAME, Registered { policy: J::policy(), handler: Handler::Rust(Box::new(start)) })
    }

    /// Registers an executable. An error says that the name is taken or cannot be one.
    pub fn command(&mut self, name: &str, policy: Policy, command: Command) -> Result<()> {
        self.add(name, Registered { policy, handler: Handler::Exec(command) })
    }

    /// The job of this name, if it is registered.
    pub fn get(&self, name: &str) -> Option<&Registered> {
        self.jobs.get(name)
    }

    /// Whether tasks of any job run at most once.
    pub(crate) fn some_run_once(&self) -> bool {
        self.some_run_once
    }

    /// The registered names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.jobs.keys().map(String::as_str)
    }

    fn add(&mut self, name: &str, registered: Registered) -> Result<()> {
        let length = name.chars().count();
        if length == 0 || length > 200 || name.chars().any(char::is_control) {
            return Err(Error::usage(format!("`{}` cannot be a job's name", name.escape_debug()))
                .hint("a name has 1 to 200 characters, none of them a control character"));
        }
        if self.jobs.contains_key(name) {
            return Err(Error::usage(format!("the job `{name}` is registered twice"))
                .hint("rename one of the two: names of Rust jobs, [[job]] entries and scripts share one space"));
        }
        self.some_run_once |= registered.policy.delivery == Delivery::AtMostOnce;
        self.jobs.insert(name.to_string(), registered);
        Ok(())
    }
}
