//! Holding a partition and reading its next rows; the liveness of workers.
//!
//! A hold is a kernel lock plus an epoch. The lock keeps two living workers apart; the epoch makes sure that one who
//! only believes to hold it (stopped while its lock file was replaced, say) settles nothing.

use super::{Sqlite, lock};
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::store::{Batch, Hold, Lock, WorkerInfo};
use crate::task::{Codec, Partition, Right, Task};
use rusqlite::{Row, params};
use std::io::{Seek, Write};

/// A batch ends when the params in it pass this together, in bytes.
const BATCH_BYTES: usize = 8 << 20;

pub(super) fn hold(store: &mut Sqlite, partition: Partition, worker: u32, now_ms: Millis) -> Result<Option<Hold>> {
    let name = format!("partition-{}-{}", partition.generation, partition.index);
    let Some(file) = lock::try_lock(&store.run, &name)? else { return Ok(None) };
    let raise = "INSERT INTO rowmill_partition (generation, partition, epoch, worker, pid, held_at)
                 VALUES (?1, ?2, 1, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET epoch = epoch + 1, worker = ?3, pid = ?4, held_at = ?5
                 RETURNING epoch";
    let pid = std::process::id();
    let epoch = store.write(|tx| {
        let mut raise = tx.prepare_cached(raise)?;
        let row = params![partition.generation, partition.index, worker, pid, now_ms];
        Ok(raise.query_row(row, |r| r.get(0))?)
    })?;
    Ok(Some(Hold { partition, epoch, worker, _lock: Lock(Box::new(file)) }))
}

pub(super) fn fetch(store: &mut Sqlite, hold: &Hold, limit: usize) -> Result<Batch> {
    let next = "SELECT r.priority, r.id, q.job, q.param, q.codec, q.attempt, q.max_attempts, q.unique_key IS NOT NULL,
                         q.status IS 'ready'
                  FROM rowmill_ready r LEFT JOIN queue q ON q.id = r.id
                 WHERE r.generation = ?1 AND r.partition = ?2
                 ORDER BY r.priority DESC, r.id LIMIT ?3";
    let mut query = store.conn.prepare_cached(next)?;
    let partition = hold.partition;
    let mut rows = query.query(params![partition.generation, partition.index, limit as i64])?;
    let mut batch = Batch::default();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let right = Right { partition, priority: row.get(0)?, id: row.get(1)?, keyed: row.get(7)? };
        if !row.get::<_, bool>(8)? {
            batch.orphans.push(right);
            continue;
        }
        let task = read_task(row, right)?;
        bytes += task.param.len();
        batch.tasks.push(task);
        if bytes > BATCH_BYTES {
            break;
        }
    }
    Ok(batch)
}

fn read_task(row: &Row<'_>, right: Right) -> Result<Task> {
    let codec = row.get_ref(4)?.as_str().ok().and_then(Codec::from_word);
    Ok(Task {
        id: right.id,
        // Not every writer keeps to UTF-8; such a name is no job's, and its row is parked.
        job: String::from_utf8_lossy(row.get_ref(2)?.as_bytes_or_null().ok().flatten().unwrap_or_default())
            .into_owned(),
        param: row.get_ref(3)?.as_bytes_or_null().ok().flatten().unwrap_or_default().to_vec(),
        codec: codec.ok_or_else(|| Error::failed(format!("task {} has a codec that its CHECK forbids", right.id)))?,
        priority: right.priority,
        attempts_charged: row.get(5)?,
        max_attempts: row.get(6)?,
        right,
    })
}

/// The name of worker `index`'s liveness lock.
pub(super) fn worker_lock(index: u32) -> String {
    format!("worker-{index}")
}

pub(super) fn enlist(store: &mut Sqlite, index: u32, now_ms: Millis) -> Result<Option<Lock>> {
    let Some(mut file) = lock::try_lock_patiently(&store.run, &worker_lock(index))? else { return Ok(None) };
    let line = serde_json::json!({ "pid": std::process::id(), "started_at": now_ms });
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{line}")?;
    Ok(Some(Lock(Box::new(file))))
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
