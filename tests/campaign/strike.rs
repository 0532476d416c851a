//! Who is struck, and when: by dice that always fall the same way for one seed.

use super::feed::Feed;
use super::history::{Death, Fate};
use super::kills::Cron;
use crate::installation::{Installation, alive, pause};
use rowmill::clock::{Clock, Watch};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Numerical Recipes' generator.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(super) fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as u32) % bound
    }

    pub(super) fn between(&mut self, from: i64, to: i64) -> i64 {
        from + i64::from(self.below(u32::try_from(to - from).unwrap()))
    }
}

/// What kind of process is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Worker,
    Tick,
    Script,
    Feeder,
    Resident,
}

/// A process that is stopped until its time is over.
struct Stopped {
    kind: Kind,
    pid: i32,
    at_ms: i64,
    process: OwnedFd,
    since: Watch,
    span: Duration,
}

/// Strikes, and keeps account.
pub(super) struct Striker {
    pub(super) dice: Dice,
    stopped: Vec<Stopped>,
    pub(super) deaths: Vec<Death>,
    pub(super) stops: usize,
}

impl Striker {
    pub(super) fn new(seed: u64) -> Striker {
        Striker { dice: Dice::new(seed), stopped: Vec::new(), deaths: Vec::new(), stops: 0 }
    }

    pub(super) fn kills(&self) -> usize {
        self.deaths.iter().filter(|death| matches!(death.fate, Fate::Killed(_))).count()
    }

    /// Kills or stops somebody, if there is somebody of the kind that the dice say.
    pub(super) fn strike(&mut self, here: &Installation, feed: &mut Feed, cron: &mut Cron) {
        let kind = match self.dice.below(22) {
            0..=8 => Kind::Worker,
            9..=13 => Kind::Script,
            14..=16 => Kind::Feeder,
            17..=19 => Kind::Tick,
            _ => Kind::Resident,
        };
        let living = workers(here);
        let pids = match kind {
            Kind::Worker => living.iter().copied().filter(|pid| !self.is_stopped(*pid)).collect(),
            Kind::Script => scripts(here),
            Kind::Feeder => {
                feed.start_one(here, &mut self.dice);
                pause(Duration::from_millis(u64::from(self.dice.below(120))));
                feed.pids()
            }
            Kind::Tick => {
                cron.start_one(here);
                pause(Duration::from_millis(u64::from(self.dice.below(40))));
                cron.pids()
            }
            Kind::Resident => {
                if cron.resides(here) && self.dice.below(2) == 0 {
                    return;
                }
                pause(Duration::from_millis(u64::from(self.dice.below(200))));
                cron.resident().into_iter().collect()
            }
        };
        if pids.is_empty() {
            return;
        }
        let pid = pids[self.dice.below(pids.len() as u32) as usize];
        let stops = self.dice.below(6) == 0;
        let Some(process) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
            return;
        };
        // Once more, now that the descriptor means one process for good.
        let still = match kind {
            Kind::Worker => is_worker(pid),
            Kind::Script => is_script(here, pid),
            Kind::Feeder | Kind::Tick | Kind::Resident => true,
        };
        if !still || !alive(pid) {
            return;
        }
        let at_ms = Clock::System.now_ms();
        if stops {
            let _ = pidfd_send_signal(&process, Signal::STOP);
            // Longer than the stall for one worker in two: that one is killed by the others.
            let longest = if kind == Kind::Worker && self.dice.below(2) == 0 { 6_000 } else { 400 };
            let span = Duration::from_millis(u64::from(longest / 2 + self.dice.below(longest / 2)));
            self.stopped.push(Stopped { kind, pid, at_ms, process, since: Watch::start(), span });
            self.stops += 1;
        } else if pidfd_send_signal(&process, Signal::KILL).is_ok() {
            let living = living.into_iter().filter(|other| *other != pid).collect();
            self.deaths.push(Death { fate: Fate::Killed(kind), pid, at_ms, living });
        }
    }

    fn is_stopped(&self, pid: i32) -> bool {
        self.stopped.iter().any(|one| one.pid == pid)
    }

    /// Lets those go on whose time is over, and notes who was killed meanwhile.
    pub(super) fn let_go(&mut self, all: bool) {
        let deaths = &mut self.deaths;
        self.stopped.retain(|one| {
            let over = all || one.since.left_of(one.span).is_zero();
            if over && one.kind == Kind::Worker && !alive(one.pid) {
                let (pid, at_ms) = (one.pid, one.at_ms);
                deaths.push(Death { fate: Fate::Stopped, pid, at_ms, living: Vec::new() });
            }
            if over {
                let _ = pidfd_send_signal(&one.process, Signal::CONT);
            }
            !over
        });
    }
}

/// The living workers, by what their processes were called with.
fn workers(here: &Installation) -> Vec<i32> {
    let pids = here.processes().into_iter().map(|pid| pid.as_raw_nonzero().get());
    pids.filter(|pid| is_worker(*pid)).collect()
}

fn is_worker(pid: i32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|word| word == b"--detached")
        && fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "trial")
}

/// Scripts that have begun and not ended, of the last lines of what they wrote.
fn scripts(here: &Installation) -> Vec<i32> {
    let text = here.read("runs");
    let tail: Vec<&str> = text.lines().rev().take(60).collect();
    let begun = tail.iter().filter_map(|line| line.strip_prefix("begin ")?.split(' ').nth(2)?.parse().ok());
    begun.filter(|pid| is_script(here, *pid)).collect()
}

/// Whether it is a script of ours that may be killed alone: a `stray` has a descendant that only goes with its worker.
fn is_script(here: &Installation, pid: i32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line);
    let ours = ["walk", "family", "pay"].iter().any(|name| line.ends_with(&format!("/{name}\0")));
    ours && fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == here.folder())
}
