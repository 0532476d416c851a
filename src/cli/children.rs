//! Waiting for worker processes that a command has started, and handing a stop on to them.

use crate::error::Result;
use crate::work::{Level, Stop};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Waits until all have ended, calling `meanwhile` about every `span`. Each stop that is asked for is handed on as TERM.
pub(super) fn wait(
    children: Vec<Child>,
    stop: &Stop,
    span: Duration,
    meanwhile: &mut dyn FnMut() -> Result<()>,
) -> Result<()> {
    // Descriptors, not numbers: those of children that have ended may be somebody else's by now.
    let pids = children.iter().filter_map(|c| Pid::from_raw(c.id().cast_signed()));
    let processes: Vec<OwnedFd> = pids.filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()).collect();
    let mut left = children.len();
    let ended = watch(children)?;
    let mut handed_on = Level::GoOn;
    while left > 0 {
        if ended.recv_timeout(span).is_ok() {
            left -= 1;
        }
        while stop.level() > handed_on {
            handed_on = if handed_on == Level::GoOn { Level::Finish } else { Level::BreakOff };
            for process in &processes {
                // One that has ended cannot be told any more, and need not be.
                let _ = pidfd_send_signal(process, Signal::TERM);
            }
        }
        meanwhile()?;
    }
    Ok(())
}

/// A message for each child that has ended.
fn watch(children: Vec<Child>) -> Result<Receiver<()>> {
    let (sender, ended) = channel();
    for mut child in children {
        let sender = sender.clone();
        let body = move || {
            if let Ok(status) = child.wait()
                && !status.success()
            {
                log::error!("worker process {} ended with {status}", child.id());
            }
            // Nobody listens any more only when the command itself is ending.
            let _ = sender.send(());
        };
        std::thread::Builder::new().name("wait".to_string()).spawn(body)?;
    }
    Ok(ended)
}
