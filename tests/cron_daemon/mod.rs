//! Debian's own cron, started for a test with a crontab of its own. It touches no crontab of the machine, and a cron that
//! runs already neither sees it nor is seen: it lives in a private mount namespace (`cage.sh` beside this file).
//!
//! Ask [`possible`] first: this needs `cron`, and root or sudo without a password. Dropping the [`CronDaemon`] kills it
//! and all that its lines have started, detached ones too, and waits until they are gone. The same happens when the
//! test itself is killed. Output of a line is thrown away as long as `MAILTO` is empty, so no mailer is asked for.

#![allow(dead_code, reason = "each test target that includes this module uses a part of it")]

use super::needs;
use rowmill::clock::Watch;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::inotify;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

/// How long to wait for a line that is due at the next minute. Not a measure of anything: it only ends a test that
/// would wait forever.
pub(crate) const NEXT_MINUTE: Duration = Duration::from_secs(180);

/// A running cron. Its crontab is that of the user who runs the test.
#[derive(Debug)]
pub(crate) struct CronDaemon {
    cage: Child,
    /// The cage lives as long as this end of the pipe is open.
    hold: Option<ChildStdin>,
    pid: u32,
    _folder: tempfile::TempDir,
}

/// Whether a daemon can be started here; otherwise the test is left out with a line, or fails (see [`needs::that`]).
#[track_caller]
pub(crate) fn possible() -> bool {
    let mut probe = as_root("unshare");
    probe.args(["--mount", "--propagation", "private", "mount", "-t", "tmpfs", "probe", "/tmp"]);
    let hint = "run it as root or with sudo that asks no password, on a machine or in a container that may mount";
    needs::tool("cron")
        && needs::tool("unshare")
        && needs::tool("mount")
        && needs::that(succeeds(probe.stderr(Stdio::null())), "mount-namespace", hint)
}

impl CronDaemon {
    /// Starts cron with these lines (in which `%` is written `\%`, as in every crontab). `env` stands above them as
    /// `NAME=value`: cron gives a line little else, least of all the variables of this process. Returns when the daemon
    /// stands; it runs what is due from the next full minute on.
    pub(crate) fn start(lines: &[&str], env: &[(&str, &str)]) -> CronDaemon {
        let mut crontab = "MAILTO=\"\"\n".to_string();
        crontab.extend(env.iter().map(|(name, value)| format!("{name}=\"{value}\"\n")));
        crontab.extend(lines.iter().map(|line| format!("{line}\n")));
        let folder = tempfile::tempdir().unwrap();
        let mut command = as_root("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", include_str!("cage.sh"), "cage.sh"]);
        command.arg(folder.path()).args([user(), crontab]).arg(needs::find("cron").unwrap());
        // A group of its own: an interrupt from the keyboard ends the test, and thereby the cage, in good order.
        let mut cage = command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(cage.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pid = line.trim().strip_prefix("up ").and_then(|pid| pid.parse().ok());
        let hold = cage.stdin.take();
        CronDaemon { cage, hold, pid: pid.expect("cron stands"), _folder: folder }
    }

    /// The daemon's process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for CronDaemon {
    fn drop(&mut self) {
        drop(self.hold.take());
        let status = self.cage.wait();
        // A second panic while one is under way would end the whole test run without a word.
        if !std::thread::panicking() {
            assert!(status.is_ok_and(|status| status.success()), "something in the cage outlived it");
        }
    }
}

/// Waits until something stands at `path`, at most for `bound`; answers whether it does.
pub(crate) fn appears(path: &Path, bound: Duration) -> bool {
    let watch = Watch::start();
    let events = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
    let flags = inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
    inotify::add_watch(&events, path.parent().unwrap(), flags).unwrap();
    while !path.exists() {
        let left = watch.left_of(bound);
        if left.is_zero() {
            return false;
        }
        let timeout = Timespec::try_from(left).unwrap();
        if rustix::event::poll(&mut [PollFd::new(&events, PollFlags::IN)], Some(&timeout)).unwrap() > 0 {
            rustix::io::read(&events, &mut [0; 4096]).unwrap();
        }
    }
    true
}

/// The program, by sudo unless this is root already.
fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

fn succeeds(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

/// The name of the user who runs this test.
pub(crate) fn user() -> String {
    let id = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(id.stdout).unwrap().trim().to_string()
}
