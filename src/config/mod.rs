//! The configuration: `rowmill.toml`, read into values that need no further checks.
//!
//! Every key has a default, and no file at all is a configuration too. Relative paths are relative to the folder of
//! the file. Nothing here reads the environment: the lookup is handed in. [`Config::load`] fails with the first thing
//! that is wrong; [`problems`] lists all of them, and what is only worth knowing, each with its line and column.

mod check;
mod jobs;
mod page;
mod read;
mod schedules;
mod scripts;
mod section;
mod start;

pub use check::problems;
pub use page::{Place, Problem};
pub use read::{BASIC_ENV, database_path};
pub use start::{Started, init};

use crate::error::{Error, Result, passes_by_itself};
use crate::log::Form;
use crate::schedule::Limits;
use crate::share::Group;
use crate::store::{Durability, Schedule};
use crate::task::Policy;
use crate::work::exec::Command;
use chrono_tz::Tz;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What variable has which value; the program hands in the environment, a test whatever it likes.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The name of the file that is looked for in a folder.
pub const FILE_NAME: &str = "rowmill.toml";

/// Everything that can be configured, with the defaults filled in.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder that relative paths are relative to: that of the file. Absolute.
    pub folder: PathBuf,
    /// The file that was read; `None` when there was none.
    pub file: Option<PathBuf>,
    /// The SQLite file. Absolute; it need not exist.
    pub database: PathBuf,
    /// The number of workers at first use of a database: 1 to 4096.
    pub workers: u32,
    /// The zone of log days, and of schedules that name none.
    pub timezone: Tz,
    /// What a commit survives.
    pub durability: Durability,
    /// The group that shares the installation, as it is named; whether there is such a group, only [`problems`] and
    /// whoever needs it look.
    pub group: Option<GroupEntry>,
    /// The folder of the log files. Absolute; it need not exist.
    pub log_dir: PathBuf,
    /// Records below it are left out of the log.
    pub log_level: log::LevelFilter,
    /// The form of the lines of the log.
    pub log_format: Form,
    /// The folder whose executable files are jobs. Absolute; it need not exist.
    pub scripts_dir: PathBuf,
    /// How long a worker stays after its last work and after the last tick, in milliseconds.
    pub linger_ms: u64,
    /// How long a worker may be without progress before another one or a tick kills it, in milliseconds; at least
    /// a second.
    pub stall_ms: u64,
    /// How long final tasks, occurrences and log files are kept, in milliseconds; `None` for ever.
    pub retention_ms: Option<u64>,
    /// Above which load workers are curbed.
    pub limits: Limits,
    /// The `[[job]]` entries, in the order of the file, then those that schedules carry; no two have one name.
    pub jobs: Vec<JobEntry>,
    /// The `[[schedule]]` entries, in the order of the file; no two have one name.
    pub schedules: Vec<ScheduleEntry>,
    /// The variables that every executable gets.
    basic_env: BTreeMap<String, String>,
    /// The names of those that the file itself sets.
    set_env: BTreeSet<String>,
}

/// The group that applications and admins share an installation by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupEntry {
    /// Its name.
    pub name: String,
    /// Where it is named.
    pub place: Place,
}

impl GroupEntry {
    /// Looks it up in `/etc/group`; a usage error that names the place when it is not there.
    pub fn find(&self) -> Result<Group> {
        Group::find(&self.name).map_err(|why| Problem::new(self.place.clone(), page::no_group(why)).into())
    }
}

/// An executable that is a job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobEntry {
    /// The name in the rows.
    pub name: String,
    /// What is started. Its `env` is complete but for `ROWMILL_*`; a program without a slash is looked up in that PATH
    /// when it is started, any other is absolute.
    pub command: Command,
    /// What its failures cost.
    pub policy: Policy,
    /// The variables that it is to get from the environment of whoever starts its worker.
    pub pass_env: Vec<String>,
    /// Where it comes from: a line of the file, or a script.
    pub place: Place,
}

/// A schedule of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleEntry {
    /// What it asks for when. Whether there is such a job, only [`problems`] looks.
    pub schedule: Schedule,
    /// The command that decides whether an occurrence is enqueued.
    pub only_if: Option<Box<Command>>,
    /// Where its job is named in the file.
    pub place: Place,
}

impl Config {
    /// Reads `explicit`, or else `rowmill.toml` in `folder` if it is there, or else takes the defaults with paths
    /// relative to `folder`. A relative `explicit` is relative to `folder` too. Reads only; may be called again.
    ///
    /// Errors are usage errors that name the first wrong place as `FILE:LINE:COLUMN: what`, or a file that cannot be
    /// read.
    pub fn load(explicit: Option<&Path>, folder: &Path, env: Lookup<'_>) -> Result<Config> {
        let (config, problems) = read::read(explicit, folder, env)?;
        match problems.into_iter().find(|p| !p.remark) {
            Some(first) => Err(first.into()),
            None => Ok(config),
        }
    }

    /// Whether `env` gives jobs this variable, so that it is the same whoever starts the workers.
    pub fn sets(&self, name: &str) -> bool {
        self.set_env.contains(name)
    }

    /// The jobs of the scripts folder, sorted by name: every executable file in it that is not hidden. A folder that is
    /// missing has none. A script that has the name of a `[[job]]` is a usage error that names both.
    pub fn scripts(&self) -> Result<Vec<JobEntry>> {
        let (scripts, _) = scripts::find(self)?;
        for script in &scripts {
            if let Some(problem) = scripts::clash(script, &self.jobs) {
                return Err(problem.into());
            }
        }
        Ok(scripts)
    }
}

/// An error of reading `path`, in words. What the machine lacks for the moment is no mistake of the configuration.
fn cannot_read(path: &Path, e: &std::io::Error) -> Error {
    let what = format!("cannot read {}: {e}", path.display());
    if passes_by_itself(e) { Error::try_again(what) } else { Error::usage(what) }
}

#[cfg(test)]
mod tests;
