//! Write transactions, and the length of the write-ahead log.
//!
//! Every write of ours goes through [`Sqlite::write`]: a turn at the gate, `BEGIN IMMEDIATE`, a bounded number of rows,
//! `COMMIT`. Only the engine checkpoints, inside the gate and without waiting for readers: a forced checkpoint that
//! waits for one open reader was seen to block a writer for five seconds.

use super::gate::Turn;
use super::pins::{self, Pinned};
use super::{Sqlite, open, pulse, relog};
use crate::clock::{Watch, world};
use crate::error::{Error, Result};
use crate::store::Durability;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The log is truncated when it is longer than this, in bytes.
pub(super) const TRUNCATE_AT: u64 = 32 << 20;
/// After a checkpoint that a reader was in the way of, the next one is tried no sooner than this.
const BACK_OFF: Duration = Duration::from_millis(20);
/// A log that cannot be shortened is reported when it has become this long, in bytes.
const REPORT_AT: u64 = 2 * TRUNCATE_AT;

/// Watches the length of the write-ahead log.
#[derive(Debug)]
pub(super) struct Wal {
    path: PathBuf,
    shm: PathBuf,
    held_up: Option<Watch>,
    pinned: Option<Pinned>,
    /// A sync has failed: what is read in it may not be on the disk, now or ever.
    is_doubtful: bool,
}

impl Wal {
    pub(super) fn beside(file: &Path) -> Wal {
        let (path, shm) = (open::beside(file, "-wal"), open::beside(file, "-shm"));
        Wal { path, shm, held_up: None, pinned: None, is_doubtful: false }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Truncates the log when it is too long. A reader in the way puts it off; everything that could be copied back
    /// is copied even then; it is reported when the log grows on.
    fn keep_short(&mut self, conn: &mut Connection, turn: &Turn<'_>) {
        let length = std::fs::metadata(&self.path).map_or(0, |m| m.len());
        if length < TRUNCATE_AT || self.held_up.is_some_and(|since| !since.left_of(BACK_OFF).is_zero()) {
            return;
        }
        let truncated = truncate(conn);
        self.is_doubtful |= relog::sync_failed(&truncated);
        let busy = truncated.unwrap_or(true);
        self.held_up = busy.then(Watch::start);
        match busy {
            true => self.report(length, turn),
            false => self.pinned = None,
        }
    }

    /// Says once a minute, for all workers together, whose reading lets the log grow.
    fn report(&mut self, length: u64, turn: &Turn<'_>) {
        let pinned = self.pinned.get_or_insert_with(|| Pinned::begin(&self.shm));
        if let Some((span, readers)) = pinned.look(&self.shm)
            && length >= REPORT_AT
            && turn.may_report()
        {
            let (who, mib, span_s) = (pins::named(readers), length >> 20, span.as_secs());
            log::warn!(
                "the write-ahead log has {mib} MiB and cannot be shortened: {who} has kept a read transaction open for \
                 {span_s} s or longer"
            );
        }
    }
}

/// The highest id that a row of the queue was ever given; zero before the first, and before there is a queue. Any other
/// error is one of the transaction's, which SQLite may have rolled back for it: what came after would be written by itself.
fn newest(conn: &Connection) -> rusqlite::Result<i64> {
    let newest = conn.prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'queue'");
    match newest.and_then(|mut newest| newest.query_row([], |r| r.get(0))) {
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(0),
        Err(e) if e.sqlite_error_code() == Some(ErrorCode::Unknown) => Ok(0),
        other => other,
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
        self.write_by(Triggers::On, body)
    }

    /// The same without triggers, for a body that keeps what they keep. Never where foreign SQL runs: it would go unguarded.
    pub(super) fn write_without_triggers<T>(&mut self, body: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        self.open_bare()?;
        self.write_by(Triggers::Off, body)
    }

    /// Opens the connection without triggers, if there is none yet.
    fn open_bare(&mut self) -> Result<()> {
        if self.bare.is_none() {
            self.presence.check()?;
            self.bare = Some(open::without_triggers(&self.file, self.durability, &self.presence)?);
        }
        Ok(())
    }

    fn write_by<T>(&mut self, triggers: Triggers, body: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let turn = self.gate.take()?;
        self.presence.check()?;
        let conn = match triggers {
            Triggers::On => &mut self.conn,
            Triggers::Off => {
                self.bare.as_mut().ok_or_else(|| Error::failed("there is no connection without triggers"))?
            }
        };
        // Waiting for a lock elsewhere means nothing: processes of ours that begin find each other's recovery in their way.
        let _ = pulse::found_locked();
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if pulse::found_locked() {
            turn.room().meet(pulse::now_us());
        }
        if self.wal.is_doubtful {
            relog::write_again(&transaction)?;
            self.wal.is_doubtful = false;
        }
        turn.room().find(newest(&transaction)?, pulse::now_us());
        let value = body(&transaction)?;
        let left = newest(&transaction)?;
        world::mortal("before a commit")?;
        let committed = transaction.commit();
        self.wal.is_doubtful |= relog::sync_failed(&committed);
        committed?;
        // It is written, whatever becomes of this process.
        let _ = world::mortal("after a commit");
        turn.room().keep(left);
        self.wal.keep_short(conn, &turn);
        drop(turn);
        Ok(value)
    }
}

/// Whether the row contract's triggers see a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Triggers {
    On,
    Off,
}
