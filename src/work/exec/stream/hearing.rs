//! What a child says: answers, which are taken in turn, and all else, which is logged.
//!
//! Bounded in memory whatever it writes. An answer counts for the first task in hand alone; one that cannot be ends the child,
//! since nobody knows what it is doing.

use super::answer::{self, Answer, Said};
use super::parts::{LONGEST_ANSWER, Part};
use super::stint::Stint;
use crate::clock::Watch;
use crate::task::{Cause, Ending, Outcome};
use crate::work::desk::Finished;
use crate::work::exec::attend::Course;
use crate::work::exec::lines::TAIL;
use rustix::io::{Errno, read};
use std::os::fd::OwnedFd;

/// How much is read at once.
pub(super) const CHUNK: usize = 64 * 1024;
/// How much is read of one pipe after the child's end.
const TURN: usize = 2 * LONGEST_ANSWER;
/// Of so many answers it is remembered that they were given.
const REMEMBERED: usize = 64;

impl Stint<'_> {
    /// Reads what the child has written. What stands on its standard error was written before the answers that are read
    /// now, or is about the same task.
    pub(super) fn hear(&mut self, stdout: bool, stderr: bool) {
        if stderr {
            let mut errors = Vec::new();
            read_some(&mut self.child.stderr, &mut self.chunk, &mut errors, CHUNK);
            self.lines.take(true, &errors);
        }
        if stdout {
            read_some(&mut self.child.stdout, &mut self.chunk, self.child.said.buffer(), CHUNK);
            self.understand();
            // One that was told that there is no more has nothing to answer.
            if self.child.stdout.is_none() && !self.child.is_closed() {
                self.mute.get_or_insert_with(Watch::start);
            }
        }
    }

    /// The same for all that is left in the pipes of a child that has ended.
    pub(super) fn read_the_rest(&mut self) {
        read_some(&mut self.child.stdout, &mut self.chunk, self.child.said.buffer(), TURN);
        let mut errors = Vec::new();
        read_some(&mut self.child.stderr, &mut self.chunk, &mut errors, TURN);
        self.lines.take(true, &errors);
        self.understand();
        self.lines.take(false, self.child.said.rest());
    }

    /// Takes what can be understood out of what the child has said.
    fn understand(&mut self) {
        let mut said = std::mem::take(&mut self.child.said);
        // Tokens are only taken, so of those that are there now none was when these lines were written.
        let mut begun =
            if self.duty.tokens() { self.hand.len().saturating_sub(self.child.untaken()) } else { usize::MAX };
        while let Some(part) = said.next() {
            match part {
                Part::Line(line) => self.understand_line(line, &mut begun),
                Part::Piece(piece) => self.lines.take(false, piece),
                Part::TooLong => {
                    self.wrong.get_or_insert_with(|| format!("an answer of it is longer than {LONGEST_ANSWER} bytes"));
                }
            }
        }
        self.child.said = said;
        self.put();
    }

    fn understand_line(&mut self, line: &[u8], begun: &mut usize) {
        match answer::read(line) {
            // After it was told to end, or has said what cannot be, nothing that it says counts.
            Said::Answer(..) | Said::Garbled(_) if self.wrong.is_some() || !self.course.is_running() => {}
            Said::Answer(id, answer) => self.accept(id, answer, begun),
            Said::Garbled(why) => self.wrong = Some(why),
            Said::Output => {
                self.lines.take(false, line);
                self.lines.take(false, b"\n");
            }
        }
    }

    fn accept(&mut self, id: i64, answer: Answer, begun: &mut usize) {
        let first = self.hand.front().map(|first| first.task.id);
        if first != Some(id) {
            return self.reject(id, first);
        }
        if *begun == 0 {
            let words = "it has answered without taking the token of the task; with `in_flight` above 1 it has to, see \
                         docs/stream.md";
            self.presumed = true;
            self.wrong = Some(words.to_string());
            return;
        }
        let Some(first) = self.hand.pop_front() else { return };
        *begun = begun.saturating_sub(1);
        let tail = self.lines.next_run();
        self.child.read_up_to(first.number);
        self.child.served += 1;
        let ending = self.meaning(answer, tail);
        let (task, started_at_ms) = (first.task, first.started_at_ms);
        if self.child.answered.len() == REMEMBERED {
            self.child.answered.pop_front();
        }
        self.child.answered.push_back(id);
        self.finished.push(Finished { task, ending, started_at_ms, finished_at_ms: 0 });
        self.about.set(self.hand.front().map(|next| next.task.id));
    }

    /// Takes note of an answer that is not about the `first` in hand.
    fn reject(&mut self, id: i64, first: Option<i64>) {
        if self.child.answered.contains(&id) {
            log::warn!("the stream of the job `{}` has answered task {id} twice", self.duty.job);
            return;
        }
        self.wrong = Some(match first {
            Some(first) => format!("it has answered task {id}, and task {first} is the one that it was to run"),
            None => format!("it has answered task {id}, and was to run none"),
        });
    }

    fn meaning(&self, answer: Answer, tail: String) -> Ending {
        let (reject, error) = match answer {
            Answer::Plain(ending) => return ending,
            Answer::Failed { reject, error } => (reject, error),
        };
        let said = error.filter(|error| !error.is_empty()).or(Some(tail).filter(|tail| !tail.is_empty()));
        let words = match said {
            // Its own words may be its param.
            Some(_) if self.duty.command.redact => {
                "it failed; its words are not shown, since the job is redacted".into()
            }
            Some(words) => shortened(words),
            None => "it failed, and has not said why".into(),
        };
        match reject {
            true => Ending::Answered(Outcome::Reject { reason: words }),
            false => Ending::Failed(Cause::Error(words)),
        }
    }

    /// Puts what was answered on the desk. The next one runs from now on.
    fn put(&mut self) {
        self.busy = !self.finished.is_empty();
        if self.finished.is_empty() {
            return;
        }
        let now_ms = self.duty.tools.clock.now_ms();
        let mut finished = std::mem::take(&mut self.finished);
        for one in &mut finished {
            one.finished_at_ms = now_ms;
        }
        if let Some(next) = self.hand.front_mut() {
            next.started_at_ms = now_ms;
            self.course = Course::begin(self.duty.policy.timeout_ms, self.duty.policy.grace_ms);
        }
        self.duty.desk.put_all(finished, self.hand.front().map(|next| (&next.task, now_ms)));
    }
}

/// The beginning of what it says, as long as what is kept of a program's last words.
fn shortened(mut words: String) -> String {
    if words.len() > TAIL {
        let end = (0..=TAIL).rev().find(|end| words.is_char_boundary(*end)).unwrap_or(0);
        words.truncate(end);
        words.push('…');
    }
    words
}

/// Reads from a pipe until it is empty or `most` bytes have come, and closes it at its end. How many have come.
fn read_some(pipe: &mut Option<OwnedFd>, chunk: &mut [u8], into: &mut Vec<u8>, most: usize) -> usize {
    let mut count = 0;
    while count < most {
        let Some(fd) = pipe else { break };
        match read(fd, &mut *chunk) {
            Ok(0) => *pipe = None,
            Ok(more) => {
                into.extend_from_slice(&chunk[..more]);
                count += more;
                if more < chunk.len() {
                    break;
                }
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(_) => *pipe = None,
        }
    }
    count
}
