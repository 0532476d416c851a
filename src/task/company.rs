//! What a done task brings with it into its settlement: follow-up tasks and effects.
//!
//! Both are written in the transaction that settles the task, or not at all. The company is carried beside the settlement,
//! which stays pure data: [`decide`](super::decide) never sees it. An effect is told what it may do by the [`Tx`] that it
//! is handed; what is behind that is the backend's.

use super::{Cause, Ending, NewTask, Outcome, Policy};
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// The longest list of follow-ups that one task may have, with their params, in bytes.
const FOLLOW_UP_BYTES: usize = 64 << 20;

/// A failed attempt, in words. Any error turns into it with `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobError(String);

impl JobError {
    /// A failed attempt with this message.
    pub fn new(message: impl Into<String>) -> JobError {
        JobError(message.into())
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.0
    }
}

impl<E: std::error::Error> From<E> for JobError {
    fn from(e: E) -> JobError {
        JobError(e.to_string())
    }
}

/// What a statement is given and answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Integer(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Value {
        Value::Integer(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Value {
        Value::Real(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::Text(value.to_string())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::Text(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Value {
        Value::Blob(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

/// What a backend does with the statements of an effect.
pub(crate) trait Statements {
    fn execute(&self, sql: &str, params: &[Value]) -> Result<usize, JobError>;
    fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, JobError>;
}

/// The transaction that settles a task, as its effect sees it. Statements are single ones, in the SQL of the backend, with
/// `?1`, `?2`, … for their params. Refused with words are: everything about transactions and savepoints, `ATTACH`, `PRAGMA`,
/// triggers, temporary tables, and writes to what belongs to the engine. `queue` may be written as an application may
/// write it.
pub struct Tx<'a>(pub(crate) &'a dyn Statements);

impl Tx<'_> {
    /// Runs one statement that answers no rows; answers how many rows it has changed. An error that is not handed on is
    /// overcome: what the statement did is undone, the rest of the effect stands.
    pub fn execute(&self, sql: &str, params: &[Value]) -> Result<usize, JobError> {
        self.0.execute(sql, params)
    }

    /// Runs one statement and answers its rows.
    pub fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, JobError> {
        self.0.query(sql, params)
    }
}

impl fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tx")
    }
}

type Act = dyn Fn(&Tx<'_>) -> Result<(), JobError> + Send + Sync;

/// Something that a done task does in the transaction that settles it. Clones are the same effect.
#[derive(Clone)]
pub struct Effect(Arc<Act>);

impl Effect {
    /// Does it. It may be done again in another transaction, when this one comes to nothing.
    pub(crate) fn act(&self, tx: &Tx<'_>) -> Result<(), JobError> {
        (self.0)(tx)
    }
}

impl PartialEq for Effect {
    fn eq(&self, other: &Effect) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Effect {}

impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Effect")
    }
}

/// Follow-ups and effects of one done task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Company {
    /// Inserted in order.
    pub(crate) follow_ups: Vec<NewTask>,
    /// Done in order, before the follow-ups are inserted.
    pub(crate) effects: Vec<Effect>,
    /// How long all of the effects together may take, in milliseconds.
    pub(crate) limit_ms: u64,
}

impl Company {
    /// About how much of a transaction it takes, in rows.
    pub(crate) fn weight(&self) -> usize {
        self.follow_ups.len() + 4 * self.effects.len()
    }

    /// Why a follow-up can never be inserted, if one cannot: then none is.
    fn refusal(&self) -> Option<String> {
        let bytes: usize = self.follow_ups.iter().map(|task| task.param.len() + 128).sum();
        if bytes > FOLLOW_UP_BYTES {
            let count = self.follow_ups.len();
            return Some(format!("its {count} follow-ups come to {bytes} bytes; {FOLLOW_UP_BYTES} at most"));
        }
        self.follow_ups
            .iter()
            .zip(1..)
            .find_map(|(task, n): (_, usize)| Some(format!("follow-up {n}: {}", task.refusal()?)))
    }
}

impl NewTask {
    /// A task of this job, with the defaults of the row contract.
    pub fn of(job: impl Into<String>, param: impl Into<Vec<u8>>) -> NewTask {
        NewTask { job: job.into(), param: param.into(), ..NewTask::default() }
    }
}

impl Outcome {
    /// Done, and this task is to follow: inserted in the transaction that settles this one, which it remembers as its
    /// `parent`. Of more than 1,000 the first are inserted there and the rest is written down there, to be inserted in
    /// further transactions. An outcome that is not `Done` takes no company: it drops it.
    pub fn then(self, task: NewTask) -> Outcome {
        self.then_all([task])
    }

    /// The same for several tasks, in order: at most 64 MiB of them.
    pub fn then_all(self, tasks: impl IntoIterator<Item = NewTask>) -> Outcome {
        self.accompanied(|company| company.follow_ups.extend(tasks))
    }

    /// Done, and this is to be done in the transaction that settles the task: with it or not at all, so exactly once,
    /// although the closure may be called several times, in transactions that come to nothing. It has to be quick
    /// ([`Policy::effects_ms`]), since nobody else writes meanwhile. Its error is a failed attempt of the task, with the
    /// cause `effect`. An outcome that is not `Done` takes no company: it drops it.
    ///
    /// ```
    /// # use rowmill::Outcome;
    /// let outcome = Outcome::done().effect(|tx| {
    ///     tx.execute("INSERT INTO outbox (uid, text) VALUES (?1, ?2)", &[6.into(), "hi".into()])?;
    ///     Ok(())
    /// });
    /// ```
    pub fn effect<F>(self, act: F) -> Outcome
    where
        F: Fn(&Tx<'_>) -> Result<(), JobError> + Send + Sync + 'static,
    {
        self.accompanied(|company| company.effects.push(Effect(Arc::new(act))))
    }

    fn accompanied(mut self, add: impl FnOnce(&mut Company)) -> Outcome {
        if let Outcome::Done { company, .. } = &mut self {
            add(company.get_or_insert_default());
        }
        self
    }
}

impl Ending {
    /// Parts a run's ending from the company that it has. A follow-up that the row contract forbids makes the ending a
    /// failed attempt.
    pub fn part(mut self, policy: &Policy) -> (Ending, Option<Box<Company>>) {
        let Ending::Answered(Outcome::Done { company, .. }) = &mut self else { return (self, None) };
        let Some(mut company) = company.take() else { return (self, None) };
        if let Some(why) = company.refusal() {
            return (Ending::Failed(Cause::FollowUp(why)), None);
        }
        company.limit_ms = policy.effects_ms;
        (self, Some(company))
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without words"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parted(outcome: Outcome) -> (Ending, Option<Box<Company>>) {
        Ending::Answered(outcome).part(&Policy::default())
    }

    #[test]
    fn company_is_parted_from_the_ending_and_takes_the_limit_of_the_policy() {
        let (ending, company) = parted(Outcome::with_result("r").then(NewTask::of("a", "1")).effect(|_| Ok(())));
        assert_eq!(ending, Ending::Answered(Outcome::with_result("r")));
        let company = company.unwrap();
        assert_eq!((company.follow_ups.len(), company.effects.len(), company.limit_ms), (1, 1, 250));
        assert_eq!(parted(Outcome::done()).1, None, "a plain task has none");
    }

    #[test]
    fn a_follow_up_that_the_contract_forbids_is_a_failed_attempt() {
        for bad in [
            NewTask::of("", ""),
            NewTask::of("\0", ""),
            NewTask { priority: 1 << 31, ..NewTask::of("a", "") },
            NewTask { run_at_ms: Some(1_000), ..NewTask::of("a", "") },
            NewTask { unique_key: Some(String::new()), ..NewTask::of("a", "") },
            NewTask { max_attempts: Some(0), ..NewTask::of("a", "") },
            NewTask::of("a", vec![0; (16 << 20) + 1]),
        ] {
            let (ending, company) = parted(Outcome::done().then(NewTask::of("a", "")).then(bad));
            let Ending::Failed(Cause::FollowUp(why)) = ending else { panic!("{ending:?}") };
            assert!(why.starts_with("follow-up 2: ") && company.is_none(), "{why}");
        }
        let heavy = (0..5).map(|_| NewTask::of("a", vec![0; 15 << 20]));
        assert!(matches!(parted(Outcome::done().then_all(heavy)).0, Ending::Failed(Cause::FollowUp(_))));
    }

    #[test]
    fn what_is_not_done_has_no_company() {
        let (_, company) = parted(Outcome::Snooze { delay_ms: 1 }.then(NewTask::of("a", "")).effect(|_| Ok(())));
        assert_eq!(company, None);
    }
}
