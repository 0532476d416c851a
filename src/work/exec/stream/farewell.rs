//! The end of children to which no more tasks are given.
//!
//! All are told at once, and each has its own job's grace from then on, whatever the others do: so those that do not mind
//! being told take as long as the most patient job lets one, and not as long as all jobs together.

use super::stint::{Ready, Stint, wait_for};
use rustix::io::Errno;

/// Has the children end: their standard input is closed, and who has not ended after its grace gets TERM, then KILL.
pub(super) fn see_off(mut stints: Vec<Stint<'_>>) {
    stints.iter_mut().for_each(Stint::tell);
    while !stints.is_empty() {
        let Ok(ready) = wait(&stints) else { break };
        let mut left = Vec::with_capacity(stints.len());
        for (mut stint, ready) in stints.into_iter().zip(ready) {
            if !ready.ended {
                stint.attend_to(&ready);
            }
            if ready.ended || stint.wrong.is_some() { bury(stint) } else { left.push(stint) }
        }
        stints = left;
    }
    stints.into_iter().for_each(bury);
}

/// Waits until something happens to one of them; what has happened to each.
fn wait(stints: &[Stint<'_>]) -> Result<Vec<Ready>, Errno> {
    let mut ready: Vec<Ready> = stints.iter().map(|_| Ready::default()).collect();
    let mut watched = Vec::new();
    let left = stints.iter().zip(&mut ready).filter_map(|(stint, ready)| stint.watch(ready, &mut watched)).min();
    wait_for(watched, left)?;
    Ok(ready)
}

fn bury(stint: Stint<'_>) {
    let job = stint.duty.job;
    let left = stint.bury();
    log::debug!("the stream of the job `{job}` was ended: {}", left.why);
}
