//! Steering: small tables that a person changes and workers read.

use super::{Sqlite, plan};
use crate::error::{Error, Result};
use crate::store::Govern;
use crate::task::Generation;
use rusqlite::{OptionalExtension, Transaction, params};

impl Govern for Sqlite {
    fn scale(&mut self, partitions: u32) -> Result<(Generation, bool)> {
        if !(1..=4096).contains(&partitions) {
            return Err(Error::usage(format!("the number of partitions is 1 to 4096, not {partitions}")));
        }
        self.write(|tx| scale(tx, partitions))
    }
}

fn scale(tx: &Transaction<'_>, partitions: u32) -> Result<(Generation, bool)> {
    let current = plan(tx)?.current();
    if current.partitions == partitions {
        return Ok((current, false));
    }
    let highest = "SELECT seq FROM sqlite_sequence WHERE name = 'queue'";
    let first_id = tx.query_row(highest, [], |r| r.get::<_, i64>(0)).optional()?.unwrap_or(0) + 1;
    if current.first_id.max(1) >= first_id {
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
