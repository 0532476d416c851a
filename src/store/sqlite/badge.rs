//! Worker processes: their liveness locks, and the incarnation that each has in the database.

use super::identity::{Identity, this_boot};
use super::{Sqlite, lock};
use crate::clock::Millis;
use crate::error::Result;
use crate::store::{Badge, Lock, WorkerInfo};
use rusqlite::params;
use std::io::{Seek, Write};

/// The name of worker `index`'s liveness lock.
pub(super) fn worker_lock(index: u32) -> String {
    format!("worker-{index}")
}

pub(super) fn enlist(store: &mut Sqlite, index: u32, now_ms: Millis) -> Result<Option<Badge>> {
    let Some(mut file) = lock::try_lock_patiently(&store.run, &worker_lock(index))? else { return Ok(None) };
    let own = Identity::own()?;
    let incarnation = store.write(|tx| {
        let new = "INSERT INTO rowmill_worker (worker, boot, pid, pid_start, started_at) VALUES (?1, ?2, ?3, ?4, ?5)";
        tx.execute(new, params![index, own.boot, own.pid, own.pid_start, now_ms])?;
        Ok(tx.last_insert_rowid())
    })?;
    let line = serde_json::json!({ "pid": own.pid, "started_at": now_ms });
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{line}")?;
    Ok(Some(Badge { index, incarnation, _lock: Lock(Box::new(file)) }))
}

pub(super) fn retire(store: &mut Sqlite, badge: Badge) -> Result<()> {
    store.write(|tx| {
        let gone = "DELETE FROM rowmill_worker WHERE incarnation = ?1
                       AND NOT EXISTS (SELECT 1 FROM rowmill_claim WHERE incarnation = ?1)";
        tx.execute(gone, [badge.incarnation])?;
        Ok(())
    })
}

/// How a worker process of the database stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Alive,
    /// It died while the machine went on.
    Died,
    /// The machine went down with it.
    PowerCut,
}

/// Looks whether an incarnation lives. Its lock is free, or a later one of the same index has it: then it does not.
pub(super) fn standing(store: &Sqlite, incarnation: i64, index: u32, boot: &str) -> Result<Standing> {
    if boot != this_boot()? {
        return Ok(Standing::PowerCut);
    }
    let later = "SELECT EXISTS (SELECT 1 FROM rowmill_worker WHERE worker = ?1 AND incarnation > ?2)";
    let later: bool = store.conn.prepare_cached(later)?.query_row(params![index, incarnation], |r| r.get(0))?;
    let alive = !later && lock::is_locked(&store.run, &worker_lock(index))?;
    Ok(if alive { Standing::Alive } else { Standing::Died })
}

pub(super) fn workers(store: &mut Sqlite) -> Result<Vec<WorkerInfo>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&store.run)? {
        let name = entry?.file_name();
        let index = name.to_str().and_then(|n| n.strip_prefix("worker-")).and_then(|n| n.parse::<u32>().ok());
        let Some(index) = index else { continue };
        if !lock::is_locked(&store.run, &worker_lock(index))? {
            continue;
        }
        let text = std::fs::read_to_string(store.run.join(worker_lock(index)))?;
        // A worker that is just writing its line is listed at the next look.
        let Ok(line) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
        let pid = line["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0);
        found.push(WorkerInfo { index, pid, started_at: line["started_at"].as_i64().unwrap_or(0) });
    }
    found.sort_by_key(|w| w.index);
    Ok(found)
}
