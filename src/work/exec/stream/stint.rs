//! The loop that feeds a child with what a batch has for it, and waits for what it answers.
//!
//! It sleeps in `poll` on everything that can happen. Nothing in it blocks, so no order of reading and writing on the other
//! side can bring it to a halt; and each turn does a bounded amount of work before it looks at the deadlines again.

use super::burial::Left;
use super::child::Child;
use super::{Duty, hearing, line};
use crate::clock::{Millis, Watch};
use crate::task::{Ending, Task};
use crate::work::desk::{Finished, Handed};
use crate::work::exec::OutputLine;
use crate::work::exec::attend::{Course, Reason};
use crate::work::exec::lines::Lines;
use crate::work::runner::context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::cell::Cell;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

/// How many bytes of lines are handed out at once.
const LINES: usize = 64 * 1024;
/// How long a child that may be given tasks has to end after it has closed its standard input or output.
const ENDS_WITHIN: Duration = Duration::from_millis(500);
/// With no more than this in hand, a child's answers are waited for.
const PLENTY: usize = 4;
/// How long a child that has plenty in hand is left alone before its answers are fetched.
const NAP: Duration = Duration::from_micros(300);

/// How a stint ends.
pub(super) enum Over {
    /// Nothing is left for this child.
    Done(Child),
    /// The rest of the batch is called back.
    CalledBack(Child),
    /// The child has ended.
    Gone(Left),
}

/// A task that the child was given and has not answered.
pub(super) struct InHand {
    pub(super) task: Task,
    pub(super) started_at_ms: Millis,
    /// The number of its line, and its length in bytes.
    pub(super) number: u64,
    pub(super) length: u64,
}

/// One child at work.
pub(super) struct Stint<'a> {
    pub(super) duty: Duty<'a>,
    pub(super) child: Child,
    pub(super) hand: VecDeque<InHand>,
    pub(super) course: Course,
    pub(super) lines: Lines<'a>,
    /// What it said that cannot be.
    pub(super) wrong: Option<String>,
    /// It has run a task whose token it had not taken.
    pub(super) presumed: bool,
    /// Since when it takes or says nothing any more.
    pub(super) mute: Option<Watch>,
    pub(super) called_back: bool,
    /// Its last words were answers.
    pub(super) busy: bool,
    /// Those that are answered and not yet put on the desk.
    pub(super) finished: Vec<Finished>,
    /// Which task the output is about.
    pub(super) about: Rc<Cell<Option<i64>>>,
    pub(super) chunk: Vec<u8>,
}

impl<'a> Stint<'a> {
    pub(super) fn new(duty: Duty<'a>, child: Child) -> Stint<'a> {
        let about = Rc::new(Cell::new(None));
        let whose = Rc::clone(&about);
        let output = move |line: OutputLine| duty.say(whose.get(), &line);
        let total = (!duty.command.redact).then_some(duty.command.limits.output_bytes);
        Stint {
            duty,
            child,
            hand: VecDeque::new(),
            course: Course::begin(None, 0),
            lines: Lines::new(output, total),
            wrong: None,
            presumed: false,
            mute: None,
            called_back: false,
            busy: false,
            finished: Vec::new(),
            about,
            chunk: vec![0; hearing::CHUNK],
        }
    }

    /// Runs the first of the tasks, and those behind it that are of the same job.
    pub(super) fn run(mut self, tasks: &mut VecDeque<Task>) -> Over {
        // What it wrote while it had nothing to do is about no task.
        self.hear(true, true);
        loop {
            if self.wrong.is_some() {
                return Over::Gone(self.settle_up(tasks));
            }
            if self.hand.is_empty() || self.course.is_running() {
                let handed = self.hand_out(tasks);
                if self.hand.is_empty() {
                    match handed {
                        Handed::Given => return Over::Done(self.leave()),
                        Handed::NotNow if self.duty.desk.await_settled() => continue,
                        Handed::NotNow | Handed::CalledBack => return Over::CalledBack(self.leave()),
                    }
                }
            }
            let Ok(ready) = self.wait() else {
                self.wrong.get_or_insert_with(|| "it could not be watched".to_string());
                continue;
            };
            if ready.ended {
                return Over::Gone(self.settle_up(tasks));
            }
            self.serve(&ready);
            if ready.recall {
                self.called_back = true;
                self.recall(tasks);
            }
            self.keep_deadlines(ready.abandoned, tasks);
        }
    }

    /// Tells a child that there is no more: from now on it has its job's grace to end.
    pub(super) fn tell(&mut self) {
        self.child.close();
        self.called_back = true;
        self.course = Course::begin(Some(self.duty.policy.grace_ms), self.duty.policy.grace_ms);
    }

    /// Deals with what has happened to a child that was told.
    pub(super) fn attend_to(&mut self, ready: &Ready) {
        self.serve(ready);
        self.keep_deadlines(ready.abandoned, &mut VecDeque::new());
    }

    /// The child, when it has nothing in hand.
    fn leave(mut self) -> Child {
        self.lines.next_run();
        self.child
    }

    /// Gives the child as many tasks as it may have in hand.
    fn hand_out(&mut self, tasks: &mut VecDeque<Task>) -> Handed {
        let (mut lines, mut tokens) = (Vec::new(), Vec::new());
        let mut handed = Handed::Given;
        let now_ms = self.duty.tools.clock.now_ms();
        while self.hand.len() < self.duty.stream.in_flight
            && lines.len() < LINES
            && self.child.takes_more(self.hand.len())
            && !self.child.is_spent(self.duty.stream, self.hand.len() as u64)
            && tasks.front().is_some_and(|task| task.job == self.duty.job)
        {
            let Some(task) = tasks.pop_front() else { break };
            handed = if self.called_back { Handed::CalledBack } else { self.duty.desk.hand(&task, now_ms) };
            if handed != Handed::Given {
                tasks.push_front(task);
                break;
            }
            let (token, before) = (self.child.token(), lines.len());
            let cx = context(&task, self.duty.policy, self.duty.tools.worker);
            if let Err(reason) = line::of(&task, &cx, token, &mut lines) {
                let ending = Ending::Undecodable(reason);
                self.duty.desk.put_aside(Finished { task, ending, started_at_ms: now_ms, finished_at_ms: now_ms });
                continue;
            }
            tokens.extend(token);
            if self.hand.is_empty() {
                self.course = Course::begin(self.duty.policy.timeout_ms, self.duty.policy.grace_ms);
                self.about.set(Some(task.id));
            }
            let (number, length) = (self.child.give(), (lines.len() - before) as u64);
            self.hand.push_back(InHand { task, started_at_ms: now_ms, number, length });
        }
        if !lines.is_empty() && self.child.send(&lines, &tokens).is_err() {
            self.mute.get_or_insert_with(Watch::start);
        }
        handed
    }

    fn keep_deadlines(&mut self, abandoned: bool, tasks: &mut VecDeque<Task>) {
        if self.mute.is_some_and(|since| since.left_of(ENDS_WITHIN).is_zero()) && self.course.is_running() {
            self.wrong.get_or_insert_with(|| "it has closed its standard input or output".to_string());
        }
        let over = self.course.is_running() && self.course.left() == Some(Duration::ZERO);
        if over || abandoned {
            // While it has its grace, it is to begin nothing else.
            self.recall(tasks);
        }
        if abandoned && self.course.is_running() {
            self.course.end(&self.child.process, Reason::Abandoned);
        }
        self.course.keep_deadlines(&self.child.process);
    }

    /// Takes back what the child has not begun. What it is to begin next, if it runs nothing, is left to it: like the start
    /// of a program, that counts as begun.
    fn recall(&mut self, tasks: &mut VecDeque<Task>) {
        let count = self.child.take_back(self.hand.len(), true);
        self.give_back(tasks, self.hand.len().saturating_sub(count));
    }

    /// Puts all but the first `keep` of the tasks in hand back to those that have not begun.
    pub(super) fn give_back(&mut self, tasks: &mut VecDeque<Task>, keep: usize) {
        let back = self.hand.split_off(keep.min(self.hand.len()));
        self.duty.desk.take_back(back.iter().map(|one| one.task.id));
        back.into_iter().rev().for_each(|one| tasks.push_front(one.task));
    }

    fn wait(&self) -> Result<Ready, Errno> {
        let (mut ready, mut watched) = (Ready::default(), Vec::with_capacity(6));
        let left = self.watch(&mut ready, &mut watched);
        wait_for(watched, left)?;
        Ok(ready)
    }

    /// Adds what can happen to what is watched, to be noted in `ready`; and how long it can be waited for.
    pub(super) fn watch<'s>(&'s self, ready: &'s mut Ready, watched: &mut Vec<Watched<'s>>) -> Option<Duration> {
        let desk = self.duty.desk;
        let child = &self.child;
        let running = self.course.is_running();
        // While it has plenty to do, its answers are not fetched one by one.
        let naps = self.busy && running && self.hand.len() > (self.duty.stream.in_flight / 2).max(PLENTY);
        ready.stdout = naps;
        let all = [
            (child.hungry(), PollFlags::OUT, &mut ready.stdin),
            (child.stdout.as_ref().filter(|_| !naps).map(AsFd::as_fd), PollFlags::IN, &mut ready.stdout),
            (child.stderr.as_ref().map(AsFd::as_fd), PollFlags::IN, &mut ready.stderr),
            (Some(child.process.ended()), PollFlags::IN, &mut ready.ended),
            // What stays readable would wake us without end.
            (running.then_some(desk.abandon()), PollFlags::IN, &mut ready.abandoned),
            ((!self.called_back).then_some(desk.recall()), PollFlags::IN, &mut ready.recall),
        ];
        watched.extend(all.into_iter().filter_map(|(fd, flags, noted)| Some((fd?, flags, noted))));
        let mute = self.mute.filter(|_| running).map(|since| since.left_of(ENDS_WITHIN));
        [self.course.left(), mute, naps.then_some(NAP)].into_iter().flatten().min()
    }

    fn serve(&mut self, ready: &Ready) {
        if ready.stdin && self.child.feed().is_err() {
            self.mute.get_or_insert_with(Watch::start);
        }
        self.hear(ready.stdout, ready.stderr);
    }
}

/// A descriptor, what is waited for there, and where it is noted that it has come.
pub(super) type Watched<'a> = (BorrowedFd<'a>, PollFlags, &'a mut bool);

/// Waits for the first of what is watched, at most for so long.
pub(super) fn wait_for(watched: Vec<Watched<'_>>, left: Option<Duration>) -> Result<(), Errno> {
    let mut fds: Vec<_> = watched.iter().map(|(fd, flags, _)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
    match poll(&mut fds, left.and_then(|left| Timespec::try_from(left).ok()).as_ref()) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(()),
        Err(e) => return Err(e),
    }
    for (fd, (_, _, noted)) in fds.iter().zip(watched) {
        *noted = !fd.revents().is_empty();
    }
    Ok(())
}

/// What a wait has found.
#[derive(Default)]
pub(super) struct Ready {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    pub(super) ended: bool,
    abandoned: bool,
    recall: bool,
}
