//! Opening a database: what kind of file it is, its settings, and its tables.
//!
//! The tables are made by whoever comes first of those that may make them, in one transaction; which version of them a
//! file has is written in `rowmill_migration` with a checksum. A file of a newer version, and foreign tables with our
//! names, are refused with words and never touched. Whoever opens a database that is up to date takes no turn at the gate.

use super::presence::Presence;
use super::{Sqlite, bell, gate, guard, lock, place, pulse, write};
use crate::error::{Error, Kind, Result};
use crate::share;
use crate::store::Durability;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};
use rustix::fs::OFlags;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The oldest SQLite that the engine itself runs on: versions from 3.7.0 to 3.51.2 can lose commits when two
/// connections checkpoint and write at the same instant.
pub const OLDEST_ENGINE: i32 = 3_051_003;

/// The first migration: the whole contract.
const SCHEMA: &str = include_str!("../../../schema.sql");
/// Migrations in order, each with its checksum; number n stands at index n - 1.
static MIGRATIONS: [(&str, i64); 1] = [(SCHEMA, checksum(SCHEMA))];

/// The version of the tables that this program makes.
pub(super) const NEWEST: u32 = MIGRATIONS.len() as u32;

/// What to do when there is no database at the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Create {
    /// Make one with that many partitions: 1 to 4096. The folder must be there.
    WithPartitions(u32),
    /// Answer an error.
    Never,
}

pub(super) fn open(path: &Path, durability: Durability, create: Create) -> Result<Sqlite> {
    refuse_old_engine(rusqlite::version_number())?;
    let file = real_path(path, create)?;
    if create != Create::Never {
        make_private(&file)?;
    }
    let during = |e: Error| e.during(file.display());
    place::refuse(&file)?;
    let log_is_left = std::fs::metadata(write::Wal::beside(&file).path()).is_ok_and(|log| log.len() > 0);
    let mut conn = connect(&file, OpenFlags::SQLITE_OPEN_CREATE).map_err(during)?;
    // The last one who closes a database moves what its log holds into it; in a foreign one that is not for us to do.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, log_is_left)?;
    // A file that is no database, of a newer version, or somebody else's says so here, before anything of it is changed.
    let version = version_of(&conn).and_then(|version| refuse(&conn, version, create).map(|()| version));
    if version.is_ok() && create != Create::Never {
        refuse_read_only(&file).map_err(during)?;
    }
    let version = version.map_err(during)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    // No plan looks at bound values, so that a statement is not prepared again because they have changed.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let guard = guard::Guard::over(&mut conn)?;
    let mut store = begin(conn, guard, file, durability)?;
    let prepared = prepare(&mut store, durability, create, version);
    prepared.map_err(|e| e.during(store.file.display()))?;
    store.presence = Presence::of(&store.file);
    Ok(store)
}

/// A store on a connection that is open: what it has besides lies in the run folder.
pub(super) fn begin(conn: Connection, guard: guard::Guard, file: PathBuf, durability: Durability) -> Result<Sqlite> {
    let run = run_folder(&file);
    place::refuse_link(&run)?;
    lock::make_folder(&run)?;
    let (gate, wal, bell) = (gate::Gate::open(&run)?, write::Wal::beside(&file), bell::Bell::default());
    let (moved, stubborn) = (BTreeMap::new(), super::body::Stubborn::default());
    let presence = Presence::default();
    let bare = None;
    Ok(Sqlite { conn, bare, wal, presence, bell, file, run, gate, guard, durability, moved, stubborn })
}

/// What cannot be worked with, given the version of our tables in it.
fn refuse(conn: &Connection, version: Option<u32>, create: Create) -> Result<()> {
    match (version, create) {
        (Some(_), _) => Ok(()),
        (None, Create::Never) => refuse_foreign(conn).and_then(|()| Err(no_tables())),
        // Whether it is foreign is only certain behind the gate: another first command may be making the tables.
        (None, Create::WithPartitions(_)) => Ok(()),
    }
}

/// The folder with the locks of a database, by its real path.
pub(super) fn run_folder(file: &Path) -> PathBuf {
    beside(file, lock::RUN_SUFFIX)
}

/// A path that goes on after the database's.
pub(super) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut path = OsString::from(file);
    path.push(suffix);
    PathBuf::from(path)
}

/// Refuses a database that this user cannot write to, be it for one of the files beside it: SQLite gives those the mode that
/// the database had when it was first opened. Whoever works with it would only find out at the first write: a tick, by
/// workers that die one after the other.
fn refuse_read_only(file: &Path) -> Result<()> {
    for end in ["", "-wal", "-shm"] {
        match rustix::fs::access(beside(file, end), rustix::fs::Access::WRITE_OK) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(_) => return Err(super::read_only()),
        }
    }
    Ok(())
}

fn refuse_old_engine(version: i32) -> Result<()> {
    if version >= OLDEST_ENGINE {
        return Ok(());
    }
    Err(Error::failed(format!("this program was built with SQLite {version}, which can lose commits"))
        .hint("build it with the bundled SQLite, or with 3.51.3 or later"))
}

/// The path behind links, so that every name of a database leads to the same locks.
pub(super) fn real_path(path: &Path, create: Create) -> Result<PathBuf> {
    match std::fs::canonicalize(path) {
        Ok(found) if found.is_dir() => {
            Err(Error::usage(format!("{} is a folder, not a database", path.display())).hint("name a file in it"))
        }
        Ok(found) => Ok(found),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => match create {
            Create::Never => Err(Error::usage(format!("there is no database at {}", path.display()))
                .hint("`rowmill init` makes one here; --database names another")),
            Create::WithPartitions(_) => {
                let name = path.file_name().ok_or_else(|| Error::usage(format!("{} names no file", path.display())))?;
                let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
                let folder = std::fs::canonicalize(folder).map_err(|e| {
                    Error::usage(format!("the folder of the database, {}: {e}", folder.display())).hint("make it first")
                })?;
                Ok(folder.join(name))
            }
        },
        Err(e) => Err(Error::from(e).during(path.display())),
    }
}

/// Why a file of ours cannot be made. What passes by itself is nothing that this user could mend there.
pub(super) fn cannot_make(file: &Path, e: std::io::Error) -> Error {
    let error = Error::from(e).during(file.display());
    match error.kind() {
        Kind::TryAgain => error,
        _ => error.hint("this user must be able to write to the folder of the database"),
    }
}

/// Makes a missing file for its owner alone: params are nobody else's. One that root makes is the folder's owner's. SQLite gives its other files the same mode. This
/// happens before SQLite has the file open, since closing it later would drop SQLite's locks on it.
fn make_private(file: &Path) -> Result<()> {
    let made = match file.parent().map(|folder| share::inherited(folder, 0o600, 0o600)) {
        Some(Ok(Some(want))) => share::make(file, OFlags::RDWR, want).map(drop).map_err(std::io::Error::from),
        _ => OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map(drop),
    };
    match made {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(cannot_make(file, e)),
        _ => Ok(()),
    }
}

fn connect(file: &Path, or_make: OpenFlags) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | or_make;
    let mut conn = Connection::open_with_flags(file, flags)?;
    conn.busy_handler(Some(pulse::busy))?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(conn)
}

fn prepare(store: &mut Sqlite, durability: Durability, create: Create, version: Option<u32>) -> Result<()> {
    let mode: String = store.conn.query_row("PRAGMA journal_mode", [], |r| r.get(0))?;
    if version != Some(NEWEST) || mode != "wal" {
        // Only now: whoever merely looks must not wait for those who write.
        let _turn = store.gate.take()?;
        if version_of(&store.conn)?.is_none() {
            refuse_foreign(&store.conn)?;
        }
        let mode: String = store.conn.query_row("PRAGMA journal_mode = WAL", [], |r| r.get(0))?;
        if mode != "wal" {
            return Err(Error::failed(format!(
                "the database stays in journal mode `{mode}`; it must be able to use WAL"
            ))
            .hint("is it on a local disk that this user may write to?"));
        }
        migrate(&mut store.conn, create)?;
    }
    set_up(&store.conn, durability)
}

/// The settings of a connection that writes.
fn set_up(conn: &Connection, durability: Durability) -> Result<()> {
    set_durability(conn, durability)?;
    conn.execute_batch(
        "PRAGMA wal_autocheckpoint = 0; PRAGMA secure_delete = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -4096;
         PRAGMA trusted_schema = OFF;",
    )?;
    Ok(())
}

/// Another connection to a database that is open, with its triggers off. What lies at its path is looked at again after it was
/// opened, and before anything of it is read: in a file that was put there meanwhile nothing is done, and its log is nobody's
/// affair here.
pub(super) fn without_triggers(file: &Path, durability: Durability, presence: &Presence) -> Result<Connection> {
    let conn = connect(file, OpenFlags::empty())?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    presence.check()?;
    if conn.is_readonly("main")? {
        return Err(Error::try_again("the database cannot be written to just now").hint("who may write to its file?"));
    }
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    set_up(&conn, durability)?;
    Ok(conn)
}

pub(super) fn set_durability(conn: &Connection, durability: Durability) -> Result<()> {
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Normal => "NORMAL",
    };
    Ok(conn.execute_batch(&format!("PRAGMA synchronous = {synchronous}"))?)
}

/// The version of our tables in this file; `None` when it has none.
pub(super) fn version_of(conn: &Connection) -> Result<Option<u32>> {
    let ours = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'rowmill_migration'";
    let there: i64 = conn.query_row(ours, [], |r| r.get(0))?;
    if there == 0 {
        return Ok(None);
    }
    let mut query = conn.prepare("SELECT version, checksum FROM rowmill_migration ORDER BY version")?;
    let rows = query.query_map([], |r| Ok((r.get::<_, u32>(0)?, r.get::<_, i64>(1)?)))?;
    let mut newest = 0;
    for row in rows {
        let (version, sum) = row?;
        let Some((_, known)) = MIGRATIONS.get(version as usize - 1) else {
            return Err(Error::failed(format!("the database is of version {version}, newer than this program's"))
                .hint(
                    "use the newer program; both may run side by side only in the order in which they were upgraded",
                ));
        };
        if *known != sum {
            return Err(Error::failed(format!(
                "version {version} of the tables in this database is not this program's"
            ))
            .hint("it was made by a program built from other sources; move the database away, or use that program"));
        }
        newest = version;
    }
    Ok(Some(newest))
}

/// Tables that have our names and are not ours.
pub(super) fn refuse_foreign(conn: &Connection) -> Result<()> {
    let names = "SELECT name FROM sqlite_master WHERE name COLLATE NOCASE IN ('queue', 'task', 'event')
                 OR name LIKE 'rowmill\\_%' ESCAPE '\\' ORDER BY name";
    let mut query = conn.prepare(names)?;
    let found = query.query_map([], |r| r.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    if found.is_empty() {
        return Ok(());
    }
    Err(Error::failed(format!("the database has a `{}` that is not Rowmill's", found.join("` and a `")))
        .hint("it was not touched; rename it, or name another database with --database"))
}

/// Makes the tables in an empty database.
pub(super) fn make(conn: &mut Connection) -> Result<()> {
    migrate(conn, Create::WithPartitions(1))
}

fn migrate(conn: &mut Connection, create: Create) -> Result<()> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = version_of(&transaction)?.unwrap_or(0);
    for ((text, sum), version) in MIGRATIONS.iter().zip(1u32..).skip(done as usize) {
        if version == 1 {
            first(&transaction, create)?;
        }
        transaction.execute_batch(text)?;
        transaction
            .execute("INSERT INTO rowmill_migration (version, checksum) VALUES (?1, ?2)", params![version, sum])?;
    }
    if done == 0 {
        let Create::WithPartitions(partitions) = create else { return Err(no_tables()) };
        let first = "INSERT INTO rowmill_generation (generation, first_id, partitions) VALUES (1, 0, ?1)";
        transaction.execute(first, [partitions])?;
    }
    transaction.commit()?;
    Ok(())
}

fn first(transaction: &Transaction<'_>, create: Create) -> Result<()> {
    if create == Create::Never {
        return Err(no_tables());
    }
    transaction.execute_batch(
        "CREATE TABLE rowmill_migration (
           version    INTEGER PRIMARY KEY,
           checksum   INTEGER NOT NULL,
           applied_at INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
         )",
    )?;
    Ok(())
}

pub(super) fn no_tables() -> Error {
    Error::usage("the database has no tables of Rowmill's").hint("`rowmill migrate` makes them")
}

/// FNV-1a, 64 bits (Fowler, Noll and Vo; parameters of RFC 9923): tells whether two texts of a migration are the same.
/// Made when the program is: every command compares it.
const fn checksum(text: &str) -> i64 {
    let (bytes, mut sum, mut at) = (text.as_bytes(), 0xcbf2_9ce4_8422_2325_u64, 0);
    while at < bytes.len() {
        sum = (sum ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    sum.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_can_lose_commits_is_refused() {
        assert!(refuse_old_engine(3_051_002).is_err());
        assert!(refuse_old_engine(3_051_003).is_ok());
        assert!(refuse_old_engine(rusqlite::version_number()).is_ok());
    }

    #[test]
    fn checksums_are_those_of_the_published_test_vectors() {
        assert_eq!(checksum(""), 0xcbf2_9ce4_8422_2325_u64.cast_signed());
        assert_eq!(checksum("foobar"), 0x8594_4171_f739_67e8_u64.cast_signed());
    }
}
