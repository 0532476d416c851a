//! Where the demo plays: a scratch folder, the program as a person calls it, and a look at the database.
//!
//! Commands are run as processes of their own, in the folder, so that what is shown is what anybody gets who types
//! them. Waiting is looking at the database with a bound; an INT or TERM ends it.

use super::super::args::{LogTo, PlaceArgs};
use super::super::crew;
use super::super::print;
use super::super::site::{Register, Site, stop_on_signals};
use super::texts;
use crate::clock::Watch;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::sqlite::as_application;
use crate::work::{Level, Stop};
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long to sleep between two looks.
const LOOK: Duration = Duration::from_millis(25);
/// How long the workers have to end once they were told to.
const END_WITHIN: Duration = Duration::from_secs(25);

/// The scratch folder and what acts in it.
pub(super) struct Stage {
    pub(super) folder: PathBuf,
    pub(super) program: PathBuf,
    pub(super) site: Site,
    stop: Stop,
}

impl Stage {
    /// Makes the folder and puts the configuration and the script into it.
    pub(super) fn build(register: Register) -> Result<Stage> {
        let program =
            std::env::current_exe().map_err(|e| Error::failed(format!("cannot tell where this program is: {e}")))?;
        let folder = fresh_folder()?;
        std::fs::write(folder.join("rowmill.toml"), texts::CONFIG)?;
        std::fs::write(folder.join("greet.sh"), texts::SCRIPT)?;
        let config = Some(folder.join("rowmill.toml"));
        // Named here, so that a ROWMILL_DATABASE of the caller's is not taken for the demo's.
        let database = folder.join("rowmill.db").to_str().map(str::to_string);
        let site = Site::find(&PlaceArgs { config, database, log: LogTo::File }, register)?;
        Ok(Stage { folder, program, site, stop: stop_on_signals()? })
    }

    /// Runs `rowmill ARGS` in the folder to its end, and answers what it printed.
    pub(super) fn rowmill(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.args(args).current_dir(&self.folder).env_remove("ROWMILL_DATABASE").stdin(Stdio::null());
        let output = command.output().map_err(|e| Error::from(e).during(self.program.display()))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            let what = format!("rowmill {} ended with {}: {said}{errors}", args.join(" "), output.status);
            return Err(Error::failed(what.trim_end()));
        }
        Ok(said)
    }

    /// Shows statements, runs them as an application does, and answers the id of the last row.
    pub(super) fn sql(&self, sql: &str) -> Result<i64> {
        block(sql)?;
        as_application(&self.site.database, &format!("{}{sql}", texts::CONNECTION))
    }

    /// Looks until `look` has seen something, at most for `span`.
    pub(super) fn wait<T>(
        &self,
        store: &mut dyn Store,
        span: Duration,
        mut look: impl FnMut(&mut dyn Store) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let watch = Watch::start();
        loop {
            if let Some(seen) = look(store)? {
                return Ok(Some(seen));
            }
            if self.stop.level() != Level::GoOn {
                return Err(Error::failed("it was broken off"));
            }
            let left = watch.left_of(span);
            if left.is_zero() {
                return Ok(None);
            }
            store.sleep(left.min(LOOK), self.stop.descriptor())?;
        }
    }
}

/// Tells the workers of `store` to end, and waits until they have; answers how many there were, and whether all did.
/// Goes on when it is itself told to stop: nothing may be left behind.
pub(super) fn end_workers(store: &mut dyn Store) -> Result<(usize, bool)> {
    let (told, left) = crew::end_all(store, false, END_WITHIN)?;
    Ok((told, left.is_none()))
}

/// A new folder in the temp directory that only this user may read; never one that was there.
fn fresh_folder() -> Result<PathBuf> {
    let temp = std::path::absolute(std::env::temp_dir())?;
    let pid = std::process::id();
    let names = std::iter::once(format!("rowmill-demo-{pid}")).chain((2..).map(|n| format!("rowmill-demo-{pid}-{n}")));
    for name in names.take(1_000) {
        let folder = temp.join(name);
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => {
                return Err(Error::failed(format!("cannot make {}: {e}", folder.display()))
                    .hint("set TMPDIR to a folder that this user may write to"));
            }
        }
    }
    Err(Error::failed(format!("{} is full of demos", temp.display())))
}

/// Prints the head of a step and what it is about.
pub(super) fn step(number: u32, head: &str, about: &str) -> Result<()> {
    print(&format!("{number}. {head}\n\n{about}\n\n"))
}

/// Prints plain words, with an empty line behind them.
pub(super) fn say(text: &str) -> Result<()> {
    print(&format!("{text}\n\n"))
}

/// Prints what is typed or answered, set in, with an empty line behind it.
pub(super) fn block(text: &str) -> Result<()> {
    let lines: String = text.lines().map(|line| format!("    {line}").trim_end().to_string() + "\n").collect();
    print(&format!("{lines}\n"))
}

/// A path as it is typed in a shell.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    match text.chars().all(|c| c.is_alphanumeric() || "/._-+".contains(c)) {
        true => text.into_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// Prints a command as it is typed, and what it answered.
pub(super) fn typed(command: &str, answer: &str) -> Result<()> {
    block(&format!("$ {command}\n{answer}"))
}
