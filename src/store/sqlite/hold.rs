//! Holding a partition and reading its next rows.
//!
//! A hold is a kernel lock plus an epoch. The lock keeps two living workers apart; the epoch makes sure that one who
//! only believes to hold it (stopped while its lock file was replaced, say) settles nothing. Under which lock file a hold
//! began is written down with it: whoever has locked another one waits until that process is gone or has let go. Who raises
//! the epoch also charges the task that ran when the last holder died, as that one's note says; of several that a stream had in
//! hand none is charged, and each runs alone next.

use super::history::Tally;
use super::lock::Inode;
use super::notes::Notes;
use super::settle::Row as Standing;
use super::{Sqlite, badge, claim, identity, lock, pause, plan, settle};
use crate::clock::{Millis, world};
use crate::error::{Error, Result};
use crate::store::{Badge, Batch, Ended, Hold, Lock};
use crate::task::{Cause, Codec, Partition, Right, Settlement, Task, WORKER_DIED};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use std::borrow::Cow;
use std::fs::File;
use std::sync::Arc;

/// A batch ends when the params in it pass this together, in bytes.
pub(super) const BATCH_BYTES: usize = 8 << 20;

/// The name of a partition's lock.
pub(super) fn partition_lock(partition: Partition) -> String {
    format!("partition-{}-{}", partition.generation, partition.index)
}

pub(super) fn hold(
    store: &mut Sqlite,
    partition: Partition,
    own: &Badge,
    now_ms: Millis,
    blame: &dyn Fn(&Task) -> Settlement,
) -> Result<Option<Hold>> {
    let name = partition_lock(partition);
    let Some(file) = lock::try_lock(&store.run, &name)? else {
        // Somebody holds it: the note says so to the holder. A file that is gone is held by nobody we could tell.
        if let Ok(file) = File::options().read(true).write(true).open(store.run.join(&name)) {
            Notes::map(&file)?.want(own.index);
        }
        return Ok(None);
    };
    let inode = Inode::of(&file)?;
    let last = last_of(&store.conn, partition)?;
    let elsewhere = last.as_ref().is_some_and(|last| last.is_elsewhere(inode, own));
    if let (true, Some(last)) = (elsewhere, &last)
        && badge::may_hold(&store.conn, &store.run, last.incarnation)?
    {
        return Ok(None);
    }
    let (notes, boot) = (Notes::map(&file)?, identity::boot_mark()?);
    // What is left of the executables of a holder that died while one ran, or before a stream's work was settled, goes first.
    let suspects = last.as_ref().map(|last| notes.left_by(last.epoch, boot)).unwrap_or_default();
    let mut remains = None;
    if let Some(last) = &last
        && (elsewhere || !suspects.is_empty() || notes.streamed_by(last.epoch, boot))
        && !store.stubborn.end(&store.run, last.incarnation)?
    {
        match elsewhere || notes.streamed_by(last.epoch, boot) {
            // Which tasks ran is not known.
            true => return Ok(None),
            false => remains = Some(last.incarnation),
        }
    }
    let epoch = store.write(|tx| {
        if last_of(tx, partition)?.map(|last| last.epoch) != last.as_ref().map(|last| last.epoch) {
            // Somebody has taken it meanwhile, under another lock file.
            return Ok(None);
        }
        let settling = last.as_ref().and_then(|last| notes.settling_by(last.epoch, boot));
        if let Some(settling) = settling {
            doubt(tx, partition, settling)?;
        }
        for &suspect in suspects.iter().filter(|_| !world::broken("notes ignored")) {
            let done = match remains {
                Some(incarnation) => leave(tx, partition, suspect, incarnation, now_ms)?,
                None if settling.is_some() || suspects.len() > 1 => doubt(tx, partition, suspect).map(|()| true)?,
                None => charge(tx, partition, own, suspect, now_ms, blame).map(|()| true)?,
            };
            if !done {
                return Ok(None);
            }
        }
        let raise = "INSERT INTO rowmill_partition
                       (generation, partition, epoch, incarnation, held_at, lock_device, lock_inode)
                     VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6)
                     ON CONFLICT DO UPDATE SET epoch = epoch + 1, incarnation = ?3, held_at = ?4, lock_device = ?5,
                       lock_inode = ?6
                     RETURNING epoch";
        let (device, number) = (inode.device, inode.number);
        let row = params![partition.generation, partition.index, own.incarnation, now_ms, device, number];
        Ok(Some(tx.prepare_cached(raise)?.query_row(row, |r| r.get(0))?))
    })?;
    let Some(epoch) = epoch else { return Ok(None) };
    notes.begin(epoch, boot);
    Ok(Some(Hold { partition, epoch, worker: own.index, note: Arc::new(notes), _lock: Lock(Box::new(file)) }))
}

/// The last hold of a partition, as it is written down.
struct Last {
    epoch: i64,
    incarnation: i64,
    lock: Inode,
}

impl Last {
    /// Whether another process held it under another lock file than `inode`, and has not said that it let go.
    fn is_elsewhere(&self, inode: Inode, own: &Badge) -> bool {
        let over = Inode { device: 0, number: 0 };
        self.lock != inode && self.lock != over && self.incarnation != own.incarnation
    }
}

fn last_of(conn: &Connection, partition: Partition) -> Result<Option<Last>> {
    let last = "SELECT epoch, incarnation, lock_device, lock_inode FROM rowmill_partition
                 WHERE generation = ?1 AND partition = ?2";
    let read = |r: &Row<'_>| {
        let lock = Inode { device: r.get(2)?, number: r.get(3)? };
        Ok(Last { epoch: r.get(0)?, incarnation: r.get(1)?, lock })
    };
    let place = params![partition.generation, partition.index];
    Ok(conn.prepare_cached(last)?.query_row(place, read).optional()?)
}

/// The task that ran when the last holder died, if it is a ready one of this partition, or one that an application put off
/// meanwhile; and the right to it.
fn suspect(tx: &Transaction<'_>, partition: Partition, id: i64) -> Result<Option<(Task, Right)>> {
    if plan(tx)?.partition_of(id) != partition {
        return Ok(None);
    }
    // A ready row without its key is done, and not folded yet.
    let look = "SELECT q.priority, q.id, q.job, q.param, q.codec, q.attempt, q.max_attempts,
                       q.unique_key IS NOT NULL, q.cause
                  FROM queue q
                 WHERE q.id = ?3 AND (q.status = 'delayed' OR EXISTS (
                       SELECT 1 FROM rowmill_ready r
                        WHERE r.generation = ?1 AND r.partition = ?2 AND r.priority = q.priority AND r.id = q.id))";
    let mut query = tx.prepare_cached(look)?;
    let mut rows = query.query(params![partition.generation, partition.index, id])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let task = read_task(row, id)?;
    if world::broken("neighbours charged") {
        tx.execute("UPDATE queue SET attempt = attempt + 1 WHERE status = 'ready' AND id <> ?1", [id])?;
    }
    // A suspect's run is claimed before it begins and never noted: the note is of the run that made it one, and that was
    // charged when its claim was recovered.
    if task.careful {
        return Ok(None);
    }
    let job = task.job.as_str().into();
    let right = Right { partition, priority: row.get(0)?, id, keyed: row.get(7)?, job };
    Ok(Some((task, right)))
}

/// Makes a task a suspect that may have killed its worker, or another one: nobody is charged, and each runs alone next.
fn doubt(tx: &Transaction<'_>, partition: Partition, id: i64) -> Result<()> {
    let Some((task, _)) = suspect(tx, partition, id)? else { return Ok(()) };
    log::warn!("task {id} ({}) ran, or was settled, when its worker died; it runs alone now", task.job);
    let cause = Cause::WorkerDied;
    let mark = "UPDATE queue SET error = ?2, cause = ?3 WHERE id = ?1";
    tx.prepare_cached(mark)?.execute(params![id, cause.text(), cause.word()])?;
    Ok(())
}

/// Leaves that task to the process that ran it, of which something lives on. `false` when it is not known any more.
fn leave(tx: &Transaction<'_>, partition: Partition, id: i64, incarnation: i64, now_ms: Millis) -> Result<bool> {
    let Some((task, right)) = suspect(tx, partition, id)? else { return Ok(true) };
    log::warn!("task {id} ({}) ran when its worker died, and something of that run is still there", task.job);
    claim::leave_to(tx, incarnation, &right, task.attempts_charged, now_ms)
}

/// Charges that task.
fn charge(
    tx: &Transaction<'_>,
    partition: Partition,
    badge: &Badge,
    id: i64,
    now_ms: Millis,
    blame: &dyn Fn(&Task) -> Settlement,
) -> Result<()> {
    let Some((task, right)) = suspect(tx, partition, id)? else { return Ok(()) };
    let settlement = blame(&task);
    log::warn!("task {id} ({}) ran when its worker died; it is {} now", task.job, settlement.word());
    if let Settlement::Suspect { attempt } = settlement {
        let charge = "UPDATE queue SET attempt = ?2, error = ?3, cause = ?4 WHERE id = ?1";
        let cause = Cause::WorkerDied;
        tx.prepare_cached(charge)?.execute(params![id, attempt, cause.text(), cause.word()])?;
        return Ok(());
    }
    let ended = Ended { settlement, started_at_ms: now_ms, finished_at_ms: now_ms, company: None };
    let mut tally = Tally::default();
    tally.add(&task.job, &ended);
    let Standing::Here { put_off } = settle::take_key(tx, &right)? else { return Ok(()) };
    settle::write_row(tx, id, badge.index, &ended, put_off)?;
    tally.write(tx)
}

pub(super) fn fetch(store: &mut Sqlite, hold: &Hold, limit: usize) -> Result<Batch> {
    let mut reader = Reader::new(&store.conn, hold.partition)?;
    let mut query = store.conn.prepare_cached(NEXT)?;
    let mut rows = query.query(params![hold.partition.generation, hold.partition.index, limit as i64])?;
    while let Some(row) = rows.next()? {
        reader.take(row)?;
        if reader.bytes > BATCH_BYTES {
            break;
        }
    }
    Ok(reader.batch)
}

/// The columns of a row in the order of work, and where they come from.
macro_rules! next_rows {
    ($rest:literal) => {
        concat!(
            "SELECT r.priority, r.id, q.job, q.param, q.codec, q.attempt, q.max_attempts, q.unique_key IS NOT NULL,
                    q.cause, q.status IS 'ready'
               FROM rowmill_ready r LEFT JOIN queue q ON q.id = r.id
              WHERE r.generation = ?1 AND r.partition = ?2 ",
            $rest
        )
    };
}
pub(super) use next_rows;

/// The next rows of a partition.
pub(super) const NEXT: &str = next_rows!("ORDER BY r.priority DESC, r.id LIMIT ?3");

/// Makes a batch of rows.
pub(super) struct Reader {
    partition: Partition,
    paused: Vec<String>,
    names: Vec<Arc<str>>,
    pub(super) batch: Batch,
    /// Of the params in the batch.
    pub(super) bytes: usize,
}

impl Reader {
    pub(super) fn new(conn: &Connection, partition: Partition) -> Result<Reader> {
        let (paused, names, batch) = (pause::jobs(conn)?, Vec::new(), Batch::default());
        Ok(Reader { partition, paused, names, batch, bytes: 0 })
    }

    /// Adds a row of [`NEXT`] to the batch.
    pub(super) fn take(&mut self, row: &Row<'_>) -> Result<()> {
        let job = shared(&mut self.names, &job_of(row)?);
        let right =
            Right { partition: self.partition, priority: row.get(0)?, id: row.get(1)?, keyed: row.get(7)?, job };
        if !row.get::<_, bool>(9)? {
            self.batch.orphans.push(right);
            return Ok(());
        }
        if self.paused.iter().any(|paused| **paused == *right.job) {
            self.batch.paused.push(right);
            return Ok(());
        }
        let task = read_task(row, right.id)?;
        self.bytes += task.param.len();
        self.batch.tasks.push((task, right));
        Ok(())
    }
}

/// The job of a row of [`NEXT`]. Not every writer keeps to UTF-8; such a name is no job's, and its row is parked.
pub(super) fn job_of<'a>(row: &'a Row<'_>) -> Result<Cow<'a, str>> {
    Ok(String::from_utf8_lossy(row.get_ref(2)?.as_bytes_or_null().ok().flatten().unwrap_or_default()))
}

/// One copy of each name in a batch, which has few.
fn shared(names: &mut Vec<Arc<str>>, name: &str) -> Arc<str> {
    if let Some(known) = names.iter().rev().find(|known| ***known == *name) {
        return Arc::clone(known);
    }
    let new: Arc<str> = name.into();
    names.push(Arc::clone(&new));
    new
}

fn read_task(row: &Row<'_>, id: i64) -> Result<Task> {
    let codec = row.get_ref(4)?.as_str().ok().and_then(Codec::from_word);
    let careful = row.get_ref(8)?.as_str_or_null().ok().flatten() == Some(WORKER_DIED);
    Ok(Task {
        id,
        job: job_of(row)?.into_owned(),
        param: row.get_ref(3)?.as_bytes_or_null().ok().flatten().unwrap_or_default().to_vec(),
        codec: codec.ok_or_else(|| Error::failed(format!("task {id} has a codec that its CHECK forbids")))?,
        priority: row.get(0)?,
        attempts_charged: row.get(5)?,
        max_attempts: row.get(6)?,
        careful,
    })
}
