//! The rowmill program in a folder of its own: its configuration, its database, its rows.
//!
//! Rows enter as an application's would: plain SQL on a connection of its own, triggers on, 1000 a transaction.

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::{param_of, priority_of};

/// A folder with `rowmill.toml` and a migrated `rowmill.db`.
pub(crate) struct Program {
    dir: TempDir,
}

impl Program {
    pub(crate) fn set_up(dir: TempDir, workers: u32, durability: &str) -> Result<Self, Box<dyn Error>> {
        Program::set_up_with(dir, workers, durability, "")
    }

    /// The same with more at the end of the configuration.
    pub(crate) fn set_up_with(
        dir: TempDir,
        workers: u32,
        durability: &str,
        more: &str,
    ) -> Result<Self, Box<dyn Error>> {
        let program = Program { dir };
        program.configure(workers, durability, more)?;
        program.run(&["migrate"])?;
        if !program.dir.path().join("rowmill.db").exists() {
            return Err("`rowmill migrate` ended well and made no database".into());
        }
        Ok(program)
    }

    /// Writes the configuration anew.
    pub(crate) fn configure(&self, workers: u32, durability: &str, more: &str) -> Result<(), Box<dyn Error>> {
        let config = format!("database = \"rowmill.db\"\nworkers = {workers}\ndurability = \"{durability}\"\n{more}");
        Ok(std::fs::write(self.path().join("rowmill.toml"), config)?)
    }

    /// Runs a command to its end. What it says on standard error is shown when it fails.
    pub(crate) fn run(&self, args: &[&str]) -> Result<(), Box<dyn Error>> {
        let errors = self.dir.path().join("stderr");
        let status = self.command(args).stderr(File::create(&errors)?).status()?;
        if status.success() {
            return Ok(());
        }
        let said = std::fs::read_to_string(&errors)?;
        Err(format!("`rowmill {}`: {status}\n{}", args.join(" "), said.trim_end()).into())
    }

    /// A command that is silent and is given nothing.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rowmill"));
        command.args(args).current_dir(self.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// A connection as an application is told to make one.
    pub(crate) fn connect(&self) -> Result<Connection, Box<dyn Error>> {
        let conn = Connection::open(self.path().join("rowmill.db"))?;
        conn.busy_timeout(Duration::from_secs(5))?;
        conn.execute_batch("PRAGMA wal_autocheckpoint = 0")?;
        Ok(conn)
    }

    /// Inserts `tasks` rows and empties the log, while no other process of rowmill is there.
    pub(crate) fn load(&self, tasks: i64) -> Result<(), Box<dyn Error>> {
        let conn = self.connect()?;
        conn.execute_batch("PRAGMA synchronous = NORMAL")?;
        let mut row = conn.prepare("INSERT INTO queue (job, param, priority) VALUES ('noop', ?1, ?2)")?;
        for first in (0..tasks).step_by(1000) {
            conn.execute_batch("BEGIN IMMEDIATE")?;
            for n in first..tasks.min(first + 1000) {
                row.execute(params![param_of(n), priority_of(n)])?;
            }
            conn.execute_batch("COMMIT")?;
        }
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}
