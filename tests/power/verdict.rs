//! What an image is found to be: opened with the real store, its structure checked, its rows summed up.
//!
//! Two images with the same sum hold the same rows. So the laws are asked, and the rest is finished, once for each sum.

use super::chance::Chance;
use super::disk::Disk;
use super::layer;
use super::platter::Image;
use super::tasks;
use rowmill::store::sqlite::{Create, Sqlite};
use rowmill::store::{Durability, Store};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use tempfile::TempDir;

/// N of the databases.
pub(crate) const PARTITIONS: u32 = 3;

/// The sum of a database without tables.
pub(crate) const NOTHING: u64 = 0;

/// A folder in which images are laid out, one after the other.
pub(crate) struct Table {
    folder: TempDir,
    laid: u64,
    /// How many were opened.
    pub(crate) opened: u64,
}

/// What an image holds.
pub(crate) struct Seen {
    pub(crate) sum: u64,
    /// Tasks by id, with their status.
    pub(crate) tasks: Vec<(i64, String)>,
}

impl Table {
    pub(crate) fn new() -> Table {
        Table { folder: TempDir::new().unwrap(), laid: 0, opened: 0 }
    }

    /// Opens an image as the next boot would. Errors: what is wrong with it.
    pub(crate) fn look(&mut self, image: &Image) -> Result<Seen, String> {
        self.with(image, |store, path| {
            let conn = Connection::open(path).map_err(|e| e.to_string())?;
            integrity(&conn)?;
            if store.is_none() {
                return Ok(Seen { sum: NOTHING, tasks: Vec::new() });
            }
            Ok(Seen { sum: sum(&conn, true), tasks: statuses(&conn) })
        })
    }

    /// Holds the laws against an image, and finishes what is in it.
    pub(crate) fn judge(&mut self, image: &Image) -> Result<(), String> {
        self.with(image, |store, path| {
            let Some(store) = store else { return Ok(()) };
            let conn = Connection::open(path).map_err(|e| e.to_string())?;
            conn.execute_batch("PRAGMA wal_autocheckpoint = 0").map_err(|e| e.to_string())?;
            if !has_application(&conn) {
                return Ok(());
            }
            none(&tasks::breaches(&conn))?;
            tasks::drain(store, path).map_err(|e| format!("it cannot be finished: {e}"))?;
            none(&tasks::breaches(&conn))?;
            none(&tasks::unfinished(&conn))?;
            integrity(&conn)
        })
    }

    /// Lays an image out and opens it with the real store; `None` when there was nothing in it yet, and all was made anew.
    fn with<T>(
        &mut self,
        image: &Image,
        look: impl FnOnce(Option<&mut Sqlite>, &PathBuf) -> Result<T, String>,
    ) -> Result<T, String> {
        self.laid += 1;
        self.opened += 1;
        let folder = self.folder.path().join(self.laid.to_string());
        std::fs::create_dir(&folder).unwrap();
        for (name, bytes) in image {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        if self.laid.is_multiple_of(3) {
            // What is left of the shared memory can be anything.
            let mut chance = Chance::of(self.laid);
            let rubbish: Vec<u8> = (0..4_096).flat_map(|_| chance.next().to_ne_bytes()).collect();
            std::fs::write(folder.join("q.db-shm"), rubbish).unwrap();
        }
        layer::insert(&folder, &Disk::plain());
        let path = folder.join("q.db");
        let looked = match Sqlite::open(&path, Durability::Full, Create::Never) {
            Ok(mut store) => look(Some(&mut store), &path),
            Err(e) if is_nothing(&e.to_string()) => {
                match Sqlite::open(&path, Durability::Full, Create::WithPartitions(PARTITIONS)) {
                    Ok(mut store) => store.plan().map_err(|e| e.to_string()).and_then(|_| look(None, &path)),
                    Err(e) => Err(format!("nothing is in it, and it cannot be made: {e}")),
                }
            }
            Err(e) => Err(format!("it cannot be opened: {e}")),
        };
        layer::remove(&folder);
        std::fs::remove_dir_all(&folder).unwrap();
        looked
    }
}

fn is_nothing(words: &str) -> bool {
    words.contains("has no tables of Rowmill's") || words.starts_with("there is no database at")
}

fn none(found: &[String]) -> Result<(), String> {
    if found.is_empty() { Ok(()) } else { Err(found.join("; ")) }
}

fn has_application(conn: &Connection) -> bool {
    let there = "SELECT count(*) = 3 FROM sqlite_master WHERE name IN ('entry', 'wanted', 'wanted_leaf')";
    conn.query_row(there, [], |r| r.get(0)).unwrap()
}

/// SQLite's own check of the structure.
pub(crate) fn integrity(conn: &Connection) -> Result<(), String> {
    let said: String = conn.query_row("PRAGMA integrity_check", [], |r| r.get(0)).map_err(|e| e.to_string())?;
    if said == "ok" { Ok(()) } else { Err(format!("integrity_check: {said}")) }
}

fn statuses(conn: &Connection) -> Vec<(i64, String)> {
    let mut query = conn.prepare("SELECT id, status FROM task ORDER BY id").unwrap();
    query.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

/// A sum over all rows of all tables. Unless `exact`, of what differs from run to run (times of the machine's clock, the
/// numbers of lock files) only counts that it is there.
pub(crate) fn sum(conn: &Connection, exact: bool) -> u64 {
    const BY_CHANCE: [&str; 6] = ["created_at", "finished_at", "applied_at", "lock_device", "lock_inode", "day"];
    let mut hasher = DefaultHasher::new();
    let mut tables = conn.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").unwrap();
    let names: Vec<String> = tables.query_map([], |r| r.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
    for name in names {
        name.hash(&mut hasher);
        let mut query = conn.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let by_chance: Vec<bool> = query.column_names().map(|name| !exact && BY_CHANCE.contains(&name)).collect();
        let mut rows = query.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for (column, by_chance) in by_chance.iter().enumerate() {
                match row.get_ref(column).unwrap() {
                    ValueRef::Null => 0u8.hash(&mut hasher),
                    _ if *by_chance => 5u8.hash(&mut hasher),
                    ValueRef::Integer(number) => (1u8, number).hash(&mut hasher),
                    ValueRef::Real(number) => (2u8, number.to_bits()).hash(&mut hasher),
                    ValueRef::Text(text) => (3u8, text).hash(&mut hasher),
                    ValueRef::Blob(bytes) => (4u8, bytes).hash(&mut hasher),
                }
            }
        }
    }
    hasher.finish().max(1)
}
