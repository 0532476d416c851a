//! The one place where an outcome becomes a settlement.
//!
//! A handler answers with an [`Outcome`], or ends in some other way; [`decide`] looks at that, at the job's policy and
//! at the attempts that the task has had, and says what is to be written. Nothing here touches a database; what a done task
//! brings with it ([`Company`]) is carried beside.

use super::{Backoff, Company, Delivery, Policy, Task};
use crate::clock::Millis;

/// What a handler answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is done; the result is kept with the task.
    Done {
        /// At most 1 MiB; what is above is cut off.
        result: Option<Vec<u8>>,
        /// Follow-ups and effects; `None` when there are none.
        company: Option<Box<Company>>,
    },
    /// It failed in a way that may pass: try again after the backoff. Costs an attempt.
    Retry {
        /// What an admin reads.
        reason: String,
    },
    /// Not yet: run it again after the delay. Costs no attempt.
    Snooze {
        /// Milliseconds from now.
        delay_ms: u64,
    },
    /// It can never succeed: dead at once.
    Reject {
        /// What an admin reads.
        reason: String,
    },
}

impl Outcome {
    /// Done, without a result.
    pub fn done() -> Outcome {
        Outcome::Done { result: None, company: None }
    }

    /// Done, with a result that is kept with the task.
    pub fn with_result(result: impl Into<Vec<u8>>) -> Outcome {
        Outcome::Done { result: Some(result.into()), company: None }
    }
}

/// The word of [`Cause::WorkerDied`]. An unsettled row that carries it is a suspect: it runs carefully.
pub const WORKER_DIED: &str = "worker_died";

/// The cause of a row that is parked because no worker knows its job.
pub const UNKNOWN_JOB: &str = "unknown_job";

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The handler said so.
    Error(String),
    /// It ran longer than its timeout.
    Timeout {
        /// The timeout, in milliseconds.
        after_ms: u64,
    },
    /// An executable ended with this code.
    Exit {
        /// Its exit code.
        code: i32,
        /// The last lines that it wrote to stderr.
        tail: String,
    },
    /// An executable was ended by a signal.
    Signal {
        /// The signal's name, such as `SIGKILL`.
        name: String,
    },
    /// An executable ran out of memory: by its own words, under a limit, or because the kernel killed it for want of it.
    OutOfMemory(String),
    /// An executable used up its processor time.
    Cpu {
        /// What it may use, in milliseconds.
        after_ms: u64,
    },
    /// A Rust handler panicked.
    Panic(String),
    /// An executable could not be started.
    NotStarted(String),
    /// The handler rejected the task.
    Rejected(String),
    /// What it declared to be done in its settlement failed.
    Effect(String),
    /// A follow-up that it asked for cannot be.
    FollowUp(String),
    /// It was broken off, and may not run again.
    Interrupted,
    /// The machine went down while it ran, and it may not run again.
    PowerCut,
    /// The worker that ran it died.
    WorkerDied,
}

impl Cause {
    /// The word in the row.
    pub fn word(&self) -> &'static str {
        match self {
            Cause::Error(_) => "error",
            Cause::Timeout { .. } => "timeout",
            Cause::Exit { .. } => "exit",
            Cause::Signal { .. } => "signal",
            Cause::OutOfMemory(_) => "out_of_memory",
            Cause::Cpu { .. } => "cpu",
            Cause::Panic(_) => "panic",
            Cause::NotStarted(_) => "not_started",
            Cause::Rejected(_) => "rejected",
            Cause::Effect(_) => "effect",
            Cause::FollowUp(_) => "follow_up",
            Cause::Interrupted => "interrupted",
            Cause::PowerCut => "power_cut",
            Cause::WorkerDied => WORKER_DIED,
        }
    }

    /// What an admin reads.
    pub fn text(&self) -> String {
        match self {
            Cause::Error(text) | Cause::Panic(text) | Cause::NotStarted(text) | Cause::Rejected(text) => text.clone(),
            Cause::OutOfMemory(text) => format!("out of memory: {text}"),
            Cause::Cpu { after_ms } => {
                format!("used up its {} of processor time (SIGXCPU)", super::span_text(*after_ms))
            }
            Cause::Effect(text) | Cause::FollowUp(text) => text.clone(),
            Cause::Timeout { after_ms } => format!("ran longer than {}", super::span_text(*after_ms)),
            Cause::Exit { code, tail } if tail.is_empty() => format!("exit code {code}"),
            Cause::Exit { code, tail } => format!("exit code {code}: {tail}"),
            Cause::Signal { name } => format!("ended by {name}"),
            Cause::Interrupted => "it was broken off, and runs at most once".to_string(),
            Cause::PowerCut => "the machine went down while it ran, and it runs at most once".to_string(),
            Cause::WorkerDied => "the worker that ran it died".to_string(),
        }
    }
}

/// How a run came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The handler answered.
    Answered(Outcome),
    /// It failed.
    Failed(Cause),
    /// This worker does not know the job. Where a living one does, the store writes nothing.
    UnknownJob,
    /// The param does not decode.
    Undecodable(String),
    /// It was stopped for a reason that is not the task's fault.
    Interrupted,
    /// It could not begin for a reason that passes and is not the task's fault. Costs no attempt.
    NotNow(String),
    /// The machine went down while it ran.
    PowerCut,
}

/// What is to be written about a task, in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Final: done.
    Done {
        /// Attempts charged in all.
        attempt: u32,
        /// Kept with the task.
        result: Option<Vec<u8>>,
    },
    /// Ready again at `run_at_ms`.
    Delayed {
        /// Attempts charged in all.
        attempt: u32,
        /// UTC milliseconds.
        run_at_ms: Millis,
        /// Why it failed, or could not begin; `None` when it was put off without either.
        cause: Option<Cause>,
    },
    /// Ready again at once: a suspect, to be run carefully.
    Suspect {
        /// Attempts charged in all.
        attempt: u32,
    },
    /// Final: dead.
    Dead {
        /// Attempts charged in all.
        attempt: u32,
        /// Why.
        cause: Cause,
    },
    /// Kept until somebody mends what the reason says.
    Parked {
        /// `unknown_job` or `undecodable`.
        cause: &'static str,
        /// What an admin reads.
        reason: String,
    },
    /// Ready as before, nothing charged: nothing is written, but that a claimed task is put back.
    Untouched,
}

impl Settlement {
    /// The status that the task has afterwards, for the log.
    pub fn word(&self) -> &'static str {
        match self {
            Settlement::Done { .. } => "done",
            Settlement::Delayed { .. } => "delayed",
            Settlement::Suspect { .. } => "ready",
            Settlement::Dead { .. } => "dead",
            Settlement::Parked { .. } => "parked",
            Settlement::Untouched => "ready",
        }
    }
}

/// Why a task that runs at most once is dead when it answers `Snooze`.
const SNOOZED: &str = "it asked to be run again later, and runs at most once";

/// Decides what becomes of `task` after a run that came to `ending` at `now_ms`.
pub fn decide(task: &Task, ending: Ending, policy: &Policy, now_ms: Millis) -> Settlement {
    let attempt = task.attempts_charged.saturating_add(1);
    let once = policy.delivery == Delivery::AtMostOnce;
    match ending {
        Ending::Answered(Outcome::Done { mut result, .. }) => {
            if let Some(bytes) = &mut result {
                bytes.truncate(RESULT_BYTES);
            }
            Settlement::Done { attempt, result }
        }
        Ending::Answered(Outcome::Snooze { .. }) if once => {
            Settlement::Dead { attempt, cause: Cause::Error(SNOOZED.into()) }
        }
        Ending::Answered(Outcome::Snooze { delay_ms }) => {
            Settlement::Delayed { attempt: task.attempts_charged, run_at_ms: later(now_ms, delay_ms), cause: None }
        }
        Ending::Answered(Outcome::Reject { reason }) => Settlement::Dead { attempt, cause: Cause::Rejected(reason) },
        Ending::Answered(Outcome::Retry { reason }) => retry(task, attempt, Cause::Error(reason), policy, now_ms),
        Ending::Failed(cause) => retry(task, attempt, cause, policy, now_ms),
        Ending::UnknownJob => Settlement::Parked {
            cause: UNKNOWN_JOB,
            reason: format!("no worker knows the job `{}`; the row is kept until one does", task.job),
        },
        Ending::Undecodable(reason) => Settlement::Parked { cause: "undecodable", reason },
        Ending::Interrupted if once => Settlement::Dead { attempt, cause: Cause::Interrupted },
        Ending::PowerCut if once => Settlement::Dead { attempt, cause: Cause::PowerCut },
        Ending::Interrupted | Ending::PowerCut => Settlement::Untouched,
        Ending::NotNow(reason) => Settlement::Delayed {
            attempt: task.attempts_charged,
            run_at_ms: later(now_ms, NOT_NOW.pause_ms(task.id, attempt)),
            cause: Some(Cause::NotStarted(reason)),
        },
    }
}

/// Of a result that much is kept.
const RESULT_BYTES: usize = 1 << 20;
/// How long a task waits that could not begin for want of something of the machine: long enough for that to change, and
/// spread, so that those that were refused together do not all come back at the same instant.
const NOT_NOW: Backoff = Backoff { first_ms: 2_000, factor: 1.0, max_ms: 2_000 };

fn retry(task: &Task, attempt: u32, cause: Cause, policy: &Policy, now_ms: Millis) -> Settlement {
    let max_attempts = task.max_attempts.unwrap_or(policy.max_attempts).max(1);
    // What could not be started has not been run.
    let once = policy.delivery == Delivery::AtMostOnce && !matches!(cause, Cause::NotStarted(_));
    if attempt >= max_attempts || once {
        return Settlement::Dead { attempt, cause };
    }
    if cause == Cause::WorkerDied {
        // Not the time but being alone is what may help it; and nothing else should wait for the job's backoff.
        return Settlement::Suspect { attempt };
    }
    let run_at_ms = later(now_ms, policy.backoff.pause_ms(task.id, attempt));
    Settlement::Delayed { attempt, run_at_ms, cause: Some(cause) }
}

/// The latest instant that a row can carry: the end of the year 9999.
const LATEST_MS: Millis = 253_402_300_799_999;

fn later(now_ms: Millis, delay_ms: u64) -> Millis {
    now_ms.saturating_add(Millis::try_from(delay_ms).unwrap_or(LATEST_MS)).min(LATEST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Codec;

    fn task(attempts_charged: u32, max_attempts: Option<u32>) -> Task {
        let param = Vec::new();
        Task {
            id: 7,
            job: "j".into(),
            param,
            codec: Codec::Json,
            priority: 0,
            attempts_charged,
            max_attempts,
            careful: false,
        }
    }

    fn failed() -> Ending {
        Ending::Failed(Cause::Error("no".into()))
    }

    #[test]
    fn the_last_attempt_is_the_one_that_kills() {
        let policy = Policy { max_attempts: 3, ..Policy::default() };
        let after = |charged| decide(&task(charged, None), failed(), &policy, 1_000);
        assert!(matches!(after(0), Settlement::Delayed { attempt: 1, .. }));
        assert!(matches!(after(1), Settlement::Delayed { attempt: 2, .. }));
        assert!(matches!(after(2), Settlement::Dead { attempt: 3, .. }));
    }

    #[test]
    fn the_row_overrides_the_policy_in_both_directions() {
        let policy = Policy { max_attempts: 3, ..Policy::default() };
        assert!(matches!(decide(&task(0, Some(1)), failed(), &policy, 0), Settlement::Dead { attempt: 1, .. }));
        assert!(matches!(decide(&task(2, Some(9)), failed(), &policy, 0), Settlement::Delayed { attempt: 3, .. }));
    }

    #[test]
    fn what_is_not_the_tasks_fault_costs_no_attempt() {
        let policy = Policy::default();
        assert_eq!(decide(&task(2, None), Ending::Interrupted, &policy, 0), Settlement::Untouched);
        let snoozed = decide(&task(2, None), Ending::Answered(Outcome::Snooze { delay_ms: 5 }), &policy, 100);
        assert_eq!(snoozed, Settlement::Delayed { attempt: 2, run_at_ms: 105, cause: None });
        assert!(matches!(decide(&task(2, None), Ending::UnknownJob, &policy, 0), Settlement::Parked { .. }));
    }

    #[test]
    fn what_could_not_begin_comes_back_soon_and_says_why() {
        let last = task(4, Some(5));
        let settlement = decide(&last, Ending::NotNow("no descriptor".into()), &Policy::default(), 10_000);
        let Settlement::Delayed { attempt: 4, run_at_ms, cause: Some(cause) } = settlement else {
            panic!("{settlement:?}")
        };
        assert!((11_000..=12_000).contains(&run_at_ms), "{run_at_ms}");
        assert_eq!((cause.word(), cause.text().as_str()), ("not_started", "no descriptor"));
    }

    #[test]
    fn what_runs_at_most_once_is_never_run_again() {
        let policy = Policy { delivery: Delivery::AtMostOnce, max_attempts: 9, ..Policy::default() };
        let after = |ending| decide(&task(0, Some(9)), ending, &policy, 0);
        let word = |ending| match after(ending) {
            Settlement::Dead { attempt: 1, cause } => cause.word(),
            other => panic!("{other:?}"),
        };
        assert_eq!(word(failed()), "error");
        assert_eq!(word(Ending::Failed(Cause::WorkerDied)), "worker_died");
        assert_eq!(word(Ending::Failed(Cause::Effect("no".into()))), "effect");
        assert_eq!(word(Ending::Failed(Cause::Timeout { after_ms: 1 })), "timeout");
        assert_eq!(word(Ending::Answered(Outcome::Retry { reason: "r".into() })), "error");
        assert_eq!(word(Ending::Answered(Outcome::Snooze { delay_ms: 1 })), "error");
        assert_eq!(word(Ending::Interrupted), "interrupted");
        assert_eq!(word(Ending::PowerCut), "power_cut");
        // What has not begun may begin.
        assert!(matches!(after(Ending::Failed(Cause::NotStarted("no".into()))), Settlement::Delayed { .. }));
        assert!(matches!(after(Ending::Undecodable("no".into())), Settlement::Parked { .. }));
        assert!(matches!(after(Ending::Answered(Outcome::done())), Settlement::Done { .. }));
    }

    #[test]
    fn a_rejected_task_is_dead_whatever_is_left() {
        let rejected = Ending::Answered(Outcome::Reject { reason: "never".into() });
        let settlement = decide(&task(0, Some(1000)), rejected, &Policy::default(), 0);
        assert_eq!(settlement, Settlement::Dead { attempt: 1, cause: Cause::Rejected("never".into()) });
    }

    #[test]
    fn of_a_result_only_so_much_is_kept() {
        let huge = Ending::Answered(Outcome::with_result(vec![7; RESULT_BYTES + 9]));
        let Settlement::Done { result, .. } = decide(&task(0, None), huge, &Policy::default(), 0) else { panic!() };
        assert_eq!(result.map(|bytes| bytes.len()), Some(RESULT_BYTES));
    }

    #[test]
    fn a_delay_beyond_the_calendar_ends_at_its_bound() {
        let snooze = Ending::Answered(Outcome::Snooze { delay_ms: u64::MAX });
        let settlement = decide(&task(0, None), snooze, &Policy::default(), 1_000);
        assert!(matches!(settlement, Settlement::Delayed { run_at_ms: LATEST_MS, .. }));
    }
}
