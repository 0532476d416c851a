//! Room for applications: three of them insert single rows while ten workers settle as fast as they can. Each waits for its
//! turn for five seconds at most, as the recipes say, and none is ever refused.
//!
//! What would be found here: workers that follow each other so closely, or hold the database for so long, that somebody
//! who does not stand in their queue gets no turn; and writers that do not notice him.

use crate::installation::{BOUND, Installation, Running, pause, statuses, within};
use crate::needs;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Rows that keep ten workers busy for a while.
const BACKLOG: u64 = 100_000;
/// At least so many inserts of each application stand for its getting through.
const THROUGH: u64 = 5;

/// Inserts until it is told to stop; a line for each row, or for the refusal. It pauses between two, as all three do:
/// whoever writes without a pause keeps other applications out by himself, workers or not.
const PYTHON: &str = "
import os, sqlite3, time
conn = sqlite3.connect('rowmill.db', isolation_level=None)
conn.execute('PRAGMA busy_timeout = 5000')
conn.execute('PRAGMA wal_autocheckpoint = 0')
while not os.path.exists('stop'):
    try:
        conn.execute(\"INSERT INTO queue (job, param) VALUES ('echo', '\\\"python\\\"')\")
        print('in', flush=True)
    except sqlite3.Error as error:
        print('refused', error, flush=True)
    time.sleep(0.05)
";

/// The same with a program that runs the statement that it is given, each time anew.
const ANEW: &str = "until [ -e stop ]; do
    \"$@\" >> out-$by 2>> err-$by && echo in || echo refused
    sleep 0.05
done";

fn insert(by: &str) -> String {
    format!("INSERT INTO queue (job, param) VALUES ('echo', '\"{by}\"')")
}

fn start(here: &Installation, by: &str, mut command: Command) -> Running {
    let said = std::fs::File::create(here.path(by)).unwrap();
    Running::start(command.current_dir(here.folder()).stdin(Stdio::null()).stdout(said).env("by", by))
}

fn python(here: &Installation) -> Running {
    let mut command = Command::new("python3");
    command.args(["-c", PYTHON]);
    start(here, "python", command)
}

fn shell(here: &Installation) -> Running {
    let mut command = Command::new("sh");
    command.args(["-c", ANEW, "sh", "sqlite3", "-batch", "-init", "/dev/null", "-cmd", ".timeout 5000"]);
    command.args(["-cmd", "PRAGMA wal_autocheckpoint = 0", "rowmill.db", &insert("shell")]);
    start(here, "shell", command)
}

fn oldest(here: &Installation) -> Running {
    here.write("insert.sql", &insert("oldest"));
    let mut command = Command::new("sh");
    let program = format!("{} rowmill.db < insert.sql", needs::OLDEST_SQLITE);
    command.args(["-c", ANEW, "sh", "sh", "-c", &program]);
    start(here, "oldest", command)
}

/// Whether an application was seen to write: the first word of the gate's file, until when it is taken to be near.
fn was_seen(here: &Installation) -> bool {
    let gate = std::fs::read(here.path("rowmill.db-run/gate")).unwrap();
    i64::from_ne_bytes(gate[..8].try_into().unwrap()) != 0
}

#[test]
fn single_inserts_of_three_applications_are_never_refused_while_ten_workers_drain() {
    if !needs::tool("python3") || !needs::tool("sqlite3") || !needs::oldest_sqlite() {
        return;
    }
    let here = Installation::new("workers = 10\ndurability = \"normal\"\n");
    here.run(&["tick"]).well();
    here.await_workers(10);
    let numbers = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)";
    let backlog = format!("INSERT INTO queue (job) {numbers} SELECT 'noop' FROM n");
    assert_eq!(here.sql().execute(&backlog, [BACKLOG]).unwrap(), 100_000);
    let mut applications = [python(&here), shell(&here), oldest(&here)];
    within(2 * BOUND, "the backlog to be done", || {
        pause(Duration::from_millis(200));
        (here.count("job = 'noop' AND status <> 'done'") == 0).then_some(())
    });
    assert!(was_seen(&here), "our writers know that they are not alone");
    here.write("stop", "");
    assert!(applications.iter_mut().all(|application| application.code() == Some(0)));
    let mut all = BACKLOG;
    for by in ["python", "shell", "oldest"] {
        let said = here.read(by);
        let inserted = said.lines().filter(|line| *line == "in").count();
        let refused: Vec<&str> = said.lines().filter(|line| *line != "in").collect();
        assert_eq!((refused.len(), here.read(&format!("err-{by}")).as_str()), (0, ""), "{by}: {refused:?}");
        let inserted = u64::try_from(inserted).unwrap();
        assert!(inserted >= THROUGH, "{by} came through {inserted} times while {BACKLOG} rows were done");
        assert_eq!(here.count(&format!("param = '\"{by}\"'")), i64::try_from(inserted).unwrap());
        all += inserted;
    }
    within(BOUND, "their rows to be done", || (here.truth() == statuses([("done", all)])).then_some(()));
}
