//! Reading a partition past the rows of jobs that a worker does not know.
//!
//! They stay where they are, ready for somebody else, so they may stand above thousands of rows that the worker knows. The
//! first of them are read each time, so that what comes in among them is found where it stands; those behind are read once,
//! and a mark is kept where they end.

use super::hold::{BATCH_BYTES, NEXT, Reader, job_of, next_rows};
use crate::error::Result;
use crate::store::{Batch, Mark};
use crate::task::Partition;
use rusqlite::{Connection, Params, Row, params};

/// How many rows that are passed over are read at the top, whatever the mark.
const AT_TOP: usize = 250;
/// How many are passed over at most in one call.
const AT_MOST: usize = 100_000;

/// The rows of one priority behind an id; and those of lower priorities.
const LEVEL: &str = next_rows!("AND r.priority = ?3 AND r.id > ?4 ORDER BY r.id");
const BELOW: &str = next_rows!("AND r.priority < ?3 ORDER BY r.priority DESC, r.id");

pub(super) fn read(
    conn: &Connection,
    partition: Partition,
    limit: usize,
    jobs: &[String],
    mark: &mut Option<Mark>,
) -> Result<Batch> {
    let mut passing = Passing { reader: Reader::new(conn, partition)?, jobs, limit, most: AT_TOP, front: None };
    let (generation, index) = (partition.generation, partition.index);
    let every = i64::MAX;
    let Some(top) = passing.go(conn, NEXT, params![generation, index, every])? else {
        *mark = None;
        return Ok(passing.reader.batch);
    };
    if others(&passing.reader.batch) > 0 {
        return Ok(passing.reader.batch);
    }
    let from = mark.filter(|mark| mark.is_behind(top)).unwrap_or(top);
    (passing.most, passing.front) = (AT_MOST, Some(from));
    let level = passing.go(conn, LEVEL, params![generation, index, from.priority, from.id])?;
    if level.is_none() {
        passing.go(conn, BELOW, params![generation, index, from.priority])?;
    }
    *mark = passing.front;
    Ok(passing.reader.batch)
}

pub(super) fn has_others(
    conn: &Connection,
    partition: Partition,
    jobs: &[String],
    mark: &mut Option<Mark>,
) -> Result<bool> {
    Ok(others(&read(conn, partition, 1, jobs, mark)?) > 0)
}

/// How many rows of a batch are not passed over.
fn others(batch: &Batch) -> usize {
    batch.tasks.len() + batch.orphans.len() + batch.paused.len()
}

impl Mark {
    /// Whether it comes later in the order of work.
    fn is_behind(&self, other: Mark) -> bool {
        (other.priority, self.id) > (self.priority, other.id)
    }
}

/// One reading.
struct Passing<'a> {
    reader: Reader,
    jobs: &'a [String],
    /// How many other rows to read.
    limit: usize,
    /// How many rows to pass over.
    most: usize,
    /// The last row that was passed over while nothing else was met.
    front: Option<Mark>,
}

impl Passing<'_> {
    /// Reads on, until there is enough: then answers where it was. `None` when no rows are left.
    fn go(&mut self, conn: &Connection, next: &str, place: impl Params) -> Result<Option<Mark>> {
        let mut query = conn.prepare_cached(next)?;
        let mut rows = query.query(place)?;
        while let Some(row) = rows.next()? {
            self.take(row)?;
            let batch = &self.reader.batch;
            if others(batch) >= self.limit || batch.passed >= self.most || self.reader.bytes > BATCH_BYTES {
                return Ok(Some(Mark { priority: row.get(0)?, id: row.get(1)? }));
            }
        }
        Ok(None)
    }

    fn take(&mut self, row: &Row<'_>) -> Result<()> {
        let is_ready = row.get::<_, bool>(9)?;
        if !is_ready || !self.jobs.iter().any(|job| job_of(row).is_ok_and(|name| *name == **job)) {
            return self.reader.take(row);
        }
        if others(&self.reader.batch) == 0 {
            self.front = Some(Mark { priority: row.get(0)?, id: row.get(1)? });
        }
        self.reader.batch.passed += 1;
        Ok(())
    }
}
