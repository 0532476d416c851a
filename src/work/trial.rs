//! One run in the foreground, without any row: what a developer tries a job with.
//!
//! The runner is the workers' own, so that a job meets here what it will meet there: its timeout, its environment, its
//! limits. Only its output goes to whoever asks, and nobody settles anything.

use super::exec::{OutputLine, signal_number};
use super::job::Registry;
use super::runner::{Runner, Tools};
use super::stop::{Level, Stop};
use crate::clock::{Clock, Watch};
use crate::error::{Error, Result};
use crate::log::Journal;
use crate::store::Body;
use crate::task::{Cause, Ending, Outcome, Task};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked whether the runner is still there.
const LOOK: Duration = Duration::from_secs(1);
/// How long a job in Rust has to let go when it is broken off.
const LET_GO: Duration = Duration::from_secs(5);

/// Runs `task` once and answers how that ended. No database is touched; the job sees the task's id, whatever that is, and
/// attempt number one more than `attempts_charged`. `output` gets each line that an executable writes, when it is
/// complete; it is called on another thread. What a job in Rust logs goes to `journal`.
///
/// The first request to `stop` breaks the run off: an executable gets TERM, and KILL after its grace; a future is dropped.
/// The answer is `Interrupted` then. Errors: a job in Rust that does not let go within 5 s, whose thread is left behind;
/// no thread or descriptor to be had.
pub fn try_once(
    registry: Arc<Registry>,
    task: Task,
    journal: Arc<Journal>,
    clock: Clock,
    stop: &Stop,
    output: fn(&OutputLine),
) -> Result<Ending> {
    let grace_ms = registry.get(&task.job).map_or(0, |job| job.policy.grace_ms);
    let tools = Tools { registry, journal, clock, worker: 0, body: Body::default(), live: Some(output) };
    let runner = Runner::start(tools)?;
    runner.run(vec![task], None)?;
    let mut asked: Option<Watch> = None;
    loop {
        let let_go = Duration::from_millis(grace_ms) + LET_GO;
        let left = asked.map(|since| since.left_of(let_go));
        wait(&runner, (asked.is_none()).then_some(stop), left)?;
        let (mut finished, over) = runner.desk.take();
        if let Some(finished) = finished.pop() {
            runner.end(|| stop.level() > Level::GoOn);
            return Ok(finished.ending);
        }
        if over && asked.is_some() {
            return Ok(Ending::Interrupted);
        }
        if over || !runner.is_alive() {
            return Err(Error::failed("the run ended without an answer"));
        }
        if left.is_some_and(|left| left.is_zero()) {
            return Err(Error::failed("the job was told to stop and does not let go"));
        }
        if asked.is_none() && stop.level() > Level::GoOn {
            runner.desk.break_off();
            asked = Some(Watch::start());
        }
    }
}

/// The code that a process exits with that ends as the run did. An executable's own; 128 and the number of the signal that
/// ended it; of other runs 0 for done, 1 for failed, 65 (`EX_DATAERR`) for rejected or a param that does not decode, 75
/// (`EX_TEMPFAIL`) for to be tried again, 130 (as after SIGINT) for broken off.
pub fn exit_code(ending: &Ending) -> u8 {
    match ending {
        Ending::Answered(Outcome::Done { .. }) => 0,
        Ending::Answered(Outcome::Retry { .. } | Outcome::Snooze { .. }) | Ending::NotNow(_) => 75,
        Ending::Answered(Outcome::Reject { .. }) | Ending::Failed(Cause::Rejected(_)) | Ending::Undecodable(_) => 65,
        Ending::Failed(Cause::Exit { code, .. }) => u8::try_from(*code).unwrap_or(1),
        Ending::Failed(Cause::Signal { name }) => {
            signal_number(name).and_then(|number| u8::try_from(128 + number).ok()).unwrap_or(1)
        }
        Ending::Failed(_) | Ending::UnknownJob => 1,
        Ending::Interrupted | Ending::PowerCut => 130,
    }
}

/// Until the run is over, a stop is asked for (if that is news), or the time is over.
fn wait(runner: &Runner, stop: Option<&Stop>, left: Option<Duration>) -> Result<()> {
    let mut fds = vec![PollFd::from_borrowed_fd(runner.desk.over(), PollFlags::IN)];
    fds.extend(stop.map(|stop| PollFd::from_borrowed_fd(stop.descriptor(), PollFlags::IN)));
    let timeout = Timespec::try_from(left.unwrap_or(LOOK).min(LOOK)).ok();
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
