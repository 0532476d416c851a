//! The baselines: N processes over one SQLite file, with nothing of rowmill in them.
//!
//! The bench starts itself N times with a hidden first argument. Each process opens the database, prepares its
//! statements, says `ready`, and waits for its standard input to close, so that process start-up is not counted. The
//! clock stops when the last one has said `done`, before connections close: the strictest reading for whoever is
//! compared with it. All statements stand here literally; nothing that slows the engine can slow these.

mod bare;
mod claim;
mod gate;

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// The first argument of a process that is one of the N.
pub(crate) const HIDDEN_ARGUMENT: &str = "--as-baseline-worker";

const DATABASE: &str = "baseline.db";

/// Which statements the N processes make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Hold the partition; a clustered order whose keys are deleted, and a clustered table of outcomes.
    Bare,
    /// Claim by UPDATE, finish by UPDATE, in one table.
    Claim,
}

impl Layout {
    fn word(self) -> &'static str {
        match self {
            Layout::Bare => "bare",
            Layout::Claim => "claim",
        }
    }

    fn from_word(word: &str) -> Result<Self, Box<dyn Error>> {
        match word {
            "bare" => Ok(Layout::Bare),
            "claim" => Ok(Layout::Claim),
            other => Err(format!("no such layout: {other}").into()),
        }
    }
}

/// One of the N processes, killed if the bench gives up before it has ended.
struct Process {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Process {
    fn start(layout: Layout, dir: &Path, partition: u32, partitions: u32) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([HIDDEN_ARGUMENT, layout.word()])
            .arg(dir)
            .args([partition.to_string(), partitions.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let says = BufReader::new(child.stdout.take().ok_or("a baseline process has no output")?);
        Ok(Process { child, says })
    }

    /// Waits for a line that begins with `word`; answers the rest of it.
    fn hear(&mut self, word: &str) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        match line.trim_end().strip_prefix(word) {
            Some(rest) => Ok(rest.trim().to_owned()),
            None => Err(format!("a baseline process said {line:?} instead of {word:?}").into()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Fills a database in `dir` with `tasks` rows, drains it by `partitions` processes, and checks that all are done.
/// Answers the time from the common start to the last commit.
pub(crate) fn drain(layout: Layout, dir: &Path, partitions: u32, tasks: i64) -> Result<Duration, Box<dyn Error>> {
    load(layout, dir, partitions, tasks)?;
    let mut processes =
        (0..partitions).map(|p| Process::start(layout, dir, p, partitions)).collect::<Result<Vec<_>, _>>()?;
    for process in &mut processes {
        process.hear("ready")?;
    }
    let start = Instant::now();
    for process in &mut processes {
        drop(process.child.stdin.take());
    }
    let mut done = 0;
    for process in &mut processes {
        done += process.hear("done")?.parse::<i64>()?;
    }
    let took = start.elapsed();
    for process in &mut processes {
        process.child.wait()?;
    }
    let conn = Connection::open(dir.join(DATABASE))?;
    let (left, settled) = match layout {
        Layout::Bare => bare::count(&conn)?,
        Layout::Claim => claim::count(&conn)?,
    };
    if (done, left, settled) != (tasks, 0, tasks) {
        return Err(format!("{}: of {tasks} tasks {done} ran, {settled} are done, {left} left", layout.word()).into());
    }
    Ok(took)
}

/// What a process does that was started with [`HIDDEN_ARGUMENT`]; `args` are the arguments after it.
pub(crate) fn work(args: &[String]) -> Result<(), Box<dyn Error>> {
    let [layout, dir, partition, partitions] = args else { return Err("four arguments are needed".into()) };
    let (partition, partitions) = (partition.parse()?, partitions.parse()?);
    let dir = Path::new(dir);
    let conn = open(dir)?;
    let gate = gate::Gate::open(&dir.join("gate"), &dir.join(format!("{DATABASE}-wal")))?;
    let start = || -> Result<(), Box<dyn Error>> {
        let mut out = std::io::stdout();
        writeln!(out, "ready")?;
        out.flush()?;
        std::io::stdin().read_to_end(&mut Vec::new())?;
        Ok(())
    };
    let done = match Layout::from_word(layout)? {
        Layout::Bare => bare::work(&conn, gate, partition, start)?,
        Layout::Claim => claim::work(&conn, gate, partition, partitions, start)?,
    };
    writeln!(std::io::stdout(), "done {done}")?;
    Ok(())
}

fn open(dir: &Path) -> Result<Connection, Box<dyn Error>> {
    let conn = Connection::open(dir.join(DATABASE))?;
    conn.busy_timeout(Duration::from_secs(60))?;
    conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0")?;
    Ok(conn)
}

/// Makes the tables and the rows. The log is empty afterwards, so that nobody drains at the cost of the loading.
fn load(layout: Layout, dir: &Path, partitions: u32, tasks: i64) -> Result<(), Box<dyn Error>> {
    let conn = open(dir)?;
    conn.execute_batch("PRAGMA synchronous = NORMAL")?;
    match layout {
        Layout::Bare => bare::load(&conn, partitions, tasks)?,
        Layout::Claim => claim::load(&conn, tasks)?,
    }
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}
