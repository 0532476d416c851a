//! What can be done to a run between two turns: to its processes, and to what they wait for.

use super::world::{Inner, Kind, Process, Seat, State};
use rustix::event::{EventfdFlags, eventfd};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar};

impl Inner {
    pub(super) fn add_seat(&mut self, process: usize, name: &'static str) -> usize {
        let bell = Arc::new(Condvar::new());
        self.seats.push(Seat { process, name, state: State::Ready, roused: false, bell });
        self.taken.push(self.seats.len() - 1);
        self.seats.len() - 1
    }

    /// Mostly turns follow each other closely; now and then something takes long.
    pub(super) fn chance_span(&mut self) -> u64 {
        match self.chance.below(40) {
            0 => 1_000 * self.chance.below(60),
            n => 5 * n,
        }
    }

    /// The living processes of a kind.
    pub(super) fn living(&self, is: impl Fn(Kind) -> bool) -> Vec<usize> {
        self.alive.iter().copied().filter(|process| is(self.processes[*process].kind)).collect()
    }

    /// Those that are frozen and taken for dead.
    pub(super) fn asleep(&self) -> Vec<usize> {
        let is = |one: &Process| one.banished && one.frozen_until > self.now_us;
        self.alive.iter().copied().filter(|process| is(&self.processes[*process])).collect()
    }

    /// Ends a process as kill -9 does. Its threads unwind before anybody else goes on.
    pub(super) fn kill(&mut self, process: usize) {
        self.processes[process].killed = true;
        self.end_process(process);
    }

    /// A process is alive no more. Whatever threads it has left end.
    pub(super) fn end_process(&mut self, process: usize) {
        self.processes[process].doomed = true;
        self.processes[process].alive = false;
        self.alive.retain(|other| *other != process);
        self.has_ended(process);
        self.record.died(process);
    }

    /// What becomes readable when this process ends.
    pub(super) fn end_of(&mut self, process: usize) -> OwnedFd {
        let alive = self.processes[process].alive;
        let new = || eventfd(u32::from(!alive), EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
        self.processes[process].over.get_or_insert_with(new).try_clone().unwrap()
    }

    /// Whoever watches this process sees that it has ended.
    fn has_ended(&mut self, process: usize) {
        if let Some(over) = &self.processes[process].over {
            rustix::io::write(over, &1u64.to_ne_bytes()).unwrap();
            let residents = self.living(|kind| kind == Kind::Resident);
            self.rouse("engine", |other| residents.contains(&other));
        }
    }

    /// Stops a process for a while, as SIGSTOP does.
    pub(super) fn freeze(&mut self, process: usize, span_us: u64) {
        self.processes[process].frozen_until = self.now_us + span_us;
    }

    /// Takes its locks from a process, which is frozen meanwhile: all others take it for dead, as one of another pid
    /// namespace whose run folder was replaced.
    pub(super) fn banish(&mut self, process: usize, span_us: u64) {
        self.freeze(process, span_us);
        self.processes[process].banished = true;
        self.record.banished(process);
    }

    pub(super) fn thaw_all(&mut self) {
        for process in &mut self.processes {
            process.frozen_until = 0;
        }
    }

    /// Since when a process has not gone on although it could, in microseconds.
    pub(super) fn silent_us(&self, process: usize) -> u64 {
        let one = &self.processes[process];
        if one.frozen_until > self.now_us && !one.banished { self.now_us - one.last_turn } else { 0 }
    }

    /// Ends the waiting of every thread of this name, in all processes or in one.
    pub(super) fn rouse(&mut self, name: &'static str, wanted: impl Fn(usize) -> bool) {
        for seat in &self.taken {
            let seat = &mut self.seats[*seat];
            if seat.name != name || !wanted(seat.process) {
                continue;
            }
            match seat.state {
                State::Later(_) | State::Resting => seat.state = State::Ready,
                // It does not wait yet: its next waiting is over at once.
                State::Ready => seat.roused = true,
                State::Gone => {}
            }
        }
    }

    pub(super) fn fail(&mut self, why: String) {
        if self.end.is_none() {
            self.end = Some(Err(why));
        }
    }
}

impl State {
    pub(super) fn due(self) -> Option<u64> {
        match self {
            State::Ready => Some(0),
            State::Later(at) => Some(at),
            State::Resting | State::Gone => None,
        }
    }

    pub(super) fn is_due(self, now: u64) -> bool {
        self.due().is_some_and(|at| at <= now)
    }
}
