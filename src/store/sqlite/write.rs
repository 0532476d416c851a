//! Write transactions, and the length of the write-ahead log.
//!
//! Every write of ours goes through [`Sqlite::write`]: a turn at the gate, `BEGIN IMMEDIATE`, a bounded number of rows,
//! `COMMIT`. Only the engine checkpoints, inside the gate and without waiting for readers: a forced checkpoint that
//! waits for one open reader was seen to block a writer for five seconds.

use super::Sqlite;
use crate::clock::Watch;
use crate::error::Result;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The log is truncated when it is longer than this, in bytes.
const TRUNCATE_AT: u64 = 32 << 20;
/// After a checkpoint that a reader was in the way of, the next one is tried no sooner than this.
const BACK_OFF: Duration = Duration::from_millis(20);
/// How long a transaction of ours waits for an application's.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// The same in a worker: it tries again by itself, and looks in between whether it is told to stop.
pub(super) const WORKER_TIMEOUT: Duration = Duration::from_secs(1);

/// Watches the length of the write-ahead log.
#[derive(Debug)]
pub(super) struct Wal {
    path: PathBuf,
    held_up: Option<Watch>,
    /// How long this connection waits while the database is locked.
    busy_timeout: Duration,
}

impl Wal {
    pub(super) fn beside(file: &Path) -> Wal {
        let mut name = OsString::from(file);
        name.push("-wal");
        Wal { path: PathBuf::from(name), held_up: None, busy_timeout: BUSY_TIMEOUT }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits no longer than a worker may while the database is locked.
    pub(super) fn wait_as_worker(&mut self, conn: &Connection) -> Result<()> {
        self.busy_timeout = WORKER_TIMEOUT;
        Ok(conn.busy_timeout(WORKER_TIMEOUT)?)
    }

    /// Truncates the log when it is too long. A reader in the way puts it off; everything that could be copied back
    /// is copied even then.
    fn keep_short(&mut self, conn: &Connection) {
        let length = std::fs::metadata(&self.path).map_or(0, |m| m.len());
        if length < TRUNCATE_AT || self.held_up.is_some_and(|since| !since.left_of(BACK_OFF).is_zero()) {
            return;
        }
        let busy = truncate(conn, self.busy_timeout).unwrap_or(true);
        self.held_up = busy.then(Watch::start);
    }
}

/// One checkpoint that waits for nobody; whether something was in the way.
fn truncate(conn: &Connection, busy_timeout: Duration) -> rusqlite::Result<bool> {
    conn.busy_timeout(Duration::ZERO)?;
    let busy = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get::<_, i64>(0));
    conn.busy_timeout(busy_timeout)?;
    Ok(busy? != 0)
}

impl Sqlite {
    /// Runs `body` in one write transaction: all of it is committed, or, when it answers an error, none.
    pub(super) fn write<T>(&mut self, body: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let turn = self.gate.take()?;
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = body(&transaction)?;
        transaction.commit()?;
        self.wal.keep_short(&self.conn);
        drop(turn);
        Ok(value)
    }
}
