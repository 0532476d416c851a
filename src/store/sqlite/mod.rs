//! The SQLite backend: one file, many processes.
//!
//! Beside the database's real path lies its run folder (`<database>-run`) with the locks: one per partition and worker,
//! the write gate, the scheduler's, the lookout's, that of whoever folds; and with the bodies and pulses of workers, and
//! the sockets that they are rung by. Our writers take turns through the gate, so that SQLite's
//! own lock is contended by applications only. Connections are opened once per process and never used after a fork.
//! Triggers are on: what applications rely on holds for the engine's own writes too. Where many rows are written by one
//! transaction that keeps what they keep, a second connection without them is used.

mod application;
mod badge;
mod bell;
mod body;
mod claim;
mod company;
mod count;
mod enqueue;
mod examine;
mod fire;
mod fold;
mod followup;
mod gate;
mod govern;
mod guard;
mod history;
mod hold;
mod identity;
mod known;
#[cfg(test)]
mod line;
mod list;
mod lock;
mod look;
mod mapped;
mod notes;
mod open;
mod operate;
mod past;
mod pause;
mod pins;
mod place;
mod presence;
mod prune;
mod pulse;
mod relog;
mod resident;
mod room;
mod schedules;
mod settle;
mod sharing;
mod timer;
mod write;

#[cfg(test)]
mod tests;

use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::store::*;
use crate::task::{Delivery, Generation, NewTask, Partition, Plan, Right, Settlement, Task};
use rusqlite::{Connection, ErrorCode};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use application::as_application;
pub use examine::{Examiner, LogReader, Sure, examine, laws, log_readers};
#[cfg(test)]
pub(crate) use line::Line;
pub(crate) use lock::open_lock;
pub use open::{Create, OLDEST_ENGINE};
pub use sharing::{Files, files, make_shared, share};

/// The lock of the scheduler.
const SCHEDULER: &str = "scheduler";

/// An open database.
#[derive(Debug)]
pub struct Sqlite {
    conn: Connection,
    /// Another one, whose triggers are off, once it was needed. To switch them off and on again would have every statement of
    /// the connection prepared anew.
    bare: Option<Connection>,
    /// The database's real path.
    file: PathBuf,
    /// The folder with the locks.
    run: PathBuf,
    gate: gate::Gate,
    wal: write::Wal,
    presence: presence::Presence,
    bell: bell::Bell,
    guard: guard::Guard,
    durability: Durability,
    /// Liveness locks that were taken anew because the run folder was lost, by incarnation.
    moved: BTreeMap<i64, File>,
    stubborn: body::Stubborn,
}

impl Sqlite {
    /// Opens the database at `path`. `create` says what to do when there is none, or none of our tables in it: these are
    /// made in one transaction by whoever comes first. Errors name the file and say what is wrong with it.
    pub fn open(path: &Path, durability: Durability, create: Create) -> Result<Sqlite> {
        open::open(path, durability, create)
    }

    /// The database's real path.
    pub fn file(&self) -> &Path {
        &self.file
    }
}

/// Reads the generations. Whoever moves keys reads them in the transaction that moves them: N may have changed since.
fn plan(conn: &Connection) -> Result<Plan> {
    let all = "SELECT generation, first_id, partitions FROM rowmill_generation ORDER BY generation";
    let mut query = conn.prepare_cached(all)?;
    let rows =
        query.query_map([], |r| Ok(Generation { number: r.get(0)?, first_id: r.get(1)?, partitions: r.get(2)? }))?;
    let generations = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    Plan::new(generations).ok_or_else(|| Error::failed("the database does not say how many partitions it has"))
}

fn ids_are_used_up() -> Error {
    Error::failed("all ids of this database are used up, so no task can be added")
        .hint("ids are never given twice: begin a new database when the tasks of this one are done")
}

/// Puts words on an error of SQLite. Locked, full and unreachable pass by themselves; the rest does not.
pub(crate) fn explain(e: &rusqlite::Error) -> Error {
    let Some(code) = e.sqlite_error_code() else { return Error::failed(format!("database: {e}")) };
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            Error::try_again("the database is locked by another program").hint("it goes on when that one commits")
        }
        ErrorCode::DiskFull => Error::try_again("the disk is full").hint("it goes on when there is room again"),
        // The index beside the log cannot grow.
        _ if e.sqlite_error().is_some_and(|e| e.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE) => {
            Error::try_again("the disk is full").hint("it goes on when there is room again")
        }
        ErrorCode::SystemIoFailure => Error::try_again(format!("the disk answers with an error: {e}")),
        ErrorCode::CannotOpen => Error::try_again(format!("the database cannot be opened: {e}"))
            .hint("is its folder there, and may this user write to it?"),
        ErrorCode::ReadOnly => read_only(),
        ErrorCode::NotADatabase => Error::failed("the file is not an SQLite database")
            .hint("name another file with --database, or move this one away"),
        ErrorCode::DatabaseCorrupt => Error::failed(format!("the database is damaged: {e}"))
            .hint("stop everything that writes to it, keep a copy, and see `.recover` of the sqlite3 shell"),
        _ => Error::failed(format!("database: {e}")),
    }
}

fn read_only() -> Error {
    let hint = "this user must be able to write to the file, to those beside it (-wal, -shm), and to its folder";
    Error::failed("the database is read-only").hint(hint)
}

impl From<rusqlite::Error> for Error {
    fn from(e: rusqlite::Error) -> Error {
        explain(&e)
    }
}

impl Store for Sqlite {
    fn plan(&mut self) -> Result<Plan> {
        plan(&self.conn)
    }

    fn enqueue(&mut self, tasks: &[NewTask]) -> Result<Vec<Enqueued>> {
        enqueue::enqueue(self, tasks)
    }

    fn enqueue_many(&mut self, tasks: &[NewTask]) -> Result<Vec<Enqueued>> {
        enqueue::enqueue_many(self, tasks)
    }

    fn enlist(&mut self, index: u32, now_ms: Millis) -> Result<Option<Badge>> {
        badge::enlist(self, index, now_ms)
    }

    fn know(&mut self, badge: &Badge, jobs: &[&str]) -> Result<()> {
        known::know(self, badge, jobs)
    }

    fn knowers(&mut self, job: &str) -> Result<Option<u64>> {
        known::knowers(&self.conn, &self.run, job)
    }

    fn was_known(&mut self, partition: Partition, jobs: &[String]) -> Result<bool> {
        known::was_known(&self.conn, partition, jobs)
    }

    fn retire(&mut self, badge: Badge) -> Result<()> {
        badge::retire(self, badge)
    }

    fn outlast(&mut self, badge: Badge, hold: Option<Hold>) {
        // The kernel gives their locks back, after the last thread.
        let moved = self.moved.remove(&badge.incarnation);
        std::mem::forget((badge, hold, moved));
    }

    fn is_there(&mut self) -> Result<()> {
        self.presence.check()
    }

    fn stay(&mut self, badge: &Badge, hold: Option<Hold>) -> Result<Option<Hold>> {
        badge::stay(self, badge, hold)
    }

    fn scheduler(&mut self) -> Result<Option<Lock>> {
        let Some(file) = lock::try_lock(&self.run, SCHEDULER)? else { return Ok(None) };
        lock::touch(&file);
        Ok(Some(Lock(Box::new(file))))
    }

    fn hold(
        &mut self,
        partition: Partition,
        badge: &Badge,
        now_ms: Millis,
        blame: &dyn Fn(&Task) -> Settlement,
    ) -> Result<Option<Hold>> {
        hold::hold(self, partition, badge, now_ms, blame)
    }

    fn claim(
        &mut self,
        hold: &Hold,
        badge: &Badge,
        right: &Right,
        attempts_charged: u32,
        started_at_ms: Millis,
        delivery: Delivery,
    ) -> Result<Claiming> {
        claim::claim(self, hold, badge, right, attempts_charged, started_at_ms, delivery)
    }

    fn settle_claim(&mut self, claim: &Claim, ended: &Ended) -> Result<Option<Verdict>> {
        claim::settle_claim(self, claim, ended)
    }

    fn last_word(&mut self, claim: &Claim, word: LastWord) -> Result<()> {
        claim::last_word(self, claim, word)
    }

    fn lost_claims(&mut self) -> Result<Vec<LostClaim>> {
        claim::lost_claims(self)
    }

    fn ring_wanted(&mut self, wanted: u64, workers: u32) {
        bell::ring_wanted(&self.run, wanted, workers);
    }

    fn fetch(&mut self, hold: &Hold, limit: usize) -> Result<Batch> {
        hold::fetch(self, hold, limit)
    }

    fn fetch_past(&mut self, hold: &Hold, limit: usize, jobs: &[String], mark: &mut Option<Mark>) -> Result<Batch> {
        past::read(&self.conn, hold.partition, limit, jobs, mark)
    }

    fn has_others(&mut self, partition: Partition, jobs: &[String], mark: &mut Option<Mark>) -> Result<bool> {
        past::has_others(&self.conn, partition, jobs, mark)
    }

    fn settle(&mut self, hold: &Hold, settled: &[Settled], orphans: &[Right]) -> Result<Settling> {
        settle::settle(self, hold, settled, orphans)
    }

    fn spread(&mut self) -> Result<Option<Vec<Partition>>> {
        followup::spread(self)
    }

    fn fold(&mut self, limit: usize) -> Result<Option<usize>> {
        fold::fold(self, limit)
    }

    fn count(&mut self, limit: usize) -> Result<usize> {
        count::count(self, limit)
    }

    fn watchman(&self, own: Option<&Badge>, workers: u32) -> Box<dyn Watchman> {
        Box::new(pulse::SqliteWatchman::new(&self.run, own.map(|badge| badge.index), workers))
    }

    fn beat(&mut self) {
        pulse::beat();
    }

    fn since_tick(&mut self) -> Result<Option<Duration>> {
        Ok(lock::since_touched(&self.run, SCHEDULER))
    }

    fn since_fold(&mut self) -> Result<Option<Duration>> {
        Ok(lock::since_touched(&self.run, fold::LOCK))
    }

    fn promote(&mut self, now_ms: Millis, limit: usize) -> Result<Vec<Partition>> {
        timer::promote(self, now_ms, limit)
    }

    fn next_delayed(&mut self) -> Result<Option<Millis>> {
        timer::next_delayed(self)
    }

    fn waiting(&mut self) -> Result<Vec<Partition>> {
        look::waiting(self)
    }

    fn release_known(&mut self, jobs: &[&str]) -> Result<usize> {
        timer::release_known(self, jobs)
    }

    fn listen(&mut self, index: u32) -> Result<()> {
        self.bell.listen(&self.run, self.wal.path(), index)
    }

    fn sleep(&mut self, span: Duration, stop: BorrowedFd<'_>) -> Result<Woken> {
        let span = self.stubborn.until_next().map_or(span, |until| until.min(span));
        self.bell.sleep(&self.conn, &self.run, &self.presence, span, stop)
    }

    fn is_lookout(&self) -> bool {
        self.bell.is_lookout()
    }

    fn pass_lookout(&mut self, workers: u32) {
        self.bell.pass_lookout(&self.run, workers);
    }

    fn ring(&mut self, partitions: &[Partition], workers: u32) {
        self.bell.ring(&self.run, partitions, workers);
    }
}

impl Operate for Sqlite {
    fn retry(&mut self, chosen: &Chosen<'_>, now_ms: Millis, tell: &mut Tell<'_>) -> Result<Tally> {
        operate::operate(self, Operation::Retry, chosen, now_ms, tell)
    }

    fn cancel(&mut self, chosen: &Chosen<'_>, now_ms: Millis, tell: &mut Tell<'_>) -> Result<Tally> {
        operate::operate(self, Operation::Cancel, chosen, now_ms, tell)
    }

    fn release(&mut self, chosen: &Chosen<'_>, now_ms: Millis, tell: &mut Tell<'_>) -> Result<Tally> {
        operate::operate(self, Operation::Release, chosen, now_ms, tell)
    }

    fn foresee(
        &mut self,
        operation: Operation,
        chosen: &Chosen<'_>,
        now_ms: Millis,
        tell: &mut Tell<'_>,
    ) -> Result<Tally> {
        operate::foresee(self, operation, chosen, now_ms, tell)
    }
}

impl Look for Sqlite {
    fn is_held(&mut self, partition: Partition) -> Result<bool> {
        lock::is_locked(&self.run, &hold::partition_lock(partition))
    }

    fn is_alive(&mut self, index: u32) -> Result<bool> {
        lock::is_locked(&self.run, &badge::worker_lock(index))
    }

    fn workers(&mut self) -> Result<Vec<WorkerInfo>> {
        badge::workers(self)
    }

    fn counts(&mut self) -> Result<Counts> {
        count::counts(&self.conn)
    }

    fn oldest_ready(&mut self) -> Result<Option<Waiting>> {
        look::oldest_ready(self)
    }

    fn tasks(&mut self, filter: &Filter) -> Result<Vec<Row>> {
        list::tasks(self, filter)
    }

    fn task(&mut self, id: i64) -> Result<Option<Row>> {
        look::task(self, id)
    }
}
