//! Where a command is: its configuration, its jobs, its database, its log.

use super::args::{LogTo, PlaceArgs};
use crate::clock::Clock;
use crate::config::{Config, database_path};
use crate::error::{Error, Result};
use crate::log::{Journal, Settings};
use crate::schedule::{Answer, Launch};
use crate::share::{self, Group, Want, user_name};
use crate::store::sqlite::{self, Create, Sqlite};
use crate::store::{Schedule, Store};
use crate::work::exec::{Asked, ask};
use crate::work::{Registry, Stop};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

/// How long a command of `only_if` has for its answer.
const ASK_MS: u64 = 5_000;

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
    /// Reads the configuration. An error for whoever is no member of the group that shares the installation. Opens nothing
    /// else.
    pub(super) fn find(place: &PlaceArgs, register: Register) -> Result<Site> {
        let site = Site::look(place, register)?;
        site.group()?;
        Ok(site)
    }

    /// The same for anybody.
    pub(super) fn look(place: &PlaceArgs, register: Register) -> Result<Site> {
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
        let group = self.group()?.filter(|_| create != Create::Never);
        if let Some(group) = &group {
            sqlite::make_shared(&self.database, group)?;
        }
        let store = Sqlite::open(&self.database, self.config.durability, create)?;
        if let Some(group) = &group {
            // Only now it is certain that the file is ours.
            sqlite::share(&self.database, group)?;
        }
        Ok(Box::new(store))
    }

    /// The group that shares the installation, if one does. An error for whoever is neither one of its members nor root.
    pub(super) fn group(&self) -> Result<Option<Group>> {
        self.config.group.as_ref().map(|entry| entry.find().and_then(member)).transpose()
    }

    /// Makes the folder of the database, if that is missing and to be shared.
    pub(super) fn make_folder(&self) -> Result<()> {
        let (Some(group), Some(folder)) = (self.group()?, self.database.parent()) else { return Ok(()) };
        let owner = folder.parent().and_then(share::heir);
        let want = Want { owner, group: Some(group.gid), mode: share::FOLDER };
        share::make_folder(folder, want).map_err(|e| Error::from(e).during(folder.display()))
    }

    /// Shares a log that is there with the group.
    pub(super) fn share_log_that_is_there(&self) -> Result<()> {
        match self.group()?.filter(|_| self.config.log_dir.exists()) {
            Some(group) => crate::log::share(&self.config.log_dir, &group),
            None => Ok(()),
        }
    }

    /// Shares the log with the group. It is made by whoever owns the database: one of another member would lock that one
    /// out.
    fn share_log(&self, group: &Group) -> Result<()> {
        let (dir, own) = (&self.config.log_dir, rustix::process::geteuid());
        let owner = self.database.metadata().map_or(own.as_raw(), |found| found.uid());
        if !dir.exists() && !own.is_root() && own.as_raw() != owner {
            return Err(Error::failed(format!("the log folder {} is not there", dir.display())));
        }
        crate::log::share(dir, group)
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
            form: self.config.log_format,
            to_stderr: log_to == LogTo::Stderr,
        };
        let group = self.group()?.filter(|_| log_to == LogTo::File);
        let shared = group.as_ref().map_or(Ok(()), |group| self.share_log(group));
        let journal = shared.and_then(|()| Journal::open(settings, self.clock.clone()));
        let journal = journal.map_err(|e| match group {
            Some(_) => e.hint("its owner and root write it: call this as one of them, or with --log stderr"),
            None => e,
        })?;
        journal.install()?;
        journal.take_panics();
        Ok(journal)
    }

    /// The schedules of packs and of the file; one of the file takes the place of a pack's.
    pub(super) fn schedules(&self, registry: &Registry) -> Vec<Schedule> {
        let of_file = self.config.schedules.iter().map(|entry| entry.schedule.clone());
        let mut schedules: Vec<Schedule> = of_file.collect();
        let is_of_file = |name: &str| self.config.schedules.iter().any(|entry| entry.schedule.name == name);
        schedules.extend(registry.schedules().iter().filter(|s| !is_of_file(&s.name)).cloned());
        schedules
    }

    /// Asks the command that decides about a schedule of the file.
    pub(super) fn ask(&self, name: &str) -> Answer {
        let entry = self.config.schedules.iter().find(|entry| entry.schedule.name == name);
        let Some(command) = entry.and_then(|entry| entry.only_if.as_ref()) else {
            return Answer::Later("this configuration does not have it".to_string());
        };
        match ask(command, name, ASK_MS) {
            Asked::Yes => Answer::Wanted,
            Asked::No(why) => Answer::NotWanted(why),
            Asked::NotNow(why) => Answer::Later(why),
        }
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

/// The group of this name, of which this process must be a member.
pub(super) fn group_named(name: &str) -> Result<Group> {
    let group = Group::find(name).map_err(|why| Error::usage(why).hint("make it (`groupadd`), or name another"))?;
    member(group)
}

/// The group, if this process belongs to it or is root's.
fn member(group: Group) -> Result<Group> {
    if group.has_this_process() {
        return Ok(group);
    }
    let (user, name) = (user_name(rustix::process::geteuid().as_raw()), &group.name);
    if group.names(&user) {
        return Err(Error::failed(format!("`{user}` is a member of the group `{name}`, but this process is not yet"))
            .hint("log in anew, or start anew what has called this"));
    }
    let text = format!("`{user}` is not a member of the group `{name}`, which shares this installation");
    Err(Error::failed(text).hint(format!("as root: usermod -aG {name} {user}; then log in anew")))
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
