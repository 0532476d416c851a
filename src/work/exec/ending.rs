//! From a program's exit to the answer about its task.
//!
//! Exit codes are those of `sysexits.h`: 0 is done, 75 (`EX_TEMPFAIL`) asks for another attempt, 65 (`EX_DATAERR`) says
//! that no attempt can succeed. If we ended it, the reason for that is the answer, whatever it made of the signal.

use super::attend::{Finished, Reason};
use crate::task::{Cause, Ending, Outcome, Policy};
use rustix::io::Errno;
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;

const EX_DATAERR: i32 = 65;
const EX_TEMPFAIL: i32 = 75;

/// The answer for a program that `finished` so, having written `tail` last to stderr.
pub(super) fn ending(finished: Finished, tail: String, policy: &Policy) -> Ending {
    match finished.reason {
        Some(Reason::Timeout) => {
            return Ending::Failed(Cause::Timeout { after_ms: policy.timeout_ms.unwrap_or_default() });
        }
        Some(Reason::Abandoned) => return Ending::Interrupted,
        None => {}
    }
    let status = match finished.status {
        Ok(status) => status,
        Err(e) if e.raw_os_error() == Some(Errno::CHILD.raw_os_error()) => {
            let why =
                "its exit is unknown, because this process ignores SIGCHLD; start it from something that does not";
            return Ending::Failed(Cause::Error(why.to_string()));
        }
        Err(e) => return Ending::Failed(Cause::Error(format!("it could not be watched to its end: {e}"))),
    };
    match (status.code(), status.signal()) {
        (Some(0), _) => Ending::Answered(Outcome::done()),
        (Some(code @ EX_TEMPFAIL), _) => Ending::Answered(Outcome::Retry { reason: Cause::Exit { code, tail }.text() }),
        (Some(code @ EX_DATAERR), _) => Ending::Answered(Outcome::Reject { reason: Cause::Exit { code, tail }.text() }),
        (Some(code), _) => Ending::Failed(Cause::Exit { code, tail }),
        (None, Some(signal)) => Ending::Failed(Cause::Signal { name: signal_name(signal) }),
        (None, None) => Ending::Failed(Cause::Error(format!("it ended in an unknown way: {status}"))),
    }
}

/// The standard signals of Linux; their numbers differ between machines, their names do not.
const SIGNALS: [(Signal, &str); 31] = [
    (Signal::HUP, "SIGHUP"),
    (Signal::INT, "SIGINT"),
    (Signal::QUIT, "SIGQUIT"),
    (Signal::ILL, "SIGILL"),
    (Signal::TRAP, "SIGTRAP"),
    (Signal::ABORT, "SIGABRT"),
    (Signal::BUS, "SIGBUS"),
    (Signal::FPE, "SIGFPE"),
    (Signal::KILL, "SIGKILL"),
    (Signal::USR1, "SIGUSR1"),
    (Signal::SEGV, "SIGSEGV"),
    (Signal::USR2, "SIGUSR2"),
    (Signal::PIPE, "SIGPIPE"),
    (Signal::ALARM, "SIGALRM"),
    (Signal::TERM, "SIGTERM"),
    (Signal::STKFLT, "SIGSTKFLT"),
    (Signal::CHILD, "SIGCHLD"),
    (Signal::CONT, "SIGCONT"),
    (Signal::STOP, "SIGSTOP"),
    (Signal::TSTP, "SIGTSTP"),
    (Signal::TTIN, "SIGTTIN"),
    (Signal::TTOU, "SIGTTOU"),
    (Signal::URG, "SIGURG"),
    (Signal::XCPU, "SIGXCPU"),
    (Signal::XFSZ, "SIGXFSZ"),
    (Signal::VTALARM, "SIGVTALRM"),
    (Signal::PROF, "SIGPROF"),
    (Signal::WINCH, "SIGWINCH"),
    (Signal::IO, "SIGIO"),
    (Signal::POWER, "SIGPWR"),
    (Signal::SYS, "SIGSYS"),
];

/// The signal's name, or `signal 34` for those that have none.
fn signal_name(number: i32) -> String {
    let known = SIGNALS.iter().find(|(signal, _)| signal.as_raw() == number);
    known.map_or_else(|| format!("signal {number}"), |(_, name)| (*name).to_string())
}

/// The number of a signal by the name that a cause gives it.
pub(in crate::work) fn signal_number(name: &str) -> Option<i32> {
    let known = SIGNALS.iter().find(|(_, known)| *known == name).map(|(signal, _)| signal.as_raw());
    known.or_else(|| name.strip_prefix("signal ")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::ExitStatus;

    #[test]
    fn every_standard_signal_has_a_name_and_every_other_a_number() {
        for number in 1..32 {
            let name = signal_name(number);
            assert!(name.starts_with("SIG"), "{number} is {name}");
            assert_eq!(signal_number(&name), Some(number));
        }
        assert_eq!(signal_name(40), "signal 40");
        assert_eq!((signal_number("signal 40"), signal_number("SIGNONE")), (Some(40), None));
    }

    #[test]
    fn why_we_ended_it_goes_before_how_it_took_that() {
        let policy = Policy { timeout_ms: Some(7), ..Policy::default() };
        for raw in [0, 15, 75 << 8] {
            let after = |reason| {
                let finished = Finished { status: Ok(ExitStatus::from_raw(raw)), reason: Some(reason) };
                ending(finished, String::new(), &policy)
            };
            assert_eq!(after(Reason::Timeout), Ending::Failed(Cause::Timeout { after_ms: 7 }));
            assert_eq!(after(Reason::Abandoned), Ending::Interrupted);
        }
    }
}
