//! Where a command is: its configuration, its jobs, its database, its log.

use super::args::{LogTo, PlaceArgs};
use crate::clock::Clock;
use crate::config::{Config, database_path};
use crate::error::{Error, Result};
use crate::log::{Journal, Settings};
use crate::schedule::{Entry, Launch};
use crate::store::Store;
use crate::store::sqlite::{Create, Sqlite};
use crate::work::{Registry, Stop};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// Registers the jobs that are written in Rust.
pub(super) type Register = fn(&mut Registry) -> Result<()>;

/// Everything that a command is told by its arguments, the environment and the configuration.
pub(super) struct Site {
    pub(super) config: Config,
    /// The database that counts: `--database`, else `ROWMILL_DATABASE`, else the configuration's.
    pub(super) database: PathBuf,
    pub(super) clock: Clock,
    register: Register,
    log_to: LogTo,
    /// How this command's own arguments name the configuration, for processes that it starts.
    config_args: Vec<OsString>,
}

/// What a variable of the environment says.
#[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(super) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Site {
    /// Reads the configuration. Opens nothing else.
    pub(super) fn find(place: &PlaceArgs, register: Register) -> Result<Site> {
        let folder = here()?;
        let config = Config::load(place.config.as_deref(), &folder, &env)?;
        let named = place.database.clone().or_else(|| env("ROWMILL_DATABASE").filter(|v| !v.is_empty()));
        let database = match named {
            Some(text) => database_path(&text, &folder)?,
            None => config.database.clone(),
        };
        let config_args = match &config.file {
            Some(file) => vec!["--config".into(), file.into()],
            None => Vec::new(),
        };
        Ok(Site { config, database, clock: Clock::System, register, log_to: place.log, config_args })
    }

    /// The jobs of the program, the configuration and the scripts folder.
    pub(super) fn registry(&self) -> Result<Registry> {
        let mut registry = Registry::new();
        (self.register)(&mut registry)?;
        for job in self.config.jobs.iter().cloned().chain(self.config.scripts()?) {
            let added = registry.command(&job.name, job.policy, job.command);
            added.map_err(|e| e.during(&job.place))?;
        }
        Ok(registry)
    }

    /// The database as a command opens it that works with it: made when it is missing.
    pub(super) fn store(&self) -> Result<Box<dyn Store>> {
        self.open(Create::WithPartitions(self.config.workers))
    }

    /// The database as a command opens it that looks or asks: never made, so that a wrong folder is noticed.
    pub(super) fn existing_store(&self) -> Result<Box<dyn Store>> {
        self.open(Create::Never)
    }

    fn open(&self, create: Create) -> Result<Box<dyn Store>> {
        Ok(Box::new(Sqlite::open(&self.database, self.config.durability, create)?))
    }

    /// An error that says so while a person has stopped everything.
    pub(super) fn refuse_stopped(&self, store: &mut dyn Store) -> Result<()> {
        let Some(order) = store.stopped()? else { return Ok(()) };
        Err(Error::try_again(super::crew::words(&order, self.config.timezone))
            .hint("`rowmill start` lets workers begin again"))
    }

    /// The day's log, which is from now on where the `log` macros write.
    pub(super) fn journal(&self) -> Result<Arc<Journal>> {
        self.journal_to(self.log_to)
    }

    /// The same with another place to write to.
    pub(super) fn journal_to(&self, log_to: LogTo) -> Result<Arc<Journal>> {
        let settings = Settings {
            dir: self.config.log_dir.clone(),
            zone: self.config.timezone,
            level: self.config.log_level,
            to_stderr: log_to == LogTo::Stderr,
        };
        let journal = Journal::open(settings, self.clock.clone())?;
        journal.install()?;
        Ok(journal)
    }

    /// The schedules that are switched on.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let enabled = self.config.schedules.iter().filter(|s| s.enabled);
        let entry = |s: &crate::config::ScheduleEntry| Entry {
            name: s.name.clone(),
            cron: s.cron.clone(),
            zone: s.timezone,
            job: s.job.clone(),
            param: s.param.clone(),
            priority: s.priority,
        };
        enabled.map(entry).collect()
    }

    /// How worker processes are started for this configuration and database. `more` goes to the end of their arguments.
    pub(super) fn launch(&self, more: &[String], detached: bool) -> Result<Launch> {
        let program =
            std::env::current_exe().map_err(|e| Error::failed(format!("cannot tell where this program is: {e}")))?;
        let mut before = self.config_args.clone();
        before.extend(["--database".into(), self.database.clone().into()]);
        if self.log_to == LogTo::Stderr {
            before.extend(["--log".into(), "stderr".into()]);
        }
        let mut after: Vec<OsString> = more.iter().map(OsString::from).collect();
        after.extend(detached.then(|| "--detached".into()));
        Ok(Launch { program, before, after, folder: self.config.folder.clone(), detached })
    }
}

/// The folder that the command was called in.
pub(super) fn here() -> Result<PathBuf> {
    std::env::current_dir().map_err(|e| Error::failed(format!("the current folder is gone: {e}")))
}

/// Turns INT, TERM and HUP into requests to stop, from now on until the process ends.
pub(super) fn stop_on_signals() -> Result<Stop> {
    let stop = Stop::new()?;
    let asked = stop.clone();
    let mut signals = signal_hook::iterator::Signals::new([
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGHUP,
    ])?;
    let listen = move || signals.forever().for_each(|_| asked.request());
    std::thread::Builder::new().name("signals".to_string()).spawn(listen)?;
    Ok(stop)
}
