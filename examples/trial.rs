//! A program with jobs of its own: what `main` of one looks like, and jobs that are hard on the engine.
//!
//! The tests run it, kill it and look at what is left. Its jobs write into the table `outbox (task, n)`, which whoever uses
//! it makes first, and into files of the folder that it is started in.

use rowmill::clock::Clock;
use rowmill::{Backoff, Context, Delivery, Job, JobError, NewTask, Outcome, Policy, Schedule, Tx};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Retried at once, and nearly for ever: what is tried here are deaths.
fn stubborn() -> Policy {
    let backoff = Backoff { first_ms: 0, factor: 1.0, max_ms: 0 };
    Policy { max_attempts: 1_000, backoff, effects_ms: 60_000, ..Policy::default() }
}

fn note(tx: &Tx<'_>, task: i64, n: i64) -> Result<(), JobError> {
    tx.execute("INSERT INTO outbox (task, n) VALUES (?1, ?2)", &[task.into(), n.into()])?;
    Ok(())
}

/// Waits until there is a file of this name.
async fn wait_for(name: &str) {
    while !Path::new(name).exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Takes some milliseconds, and notes its param in its settlement.
#[derive(Deserialize)]
struct Note(i64);

impl Job for Note {
    const NAME: &'static str = "note";

    fn policy() -> Policy {
        stubborn()
    }

    async fn run(self, cx: &Context) -> Result<Outcome, JobError> {
        tokio::time::sleep(Duration::from_millis(2)).await;
        let task = cx.task_id();
        Ok(Outcome::done().effect(move |tx| note(tx, task, self.0)))
    }
}

/// Asks for as many `note`s as its param says.
#[derive(Deserialize)]
struct Fan(i64);

impl Job for Fan {
    const NAME: &'static str = "fan";

    fn policy() -> Policy {
        stubborn()
    }

    async fn run(self, cx: &Context) -> Result<Outcome, JobError> {
        let task = cx.task_id();
        let notes = (1..=self.0).map(|n| NewTask::of("note", n.to_string()));
        Ok(Outcome::with_result(format!("{} notes", self.0)).then_all(notes).effect(move |tx| note(tx, task, 0)))
    }
}

/// Waits until there is a file `answer`; then notes, and keeps its settlement open until there is a file `go`.
#[derive(Deserialize)]
struct Linger(i64);

impl Job for Linger {
    const NAME: &'static str = "linger";

    fn policy() -> Policy {
        stubborn()
    }

    async fn run(self, cx: &Context) -> Result<Outcome, JobError> {
        let task = cx.task_id();
        wait_for("answer").await;
        File::create("answered")?;
        Ok(Outcome::done().then(NewTask::of("note", "7")).effect(move |tx| {
            note(tx, task, self.0)?;
            File::create("noted")?;
            while !Path::new("go").exists() {
                std::thread::yield_now();
            }
            Ok(())
        }))
    }
}

/// Notes, then fails in its settlement at its first attempt.
#[derive(Deserialize)]
struct Stumble(i64);

impl Job for Stumble {
    const NAME: &'static str = "stumble";

    fn policy() -> Policy {
        stubborn()
    }

    async fn run(self, cx: &Context) -> Result<Outcome, JobError> {
        let (task, attempt) = (cx.task_id(), cx.attempt());
        Ok(Outcome::done().then(NewTask::of("note", "8")).effect(move |tx| {
            note(tx, task, self.0)?;
            if attempt == 1 { Err(JobError::new("stumbled")) } else { Ok(()) }
        }))
    }
}

/// Ends its worker in its settlement.
#[derive(Deserialize)]
struct Crash(#[allow(dead_code, reason = "accepted, not looked at")] IgnoredAny);

impl Job for Crash {
    const NAME: &'static str = "crash";

    fn policy() -> Policy {
        stubborn()
    }

    async fn run(self, _cx: &Context) -> Result<Outcome, JobError> {
        Ok(Outcome::done().effect(|_| std::process::abort()))
    }
}

/// Never yields.
#[derive(Deserialize)]
struct Spin(#[allow(dead_code, reason = "accepted, not looked at")] IgnoredAny);

impl Job for Spin {
    const NAME: &'static str = "spin";

    fn policy() -> Policy {
        Policy { max_attempts: 1, timeout_ms: Some(200), grace_ms: 200, ..Policy::default() }
    }

    async fn run(self, _: &Context) -> Result<Outcome, JobError> {
        File::create("spins")?;
        loop {
            std::thread::yield_now();
        }
    }
}

/// Runs at most once: leaves a file that must not be there yet, then does what its param says.
#[derive(Deserialize)]
struct Once(String);

impl Job for Once {
    const NAME: &'static str = "once";

    fn policy() -> Policy {
        Policy { delivery: Delivery::AtMostOnce, timeout_ms: Some(60_000), ..stubborn() }
    }

    async fn run(self, cx: &Context) -> Result<Outcome, JobError> {
        File::options().write(true).create_new(true).open(format!("once-{}", cx.task_id()))?;
        match self.0.as_str() {
            "wait" => wait_for("go").await,
            "retry" => return Ok(Outcome::Retry { reason: "again".into() }),
            "snooze" => return Ok(Outcome::Snooze { delay_ms: 0 }),
            "fail" => return Err(JobError::new("no")),
            _ => {}
        }
        Ok(Outcome::done())
    }
}

/// Breaks.
#[derive(Deserialize)]
struct Break(IgnoredAny);

impl Job for Break {
    const NAME: &'static str = "break";

    #[allow(clippy::panic, reason = "that is what it is for")]
    async fn run(self, _: &Context) -> Result<Outcome, JobError> {
        let Break(_) = self;
        panic!("two\nlines")
    }
}

/// Work that leaves a trace: takes as long as it is told, and brings the company that it is told.
#[derive(Deserialize)]
struct Errand {
    ms: u64,
    #[serde(default)]
    effect: bool,
    #[serde(default)]
    notes: i64,
}

impl Errand {
    /// Begins, shows every few milliseconds that it goes on, and ends.
    async fn go(&self, cx: &Context) -> Result<(), JobError> {
        trace(cx, "begin")?;
        let mut left = self.ms;
        while left > 0 {
            let step = left.min(10);
            tokio::time::sleep(Duration::from_millis(step)).await;
            left -= step;
            trace(cx, "beat")?;
        }
        trace(cx, "end")
    }
}

/// A line in the file `runs`, where those of all runs stand in the order in which they were written: what it is about,
/// task, attempt, this process, its worker (the same), and the time.
fn trace(cx: &Context, word: &str) -> Result<(), JobError> {
    let (task, attempt, pid, now_ms) = (cx.task_id(), cx.attempt(), std::process::id(), Clock::System.now_ms());
    let line = format!("{word} {task} {attempt} {pid} {pid} {now_ms}\n");
    Ok(File::options().create(true).append(true).open("runs")?.write_all(line.as_bytes())?)
}

impl Job for Errand {
    const NAME: &'static str = "errand";

    fn policy() -> Policy {
        stubborn()
    }

    async fn run(self, cx: &Context) -> Result<Outcome, JobError> {
        self.go(cx).await?;
        let task = cx.task_id();
        let outcome = Outcome::done().then_all((1..=self.notes).map(|n| NewTask::of("note", n.to_string())));
        Ok(if self.effect { outcome.effect(move |tx| note(tx, task, 0)) } else { outcome })
    }
}

/// An errand that is run at most once.
#[derive(Deserialize)]
struct Payment(Errand);

impl Job for Payment {
    const NAME: &'static str = "payment";

    fn policy() -> Policy {
        Policy { delivery: Delivery::AtMostOnce, timeout_ms: Some(60_000), ..stubborn() }
    }

    async fn run(self, cx: &Context) -> Result<Outcome, JobError> {
        self.0.go(cx).await?;
        Ok(Outcome::done())
    }
}

fn main() -> ExitCode {
    rowmill::main(|jobs| {
        jobs.job::<Note>()?;
        jobs.job::<Fan>()?;
        jobs.job::<Linger>()?;
        jobs.job::<Stumble>()?;
        jobs.job::<Crash>()?;
        jobs.job::<Spin>()?;
        jobs.job::<Once>()?;
        jobs.job::<Break>()?;
        jobs.schedule(Schedule { param: "\"{date}\"".into(), ..Schedule::new("yearly", "@yearly", "note") })?;
        jobs.job::<Errand>()?;
        jobs.job::<Payment>()?;
        Ok(())
    })
}
