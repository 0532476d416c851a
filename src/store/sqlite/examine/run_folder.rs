//! What lies in the run folder, and whose it is.

use super::kernel::{self, KernelLock};
use crate::error::Result;
use crate::store::sqlite::identity::{Fate, Identity, this_boot};
use crate::store::sqlite::lock::{self, Inode};
use crate::store::{DeadWorker, EXAMPLES, RunFolder};
use rusqlite::Connection;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::path::Path;

/// Files of which there is one.
const SINGLE: [&str; 5] = ["gate", "scheduler", "resident", "lookout", "fold"];
/// Files of which there is one for each worker, worker process or partition.
const NUMBERED: [&str; 5] = ["worker", "pulse", "body", "partition", "bell"];

/// Looks into the folder. What is just coming or going is not told: only what is there at both of two looks.
pub(super) fn look(conn: &Connection, run: &Path) -> Result<RunFolder> {
    let first = look_once(conn, run)?;
    if (&first.bodies, &first.strays, &first.orphans) == (&Vec::new(), &Vec::new(), &Vec::new()) {
        return Ok(first);
    }
    let pause = rustix::event::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    let _ = rustix::event::poll(&mut [], Some(&pause));
    let mut second = look_once(conn, run)?;
    second.bodies.retain(|body| first.bodies.contains(body));
    second.strays.retain(|(body, _)| first.strays.iter().any(|(other, _)| other == body));
    second.orphans.retain(|orphan| first.orphans.contains(orphan));
    Ok(second)
}

fn look_once(conn: &Connection, run: &Path) -> Result<RunFolder> {
    let mut found = RunFolder::default();
    let entries = match std::fs::read_dir(run) {
        Ok(entries) => entries,
        Err(e) => {
            found.closed = Some(e.to_string());
            return Ok(found);
        }
    };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let locks = kernel::locks();
    let (incarnations, pids) = written(conn)?;
    for name in names {
        let (kind, number) = name.split_once('-').unwrap_or((&name, ""));
        let known = match number {
            "" => SINGLE.contains(&kind),
            _ => NUMBERED.contains(&kind) && number.split('-').all(|part| part.parse::<u64>().is_ok()),
        };
        match kind {
            _ if !known => found.foreign.push(name),
            "body" if !number.parse().is_ok_and(|one| incarnations.contains(&one)) => {
                body(run, name, &locks, &mut found)
            }
            "worker" | "partition" => orphan(run, name, &locks, &pids, &mut found),
            "bell" if !locked(run, &format!("worker-{number}")) => found.sockets.push(name),
            _ => {}
        }
    }
    Ok(found)
}

/// The worker processes that are written down: their numbers, and the pids of those of this boot.
fn written(conn: &Connection) -> Result<(BTreeSet<i64>, BTreeSet<i64>)> {
    let mut query = conn.prepare_cached("SELECT incarnation, boot, pid FROM rowmill_worker")?;
    let mut rows = query.query([])?;
    let (boot, mut incarnations, mut pids) = (this_boot()?, BTreeSet::new(), BTreeSet::new());
    while let Some(row) = rows.next()? {
        incarnations.insert(row.get(0)?);
        if row.get::<_, String>(1)? == boot {
            pids.insert(row.get(2)?);
        }
    }
    Ok((incarnations, pids))
}

/// A lock that cannot be looked at is taken for free: that is said elsewhere.
fn locked(run: &Path, name: &str) -> bool {
    lock::is_locked(run, name).unwrap_or(false)
}

fn body(run: &Path, name: String, locks: &[KernelLock], found: &mut RunFolder) {
    if is_taken(run, &name) {
        let who = kernel::holders(locks, &run.join(&name));
        found.strays.push((name, who));
    } else {
        found.bodies.push(name);
    }
}

/// Whether anybody has the lock of a body, which is shared by all that have inherited it.
fn is_taken(run: &Path, name: &str) -> bool {
    use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let Ok(file) = open(run.join(name), flags, Mode::empty()) else { return false };
    flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK)
}

/// A lock that a process has which no worker is. Where the kernel shows no locks, or they are another namespace's, none is told.
fn orphan(run: &Path, name: String, locks: &[KernelLock], pids: &BTreeSet<i64>, found: &mut RunFolder) {
    let who = kernel::holders(locks, &run.join(&name));
    // Somebody who only looks has it for an instant.
    let strangers: Vec<i64> = who.into_iter().filter(|pid| *pid > 0 && !pids.contains(pid)).collect();
    if !strangers.is_empty() {
        found.orphans.push((name, strangers));
    }
}

/// Dead worker processes whose claims wait.
pub(super) fn dead(conn: &Connection, run: &Path) -> Result<Vec<DeadWorker>> {
    let all =
        "SELECT w.worker, w.boot, w.pid, w.pid_start, w.pid_space, w.lock_device, w.lock_inode, c.id, c.claimed_at
                 FROM rowmill_claim c JOIN rowmill_worker w USING (incarnation) ORDER BY w.incarnation, c.id";
    let mut query = conn.prepare_cached(all)?;
    let mut rows = query.query([])?;
    let boot = this_boot()?;
    let mut found: Vec<DeadWorker> = Vec::new();
    while let Some(row) = rows.next()? {
        let process = Identity { boot: row.get(1)?, pid: row.get(2)?, pid_start: row.get(3)?, pid_space: row.get(4)? };
        let (index, task, claimed_at): (u32, i64, i64) = (row.get(0)?, row.get(7)?, row.get(8)?);
        let name = format!("worker-{index}");
        let written = Inode { device: row.get(5)?, number: row.get(6)? };
        let free =
            Inode::at(&run.join(&name)) == Some(written) && lock::is_locked(run, &name).is_ok_and(|locked| !locked);
        if process.boot == boot && process.fate() != Fate::Gone && !free {
            continue;
        }
        match found.last_mut().filter(|dead| (dead.index, dead.pid) == (index, process.pid)) {
            Some(dead) => {
                dead.since = dead.since.min(claimed_at);
                if dead.tasks.len() < EXAMPLES {
                    dead.tasks.push(task);
                }
            }
            None => found.push(DeadWorker { index, pid: process.pid, tasks: vec![task], since: claimed_at }),
        }
    }
    Ok(found)
}
