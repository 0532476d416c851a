//! An application with SQLite 3.35: runs the statements that it is given.
//!
//! `oldest_sqlite DATABASE` reads statements from its standard input, with a NUL between each two, and runs them one after
//! the other up to the first error, as the shell of SQLite would: rows go to standard output, columns between bars, NULL
//! as `NULL`; the error goes to standard error and makes the exit code 1. Without a database it says its version.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use std::error::Error;
use std::io::{Read, Write};
use std::process::ExitCode;

fn run(database: &str, text: &str, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let conn = Connection::open(database)?;
    conn.execute_batch("PRAGMA busy_timeout = 5000; PRAGMA wal_autocheckpoint = 0")?;
    for statement in text.split('\0') {
        let mut query = conn.prepare(statement)?;
        let columns = query.column_count();
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                let bar = if column == 0 { "" } else { "|" };
                match row.get_ref(column)? {
                    ValueRef::Null => write!(out, "{bar}NULL")?,
                    ValueRef::Integer(number) => write!(out, "{bar}{number}")?,
                    ValueRef::Real(number) => write!(out, "{bar}{number}")?,
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                        write!(out, "{bar}{}", String::from_utf8_lossy(bytes))?
                    }
                }
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let Some(database) = std::env::args().nth(1) else {
        println!("{}", rusqlite::version());
        return ExitCode::SUCCESS;
    };
    let mut text = String::new();
    let said = std::io::stdin().read_to_string(&mut text).map_err(Into::into);
    match said.and_then(|_| run(&database, &text, &mut std::io::stdout().lock())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
