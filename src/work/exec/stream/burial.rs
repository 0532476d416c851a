//! What becomes of a stream's tasks when it has ended, by itself or because it was ended.
//!
//! All that it had written before counts. Then the first task that is not answered is charged if the child had begun it; what
//! it had not begun goes to the next child. A child that ends before it begins its first task could not be started, as it
//! were: that is said of the task that waited for it.

use super::stint::Stint;
use crate::task::{Cause, Ending, Policy, Task};
use crate::work::desk::Finished;
use crate::work::exec::attend::{self, Reason};
use crate::work::exec::pipes::Written;
use crate::work::exec::{Command, ending, memory};
use std::collections::VecDeque;
use std::io;
use std::process::ExitStatus;

/// What a child that has ended leaves behind.
pub(super) struct Left {
    /// How it ended, for the log.
    pub(super) why: String,
    /// It had not begun a single task: the next one will hardly fare better.
    pub(super) unlucky: bool,
}

impl Stint<'_> {
    /// Sees to a child that has ended or is to end now, and to the tasks that it had in hand.
    pub(super) fn settle_up(mut self, tasks: &mut VecDeque<Task>) -> Left {
        // Whoever is left in the group could write on.
        self.child.process.kill();
        self.read_the_rest();
        let begun = self.begun() || self.presumed;
        let unlucky = !begun && self.child.served == 0 && self.course.reason.is_none();
        self.give_back(tasks, usize::from(begun || self.course.reason.is_some() || unlucky));
        let (command, policy) = (self.duty.command, self.duty.policy);
        let cpu_ms = if self.child.cpu_limited { self.child.process.cpu_ms() } else { None };
        let tail = self.lines.next_run();
        let (reason, wrong) = (self.course.reason, self.wrong.take());
        let kills_before = self.child.kills_before;
        let status = self.child.process.reap();
        let exit = Exit { status, reason, cpu_ms, kills_before, tail };
        let (ending, why) = exit.ending(command, policy, wrong);
        if let Some(first) = self.hand.pop_front() {
            let ending = match unlucky {
                true => Ending::Failed(Cause::NotStarted(format!("it ended before it began a task: {why}"))),
                false => ending,
            };
            let finished_at_ms = self.duty.tools.clock.now_ms();
            let (task, started_at_ms) = (first.task, first.started_at_ms);
            self.duty.desk.put(Finished { task, ending, started_at_ms, finished_at_ms });
        }
        Left { why, unlucky }
    }

    /// The same for one that ended while it had nothing in hand.
    pub(super) fn bury(self) -> Left {
        self.settle_up(&mut VecDeque::new())
    }

    /// Whether it had begun the first of the tasks in its hand.
    fn begun(&self) -> bool {
        let Some(first) = self.hand.front() else { return false };
        match self.duty.tokens() {
            true => self.child.untaken() < self.hand.len(),
            false => self.child.unread() < first.length,
        }
    }
}

/// How a child came to its end.
struct Exit {
    status: io::Result<ExitStatus>,
    reason: Option<Reason>,
    cpu_ms: Option<u64>,
    kills_before: Option<u64>,
    tail: String,
}

impl Exit {
    /// How the task ends that it had begun, as if it had been started for that; and why, for the log. One that was ended
    /// because of what it said has done something `wrong`.
    fn ending(self, command: &Command, policy: &Policy, wrong: Option<String>) -> (Ending, String) {
        let Exit { status, reason, cpu_ms, kills_before, tail } = self;
        if let Some(wrong) = wrong.filter(|_| reason.is_none()) {
            return (Ending::Failed(Cause::Error(wrong.clone())), wrong);
        }
        let well = status.as_ref().is_ok_and(ExitStatus::success);
        if well && reason.is_none() {
            let why = "exit code 0".to_string();
            return (Ending::Failed(Cause::Error("it ended with exit code 0, and had not answered".into())), why);
        }
        let now = memory::kernel_kills();
        let kernel_killed = !well && kills_before.zip(now).is_some_and(|(before, after)| after > before);
        let finished = attend::Finished { status, reason, written: Written::default(), cpu_ms };
        let ending = ending::ending(ending::Over { finished, tail, kernel_killed, command, policy });
        let why = match &ending {
            Ending::Failed(cause) => cause.text(),
            Ending::Answered(crate::task::Outcome::Retry { reason } | crate::task::Outcome::Reject { reason }) => {
                reason.clone()
            }
            _ => "it was broken off".to_string(),
        };
        (ending, why)
    }
}
