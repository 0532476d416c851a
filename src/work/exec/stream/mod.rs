//! Streams: executables that stay, and are given one task after the other as lines.
//!
//! A worker has one child for each job with `mode = "stream"`. A task goes to its standard input as a line of JSON (`line`),
//! and comes back as one from its standard output (`answer`); docs/stream.md is the protocol. `child` is the process and its
//! pipes, `stint` the loop that feeds it with what a batch has for it, `hearing` takes in what it says (`parts` cuts it
//! up), `farewell` has it end when there is no more, and `burial` is what becomes of its tasks when it has ended.
//!
//! A child works on one task at a time: it answers in the order in which it was given them, so the first that is not answered
//! is the one that it runs. Several may be in flight, so that it needs not wait for the next. Then each comes with a token, a
//! byte in a pipe, which the child takes out before it begins the task. What was not begun can be called back at any time:
//! the worker takes the tokens back out of the pipe, and the kernel gives each byte to one of the two. So whatever happens
//! (a stop, a claim, a timeout, the child's death), it is known which task had begun, and no other is touched by it.
//!
//! *Invariant:* of the tasks that a child has in hand none begins after it was called back.
//! *Invariant:* what a child's end costs is charged to the task that it had begun, and to no other.

mod answer;
mod base64;
mod burial;
mod child;
mod farewell;
mod hearing;
mod line;
mod parts;
mod stint;

use crate::clock::Watch;
use crate::store::IN_HAND;
use crate::task::{Cause, Ending, Outcome, Policy, Task};
use crate::work::desk::{Desk, Finished};
use crate::work::exec::refusal::Refusal;
use crate::work::exec::{Command, OutputLine};
use crate::work::job::Handler;
use crate::work::runner::{Tools, log_output};
use burial::Left;
use child::Child;
use farewell::see_off;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use stint::{Over, Stint};

/// The most tasks that a stream may be given before it has answered.
pub const MOST_IN_FLIGHT: usize = IN_HAND;

/// The pause before a new start, after a child that ended before it began a task.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// It doubles with each further one, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How an executable is fed task after task, and when it is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// How many tasks it may be given before it has answered the first of them: 1 to [`MOST_IN_FLIGHT`]. With more than one it
    /// has to take a token before it begins a task.
    pub in_flight: usize,
    /// It is replaced after so many tasks; `None` is never.
    pub max_tasks: Option<u64>,
    /// It is replaced when it is so old, in milliseconds; `None` is never.
    pub max_age_ms: Option<u64>,
    /// It is replaced when it has so much memory, in bytes, resident, looked at after each batch; `None` is never.
    pub max_rss_bytes: Option<u64>,
}

impl Default for Stream {
    fn default() -> Stream {
        Stream { in_flight: 1, max_tasks: None, max_age_ms: None, max_rss_bytes: None }
    }
}

/// The children of one worker.
#[derive(Default)]
pub(in crate::work) struct Streams(BTreeMap<String, Place>);

/// Where a job's child is, or will be.
#[derive(Default)]
struct Place {
    child: Option<Child>,
    /// How many have ended before they began a task, one after the other, and why the last one did.
    unlucky: u32,
    why: String,
    /// Since when, and for how long, none is started because of that.
    rests: Option<(Watch, Duration)>,
}

/// What a child is there for, and where its tasks come from and go to.
#[derive(Clone, Copy)]
struct Duty<'a> {
    job: &'a str,
    command: &'a Command,
    stream: &'a Stream,
    policy: &'a Policy,
    desk: &'a Desk,
    tools: &'a Tools,
}

impl<'a> Duty<'a> {
    fn of(job: &'a str, desk: &'a Desk, tools: &'a Tools) -> Option<Duty<'a>> {
        let registered = tools.registry.get(job)?;
        match &registered.handler {
            Handler::Exec(command) => {
                let stream = command.stream.as_deref()?;
                Some(Duty { job, command, stream, policy: &registered.policy, desk, tools })
            }
            Handler::Rust(_) => None,
        }
    }

    /// Whether tasks come with tokens.
    fn tokens(&self) -> bool {
        self.stream.in_flight > 1
    }

    /// A line of output, about a task if one is in hand.
    fn say(&self, task: Option<i64>, line: &OutputLine) {
        log_output(self.tools, task, self.job, line);
    }
}

impl Streams {
    /// Whether tasks of a job are run by a stream.
    pub(in crate::work) fn take(tools: &Tools, job: &str) -> bool {
        tools.registry.get(job).is_some_and(|job| matches!(&job.handler, Handler::Exec(c) if c.stream.is_some()))
    }

    /// Runs the first of the tasks, and those behind it that are of the same job. `false` when the rest is called back: then
    /// nothing of it has begun.
    pub(in crate::work) fn run(&mut self, desk: &Desk, tools: &Tools, tasks: &mut VecDeque<Task>) -> bool {
        let Some(job) = tasks.front().map(|task| task.job.clone()) else { return true };
        let Some(duty) = Duty::of(&job, desk, tools) else { return true };
        let place = self.0.entry(job.clone()).or_default();
        while tasks.front().is_some_and(|task| task.job == job) {
            // Before a child is had, since that may start one.
            if !duty.desk.await_settled() {
                return false;
            }
            let child = match place.child(&duty) {
                Ok(child) => child,
                Err(ending) => {
                    let Some(task) = tasks.pop_front() else { return true };
                    if !refuse(&duty, task, ending) {
                        return false;
                    }
                    continue;
                }
            };
            match Stint::new(duty, child).run(tasks) {
                Over::CalledBack(child) => {
                    place.child = Some(child);
                    return false;
                }
                Over::Done(child) => place.child = Some(child),
                Over::Gone(left) => place.lost(&duty, left),
            }
        }
        if let Some(child) = &mut place.child {
            child.weigh(duty.stream);
        }
        true
    }

    /// Ends all children, side by side: their standard input is closed, and those that have not ended after their job's
    /// grace get TERM, then KILL. Being told to break off goes on to TERM at once.
    pub(in crate::work) fn end(mut self, desk: &Desk, tools: &Tools) {
        let stints = self.0.iter_mut().filter_map(|(job, place)| {
            let duty = Duty::of(job, desk, tools)?;
            Some(Stint::new(duty, place.child.take()?))
        });
        see_off(stints.collect());
    }
}

impl Place {
    /// The child, or another one where that has ended or is to be replaced. The error is how a task ends that cannot be
    /// begun.
    fn child(&mut self, duty: &Duty<'_>) -> Result<Child, Ending> {
        if let Some(child) = self.child.take() {
            if child.has_ended() {
                let left = Stint::new(*duty, child).bury();
                self.lost(duty, left);
            } else if child.is_spent(duty.stream, 0) {
                see_off(vec![Stint::new(*duty, child)]);
            } else {
                return Ok(child);
            }
        }
        if self.rests.is_some_and(|(since, span)| !since.left_of(span).is_zero()) {
            return Err(Ending::NotNow(format!("it is not started again yet: {}", self.why)));
        }
        match Child::start(duty) {
            Ok(child) => Ok(child),
            Err(Refusal::Passing(why)) => Err(Ending::NotNow(why)),
            Err(Refusal::Param(reason)) => Err(Ending::Answered(Outcome::Reject { reason })),
            Err(Refusal::Broken(why)) => {
                self.rest(why.clone());
                Err(Ending::Failed(Cause::NotStarted(why)))
            }
        }
    }

    /// Takes note of how a child has ended.
    fn lost(&mut self, duty: &Duty<'_>, left: Left) {
        log::warn!("the stream of the job `{}` has ended: {}", duty.job, left.why);
        if left.unlucky {
            self.rest(left.why);
        } else {
            (self.unlucky, self.rests) = (0, None);
        }
    }

    fn rest(&mut self, why: String) {
        let span = FIRST_PAUSE.saturating_mul(1 << self.unlucky.min(10)).min(LONGEST_PAUSE);
        (self.unlucky, self.why, self.rests) = (self.unlucky.saturating_add(1), why, Some((Watch::start(), span)));
    }
}

/// Puts a task back that no child is there for; `false` when it is called back.
fn refuse(duty: &Duty<'_>, task: Task, ending: Ending) -> bool {
    let started_at_ms = duty.tools.clock.now_ms();
    let may_begin = duty.desk.may_begin(&task, started_at_ms);
    if may_begin {
        duty.desk.put(Finished { task, ending, started_at_ms, finished_at_ms: duty.tools.clock.now_ms() });
    }
    may_begin
}
