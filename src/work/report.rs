//! What the log says about settled tasks: one line each, and the lines of one batch in one write.

use crate::log::Lines;
use crate::store::{Ended, Verdict};
use crate::task::Settlement;
use log::Level;
use std::fmt::{Arguments, Display};

/// Adds the line about one settled task.
pub(super) fn add(lines: &mut Lines, now_ms: i64, id: i64, job: &str, verdict: &Verdict, ended: &Ended) {
    let run_ms = ended.finished_at_ms.saturating_sub(ended.started_at_ms).max(0);
    let attempt = attempt_of(&ended.settlement);
    let attempt_tag: &dyn Display = &attempt.unwrap_or(0);
    let tags: [(&str, &dyn Display); 3] = [("task", &id), ("job", &job), ("attempt", attempt_tag)];
    let tags = if attempt.is_some() { &tags[..] } else { &tags[..2] };
    let mut add = |level, text: Arguments<'_>| lines.add(now_ms, level, tags, text);
    match (verdict, &ended.settlement) {
        // It is settled again, and reported then.
        (Verdict::Refused(_), _) => {}
        // It was not run, and somebody else does.
        (Verdict::Known, _) => {}
        (Verdict::Cancelled, _) => add(Level::Warn, format_args!("ran, but was cancelled meanwhile run_ms={run_ms}")),
        (Verdict::Gone, _) => add(Level::Warn, format_args!("ran, but its row is gone run_ms={run_ms}")),
        (_, Settlement::Done { .. }) => add(Level::Info, format_args!("done run_ms={run_ms}")),
        (_, Settlement::Delayed { run_at_ms, cause, .. }) => {
            let wait_ms = run_at_ms.saturating_sub(now_ms);
            let why = cause.as_ref().map(|c| format!(" cause={} {}", c.word(), c.text())).unwrap_or_default();
            add(Level::Warn, format_args!("delayed run_ms={run_ms} again_in_ms={wait_ms}{why}"));
        }
        (_, Settlement::Suspect { .. }) => {
            add(Level::Warn, format_args!("ran when its worker died; it runs again, alone"));
        }
        (_, Settlement::Dead { cause, .. }) => {
            add(Level::Error, format_args!("dead run_ms={run_ms} cause={} {}", cause.word(), cause.text()));
        }
        (_, Settlement::Parked { cause, reason }) => add(Level::Error, format_args!("parked cause={cause} {reason}")),
        (_, Settlement::Untouched) => add(Level::Info, format_args!("put back, nothing charged run_ms={run_ms}")),
    }
}

/// Which attempt a settlement is about, if it is about one.
fn attempt_of(settlement: &Settlement) -> Option<u32> {
    match settlement {
        Settlement::Done { attempt, .. }
        | Settlement::Delayed { attempt, .. }
        | Settlement::Suspect { attempt }
        | Settlement::Dead { attempt, .. } => Some(*attempt),
        Settlement::Parked { .. } | Settlement::Untouched => None,
    }
}
