//! Worker processes: their liveness locks, and the incarnation that each has in the database.

use super::identity::{self, Identity, this_boot};
use super::{Sqlite, body, lock, pulse};
use crate::clock::Millis;
use crate::error::Result;
use crate::store::{Badge, Body, Lock, WorkerInfo};
use rusqlite::{Connection, params};
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;

/// The name of worker `index`'s liveness lock.
pub(super) fn worker_lock(index: u32) -> String {
    format!("worker-{index}")
}

pub(super) fn enlist(store: &mut Sqlite, index: u32, now_ms: Millis) -> Result<Option<Badge>> {
    let Some(mut file) = lock::try_lock_patiently(&store.run, &worker_lock(index))? else { return Ok(None) };
    let own = Identity::own()?;
    // At once, so that nobody reads the line of the one before as that of the living.
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", serde_json::json!({ "pid": own.pid, "started_at": now_ms }))?;
    pulse::begin(&store.run, index, own.pid, own.pid_start)?;
    for earlier in incarnations_of(store, index)? {
        body::end(&store.run, earlier)?;
    }
    let incarnation = store.write(|tx| {
        let gone = "DELETE FROM rowmill_worker AS w WHERE w.worker = ?1
                       AND NOT EXISTS (SELECT 1 FROM rowmill_claim c WHERE c.incarnation = w.incarnation)";
        tx.execute(gone, [index])?;
        let new = "INSERT INTO rowmill_worker (worker, boot, pid, pid_start, started_at) VALUES (?1, ?2, ?3, ?4, ?5)";
        tx.execute(new, params![index, own.boot, own.pid, own.pid_start, now_ms])?;
        Ok(tx.last_insert_rowid())
    })?;
    let body = Body(Some(body::path(&store.run, incarnation)));
    Ok(Some(Badge { index, incarnation, body, _lock: Lock(Box::new(file)) }))
}

/// Earlier processes that were worker `index`: since its lock is ours, they are dead.
fn incarnations_of(store: &Sqlite, index: u32) -> Result<Vec<i64>> {
    let earlier = "SELECT incarnation FROM rowmill_worker WHERE worker = ?1";
    let mut query = store.conn.prepare_cached(earlier)?;
    let rows = query.query_map([index], |r| r.get(0))?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
}

pub(super) fn retire(store: &mut Sqlite, badge: Badge) -> Result<()> {
    // A script may have left a child that lives on by intent; it is killed like the rest of a worker's executables.
    body::end(&store.run, badge.incarnation)?;
    store.write(|tx| {
        let gone = "DELETE FROM rowmill_worker WHERE incarnation = ?1
                       AND NOT EXISTS (SELECT 1 FROM rowmill_claim WHERE incarnation = ?1)";
        tx.execute(gone, [badge.incarnation])?;
        Ok(())
    })
}

/// The worker processes of this boot: of the living, descriptors that become readable when they end; of those that have
/// ended without taking leave, their incarnations.
pub(super) fn watch_all(conn: &Connection) -> Result<(Vec<OwnedFd>, Vec<i64>)> {
    let all = "SELECT incarnation, pid, pid_start FROM rowmill_worker WHERE boot = ?1";
    let mut query = conn.prepare_cached(all)?;
    let rows = query.query_map([this_boot()?], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
    let (mut living, mut gone) = (Vec::new(), Vec::new());
    for row in rows {
        let (incarnation, pid, pid_start) = row?;
        match identity::watch(pid, Some(pid_start)) {
            Some(process) => living.push(process),
            None => gone.push(incarnation),
        }
    }
    Ok((living, gone))
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
