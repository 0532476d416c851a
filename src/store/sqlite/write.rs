//! Write transactions, and the length of the write-ahead log.
//!
//! Every write of ours goes through [`Sqlite::write`]: a turn at the gate, `BEGIN IMMEDIATE`, a bounded number of rows,
//! `COMMIT`. Only the engine checkpoints, inside the gate and without waiting for readers: a forced checkpoint that
//! waits for one open reader was seen to block a writer for five seconds.

use super::{Sqlite, pulse, relog};
use crate::clock::{Watch, world};
use crate::error::Result;
use crate::store::Durability;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The log is truncated when it is longer than this, in bytes.
pub(super) const TRUNCATE_AT: u64 = 32 << 20;
/// After a checkpoint that a reader was in the way of, the next one is tried no sooner than this.
const BACK_OFF: Duration = Duration::from_millis(20);

/// Watches the length of the write-ahead log.
#[derive(Debug)]
pub(super) struct Wal {
    path: PathBuf,
    held_up: Option<Watch>,
    /// A sync has failed: what is read in it may not be on the disk, now or ever.
    is_doubtful: bool,
}

impl Wal {
    pub(super) fn beside(file: &Path) -> Wal {
        let mut name = OsString::from(file);
        name.push("-wal");
        Wal { path: PathBuf::from(name), held_up: None, is_doubtful: false }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Truncates the log when it is too long. A reader in the way puts it off; everything that could be copied back
    /// is copied even then.
    fn keep_short(&mut self, conn: &mut Connection) {
        let length = std::fs::metadata(&self.path).map_or(0, |m| m.len());
        if length < TRUNCATE_AT || self.held_up.is_some_and(|since| !since.left_of(BACK_OFF).is_zero()) {
            return;
        }
        let truncated = truncate(conn);
        self.is_doubtful |= relog::sync_failed(&truncated);
        let busy = truncated.unwrap_or(true);
        self.held_up = busy.then(Watch::start);
    }
}

/// One checkpoint that waits for nobody; whether something was in the way.
fn truncate(conn: &mut Connection) -> rusqlite::Result<bool> {
    conn.busy_timeout(Duration::ZERO)?;
    let busy = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get::<_, i64>(0));
    conn.busy_handler(Some(pulse::busy))?;
    Ok(busy? != 0)
}

impl Sqlite {
    /// The same with a commit that survives a power cut, whatever the setting is. Every commit before it does so too then,
    /// since all of them stand in one log.
    pub(super) fn write_for_good<T>(&mut self, body: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        if self.durability == Durability::Full {
            return self.write(body);
        }
        self.conn.execute_batch("PRAGMA synchronous = FULL")?;
        let written = self.write(body);
        self.conn.execute_batch("PRAGMA synchronous = NORMAL")?;
        written
    }

    /// Runs `body` in one write transaction: all of it is committed, or, when it answers an error, none.
    pub(super) fn write<T>(&mut self, body: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let turn = self.gate.take()?;
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if self.wal.is_doubtful {
            relog::write_again(&transaction)?;
            self.wal.is_doubtful = false;
        }
        let value = body(&transaction)?;
        world::mortal("before a commit")?;
        let committed = transaction.commit();
        self.wal.is_doubtful |= relog::sync_failed(&committed);
        committed?;
        // It is written, whatever becomes of this process.
        let _ = world::mortal("after a commit");
        if pulse::met_an_application() {
            turn.keep_room();
        }
        self.wal.keep_short(&mut self.conn);
        drop(turn);
        Ok(value)
    }

    /// The same with this connection's triggers off, for a body that keeps what they keep. Never where foreign SQL runs:
    /// it would go unguarded.
    pub(super) fn write_without_triggers<T>(&mut self, body: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        let written = self.write(body);
        self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true)?;
        written
    }
}
