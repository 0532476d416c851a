//! A living systemd, started for a test with units of its own (`cage.sh` beside this file): one of a user's, which
//! nothing of this machine sees. Dropping it kills it and all that its units have started, and waits until they are gone.

use crate::installation::{Said, to_its_end};
use crate::needs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

/// A running systemd.
#[derive(Debug)]
pub(crate) struct Systemd {
    cage: Child,
    /// The cage lives as long as this end of the pipe is open.
    hold: Option<ChildStdin>,
    /// Its /run, seen from here.
    run: PathBuf,
}

impl Systemd {
    /// Starts one, or leaves the test out with a line (see [`needs::that`]): this needs systemd, root, and a machine or a
    /// container in which cgroups can be made.
    #[track_caller]
    pub(crate) fn start() -> Option<Systemd> {
        if !needs::that(rustix::process::geteuid().is_root(), "root", "run it as root") {
            return None;
        }
        if !needs::tool("systemd-analyze") || !needs::tool("unshare") || !needs::tool("mount") {
            return None;
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", include_str!("cage.sh"), "cage.sh"]);
        let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/systemd/rowmill.service");
        command.args(["/lib/systemd/systemd", unit, env!("CARGO_TARGET_TMPDIR")]);
        // A group of its own: an interrupt from the keyboard ends the test, and thereby the cage, in good order.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut cage = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(cage.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let hold = cage.stdin.take();
        let pid = line.trim().strip_prefix("up ");
        let run = PathBuf::from(format!("/proc/{}/root/run", pid.unwrap_or_default()));
        let systemd = Systemd { cage, hold, run };
        needs::that(pid.is_some(), "living-systemd", "run it where root can mount and make cgroups, and not below /tmp")
            .then_some(systemd)
    }

    /// Adds a unit, or changes it.
    pub(crate) fn unit(&self, name: &str, text: &str) {
        std::fs::write(self.run.join("units").join(name), text).unwrap();
        self.ctl(&["daemon-reload"]).well();
    }

    /// Calls `systemctl --user` and waits for its end.
    #[track_caller]
    pub(crate) fn ctl(&self, args: &[&str]) -> Said {
        let mut command = Command::new("systemctl");
        command.arg("--user").args(args).env("XDG_RUNTIME_DIR", self.run.join("user")).stdin(Stdio::null());
        to_its_end(command)
    }

    /// What it says of a unit.
    #[track_caller]
    pub(crate) fn show(&self, unit: &str, property: &str) -> String {
        self.ctl(&["show", "--value", "--property", property, unit]).well().trim_end().to_string()
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        drop(self.hold.take());
        let _ = self.cage.wait();
    }
}
