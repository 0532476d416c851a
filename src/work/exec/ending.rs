//! From a program's exit to the answer about its task.
//!
//! Exit codes are those of `sysexits.h`: 0 is done, 75 (`EX_TEMPFAIL`) asks for another attempt, 65 (`EX_DATAERR`) says
//! that no attempt can succeed. If we ended it, the reason for that is the answer, whatever it made of the signal. That it
//! used up its memory or its processor time is told by signs, and only where that is limited, or the kernel says so.

use super::Command;
use super::attend::{Finished, Reason};
use super::memory;
use super::pipes::{RESULT, Written};
use crate::task::{Cause, Ending, Outcome, Policy, size_text};
use rustix::io::Errno;
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;

const EX_DATAERR: i32 = 65;
const EX_TEMPFAIL: i32 = 75;

/// What a shell's exit code is when the program that it waited for was ended by a signal: 128 and its number.
const BY_SIGNAL: i32 = 128;

/// By how much the kernel's two ways of counting processor time may differ, in milliseconds.
const CPU_SLACK_MS: u64 = 200;

/// A run that is over.
pub(super) struct Over<'a> {
    pub(super) finished: Finished,
    /// What it wrote last to stderr.
    pub(super) tail: String,
    /// Whether the kernel has killed a process for want of memory meanwhile.
    pub(super) kernel_killed: bool,
    pub(super) command: &'a Command,
    pub(super) policy: &'a Policy,
}

/// The answer for a program whose run is over.
pub(super) fn ending(over: Over<'_>) -> Ending {
    let Over { finished, tail, kernel_killed, command, policy } = over;
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
    let by_words = command.limits.memory_bytes.filter(|_| memory::is_blamed(&tail));
    // A redacted program's own words may be its param.
    let tail = if command.redact { String::new() } else { tail };
    let plain = match (status.code(), status.signal()) {
        (Some(0), _) => return done(finished.written),
        (Some(code @ EX_TEMPFAIL), _) => {
            return Ending::Answered(Outcome::Retry { reason: Cause::Exit { code, tail }.text() });
        }
        (Some(code @ EX_DATAERR), _) => {
            return Ending::Answered(Outcome::Reject { reason: Cause::Exit { code, tail }.text() });
        }
        (Some(code), _) => Cause::Exit { code, tail },
        (None, Some(signal)) => Cause::Signal { name: signal_name(signal) },
        (None, None) => return Ending::Failed(Cause::Error(format!("it ended in an unknown way: {status}"))),
    };
    let by = |signal: Signal| {
        let number = signal.as_raw();
        status.signal() == Some(number) || status.code() == Some(BY_SIGNAL + number)
    };
    if let Some((after_ms, _)) = command.limits.cpu_bounds_ms(policy) {
        // One that went on after SIGXCPU has used up its time too, whoever killed it then.
        let spent = finished.cpu_ms.is_some_and(|used_ms| used_ms + CPU_SLACK_MS >= after_ms);
        if by(Signal::XCPU) || by(Signal::KILL) && spent {
            return Ending::Failed(Cause::Cpu { after_ms });
        }
    }
    if let Some(bytes) = by_words {
        return Ending::Failed(Cause::OutOfMemory(format!("it may have {}; {}", size_text(bytes), plain.text())));
    }
    if by(Signal::KILL) && kernel_killed {
        return Ending::Failed(Cause::OutOfMemory(format!("the kernel killed it to have some; {}", plain.text())));
    }
    Ending::Failed(plain)
}

fn done(written: Written) -> Ending {
    match written.result() {
        Ok(result) => Ending::Answered(result.map_or_else(Outcome::done, Outcome::with_result)),
        Err(length) => Ending::Failed(Cause::Error(format!(
            "it ended well, but its result on descriptor 3 has {length} bytes, and at most {RESULT} are kept; \
             write it to a file, and the file's name as the result"
        ))),
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
pub fn signal_name(number: i32) -> String {
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
    use crate::work::exec::Limits;
    use std::process::ExitStatus;

    /// What comes of a program that ended so.
    fn after(raw: i32, reason: Option<Reason>, tail: &str, limits: Limits, cpu_ms: u64, kernel_killed: bool) -> Ending {
        let command = Command { limits, ..Command::default() };
        let policy = Policy { timeout_ms: Some(7), ..Policy::default() };
        let written = Written::default();
        let finished = Finished { status: Ok(ExitStatus::from_raw(raw)), reason, written, cpu_ms: Some(cpu_ms) };
        ending(Over { finished, tail: tail.to_string(), kernel_killed, command: &command, policy: &policy })
    }

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
    fn every_exit_and_every_signal_comes_to_what_is_written() {
        for code in 0..256 {
            let wanted = match code {
                0 => Ending::Answered(Outcome::done()),
                75 => Ending::Answered(Outcome::Retry { reason: "exit code 75: why".into() }),
                65 => Ending::Answered(Outcome::Reject { reason: "exit code 65: why".into() }),
                _ => Ending::Failed(Cause::Exit { code, tail: "why".into() }),
            };
            assert_eq!(after(code << 8, None, "why", Limits::default(), 0, false), wanted);
        }
        for signal in 1..=64 {
            for dumped_core in [0, 0x80] {
                let ending = after(signal | dumped_core, None, "why", Limits::default(), 0, false);
                let Ending::Failed(Cause::Signal { name }) = ending else { panic!("{signal}: {ending:?}") };
                assert_eq!(signal_number(&name), Some(signal));
            }
        }
        // Whatever else the kernel might say, it is no success.
        for raw in (1..=0xffff).chain([-1, i32::MIN, i32::MAX]).filter(|raw| *raw & 0xff7f != 0) {
            let ending = after(raw, None, "why", Limits::default(), 0, false);
            assert!(!matches!(ending, Ending::Answered(Outcome::Done { .. })), "{raw:#x}: {ending:?}");
        }
    }

    #[test]
    fn a_redacted_program_s_words_go_nowhere() {
        for raw in (0..=0xffff).filter(|raw| *raw & 0x7f == 0 || *raw <= 0xff) {
            for memory_bytes in [None, Some(64 << 20)] {
                let limits = Limits { memory_bytes, ..Limits::default() };
                let command = Command { limits, redact: true, ..Command::default() };
                let (status, written) = (Ok(ExitStatus::from_raw(raw)), Written::default());
                let finished = Finished { status, reason: None, written, cpu_ms: None };
                let (tail, policy) = ("hush: out of memory".to_string(), Policy::default());
                let over = Over { finished, tail, kernel_killed: true, command: &command, policy: &policy };
                let said = format!("{:?}", ending(over));
                assert!(!said.contains("hush"), "{raw:#x}: {said}");
            }
        }
    }

    #[test]
    fn why_we_ended_it_goes_before_how_it_took_that() {
        for raw in [0, 15, 75 << 8] {
            let after = |reason| after(raw, Some(reason), "out of memory", Limits::default(), 0, true);
            assert_eq!(after(Reason::Timeout), Ending::Failed(Cause::Timeout { after_ms: 7 }));
            assert_eq!(after(Reason::Abandoned), Ending::Interrupted);
        }
    }

    #[test]
    fn processor_time_is_told_by_its_signal_and_only_where_it_is_limited() {
        let (xcpu, kill) = (Signal::XCPU.as_raw(), Signal::KILL.as_raw());
        let limited = Limits { cpu_ms: Some(2_500), ..Limits::default() };
        let cpu = Ending::Failed(Cause::Cpu { after_ms: 3_000 });
        for (raw, used_ms, wanted) in [
            (xcpu, 0, cpu.clone()),
            ((128 + xcpu) << 8, 0, cpu.clone()),
            (kill, 2_950, cpu.clone()),
            (kill, 2_500, Ending::Failed(Cause::Signal { name: "SIGKILL".into() })),
            (1 << 8, 9_000, Ending::Failed(Cause::Exit { code: 1, tail: String::new() })),
        ] {
            assert_eq!(after(raw, None, "", limited.clone(), used_ms, false), wanted, "{raw} after {used_ms}");
            assert_ne!(after(raw, None, "", Limits::default(), used_ms, false), cpu);
        }
    }

    #[test]
    fn memory_is_told_by_words_under_a_limit_or_by_the_kernel() {
        let limited = Limits { memory_bytes: Some(64 << 20), ..Limits::default() };
        let exit = |tail: &str, limits| after(1 << 8, None, tail, limits, 0, true);
        let memory = |words: &str| Ending::Failed(Cause::OutOfMemory(words.to_string()));
        assert_eq!(exit("MemoryError", limited.clone()), memory("it may have 64MB; exit code 1: MemoryError"));
        let plain = Ending::Failed(Cause::Exit { code: 1, tail: "MemoryError".into() });
        assert_eq!(exit("MemoryError", Limits::default()), plain, "words alone are nothing");
        let killed = |raw, kernel_killed| after(raw, None, "", Limits::default(), 0, kernel_killed);
        assert_eq!(killed(9, true), memory("the kernel killed it to have some; ended by SIGKILL"));
        assert_eq!(killed((128 + 9) << 8, true), memory("the kernel killed it to have some; exit code 137"));
        assert_eq!(killed(9, false), Ending::Failed(Cause::Signal { name: "SIGKILL".into() }));
        let answered = after(65 << 8, None, "out of memory", limited, 0, true);
        assert!(matches!(answered, Ending::Answered(Outcome::Reject { .. })), "its own answer goes before the signs");
    }
}
