//! Worker processes: their liveness locks, and the incarnation that each has in the database.

use super::hold::partition_lock;
use super::identity::{self, Fate, Identity, pid_space, this_boot};
use super::lock::Inode;
use super::{Sqlite, body, lock, pulse};
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::store::{Badge, Body, Hold, Lock, WorkerInfo};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

/// A process of another pid namespace, whose lock file was replaced, cannot be looked for. While it lives it comes back to
/// the new place within about a second; when it has not for this long, it is taken for dead. If it only was frozen, the
/// epoch and the claims keep it from settling anything.
const UNSEEN: Duration = Duration::from_secs(60);

/// The name of worker `index`'s liveness lock.
pub(super) fn worker_lock(index: u32) -> String {
    format!("worker-{index}")
}

pub(super) fn enlist(store: &mut Sqlite, index: u32, now_ms: Millis) -> Result<Option<Badge>> {
    let path = store.run.join(worker_lock(index));
    let Some(mut file) = lock::try_lock_patiently(&store.run, &worker_lock(index))? else { return Ok(None) };
    let (own, inode) = (Identity::own()?, Inode::of(&file)?);
    // At once, so that nobody reads the line of the one before as that of the living.
    say_who(&mut file, own.pid, now_ms)?;
    let earlier = incarnations_of(&store.conn, index)?;
    for one in &earlier {
        if lives_elsewhere(one, inode, &path)? {
            return Ok(None);
        }
    }
    pulse::begin(&store.run, index, &own)?;
    // One whose processes do not end stays known until they do: its tasks wait for that.
    let mut gone = Vec::new();
    for one in &earlier {
        if store.stubborn.end(&store.run, one.incarnation)? {
            gone.push(one.incarnation);
        }
    }
    let incarnation = store.write(|tx| {
        for one in incarnations_of(tx, index)? {
            if !earlier.iter().any(|seen| seen.incarnation == one.incarnation) && lives_elsewhere(&one, inode, &path)? {
                return Ok(None);
            }
        }
        for incarnation in gone {
            forget(tx, incarnation)?;
        }
        let new =
            "INSERT INTO rowmill_worker (worker, boot, pid, pid_start, pid_space, lock_device, lock_inode, started_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let who = params![index, own.boot, own.pid, own.pid_start, own.pid_space, inode.device, inode.number, now_ms];
        tx.execute(new, who)?;
        Ok(Some(tx.last_insert_rowid()))
    })?;
    let Some(incarnation) = incarnation else { return Ok(None) };
    let body = Body(Some(body::path(&store.run, incarnation)));
    Ok(Some(Badge { index, incarnation, body, _lock: Lock(Box::new(file)) }))
}

fn say_who(file: &mut File, pid: i64, started_at: Millis) -> Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    Ok(writeln!(file, "{}", serde_json::json!({ "pid": pid, "started_at": started_at }))?)
}

/// A worker process as it is written down.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) incarnation: i64,
    pub(super) index: u32,
    process: Identity,
    lock: Inode,
}

const WRITTEN: &str = "SELECT incarnation, worker, boot, pid, pid_start, pid_space, lock_device, lock_inode
                         FROM rowmill_worker";

fn read_written(row: &Row<'_>) -> rusqlite::Result<Written> {
    let process = Identity { boot: row.get(2)?, pid: row.get(3)?, pid_start: row.get(4)?, pid_space: row.get(5)? };
    let lock = Inode { device: row.get(6)?, number: row.get(7)? };
    Ok(Written { incarnation: row.get(0)?, index: row.get(1)?, process, lock })
}

impl Written {
    /// Whether it lives.
    pub(super) fn is_alive(&self, conn: &Connection, run: &Path) -> Result<bool> {
        Ok(standing_of(conn, run, self)? == Standing::Alive)
    }
}

/// Those that have a job in their list of what they know, living or not.
pub(super) fn written_with(conn: &Connection, job: &str) -> Result<Vec<Written>> {
    let with = format!("{WRITTEN} WHERE EXISTS (SELECT 1 FROM json_each(jobs) WHERE value = ?1)");
    let mut query = conn.prepare_cached(&with)?;
    let rows = query.query_map([job], read_written)?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
}

/// Other processes that were worker `index`.
fn incarnations_of(conn: &Connection, index: u32) -> Result<Vec<Written>> {
    let mut query = conn.prepare_cached(&format!("{WRITTEN} WHERE worker = ?1"))?;
    let rows = query.query_map([index], read_written)?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
}

/// Whether a process may live although the lock file at `path`, which is `inode`, is ours: it has locked another one.
fn lives_elsewhere(one: &Written, inode: Inode, path: &Path) -> Result<bool> {
    Ok(one.lock != inode && one.process.boot == this_boot()? && may_live(&one.process, path)?)
}

/// Whether a process of this boot may live, whose lock file is not the one at `path`. One that cannot be seen from here
/// has had the time to come back to the new place.
fn may_live(process: &Identity, path: &Path) -> Result<bool> {
    Ok(match process.fate() {
        Fate::Lives => true,
        Fate::Gone => false,
        Fate::Unseen => lock::age(path)?.is_none_or(|age| age < UNSEEN),
    })
}

/// Whether a worker process is written down, and is the last one that had its index. It is not when it was taken for dead
/// while it could neither be seen nor did anything, and another process took its index, even if that one is dead by now.
pub(super) fn is_current(conn: &Connection, incarnation: i64) -> Result<bool> {
    let current = "SELECT EXISTS (SELECT 1 FROM rowmill_worker w WHERE incarnation = ?1 AND NOT EXISTS
                     (SELECT 1 FROM rowmill_worker later WHERE later.worker = w.worker AND later.incarnation > ?1))";
    Ok(conn.prepare_cached(current)?.query_row([incarnation], |r| r.get(0))?)
}

/// Keeps this worker's place in the run folder: takes its locks anew when somebody has deleted or replaced them, and
/// then says that it holds no partition under an old one. So an idle `hold` is given back then.
pub(super) fn stay(store: &mut Sqlite, badge: &Badge, hold: Option<Hold>) -> Result<Option<Hold>> {
    let path = store.run.join(worker_lock(badge.index));
    let there = Inode::at(&path);
    let of = |lock: &Lock| lock.0.downcast_ref::<File>().and_then(|file| Inode::of(file).ok());
    let own = match store.moved.get(&badge.incarnation) {
        Some(file) => Some(Inode::of(file)?),
        None => of(&badge._lock),
    };
    let at = |hold: &Hold| Inode::at(&store.run.join(partition_lock(hold.partition)));
    let stands = hold.as_ref().is_none_or(|hold| at(hold).is_some() && at(hold) == of(&hold._lock));
    if there.is_some() && there == own && stands && !store.bell.is_lost(&store.run) {
        return Ok(hold);
    }
    drop(hold);
    if there.is_none() || there != own {
        let replaced = || Error::failed(format!("another process is worker {} by now: this one ends", badge.index));
        if !is_current(&store.conn, badge.incarnation)? {
            return Err(replaced());
        }
        let Some(mut file) = lock::try_lock_patiently(&store.run, &worker_lock(badge.index))? else { return Ok(None) };
        // Nobody else comes to its index from here on.
        if !is_current(&store.conn, badge.incarnation)? {
            return Err(replaced());
        }
        let since = "SELECT started_at FROM rowmill_worker WHERE incarnation = ?1";
        let since = store.conn.query_row(since, [badge.incarnation], |r| r.get(0))?;
        let process = Identity::own()?;
        say_who(&mut file, process.pid, since)?;
        pulse::begin(&store.run, badge.index, &process)?;
        log::warn!("the run folder was deleted or replaced; this worker takes its locks there anew");
        let inode = Inode::of(&file)?;
        let new = "UPDATE rowmill_worker SET lock_device = ?2, lock_inode = ?3 WHERE incarnation = ?1";
        store.write(|tx| Ok(tx.execute(new, params![badge.incarnation, inode.device, inode.number])?))?;
        store.moved.insert(badge.incarnation, file);
    }
    let over = "UPDATE rowmill_partition SET lock_device = 0, lock_inode = 0 WHERE incarnation = ?1";
    store.write(|tx| Ok(tx.execute(over, [badge.incarnation])?))?;
    store.bell.listen_again(&store.run)?;
    Ok(None)
}

/// Whether the process that last held a partition under another lock file than ours may still do so.
pub(super) fn may_hold(conn: &Connection, run: &Path, incarnation: i64) -> Result<bool> {
    let mut query = conn.prepare_cached(&format!("{WRITTEN} WHERE incarnation = ?1"))?;
    let Some(one) = query.query_row([incarnation], read_written).optional()? else { return Ok(false) };
    one.is_alive(conn, run)
}

pub(super) fn retire(store: &mut Sqlite, badge: Badge) -> Result<()> {
    // A script may have left a child that lives on by intent; it is killed like the rest of a worker's executables.
    body::end(&store.run, badge.incarnation)?;
    store.moved.remove(&badge.incarnation);
    store.write(|tx| forget(tx, badge.incarnation))
}

/// Drops a worker process that is gone, unless there are claims of it.
fn forget(tx: &Transaction<'_>, incarnation: i64) -> Result<()> {
    let gone = "DELETE FROM rowmill_worker WHERE incarnation = ?1
                   AND NOT EXISTS (SELECT 1 FROM rowmill_claim WHERE incarnation = ?1)";
    tx.execute(gone, [incarnation])?;
    Ok(())
}

/// Brings the watched worker processes up to date, those of this boot and pid namespace: `living` are descriptors, by
/// incarnation, that become readable when they end. Answers the incarnations of those that have ended without taking leave.
pub(super) fn watch_all(conn: &Connection, living: &mut BTreeMap<i64, OwnedFd>) -> Result<Vec<i64>> {
    let all = "SELECT incarnation, pid, pid_start FROM rowmill_worker WHERE boot = ?1 AND pid_space = ?2";
    let mut query = conn.prepare_cached(all)?;
    let rows = query.query_map(params![this_boot()?, pid_space()], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
    let (mut before, mut gone) = (std::mem::take(living), Vec::new());
    for row in rows {
        let (incarnation, pid, pid_start) = row?;
        match before.remove(&incarnation).or_else(|| identity::watch(pid, Some(pid_start))) {
            Some(process) => drop(living.insert(incarnation, process)),
            None => gone.push(incarnation),
        }
    }
    Ok(gone)
}

/// The living workers of other pid namespaces of this boot.
pub(super) fn unseen(conn: &Connection, run: &Path) -> Result<Vec<u32>> {
    let all = "SELECT DISTINCT worker FROM rowmill_worker WHERE boot = ?1 AND pid_space <> ?2";
    let mut query = conn.prepare_cached(all)?;
    let rows = query.query_map(params![this_boot()?, pid_space()], |r| r.get(0))?;
    let mut living = Vec::new();
    for index in rows.collect::<rusqlite::Result<Vec<u32>>>()? {
        if lock::is_locked(run, &worker_lock(index))? {
            living.push(index);
        }
    }
    Ok(living)
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

/// Looks whether an incarnation lives. Its lock is free, or a later one of the same index has it: then it does not. Where
/// another file lies in the place of its lock, or none, the process itself is looked for.
pub(super) fn standing(store: &Sqlite, incarnation: i64) -> Result<Standing> {
    let mut query = store.conn.prepare_cached(&format!("{WRITTEN} WHERE incarnation = ?1"))?;
    let one = query.query_row([incarnation], read_written)?;
    standing_of(&store.conn, &store.run, &one)
}

fn standing_of(conn: &Connection, run: &Path, one: &Written) -> Result<Standing> {
    if one.process.boot != this_boot()? {
        return Ok(Standing::PowerCut);
    }
    let later = "SELECT EXISTS (SELECT 1 FROM rowmill_worker WHERE worker = ?1 AND incarnation > ?2)";
    let later: bool = conn.prepare_cached(later)?.query_row(params![one.index, one.incarnation], |r| r.get(0))?;
    let path = run.join(worker_lock(one.index));
    let alive = !later
        && match Inode::at(&path) == Some(one.lock) {
            true => lock::is_locked(run, &worker_lock(one.index))?,
            false => may_live(&one.process, &path)?,
        };
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
