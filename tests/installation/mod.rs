//! A scratch installation: a folder with a configuration, a database and scripts, and the real program called in it.
//!
//! Every process of an installation stands in its folder: workers are started there, and their scripts too. So whoever
//! is left when the value is dropped is found by that, and killed, detached ones and grandchildren included.
//! Every wait here has a bound. It measures nothing: it only ends a test that would wait forever.

#![allow(dead_code, reason = "each test target that includes this module uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first thing that cannot be"
)]

use rowmill::clock::Watch;
use rusqlite::Connection;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// After this long a wait is given up. Far longer than anything takes here, on a busy machine too.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// A folder with an installation in it.
#[derive(Debug)]
pub(crate) struct Installation {
    dir: TempDir,
    program: PathBuf,
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Its answer; it must have ended well and complained about nothing.
    #[track_caller]
    pub(crate) fn well(self) -> String {
        assert!(self.code == Some(0) && self.err.is_empty(), "{self:?}");
        self.out
    }
}

impl Installation {
    /// A folder with nothing in it.
    pub(crate) fn empty() -> Installation {
        Installation::empty_of(Path::new(env!("CARGO_BIN_EXE_rowmill")))
    }

    /// The same, to be used with another program.
    fn empty_of(program: &Path) -> Installation {
        let dir = tempfile::Builder::new().prefix("rowmill-e2e-").tempdir().unwrap();
        Installation { dir, program: program.to_path_buf() }
    }

    /// The same as [`new`](Self::new), in a folder of that one: on the disk where that lies.
    pub(crate) fn on(disk: &Path, config: &str) -> Installation {
        let dir = tempfile::Builder::new().prefix("rowmill-e2e-").tempdir_in(disk).unwrap();
        let installation = Installation { dir, program: PathBuf::from(env!("CARGO_BIN_EXE_rowmill")) };
        installation.write("rowmill.toml", config);
        installation.run(&["migrate"]).well();
        installation
    }

    /// A folder with this configuration, and its database, for a program with jobs of its own.
    pub(crate) fn of(program: &Path, config: &str) -> Installation {
        let installation = Installation::empty_of(program);
        installation.write("rowmill.toml", config);
        installation.run(&["migrate"]).well();
        installation
    }

    /// A folder with this configuration, and its database.
    pub(crate) fn new(config: &str) -> Installation {
        Installation::of(Path::new(env!("CARGO_BIN_EXE_rowmill")), config)
    }

    /// The folder, behind all links.
    pub(crate) fn folder(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    /// Writes a script job of this name, for `/bin/sh`. Another process writes it: a file that this one has open for
    /// writing, if only in a child that another test is just starting, cannot be executed.
    pub(crate) fn script(&self, name: &str, text: &str) {
        let path = self.path("scripts").join(name);
        fs::create_dir_all(self.path("scripts")).unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(path);
        command.stdin(holding(&format!("#!/bin/sh\n{text}")));
        to_its_end(command).well();
    }

    /// A file's text; empty while there is none.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The program, to be called in the folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).current_dir(self.folder()).env_remove("ROWMILL_DATABASE").stdin(Stdio::null());
        command
    }

    /// Calls the program and waits for its end.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        to_its_end(self.command(args))
    }

    /// Calls the program with this on its standard input.
    #[track_caller]
    pub(crate) fn run_with_input(&self, args: &[&str], input: &str) -> Said {
        let mut command = self.command(args);
        command.stdin(holding(input));
        to_its_end(command)
    }

    /// Starts the program; what it says is thrown away.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        let mut command = self.command(args);
        Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()))
    }

    /// The JSON answer of a command that reads.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--format", "json"]).collect();
        serde_json::from_str(&self.run(&args).well()).unwrap()
    }

    /// A connection as an application is told to make one.
    pub(crate) fn sql(&self) -> Connection {
        let conn = Connection::open(self.path("rowmill.db")).unwrap();
        conn.busy_timeout(Duration::from_secs(30)).unwrap();
        conn.execute_batch("PRAGMA wal_autocheckpoint = 0").unwrap();
        conn
    }

    /// Inserts that many rows of a job in one transaction, as an application would.
    pub(crate) fn insert(&self, count: usize, job: &str, param: &str) {
        let mut conn = self.sql();
        let transaction = conn.transaction().unwrap();
        for _ in 0..count {
            transaction.execute("INSERT INTO queue (job, param) VALUES (?1, ?2)", [job, param]).unwrap();
        }
        transaction.commit().unwrap();
    }

    /// How many tasks have each status, by the view that is right at every instant.
    pub(crate) fn truth(&self) -> BTreeMap<String, u64> {
        counts(&self.sql(), "task")
    }

    /// The same by the table itself, which is right at rest.
    pub(crate) fn queue(&self) -> BTreeMap<String, u64> {
        counts(&self.sql(), "queue")
    }

    /// How many tasks are done.
    pub(crate) fn done(&self) -> u64 {
        self.truth().get("done").copied().unwrap_or(0)
    }

    /// How many rows answer to a condition.
    pub(crate) fn count(&self, condition: &str) -> i64 {
        let count = format!("SELECT count(*) FROM task WHERE {condition}");
        self.sql().query_row(&count, [], |r| r.get(0)).unwrap()
    }

    /// Every law of the data holds, as `doctor` examines them; the file and its indexes are sound.
    #[track_caller]
    pub(crate) fn keeps_the_laws(&self) {
        let said = self.run(&["doctor", "--deep", "--format", "json"]);
        let answer: Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"));
        let broken = |law: &&Value| law["severity"] == "breach" && (law["broken"] != 0 || !law["left_out"].is_null());
        let broken: Vec<&Value> = answer["laws"].as_array().unwrap().iter().filter(broken).collect();
        assert!(broken.is_empty() && answer["breaches"] == 0, "{broken:#?}");
    }

    /// The living workers: index and process.
    pub(crate) fn workers(&self) -> BTreeMap<u64, i32> {
        let status = self.json(&["status"]);
        let worker = |w: &Value| (w["index"].as_u64().unwrap(), i32::try_from(w["pid"].as_i64().unwrap()).unwrap());
        status["workers"].as_array().unwrap().iter().map(worker).collect()
    }

    /// Waits until that many workers live.
    #[track_caller]
    pub(crate) fn await_workers(&self, count: usize) -> BTreeMap<u64, i32> {
        within(BOUND, "as many workers", || Some(self.workers()).filter(|w| w.len() == count))
    }

    /// Today's log.
    pub(crate) fn log(&self) -> String {
        self.read("logs/rowmill.log")
    }

    /// How many lines of the log have this in them.
    pub(crate) fn lines(&self, part: &str) -> usize {
        self.log().lines().filter(|line| line.contains(part)).count()
    }

    /// The processes that stand in the folder.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        let folder = self.folder();
        let entries = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        entries.filter(|pid| stands_in(*pid, &folder)).filter_map(Pid::from_raw).collect()
    }

    /// Waits until no process stands in the folder.
    #[track_caller]
    pub(crate) fn await_silence(&self) {
        within(BOUND, "all processes to end", || self.processes().is_empty().then_some(()));
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        let folder = self.folder();
        let watch = Watch::start();
        loop {
            let left = self.processes();
            if left.is_empty() || watch.left_of(BOUND).is_zero() {
                return;
            }
            for pid in left {
                // By a descriptor that was there before the last look: a number alone may be somebody else's by now.
                let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
                if stands_in(pid.as_raw_nonzero().get(), &folder) {
                    let _ = pidfd_send_signal(&process, Signal::KILL);
                }
            }
            pause(PAUSE);
        }
    }
}

/// Whether a process stands in this folder. One that only waits to be reaped stands nowhere.
fn stands_in(pid: i32, folder: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
}

fn counts(conn: &Connection, table: &str) -> BTreeMap<String, u64> {
    let mut query = conn.prepare(&format!("SELECT status, count(*) FROM {table} GROUP BY status")).unwrap();
    query.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap().map(Result::unwrap).collect()
}

/// Counts as the tests write them.
pub(crate) fn statuses<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    counts.into_iter().map(|(status, count)| (status.to_string(), count)).collect()
}

/// A started process, killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Running {
        Running(command.spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> i32 {
        Pid::from_child(&self.0).as_raw_nonzero().get()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(&mut self) -> ExitStatus {
        let process = pidfd_open(Pid::from_child(&self.0), PidfdFlags::empty()).unwrap();
        let bound = Timespec::try_from(BOUND).unwrap();
        let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&bound)).unwrap();
        assert!(ended > 0, "the process does not end");
        self.0.wait().unwrap()
    }

    /// Waits for its end and answers its exit code; `None` when a signal ended it.
    #[track_caller]
    pub(crate) fn code(&mut self) -> Option<i32> {
        self.end().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command to its end. Its output goes to files, so that it never waits for a reader.
#[track_caller]
pub(crate) fn to_its_end(mut command: Command) -> Said {
    let (out, err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command.stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap());
    let code = Running::start(&mut command).code();
    Said { code, out: text(out), err: text(err) }
}

/// A file without a name that holds this, to be read from its beginning.
fn holding(text: &str) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    file
}

fn text(mut file: File) -> String {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Looks again and again until there is an answer, at most for `bound`.
#[track_caller]
pub(crate) fn within<T>(bound: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let watch = Watch::start();
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        assert!(!watch.left_of(bound).is_zero(), "waited in vain for {what}");
        pause(PAUSE);
    }
}

/// Does nothing for a while. An interruption only makes it shorter.
pub(crate) fn pause(span: Duration) {
    let _ = poll(&mut [], Some(&Timespec::try_from(span).unwrap()));
}

/// Sends a signal to a process of the test's own.
pub(crate) fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Stops a worker at a moment at which it writes nothing, so that nobody waits for it at `gate`.
#[track_caller]
pub(crate) fn freeze(pid: i32, gate: &Path) {
    let gate = File::open(gate).unwrap();
    within(BOUND, "it to be frozen while it writes nothing", || {
        signal(pid, Signal::STOP);
        let is_free = gate.try_lock().is_ok();
        if !is_free {
            signal(pid, Signal::CONT);
        }
        is_free.then_some(())
    });
}

/// Whether a process is there; one that only waits to be reaped is not.
pub(crate) fn alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Sends TERM, and waits until the process has taken it to heart: two that come too close are one.
#[track_caller]
pub(crate) fn terminate(pid: i32) {
    let before = rung(pid);
    signal(pid, Signal::TERM);
    within(BOUND, "a process to hear TERM", || (!alive(pid) || rung(pid) > before).then_some(()));
}

/// The sum of a process's event counters. Being told to stop raises one of them.
fn rung(pid: i32) -> u64 {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fdinfo")) else { return 0 };
    let count = |text: String| {
        u64::from_str_radix(text.lines().find_map(|l| l.strip_prefix("eventfd-count:"))?.trim(), 16).ok()
    };
    entries.filter_map(|entry| count(fs::read_to_string(entry.ok()?.path()).ok()?)).sum()
}
