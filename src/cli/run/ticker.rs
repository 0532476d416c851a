//! The thread that ticks: at each beat of the heart, and exactly when a schedule is due.
//!
//! It has a thread of its own so that whatever a tick waits for (a locked database, the command of a schedule) keeps nobody
//! from seeing a worker die. It opens the database anew for each tick, as cron's tick does, and starts no workers: whoever
//! watches over them does.

use super::super::site::Site;
use super::super::tick::pass_once;
use crate::clock::Millis;
use crate::error::Result;
use crate::schedule::{Heart, Pulse};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Without a beat it ticks after this all the same: the heart is silent for a while when the clock is set back.
const LONGEST: Duration = Duration::from_secs(61);
/// A tick that left to another one is tried again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// What makes it tick, or end.
enum Wake {
    Beat,
    Site(Arc<Site>),
    End,
}

/// The thread. It ends when this is dropped, after the tick that it is at.
pub(super) struct Ticker {
    wake: Sender<Wake>,
    thread: JoinHandle<()>,
}

impl Ticker {
    /// Ticks at once, and from then on.
    pub(super) fn start(site: Arc<Site>, workers: Option<u32>) -> Result<Ticker> {
        let (wake, woken) = channel();
        let heart = start_heart(Pulse::Minutes, &wake)?;
        let ticking = Ticking { site, workers, heart, wake: wake.clone(), said: String::new() };
        let thread = std::thread::Builder::new().name("tick".to_string()).spawn(move || ticking.tick_on(&woken))?;
        Ok(Ticker { wake, thread })
    }

    /// Whether it still ticks: a panic would end it.
    pub(super) fn is_alive(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Ticks by this configuration from now on, at once for the first time.
    pub(super) fn follow(&self, site: &Arc<Site>) {
        // The thread is there as long as this is.
        let _ = self.wake.send(Wake::Site(Arc::clone(site)));
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        let _ = self.wake.send(Wake::End);
    }
}

fn start_heart(pulse: Pulse, wake: &Sender<Wake>) -> Result<Heart> {
    let wake = wake.clone();
    Heart::start(pulse, move || drop(wake.send(Wake::Beat)))
}

/// What the thread has.
struct Ticking {
    site: Arc<Site>,
    workers: Option<u32>,
    heart: Heart,
    wake: Sender<Wake>,
    /// The last error, which is said once.
    said: String,
}

impl Ticking {
    fn tick_on(mut self, woken: &Receiver<Wake>) {
        let mut span = Duration::ZERO;
        loop {
            match woken.recv_timeout(span) {
                Ok(Wake::Beat) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Wake::Site(other)) => self.site = other,
                Ok(Wake::End) | Err(RecvTimeoutError::Disconnected) => return,
            }
            span = match self.tick() {
                Ok(span) => {
                    self.said.clear();
                    span
                }
                Err(e) => {
                    // The same error each second would fill the log.
                    if self.said != e.to_string() {
                        self.said = e.to_string();
                        log::error!("tick: {e}");
                    }
                    LONGEST
                }
            };
        }
    }

    /// One tick; answers how long to sleep unless something wakes it before.
    fn tick(&mut self) -> Result<Duration> {
        let mut store = self.site.store()?;
        let ticked = pass_once(&self.site, store.as_mut(), self.workers, &mut |_| Ok(()))?;
        if ticked.stopped {
            return Ok(LONGEST);
        }
        let kept = store.schedules()?.into_iter().filter(|kept| kept.paused.is_none());
        let due: Vec<Millis> = kept.filter_map(|kept| kept.next_at).collect();
        let wanted = pulse(&due);
        if self.heart.pulse() != wanted {
            self.heart = start_heart(wanted, &self.wake)?;
        }
        Ok(until(&due, self.site.clock.now_ms(), ticked.left_to_another))
    }
}

/// Each second when a schedule is due at one that is not the first of a minute.
fn pulse(due: &[Millis]) -> Pulse {
    match due.iter().any(|at| at % 60_000 != 0) {
        true => Pulse::Seconds,
        false => Pulse::Minutes,
    }
}

/// How long to sleep: exactly until the next of these times. What is due already was left by this tick for the next beat.
fn until(due: &[Millis], now_ms: Millis, left_to_another: bool) -> Duration {
    let ahead = due.iter().map(|at| at.saturating_sub(now_ms)).filter(|ms| *ms > 0).min();
    let exact = ahead.map_or(LONGEST, |ms| Duration::from_millis(ms.unsigned_abs()));
    exact.min(if left_to_another { AGAIN } else { LONGEST })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_beats_each_second_when_a_schedule_has_seconds() {
        assert_eq!(pulse(&[]), Pulse::Minutes);
        assert_eq!(pulse(&[60_000, 1_764_315_120_000]), Pulse::Minutes);
        assert_eq!(pulse(&[60_000, 1_764_315_121_000]), Pulse::Seconds);
    }

    #[test]
    fn it_sleeps_exactly_until_something_is_due() {
        let ms = |due: &[Millis], left| until(due, 1_000_000, left).as_millis();
        assert_eq!(ms(&[1_000_001, 1_500_000], false), 1);
        assert_eq!(ms(&[2_000_000, 1_045_678], false), 45_678);
        assert_eq!(ms(&[2_000_000], false), 61_000, "the beat comes before");
        assert_eq!([ms(&[Millis::MAX], false), ms(&[], false)], [61_000, 61_000]);
        assert_eq!([ms(&[1_000_000, 5], false), ms(&[5, 1_000_070], false)], [61_000, 70], "left over: the next beat");
        assert_eq!([ms(&[], true), ms(&[1_000_300], true)], [1_000, 300], "somebody else ticked");
    }
}
