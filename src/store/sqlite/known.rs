//! Which jobs the living workers know.
//!
//! Each worker process writes its list into its own row, and it leaves with that row. A row of the queue is parked because
//! nobody knows its job only if no living worker has the job in its list, which the transaction that parks sees for itself.
//! So a worker that begins meanwhile has either written its list before, and the row stays ready, or it finds the row
//! parked when it releases what it knows, after it has written its list.

use super::{Sqlite, badge};
use crate::error::Result;
use crate::store::{Badge, Ended, Settled};
use crate::task::{Partition, Settlement, UNKNOWN_JOB};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(super) fn know(store: &mut Sqlite, badge: &Badge, jobs: &[&str]) -> Result<()> {
    let jobs = serde_json::json!(jobs).to_string();
    store.write(|tx| {
        let list = "UPDATE rowmill_worker SET jobs = ?2 WHERE incarnation = ?1";
        tx.execute(list, params![badge.incarnation, jobs])?;
        Ok(())
    })
}

pub(super) fn knowers(conn: &Connection, run: &Path, job: &str) -> Result<Option<u64>> {
    let mut free = None;
    for one in badge::written_with(conn, job)? {
        if one.is_alive(conn, run)? {
            let busy = "SELECT EXISTS (SELECT 1 FROM rowmill_claim WHERE incarnation = ?1)";
            let busy: bool = conn.prepare_cached(busy)?.query_row([one.incarnation], |r| r.get(0))?;
            let bit = if busy { 0 } else { 1 << (one.index % 64) };
            free = Some(free.unwrap_or(0) | bit);
        }
    }
    Ok(free)
}

pub(super) fn was_known(conn: &Connection, partition: Partition, jobs: &[String]) -> Result<bool> {
    let last = "SELECT EXISTS (SELECT 1 FROM rowmill_partition p JOIN rowmill_worker w ON w.incarnation = p.incarnation
                                 JOIN json_each(w.jobs) j ON j.value IN (SELECT value FROM json_each(?3))
                                WHERE p.generation = ?1 AND p.partition = ?2)";
    let jobs = serde_json::json!(jobs).to_string();
    let mut query = conn.prepare_cached(last)?;
    Ok(query.query_row(params![partition.generation, partition.index, jobs], |r| r.get(0))?)
}

/// Whether a settlement parks its task because nobody knows the job.
pub(super) fn is_unknown(ended: &Ended) -> bool {
    matches!(ended.settlement, Settlement::Parked { cause: UNKNOWN_JOB, .. })
}

/// The run folder, where some of the settlements park such tasks; all others pay nothing for it.
pub(super) fn folder_to_ask(store: &Sqlite, settled: &[Settled]) -> Option<PathBuf> {
    settled.iter().any(|one| is_unknown(&one.ended)).then(|| store.run.clone())
}

/// What one transaction has found out about jobs that it is to park tasks of.
#[derive(Debug)]
pub(super) struct Asked {
    run: PathBuf,
    known: BTreeMap<String, bool>,
}

impl Asked {
    pub(super) fn new(run: PathBuf) -> Asked {
        Asked { run, known: BTreeMap::new() }
    }

    /// Whether a living worker knows the job.
    pub(super) fn is_known(&mut self, conn: &Connection, job: &str) -> Result<bool> {
        if let Some(known) = self.known.get(job) {
            return Ok(*known);
        }
        let known = knowers(conn, &self.run, job)?.is_some();
        self.known.insert(job.to_string(), known);
        Ok(known)
    }
}
