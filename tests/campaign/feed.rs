//! Who brings the rows: the command line, Python's SQLite and the `sqlite3` shell, each as a program that may be killed.
//!
//! A row has a number of its own. What a program had acknowledged (it ended well, or wrote the number down after its
//! commit) must be there in the end, once; what it had not may be there, once at most.

use super::strike::Dice;
use crate::installation::{Installation, Running};
use crate::needs;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::{Command, Stdio};

const PYTHON: &str = "
import json, os, sqlite3, sys, time
conn = sqlite3.connect('rowmill.db', isolation_level=None)
conn.execute('PRAGMA busy_timeout = 60000')
conn.execute('PRAGMA wal_autocheckpoint = 0')
acked = os.open('acked', os.O_WRONLY | os.O_APPEND | os.O_CREAT)
rows = [json.loads(line) for line in open(sys.argv[1])]
for start in range(0, len(rows), 4):
    some = rows[start:start + 4]
    conn.execute('BEGIN IMMEDIATE')
    for row in some:
        run_at = int(time.time() * 1000) + row['param']['n'] % 1500 if row['param']['n'] % 8 == 0 else None
        conn.execute('INSERT INTO queue (job, param, priority, run_at) VALUES (?, ?, ?, ?)',
                     (row['job'], json.dumps(row['param']), row['priority'], run_at))
    conn.execute('COMMIT')
    os.write(acked, ''.join('%d\\n' % row['param']['n'] for row in some).encode())
";

/// How rows come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    CommandLine,
    Python,
    Shell,
}

/// A program that enqueues, and the numbers of its rows.
#[derive(Debug)]
pub(super) struct Feeder {
    running: Running,
    numbers: std::ops::Range<i64>,
}

/// Brings rows as long as it is asked.
#[derive(Debug)]
pub(super) struct Feed {
    ways: Vec<Way>,
    next: i64,
    feeders: Vec<Feeder>,
    acked: BTreeSet<i64>,
}

impl Feed {
    pub(super) fn new() -> Feed {
        let mut ways = vec![Way::CommandLine];
        ways.extend(needs::tool("python3").then_some(Way::Python));
        ways.extend(needs::tool("sqlite3").then_some(Way::Shell));
        Feed { ways, next: 1, feeders: Vec::new(), acked: BTreeSet::new() }
    }

    /// Starts a program with some rows.
    pub(super) fn start_one(&mut self, here: &Installation, dice: &mut Dice) {
        let numbers = self.next..self.next + dice.between(12, 40);
        self.next = numbers.end;
        let rows: Vec<(&str, String, i64)> = numbers.clone().map(|n| row(n, dice)).collect();
        let (file, mut text) = (format!("feed-{}", numbers.start), String::new());
        let way = self.ways[dice.below(self.ways.len() as u32) as usize];
        for (job, param, priority) in rows {
            match way {
                Way::Shell => {
                    writeln!(text, "INSERT INTO queue (job, param, priority) VALUES ('{job}', '{param}', {priority});")
                }
                _ => writeln!(text, "{{\"job\":\"{job}\",\"param\":{param},\"priority\":{priority}}}"),
            }
            .unwrap();
        }
        if way == Way::Shell {
            text.insert_str(0, ".timeout 60000\nPRAGMA wal_autocheckpoint = 0;\n");
        }
        here.write(&file, &text);
        let mut command = match way {
            Way::CommandLine => here.command(&["enqueue", "--from", &file]),
            Way::Python => program(here, "python3", &["-c", PYTHON, &file]),
            Way::Shell => program(
                here,
                "sqlite3",
                &["-init", "/dev/null", "-batch", "-bail", "rowmill.db", &format!(".read {file}")],
            ),
        };
        let running = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        self.feeders.push(Feeder { running, numbers });
    }

    /// Takes note of those that have ended: who ended well has acknowledged its rows.
    pub(super) fn reap(&mut self) {
        let acked = &mut self.acked;
        self.feeders.retain_mut(|feeder| match feeder.running.0.try_wait().unwrap() {
            None => true,
            Some(status) => {
                assert!(status.success() || status.code().is_none(), "an enqueuing program failed: {status}");
                acked.extend(feeder.numbers.clone().filter(|_| status.success()));
                false
            }
        });
    }

    /// The processes that enqueue now.
    pub(super) fn pids(&self) -> Vec<i32> {
        self.feeders.iter().map(|feeder| feeder.running.pid()).collect()
    }

    /// The numbers that were acknowledged, those of programs that wrote them down before they were killed included.
    pub(super) fn acked(&self, here: &Installation) -> BTreeSet<i64> {
        let written = here.read("acked");
        written.lines().map(|line| line.parse().unwrap()).chain(self.acked.iter().copied()).collect()
    }
}

fn program(here: &Installation, name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(args).current_dir(here.folder()).stdin(Stdio::null());
    command
}

/// A row of some job: its param names its number.
fn row(n: i64, dice: &mut Dice) -> (&'static str, String, i64) {
    let priority = if dice.below(12) == 0 { 5 } else { 0 };
    let (job, more) = match dice.below(20) {
        0..=6 => ("errand", format!("\"ms\":{}", dice.below(4))),
        7..=9 => ("errand", format!("\"ms\":{},\"effect\":true", dice.below(40))),
        10..=11 => ("errand", format!("\"ms\":{},\"effect\":true,\"notes\":{}", dice.below(20), dice.below(9))),
        12..=13 => ("errand", format!("\"ms\":{}", dice.between(100, 400))),
        14..=15 => ("walk", "\"ms\":0".to_string()),
        16 => ("family", "\"ms\":0".to_string()),
        17 => ("stray", "\"ms\":0".to_string()),
        18 => ("payment", format!("\"ms\":{}", dice.below(60))),
        _ => ("pay", "\"ms\":0".to_string()),
    };
    (job, format!("{{\"n\":{n},{more}}}"), priority)
}
