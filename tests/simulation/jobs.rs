//! The jobs of a run: they do what their param says, and write down that they did.

use super::record::Went;
use super::world::{Inner, Simulated};
use crate::clock::world;
use crate::task::{Backoff, Delivery, JobError, NewTask, Outcome, Policy};
use crate::work::{Context, Job, Registry};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How a run of a task goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Play {
    /// It takes so long, in milliseconds, in this many parts.
    pub(super) spans: Vec<u64>,
    pub(super) end: End,
    /// So many runs end by `end`; later ones are done.
    pub(super) times: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum End {
    Done,
    /// With an effect, and two follow-ups.
    Effect,
    Fail,
    Reject,
    Snooze,
    /// It takes its worker's process along.
    Die,
}

/// What tasks of a run cost when they fail.
fn policy(delivery: Delivery) -> Policy {
    let backoff = Backoff { first_ms: 20, factor: 2.0, max_ms: 200 };
    Policy { delivery, max_attempts: 4, backoff, ..Policy::default() }
}

impl Job for Play {
    const NAME: &'static str = "play";

    fn policy() -> Policy {
        policy(Delivery::AtLeastOnce)
    }

    async fn run(self, cx: &Context) -> Result<Outcome, JobError> {
        play(self, cx)
    }
}

/// The same, at most once.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Once(Play);

impl Job for Once {
    const NAME: &'static str = "once";

    fn policy() -> Policy {
        policy(Delivery::AtMostOnce)
    }

    async fn run(self, cx: &Context) -> Result<Outcome, JobError> {
        play(self.0, cx)
    }
}

pub(super) fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.job::<Play>().unwrap();
    registry.job::<Once>().unwrap();
    registry
}

pub(super) fn policy_of(job: &str) -> Policy {
    registry().get(job).map(|job| job.policy).unwrap_or_default()
}

/// What the world knows, and which process of it this is.
fn with<T>(act: impl FnOnce(&mut Inner, usize) -> T) -> T {
    let (world, seat) = world::here().expect("jobs of a run are in its world");
    let simulated = world.as_any().downcast_ref::<Simulated>().expect("there is one kind of world");
    let process = simulated.process_of(seat);
    act(&mut simulated.inner(), process)
}

fn play(play: Play, cx: &Context) -> Result<Outcome, JobError> {
    let (id, attempt) = (cx.task_id(), cx.attempt());
    let (earlier, hurries) = with(|inner, process| {
        let earlier = inner.record.runs.iter().filter(|run| run.task == id).count() as u32;
        inner.record.begins(id, cx.job() == Once::NAME, attempt, process);
        (earlier, inner.hurries)
    });
    for span in play.spans.iter().filter(|_| !hurries) {
        world::wait("job", Duration::from_millis(*span));
    }
    let end = if !hurries && earlier < play.times || play.end == End::Effect { play.end } else { End::Done };
    let went = match end {
        End::Done | End::Effect => Went::Done,
        End::Fail | End::Reject => Went::Failed,
        // What may run once has no other time.
        End::Snooze if cx.job() == Once::NAME => Went::Failed,
        End::Snooze => Went::Idle,
        End::Die => Went::Died,
    };
    if end == End::Die {
        with(|inner, process| inner.kill(process));
        world::pass("dies");
    }
    with(|inner, process| inner.record.ends(id, process, went));
    match end {
        End::Done => Ok(Outcome::with_result("played")),
        End::Effect => {
            let after = r#"{"spans":[1],"end":"done","times":0}"#;
            let effect = move |tx: &crate::task::Tx<'_>| {
                tx.execute(
                    "INSERT INTO effect (task, attempt) VALUES (?1, ?2)",
                    &[id.into(), i64::from(attempt).into()],
                )?;
                Ok(())
            };
            Ok(Outcome::done().effect(effect).then(NewTask::of("play", after)).then(NewTask::of("play", after)))
        }
        End::Fail => Err(JobError::new("it fails")),
        End::Reject => Ok(Outcome::Reject { reason: "never".into() }),
        End::Snooze => Ok(Outcome::Snooze { delay_ms: 30 }),
        End::Die => Err(JobError::new("nobody hears this")),
    }
}
