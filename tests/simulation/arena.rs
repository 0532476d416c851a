//! Where runs take place: a database that is emptied before each, and the connections to it, which go from one process to
//! the next and from one run to the next. So a run does not pay for making tables and preparing statements.

use super::record::Record;
use crate::store::Durability;
use crate::store::sqlite::{Create, Line, Sqlite};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Connections that nobody uses just now.
#[derive(Default)]
pub(super) struct Lines {
    ours: Mutex<Vec<Line>>,
    others: [Mutex<Vec<Connection>>; 2],
}

pub(super) struct Arena {
    folder: tempfile::TempDir,
    /// Its triggers are off, and it knows the rows of a new database.
    broom: Connection,
    tables: Vec<String>,
    pub(super) lines: Arc<Lines>,
}

impl Arena {
    pub(super) fn new() -> Arena {
        super::time::follow_the_world();
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("q.db");
        drop(Sqlite::open(&database, Durability::Normal, Create::WithPartitions(1)).unwrap());
        let broom = Connection::open(&database).unwrap();
        broom.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
        let made = "PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF; ATTACH ':memory:' AS new;
                    CREATE TABLE effect (task INTEGER, attempt INTEGER)";
        broom.execute_batch(made).unwrap();
        let names =
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN ('sqlite_sequence', 'sqlite_stat1',
                     'sqlite_stat4')";
        let mut query = broom.prepare(names).unwrap();
        let tables: Vec<String> = query.query_map([], |r| r.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        drop(query);
        for table in &tables {
            broom.execute_batch(&format!("CREATE TABLE new.{table} AS SELECT * FROM main.{table}")).unwrap();
        }
        Arena { folder, broom, tables, lines: Arc::default() }
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn database(&self) -> PathBuf {
        self.folder().join("q.db")
    }

    /// All is as in a new database with so many partitions.
    pub(super) fn sweep(&mut self, partitions: u32, laws_every: u64) -> Record {
        for name in ["q.db-run", "attic"] {
            let _ = std::fs::remove_dir_all(self.folder().join(name));
        }
        let mut sql = "BEGIN IMMEDIATE; DELETE FROM sqlite_sequence;".to_string();
        for table in &self.tables {
            sql += &format!("DELETE FROM main.{table}; INSERT INTO main.{table} SELECT * FROM new.{table};");
        }
        sql += &format!("UPDATE main.rowmill_generation SET partitions = {partitions}; COMMIT");
        self.broom.execute_batch(&sql).unwrap();
        let busy: i64 = self.broom.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0)).unwrap();
        assert_eq!(busy, 0, "somebody of the last run still reads");
        Record::new(Other::open(&self.lines, Who::Spectator, &self.database()), laws_every)
    }
}

fn pop<T>(of: &Mutex<Vec<T>>) -> Option<T> {
    of.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn push<T>(of: &Mutex<Vec<T>>, one: T) {
    of.lock().unwrap_or_else(PoisonError::into_inner).push(one);
}

/// A store of the engine for one process of a run.
pub(super) struct Lent {
    /// Always there until the end.
    store: Option<Sqlite>,
    lines: Arc<Lines>,
}

impl Lent {
    /// `None` when the database cannot be opened just now.
    pub(super) fn open(lines: &Arc<Lines>, database: &Path) -> Option<Lent> {
        let store = match pop(&lines.ours) {
            Some(line) => line.begin(),
            None => Sqlite::open(database, Durability::Normal, Create::Never),
        };
        Some(Lent { store: Some(store.ok()?), lines: Arc::clone(lines) })
    }
}

impl Deref for Lent {
    type Target = Sqlite;

    fn deref(&self) -> &Sqlite {
        self.store.as_ref().unwrap()
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Sqlite {
        self.store.as_mut().unwrap()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(line) = self.store.take().and_then(Line::of) {
            push(&self.lines.ours, line);
        }
    }
}

/// Whose connection it is that is not the engine's.
#[derive(Debug, Clone, Copy)]
pub(super) enum Who {
    Application,
    Spectator,
}

/// A connection that is not the engine's.
pub(super) struct Other {
    /// There until it is given back.
    conn: Option<Connection>,
    who: Who,
    lines: Arc<Lines>,
}

impl Other {
    pub(super) fn open(lines: &Arc<Lines>, who: Who, database: &Path) -> Other {
        let conn = pop(&lines.others[who as usize]).unwrap_or_else(|| {
            let conn = Connection::open(database).unwrap();
            conn.execute_batch("PRAGMA wal_autocheckpoint = 0; PRAGMA busy_timeout = 0").unwrap();
            conn.set_prepared_statement_cache_capacity(128);
            // Otherwise many of the laws' statements are prepared anew whenever other values are bound.
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).unwrap();
            conn
        });
        Other { conn: Some(conn), who, lines: Arc::clone(lines) }
    }

    /// It is not used any more.
    pub(super) fn give_back(&mut self) {
        // Who died within a transaction takes the connection along.
        if let Some(conn) = self.conn.take().filter(Connection::is_autocommit) {
            push(&self.lines.others[self.who as usize], conn);
        }
    }
}

impl Deref for Other {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.conn.as_ref().unwrap()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.give_back();
    }
}
