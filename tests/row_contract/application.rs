//! An application: somebody with an SQLite of his own and the path of the file.
//!
//! It sets what the recipes tell it to set, a busy timeout and no checkpoints, and nothing else. Rows come back as text,
//! columns between bars and NULL as `NULL`, the same from every kind; an error comes back as its message.

use crate::needs;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock};

/// What an application is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The SQLite that this program brings.
    Bundled,
    /// Python's own module.
    Python,
    /// The shell, a process for each list of statements.
    Shell,
    /// The oldest SQLite that the contract is for, a process for each list of statements.
    Oldest,
}

impl Kind {
    /// Whether what it takes is there; see [`needs::that`] for what happens otherwise.
    #[track_caller]
    pub(crate) fn is_there(self) -> bool {
        match self {
            Kind::Bundled => true,
            Kind::Python => needs::tool("python3"),
            Kind::Shell => needs::tool("sqlite3"),
            Kind::Oldest => needs::oldest_sqlite(),
        }
    }
}

/// On each line a database and a list of statements, or none to close it; one answer for each.
const PYTHON: &str = r#"
import json, sqlite3, sys
open_ones = {}
for line in sys.stdin:
    path, statements = json.loads(line)
    if statements is None:
        db = open_ones.pop(path, None)
        if db:
            db.close()
        continue
    if path not in open_ones:
        open_ones[path] = sqlite3.connect(path, timeout=5, isolation_level=None)
        open_ones[path].execute("PRAGMA wal_autocheckpoint = 0")
    db = open_ones[path]
    rows = []
    try:
        for statement in statements:
            for row in db.execute(statement):
                rows.append("|".join("NULL" if cell is None else str(cell) for cell in row))
        print(json.dumps({"rows": rows}), flush=True)
    except sqlite3.Error as error:
        if db.in_transaction:
            db.rollback()
        print(json.dumps({"error": str(error)}), flush=True)
"#;

/// A running application.
pub(crate) enum Application {
    /// A connection.
    Bundled(Connection),
    /// The database's path; the interpreter is shared.
    Python(PathBuf),
    /// The shell's path and the database's.
    Shell(PathBuf, PathBuf),
    /// The database's path.
    Oldest(PathBuf),
}

/// A child that answers line by line. One serves all tests, since its start is what takes time; it ends with the test
/// program, when its input does.
struct Interpreter {
    _child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

static INTERPRETER: OnceLock<Mutex<Interpreter>> = OnceLock::new();

fn interpreter() -> MutexGuard<'static, Interpreter> {
    let start = || {
        let mut command = Command::new(needs::find("python3").unwrap());
        let mut child = command.args(["-c", PYTHON]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Mutex::new(Interpreter { _child: child, input, output })
    };
    INTERPRETER.get_or_init(start).lock().unwrap()
}

impl Drop for Application {
    fn drop(&mut self) {
        if let Application::Python(path) = self {
            let _ = writeln!(interpreter().input, "{}", serde_json::json!([path, null]));
        }
    }
}

impl Application {
    pub(crate) fn start(kind: Kind, database: &Path) -> Application {
        match kind {
            Kind::Bundled => {
                let conn = Connection::open(database).unwrap();
                conn.execute_batch("PRAGMA busy_timeout = 5000; PRAGMA wal_autocheckpoint = 0").unwrap();
                Application::Bundled(conn)
            }
            Kind::Python => Application::Python(database.to_path_buf()),
            Kind::Shell => Application::Shell(needs::find("sqlite3").unwrap(), database.to_path_buf()),
            Kind::Oldest => Application::Oldest(database.to_path_buf()),
        }
    }

    /// Runs statements one after the other up to the first error, which rolls back an open transaction; answers all
    /// their rows.
    pub(crate) fn try_run(&mut self, statements: &[&str]) -> Result<Vec<String>, String> {
        match self {
            Application::Bundled(conn) => {
                let rows = run_here(conn, statements).map_err(|e| e.to_string());
                if rows.is_err() && !conn.is_autocommit() {
                    conn.execute_batch("ROLLBACK").unwrap();
                }
                rows
            }
            Application::Python(path) => interpreter().run(path, statements),
            Application::Shell(program, database) => run_shell(program, database, statements),
            Application::Oldest(database) => {
                let mut command = Command::new(needs::OLDEST_SQLITE);
                fed(command.arg(database), &statements.join("\0"))
            }
        }
    }

    /// Runs statements that must succeed.
    #[track_caller]
    pub(crate) fn run(&mut self, statements: &[&str]) -> Vec<String> {
        self.try_run(statements).unwrap_or_else(|e| panic!("{statements:?}: {e}"))
    }

    /// Runs one statement that answers one integer.
    #[track_caller]
    pub(crate) fn number(&mut self, statement: &str) -> i64 {
        self.run(&[statement])[0].parse().unwrap()
    }

    /// Runs statements that must be refused in these words.
    #[track_caller]
    pub(crate) fn refused(&mut self, statements: &[&str], words: &str) {
        match self.try_run(statements) {
            Ok(rows) => panic!("{statements:?} was not refused but answered {rows:?}"),
            Err(error) => assert!(error.contains(words), "{statements:?}: {error}"),
        }
    }
}

fn run_here(conn: &Connection, statements: &[&str]) -> rusqlite::Result<Vec<String>> {
    let mut lines = Vec::new();
    for statement in statements {
        let mut query = conn.prepare(statement)?;
        let columns = query.column_count();
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let cells = (0..columns).map(|i| match row.get_ref(i).unwrap() {
                ValueRef::Null => "NULL".to_string(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) => number.to_string(),
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            });
            lines.push(cells.collect::<Vec<_>>().join("|"));
        }
    }
    Ok(lines)
}

impl Interpreter {
    fn run(&mut self, database: &Path, statements: &[&str]) -> Result<Vec<String>, String> {
        writeln!(self.input, "{}", serde_json::json!([database, statements])).unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&line).unwrap();
        match answer["error"].as_str() {
            Some(error) => Err(error.to_string()),
            None => Ok(serde_json::from_value(answer["rows"].clone()).unwrap()),
        }
    }
}

fn run_shell(program: &Path, database: &Path, statements: &[&str]) -> Result<Vec<String>, String> {
    let mut command = Command::new(program);
    command.args(["-batch", "-bail", "-init", "/dev/null", "-nullvalue", "NULL"]).arg(database);
    // The shell shows what a PRAGMA answers; of this one nobody wants to know.
    let set = ".timeout 5000\n.output /dev/null\nPRAGMA wal_autocheckpoint = 0;\n.output stdout\n";
    fed(&mut command, &format!("{set}{};\n", statements.join(";\n")))
}

/// Runs a program that reads statements and says rows, or an error.
fn fed(command: &mut Command, text: &str) -> Result<Vec<String>, String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that has given up reads no further.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    let output = child.wait_with_output().unwrap();
    match String::from_utf8_lossy(&output.stderr).trim() {
        "" => Ok(String::from_utf8_lossy(&output.stdout).lines().map(String::from).collect()),
        error => Err(error.to_string()),
    }
}
