//! The thread that looks after the other workers, also while this one waits for something itself.

use crate::error::Result;
use crate::store::Watchman;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(1);

/// Looks until the answer is dropped. Errors: no thread to be had.
pub(super) fn start(mut watchman: Box<dyn Watchman>, stall: Duration) -> Result<Sender<()>> {
    let (sender, ended) = channel::<()>();
    let body = move || {
        while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            match watchman.look(stall) {
                Ok(frozen) => report(&frozen),
                Err(e) => log::warn!("the other workers cannot be looked after: {e}"),
            }
        }
    };
    std::thread::Builder::new().name("watch".to_string()).spawn(body)?;
    Ok(sender)
}

/// Says who was killed.
fn report(frozen: &[crate::store::Frozen]) {
    for one in frozen {
        let silent_s = one.silent.as_secs();
        log::error!("worker {} (pid {}) made no progress for {silent_s} s and was killed", one.index, one.pid);
    }
}
