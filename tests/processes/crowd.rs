//! A hundred thousand rows of three priorities and four jobs (or ten times `ROWMILL_CROWD`), inserted by three programs at
//! once while ten workers drain them: each ends once, runs as often as it says, and is taken when nothing better stands in
//! its partition.
//!
//! What would be found here: a fetch in another order, or one that passes over what has just come; rows that are lost or
//! doubled between writers and workers that never rest, attempts that are charged and not run or run and not charged,
//! second attempts that nobody makes.

use super::order;
use super::thousands::lines_by_task;
use crate::installation::{BOUND, Installation, Running, pause, statuses, within};
use crate::needs;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How many parts of the rows each of the three programs brings.
const PYTHON: u64 = 4;
const SHELL: u64 = 3;
const LINES: u64 = 3;

/// How many rows a part is: ten thousand, or what `ROWMILL_CROWD` says.
fn part() -> u64 {
    std::env::var_os("ROWMILL_CROWD").map_or(10_000, |text| text.to_string_lossy().parse().expect("a number"))
}

/// All of them.
fn all() -> u64 {
    (PYTHON + SHELL + LINES) * part()
}
/// Of so many rows one is a script's, of both scripts in turn. A prime, so that they are in all partitions.
const SCRIPT_EVERY: u64 = 251;

const CONFIG: &str = "
workers = 10

[[job]]
name = 'shaky'
command = ['jobs/shaky']
max_attempts = 2
backoff = { first = '20ms', factor = 1.0, max = '20ms' }
";

const FROM_PYTHON: &str = "
import sqlite3, sys
job = lambda n: ['append', 'shaky'][n // 251 % 2] if n % 251 == 0 else ['noop', 'echo'][n % 2]
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
conn.execute('PRAGMA busy_timeout = 30000')
conn.execute('PRAGMA wal_autocheckpoint = 0')
rows = [(job(n), '{\"by\":\"python\",\"n\":%d}' % n, n % 3) for n in range(int(sys.argv[2]))]
for start in range(0, len(rows), 500):
    conn.execute('BEGIN IMMEDIATE')
    conn.executemany('INSERT INTO queue (job, param, priority) VALUES (?, ?, ?)', rows[start:start + 500])
    conn.execute('COMMIT')
";

/// What a row is, by its number: the job, and its priority.
fn job(n: u64) -> &'static str {
    match (n.is_multiple_of(SCRIPT_EVERY), (n / SCRIPT_EVERY).is_multiple_of(2)) {
        (true, true) => "append",
        (true, false) => "shaky",
        (false, _) if n.is_multiple_of(2) => "noop",
        (false, _) => "echo",
    }
}

fn rows(count: u64) -> impl Iterator<Item = (&'static str, u64, u64)> {
    (0..count).map(|n| (job(n), n, n % 3))
}

fn python(here: &Installation) -> Running {
    let mut python = Command::new("python3");
    Running::start(python.args(["-c", FROM_PYTHON]).arg(here.path("rowmill.db")).arg((PYTHON * part()).to_string()))
}

/// The shell, which inserts a hundred rows by a statement, each statement a transaction of its own.
fn shell(here: &Installation) -> Running {
    let mut text = String::from(".timeout 30000\nPRAGMA wal_autocheckpoint = 0;\n");
    let values: Vec<String> = rows(SHELL * part())
        .map(|(job, n, priority)| format!("('{job}', '{{\"by\":\"shell\",\"n\":{n}}}', {priority})"))
        .collect();
    for some in values.chunks(100) {
        text.push_str(&format!("INSERT INTO queue (job, param, priority) VALUES {};\n", some.join(", ")));
    }
    here.write("rows.sql", &text);
    let mut shell = Command::new("sqlite3");
    shell.args(["-init", "/dev/null", "-bail"]).arg(here.path("rowmill.db"));
    Running::start(shell.arg(".read rows.sql").current_dir(here.folder()).stdin(Stdio::null()).stdout(Stdio::null()))
}

fn lines(here: &Installation) -> Running {
    let line = |(job, n, priority)| {
        format!("{{\"job\":\"{job}\",\"priority\":{priority},\"param\":{{\"by\":\"lines\",\"n\":{n}}}}}\n")
    };
    here.write("rows.ndjson", &rows(LINES * part()).map(line).collect::<String>());
    here.start(&["enqueue", "--from", "rows.ndjson"])
}

/// An installation with both script jobs. They append one line for each run, with one write.
fn installed() -> Installation {
    let here = Installation::new("workers = 10\n");
    let append = "echo \"$ROWMILL_TASK_ID $ROWMILL_ATTEMPT\" >> \"$RUNS\"\n";
    let append = append.replace("$RUNS", &here.path("runs").display().to_string());
    here.script("append", &append);
    // By its id: one of three succeeds at once, one after a failure, one never.
    here.script("shaky", &format!("{append}exit $(( ROWMILL_TASK_ID % 3 - ROWMILL_ATTEMPT >= 0 ))\n"));
    std::fs::create_dir(here.path("jobs")).unwrap();
    std::fs::rename(here.path("scripts/shaky"), here.path("jobs/shaky")).unwrap();
    here.write("rowmill.toml", CONFIG);
    here
}

/// The attempts of each task that the scripts have written down, in the order in which they ran.
fn runs(here: &Installation) -> BTreeMap<i64, Vec<i64>> {
    let mut runs: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for line in here.read("runs").lines() {
        let (id, attempt) = line.split_once(' ').unwrap();
        runs.entry(id.parse().unwrap()).or_default().push(attempt.parse().unwrap());
    }
    runs
}

/// What the table says of the scripts: attempts and status, as the scripts would have it.
fn charged(here: &Installation) -> BTreeMap<i64, Vec<i64>> {
    let conn = here.sql();
    let mut query = conn.prepare("SELECT id, attempt FROM task WHERE job IN ('append', 'shaky')").unwrap();
    let rows = query.query_map([], |r| Ok((r.get(0)?, (1..=r.get(1)?).collect()))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn rows_of_three_programs_end_once_each_while_ten_workers_drain_them() {
    if !needs::tool("python3") || !needs::tool("sqlite3") {
        return;
    }
    let here = installed();
    order::watch(&here);
    here.run(&["tick"]).well();
    here.await_workers(10);
    let mut programs = [python(&here), shell(&here), lines(&here)];
    within(BOUND, "rows to be done", || (here.count("status = 'done'") > 0).then_some(()));
    assert!(here.count("true") < all().cast_signed(), "all was inserted before the first row was done");
    assert!(programs.iter_mut().all(|program| program.code() == Some(0)));
    within(2 * BOUND * u32::try_from(part() / 10_000).unwrap().max(1), "all rows to be final", || {
        pause(Duration::from_millis(100));
        (here.count("status IN ('done', 'dead')") == all().cast_signed()).then_some(())
    });

    let never = here.count("job = 'shaky' AND id % 3 = 2");
    let late = here.count("job = 'shaky' AND id % 3 = 1 AND attempt = 2 AND status = 'done'");
    assert!(never > 20 && late > 20, "{never} never succeed, {late} at the second attempt");
    let wanted = statuses([("dead", never.try_into().unwrap()), ("done", all() - u64::try_from(never).unwrap())]);
    assert_eq!(here.truth(), wanted);
    within(BOUND, "the outcomes to be folded", || (here.queue() == wanted).then_some(()));
    assert_eq!(
        here.count("job = 'shaky' AND status = 'dead' AND id % 3 = 2 AND cause = 'exit' AND attempt = 2"),
        never
    );
    assert_eq!(here.count("job = 'shaky' AND id % 3 = 1 AND attempt <> 2"), 0);
    assert_eq!(
        here.count("(job <> 'shaky' OR id % 3 = 0) AND attempt = 1 AND error IS NULL"),
        all().cast_signed() - twice(&here)
    );
    assert_eq!(here.count("job = 'echo' AND CAST(result AS TEXT) IS NOT CAST(param AS TEXT)"), 0);
    assert_eq!(runs(&here), charged(&here), "each script ran as often as its attempts say");
    nothing_lost_or_doubled(&here);
    here.keeps_the_laws();
    let choices = order::assert_kept(&here);
    assert!(choices > 10_000, "there was a choice only {choices} times: that proves nothing");
    assert_eq!(
        lines_by_task(&here, &[" done run_ms=", " dead "]),
        (1..=all().cast_signed()).map(|id| (id, 1)).collect()
    );
}

/// How many tasks were run twice.
fn twice(here: &Installation) -> i64 {
    here.count("job = 'shaky' AND id % 3 >= 1")
}

/// Each program's rows are there, each once, as it was asked for.
fn nothing_lost_or_doubled(here: &Installation) {
    let conn = here.sql();
    let sql = "SELECT param ->> 'by' AS by, param ->> 'n' AS n, job, priority FROM task ORDER BY by, n";
    let mut query = conn.prepare(sql).unwrap();
    let mut found = query.query([]).unwrap();
    for (by, count) in [("lines", LINES), ("python", PYTHON), ("shell", SHELL)] {
        for (job, n, priority) in rows(count * part()) {
            let row = found.next().unwrap().unwrap();
            let there = (row.get::<_, String>(0), row.get::<_, u64>(1), row.get::<_, String>(2), row.get(3));
            assert_eq!(there, (Ok(by.to_string()), Ok(n), Ok(job.to_string()), Ok(priority)));
        }
    }
    assert!(found.next().unwrap().is_none());
}
