//! The write gate of the baselines: a kernel lock that queues, taken before BEGIN IMMEDIATE.
//!
//! Whoever leaves the gate and sees that the write-ahead log has reached its bound truncates it while still inside,
//! without a busy timeout: if a reader stands in the way, it goes on and lets the log grow a little before the next
//! attempt.

use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rustix::fs::{FlockOperation, flock};

/// Bound of the log, and by how much it may grow on after an attempt that was in vain.
const LOG_BOUND_BYTES: u64 = 32 << 20;
const BACKOFF_BYTES: u64 = 2 << 20;

/// This process's handle on the gate.
pub(crate) struct Gate {
    lock: File,
    log: PathBuf,
    checkpoint_at_bytes: u64,
}

impl Gate {
    pub(crate) fn open(lock: &Path, log: &Path) -> Result<Self, Box<dyn Error>> {
        let lock = File::options().create(true).truncate(false).write(true).open(lock)?;
        Ok(Gate { lock, log: log.to_owned(), checkpoint_at_bytes: LOG_BOUND_BYTES })
    }

    /// Runs `write` in one transaction inside the gate. A failure ends the process, and with it the transaction.
    pub(crate) fn transaction<T>(
        &mut self,
        conn: &Connection,
        write: impl FnOnce() -> Result<T, Box<dyn Error>>,
    ) -> Result<T, Box<dyn Error>> {
        flock(&self.lock, FlockOperation::LockExclusive)?;
        conn.execute_batch("BEGIN IMMEDIATE")?;
        let answer = write()?;
        conn.execute_batch("COMMIT")?;
        self.bound_log(conn)?;
        flock(&self.lock, FlockOperation::Unlock)?;
        Ok(answer)
    }

    fn bound_log(&mut self, conn: &Connection) -> Result<(), Box<dyn Error>> {
        let log_bytes = std::fs::metadata(&self.log)?.len();
        if log_bytes < self.checkpoint_at_bytes {
            return Ok(());
        }
        conn.busy_timeout(Duration::ZERO)?;
        let busy: bool = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        conn.busy_timeout(Duration::from_secs(60))?;
        self.checkpoint_at_bytes = if busy { log_bytes + BACKOFF_BYTES } else { LOG_BOUND_BYTES };
        Ok(())
    }
}
