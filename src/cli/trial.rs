//! `try`: one run in the foreground, without any row.
//!
//! What an executable writes goes line by line to where it wrote it; what a job in Rust logs goes to standard error. What
//! came of it is said on standard error, so that standard output is the job's alone.

use super::args::LogTo;
use super::args_tasks::TryArgs;
use super::site::{Site, stop_on_signals};
use super::{Verdict, complain, enqueue, show, tell};
use crate::error::{Error, Result};
use crate::task::{Cause, Company, Ending, Outcome, Task};
use crate::work::exec::OutputLine;
use crate::work::{exit_code, try_once as run};
use std::io::Write;
use std::sync::Arc;

/// The most of a result that is shown, in characters.
const SHOWN: usize = 10_000;

pub(super) fn try_once(site: &Site, args: &TryArgs) -> Result<Verdict> {
    let codec = enqueue::codec_of(&args.codec)?;
    let param = enqueue::param(args.param.as_deref(), None)?;
    enqueue::check_param(codec, &param)?;
    let registry = site.registry()?;
    if registry.get(&args.job).is_none() {
        let known = registry.names().collect::<Vec<_>>().join(", ");
        return Err(Error::usage(format!("no job `{}` is known here", args.job)).hint(format!("there are {known}")));
    }
    let journal = site.journal_to(LogTo::Stderr)?;
    let task = Task {
        // No row has this id.
        id: 0,
        job: args.job.clone(),
        param,
        codec,
        priority: 0,
        attempts_charged: 0,
        max_attempts: None,
        careful: false,
    };
    let stop = stop_on_signals()?;
    let ending = run(Arc::new(registry), task, journal, site.clock.clone(), &stop, live)?;
    say(&ending);
    Ok(Verdict::Own(exit_code(&ending)))
}

/// Writes a line to where the job wrote it. When nobody reads there any more, the job goes on all the same.
fn live(line: &OutputLine) {
    let text = format!("{}\n", line.text);
    let _ = if line.stderr {
        std::io::stderr().write_all(text.as_bytes())
    } else {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush())
    };
}

/// What a worker would have written with the outcome, and a try does not.
fn unwritten(company: &Company) -> String {
    let (follow_ups, effects) = (company.follow_ups.len(), company.effects.len());
    format!("note: a try has no transaction: {follow_ups} follow-ups and {effects} effects were left out\n")
}

fn say(ending: &Ending) {
    let failed = |text: &str| complain(&Error::failed(text));
    match ending {
        Ending::Answered(Outcome::Done { result, company }) => {
            let result = result.as_ref().map(|bytes| format!(", with the result {}", show::excerpt(bytes, SHOWN)));
            tell(&format!(
                "done{}\n{}",
                result.unwrap_or_default(),
                company.as_deref().map(unwritten).unwrap_or_default()
            ));
        }
        Ending::Answered(Outcome::Retry { reason }) => failed(&format!("to be tried again: {reason}")),
        Ending::Answered(Outcome::Snooze { delay_ms }) => {
            tell(&format!("put off for {}\n", crate::task::span_text(*delay_ms)));
        }
        Ending::Answered(Outcome::Reject { reason }) => failed(&format!("rejected: {reason}")),
        // Its last words were on the screen already.
        Ending::Failed(Cause::Exit { code, .. }) => failed(&format!("exit code {code}")),
        Ending::Failed(cause) => failed(&cause.text()),
        Ending::Undecodable(reason) => failed(reason),
        Ending::NotNow(reason) => failed(&format!("cannot be started now: {reason}")),
        Ending::UnknownJob => failed("no such job"),
        Ending::Interrupted | Ending::PowerCut => failed("broken off"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::NewTask;

    #[test]
    fn what_a_try_leaves_out_is_said() {
        let next = || NewTask { job: "next".into(), ..NewTask::default() };
        let Outcome::Done { company: Some(company), .. } = Outcome::done().then(next()).then(next()) else {
            panic!("no company");
        };
        let said = "note: a try has no transaction: 2 follow-ups and 0 effects were left out\n";
        assert_eq!(unwritten(&company), said);
    }
}
