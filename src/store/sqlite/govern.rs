//! Steering: small tables that a person changes and workers read.

use super::{Sqlite, badge, history, identity, ids_are_used_up, look, pause, plan, prune, resident, schedules};
use crate::clock::{Millis, world};
use crate::error::{Error, Result};
use crate::store::{Claimed, Curb, DayCount, Govern, Hand, Hold, Lock, Order, Pruned, Released, Resident};
use crate::task::{Generation, Right};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

impl Govern for Sqlite {
    fn scale(&mut self, partitions: u32) -> Result<(Generation, bool)> {
        if !(1..=4096).contains(&partitions) {
            return Err(Error::usage(format!("the number of partitions is 1 to 4096, not {partitions}")));
        }
        self.write(|tx| scale(tx, partitions))
    }

    fn stop(&mut self, by_whom: &str, now_ms: Millis) -> Result<Order> {
        self.write(|tx| {
            let order = "INSERT INTO rowmill_stop (one, since, by_whom) VALUES (1, ?1, ?2) ON CONFLICT DO NOTHING";
            tx.execute(order, params![now_ms, by_whom])?;
            stopped(tx)?.ok_or_else(|| Error::failed("the order to stop was not written"))
        })
    }

    fn start(&mut self, now_ms: Millis) -> Result<Option<Order>> {
        self.write(|tx| {
            let order = stopped(tx)?;
            order.as_ref().map_or(Ok(()), |order| schedules::stood_still(tx, order, now_ms))?;
            tx.execute("DELETE FROM rowmill_stop", [])?;
            Ok(order)
        })
    }

    fn stopped(&mut self) -> Result<Option<Order>> {
        stopped(&self.conn)
    }

    fn pause(&mut self, job: &str, by_whom: &str, now_ms: Millis) -> Result<Order> {
        pause::pause(self, job, by_whom, now_ms)
    }

    fn resume(&mut self, job: &str) -> Result<Option<Order>> {
        pause::resume(self, job)
    }

    fn release_paused(&mut self, job: &str, after: i64, limit: usize) -> Result<Released> {
        pause::release(self, job, after, limit)
    }

    fn paused(&mut self) -> Result<Vec<(String, Order)>> {
        pause::all(&self.conn)
    }

    fn park_paused(&mut self, hold: &Hold, rights: &[Right]) -> Result<Option<usize>> {
        pause::park(self, hold, rights)
    }

    fn history(&mut self, from_day: i64) -> Result<Vec<DayCount>> {
        history::since(&self.conn, from_day)
    }

    fn prune(&mut self, after: i64, cutoff_ms: Millis, limit: usize, dry: bool) -> Result<Pruned> {
        prune::prune(self, after, cutoff_ms, limit, dry)
    }

    fn sweep(&mut self, cutoff_ms: Millis, now_ms: Millis, limit: usize) -> Result<Option<Pruned>> {
        prune::sweep(self, cutoff_ms, now_ms, limit)
    }

    fn prune_occurrences(&mut self, cutoff_ms: Millis, limit: usize, dry: bool) -> Result<usize> {
        prune::occurrences(self, cutoff_ms, limit, dry)
    }

    fn set_curb(&mut self, curb: Option<&Curb>) -> Result<()> {
        resident::set_curb(self, curb)
    }

    fn curb(&mut self) -> Result<Option<Curb>> {
        resident::curb(&self.conn)
    }

    fn reside(&mut self, now_ms: Millis) -> Result<Option<Lock>> {
        resident::reside(self, now_ms)
    }

    fn resident(&mut self) -> Result<Option<Resident>> {
        resident::resident(self)
    }

    fn crew(&mut self) -> Result<Vec<Hand>> {
        let mut crew = Vec::new();
        for info in badge::workers(self)? {
            let newest = "SELECT incarnation, pid, pid_start, jobs FROM rowmill_worker WHERE worker = ?1 AND boot = ?2
                           ORDER BY incarnation DESC LIMIT 1";
            let place = params![info.index, identity::this_boot()?];
            let mut query = self.conn.prepare_cached(newest)?;
            let newest = query.query_row(place, |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get::<_, String>(3)?)));
            let newest = newest.optional()?;
            let mut hand = Hand { info, process: None, claimed: None, jobs: Vec::new() };
            if let Some((incarnation, pid, pid_start, jobs)) = newest
                && i64::from(hand.info.pid) == pid
            {
                hand.process = identity::watch(pid, Some(pid_start));
                hand.claimed = claimed(&self.conn, incarnation)?;
                hand.jobs = serde_json::from_str(&jobs).unwrap_or_default();
            }
            crew.push(hand);
        }
        Ok(crew)
    }
}

fn stopped(conn: &Connection) -> Result<Option<Order>> {
    let mut query = conn.prepare_cached("SELECT since, by_whom FROM rowmill_stop")?;
    Ok(query.query_row([], |r| Ok(Order { since: r.get(0)?, by_whom: r.get(1)? })).optional()?)
}

/// The task that a worker process has claimed: it has one at a time.
fn claimed(conn: &Connection, incarnation: i64) -> Result<Option<Claimed>> {
    let look = "SELECT c.id, q.job, c.claimed_at FROM rowmill_claim c LEFT JOIN queue q ON q.id = c.id
                 WHERE c.incarnation = ?1";
    let mut query = conn.prepare_cached(look)?;
    let read = |r: &rusqlite::Row<'_>| Ok(Claimed { task: r.get(0)?, job: look::text_of(r, 1)?, since: r.get(2)? });
    Ok(query.query_row([incarnation], read).optional()?)
}

fn scale(tx: &Transaction<'_>, partitions: u32) -> Result<(Generation, bool)> {
    let current = plan(tx)?.current();
    if current.partitions == partitions {
        return Ok((current, false));
    }
    let highest = "SELECT seq FROM sqlite_sequence WHERE name = 'queue'";
    let highest = tx.query_row(highest, [], |r| r.get::<_, i64>(0)).optional()?.unwrap_or(0);
    let first_id = highest.checked_add(1).ok_or_else(ids_are_used_up)?;
    if current.first_id.max(1) >= first_id || world::broken("scaled in place") {
        // No row was ever in the newest generation, so that none changes its partition with it.
        let change = "UPDATE rowmill_generation SET partitions = ?2 WHERE generation = ?1";
        tx.execute(change, params![current.number, partitions])?;
        return Ok((Generation { partitions, ..current }, true));
    }
    let next = Generation { number: current.number + 1, first_id, partitions };
    let begin = "INSERT INTO rowmill_generation (generation, first_id, partitions) VALUES (?1, ?2, ?3)";
    tx.execute(begin, params![next.number, next.first_id, next.partitions])?;
    Ok((next, true))
}

#[cfg(test)]
mod tests;
