//! Waiting for worker processes that a command has started, and handing a stop on to them.

use crate::error::Result;
use crate::work::{Level, Stop};
use rustix::process::{Pid, Signal, kill_process};
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
    let pids: Vec<Pid> = children.iter().filter_map(|c| Pid::from_raw(c.id().cast_signed())).collect();
    let mut left = children.len();
    let ended = watch(children)?;
    let mut handed_on = Level::GoOn;
    while left > 0 {
        if ended.recv_timeout(span).is_ok() {
            left -= 1;
        }
        if stop.level() > handed_on {
            handed_on = stop.level();
            for pid in &pids {
                // One that has just ended cannot be told any more, and need not be.
                let _ = kill_process(*pid, Signal::TERM);
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
