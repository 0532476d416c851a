//! Starting worker processes: the same program, told to work.

use crate::error::{Error, Result};
use crate::log::Journal;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// How worker processes are started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program: this one.
    pub program: PathBuf,
    /// What stands before and after `work --index I` on its command line: which configuration, which database.
    pub before: Vec<OsString>,
    /// See `before`.
    pub after: Vec<OsString>,
    /// The folder that it is started in.
    pub folder: PathBuf,
    /// Whether the worker leaves the session of whoever starts it, by itself. One that does not gets a process group of
    /// its own, so that a signal from the terminal reaches it through this process alone.
    pub detached: bool,
}

impl Launch {
    /// Starts worker `index`, with its raw output in the day's log. Returns at once; the
    /// worker is not waited for. When the worker turns out to be there already, the new process ends by itself.
    pub fn start(&self, index: u32, journal: &Journal) -> Result<Child> {
        let output = journal.raw_handle()?;
        let errors = output.try_clone()?;
        let mut command = Command::new(&self.program);
        command.args(&self.before).arg("work").arg("--index").arg(index.to_string()).args(&self.after);
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(output).stderr(errors);
        // What speaks to systemd is for the resident scheduler alone.
        for name in ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"] {
            command.env_remove(name);
        }
        if !self.detached {
            // The leader of a group cannot leave its session.
            command.process_group(0);
        }
        command.spawn().map_err(|e| {
            Error::from(e)
                .during(format_args!("worker {index} cannot be started: {}", self.program.display()))
                .hint("is the program still where it was, and may more processes be started?")
        })
    }
}
