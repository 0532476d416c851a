//! The heartbeat of a resident scheduler: a beat at each full minute, or second, of UTC.
//!
//! Beats are all that tokio-cron-scheduler is asked for. It evaluates nobody's schedules: it freezes a time zone to an
//! offset, and joins day of month and weekday by AND. It runs on a thread of its own, where nothing else does, so nothing
//! can keep it from beating. It looks twice a second, and after the clock was set back it is silent until the old time has
//! come again: whoever needs to be exact, or to go on then, keeps a bound of his own.

use crate::error::{Error, Result};
use std::sync::mpsc::channel;
use tokio::sync::oneshot;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// How often it beats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// At second 0 of each minute.
    Minutes,
    /// At each second.
    Seconds,
}

/// A beating heart; it stops when this is dropped.
#[derive(Debug)]
pub struct Heart {
    pulse: Pulse,
    _alive: oneshot::Sender<()>,
}

impl Heart {
    /// Starts beating; `beat` is called on the heart's own thread and must return at once. Errors: no thread to be had.
    pub fn start(pulse: Pulse, beat: impl Fn() + Clone + Send + Sync + 'static) -> Result<Heart> {
        let (alive, ended) = oneshot::channel();
        let (sender, started) = channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let body = move || {
            runtime.block_on(async {
                let scheduler = begin(pulse, beat).await;
                // Nobody listens only when the one who wanted a heart has ended.
                let _ = sender.send(scheduler.as_ref().map(drop).map_err(ToString::to_string));
                // An error is the news that the heart was dropped.
                let _ = ended.await;
            });
        };
        std::thread::Builder::new().name("heart".to_string()).spawn(body)?;
        match started.recv() {
            Ok(Ok(())) => Ok(Heart { pulse, _alive: alive }),
            Ok(Err(e)) => Err(Error::failed(format!("the heartbeat cannot be started: {e}"))),
            Err(_) => Err(Error::failed("the thread of the heartbeat has ended")),
        }
    }

    /// How often it beats.
    pub fn pulse(&self) -> Pulse {
        self.pulse
    }
}

async fn begin(
    pulse: Pulse,
    beat: impl Fn() + Clone + Send + Sync + 'static,
) -> std::result::Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    let expression = match pulse {
        Pulse::Minutes => "0 * * * * *",
        Pulse::Seconds => "* * * * * *",
    };
    let job = Job::new_async(expression, move |_, _| {
        beat();
        Box::pin(async {})
    })?;
    scheduler.add(job).await?;
    scheduler.start().await?;
    Ok(scheduler)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::RecvTimeoutError;
    use std::time::Duration;

    #[test]
    fn it_beats_until_it_is_dropped() {
        let (sender, beats) = channel();
        let heart = Heart::start(Pulse::Seconds, move || sender.send(()).unwrap_or(())).unwrap();
        for _ in 0..3 {
            assert_eq!(beats.recv_timeout(Duration::from_secs(60)), Ok(()));
        }
        drop(heart);
        // Its thread ends, and with it the closure that has the sender.
        let last = loop {
            let next = beats.recv_timeout(Duration::from_secs(60));
            if next.is_err() {
                break next;
            }
        };
        assert_eq!(last, Err(RecvTimeoutError::Disconnected));
    }
}
