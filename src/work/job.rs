//! Jobs: what a developer writes, and the registry in which a task's job name is looked up.
//!
//! A Rust job is a type that a param decodes into, with an `async fn run`. Its type is erased once, when it is
//! registered; behind the registry's door every handler looks the same. A name is looked up here and nowhere else.

use crate::cron::Timing;
use crate::error::{Error, Result};
use crate::store::{Origin, Schedule};
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
    schedules: Vec<Schedule>,
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

    /// Registers a schedule of a pack, beside the job that it asks for. A `[[schedule]]` of the same name takes its place,
    /// so that an admin can change or switch it off. An error says that the name is taken or cannot be one, or what is
    /// wrong with its time.
    ///
    /// ```
    /// # use rowmill::{CatchUp, Registry, Schedule};
    /// # fn register(jobs: &mut Registry) -> rowmill::Result<()> {
    /// jobs.schedule(Schedule {
    ///     param: r#"{"day":"{date}"}"#.to_string(),
    ///     catch_up: CatchUp::All,
    ///     ..Schedule::new("nightly-report", "0 2 * * *", "report")
    /// })?;
    /// # Ok(())
    /// # }
    /// # register(&mut Registry::new()).unwrap();
    /// ```
    pub fn schedule(&mut self, schedule: Schedule) -> Result<()> {
        checked_name(&schedule.name, "a schedule")?;
        if self.schedules.iter().any(|other| other.name == schedule.name) {
            return Err(Error::usage(format!("the schedule `{}` is registered twice", schedule.name)));
        }
        let timing = Timing::parse(&schedule.timing, 0, schedule.zone);
        timing.map_err(|e| Error::usage(format!("schedule `{}`: `{}`: {e}", schedule.name, schedule.timing)))?;
        // A command of its own is for the configuration to name.
        self.schedules.push(Schedule { origin: Origin::Pack, guarded: false, ..schedule });
        Ok(())
    }

    /// The schedules of packs, in the order in which they were registered.
    pub fn schedules(&self) -> &[Schedule] {
        &self.schedules
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
        checked_name(name, "a job")?;
        if self.jobs.contains_key(name) {
            return Err(Error::usage(format!("the job `{name}` is registered twice"))
                .hint("rename one of the two: names of Rust jobs, [[job]] entries and scripts share one space"));
        }
        self.some_run_once |= registered.policy.delivery == Delivery::AtMostOnce;
        self.jobs.insert(name.to_string(), registered);
        Ok(())
    }
}

fn checked_name(name: &str, whose: &str) -> Result<()> {
    if (1..=200).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Error::usage(format!("`{}` cannot be {whose}'s name", name.escape_debug()))
        .hint("a name has 1 to 200 characters, none of them a control character"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_schedule_of_a_pack_is_said_where_it_is_registered() {
        let mut jobs = Registry::new();
        jobs.schedule(Schedule { guarded: true, origin: Origin::File, ..Schedule::new("a", "every 15m", "x") })
            .unwrap();
        let own = Schedule::new("a", "every 15m", "x");
        assert_eq!(jobs.schedules(), [own], "it is the pack's, and no command is asked about it");
        for (name, timing, words) in [
            ("a", "@daily", "the schedule `a` is registered twice"),
            ("", "@daily", "`` cannot be a schedule's name"),
            ("b", "61 * * * *", "schedule `b`: `61 * * * *`: `61` is not a minute (0 to 59) (at character 1)"),
        ] {
            assert_eq!(jobs.schedule(Schedule::new(name, timing, "x")).unwrap_err().to_string(), words);
        }
        assert_eq!(jobs.schedules().len(), 1);
    }
}
