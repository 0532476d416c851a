//! Walks over tables that may be large: page after page, each in a short read transaction.
//!
//! A page is what follows a key in the order of the table's own key, so that a walk needs no sorting and no memory, and goes
//! on where it was whatever is written meanwhile. All laws of a table look at a page within the same transaction.

use crate::error::Result;
use rusqlite::types::Value;
use rusqlite::{Connection, Rows, Statement};
use std::time::Duration;

/// Rows of the first page. Later ones are as long as [`TARGET`] allows.
const FIRST: i64 = 500;
/// Rows of a page, at least, unless their params are long: fewer than this are not inserted within one.
const LEAST: i64 = 100;
/// Rows of a page, at most.
const MOST: i64 = 8_000;
/// About how long a page should take: so long a reader is in the way of truncating the log.
const TARGET: Duration = Duration::from_millis(50);
/// Bytes of params that a page of `queue` passes over, at most: columns behind a long param are read through it.
const WEIGHT: i64 = 32 << 20;

/// A table that is walked over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    /// `queue`, by id.
    Queue,
    /// `rowmill_ready`.
    Order,
    /// `rowmill_delayed`.
    Delayed,
    /// `rowmill_settled`.
    Fresh,
    /// `rowmill_followup`.
    FollowUps,
    /// `rowmill_occurrence`.
    Occurrences,
}

impl Walk {
    pub(super) const ALL: [Walk; 6] =
        [Walk::Order, Walk::Delayed, Walk::Fresh, Walk::FollowUps, Walk::Occurrences, Walk::Queue];

    pub(super) fn word(self) -> &'static str {
        match self {
            Walk::Queue => "tasks",
            Walk::Order => "the order of work",
            Walk::Delayed => "the delayed order",
            Walk::Fresh => "fresh outcomes",
            Walk::FollowUps => "follow-ups",
            Walk::Occurrences => "occurrences",
        }
    }

    /// What comes after the key `:k0, …`: its key's columns, and its weight. At most `:limit` rows.
    pub(super) fn reach(self) -> &'static str {
        match self {
            Walk::Queue => "SELECT id, octet_length(param) FROM queue WHERE id > :k0 ORDER BY id LIMIT :limit",
            Walk::Order => {
                // One range of the key after the other: a single condition over all four columns would read what lies before it.
                "SELECT generation, partition, priority, id, 0 FROM (
                   SELECT * FROM rowmill_ready
                    WHERE generation = :k0 AND partition = :k1 AND priority = :k2 AND id > :k3
                   UNION ALL SELECT * FROM rowmill_ready
                    WHERE generation = :k0 AND partition = :k1 AND priority < :k2
                   UNION ALL SELECT * FROM rowmill_ready WHERE (generation, partition) > (:k0, :k1)) LIMIT :limit"
            }
            Walk::Delayed => {
                "SELECT run_at, id, 0 FROM rowmill_delayed WHERE (run_at, id) > (:k0, :k1) ORDER BY run_at, id LIMIT :limit"
            }
            Walk::Fresh => {
                "SELECT generation, partition, id, 0 FROM rowmill_settled
                  WHERE (generation, partition, id) > (:k0, :k1, :k2) ORDER BY generation, partition, id LIMIT :limit"
            }
            Walk::FollowUps => {
                "SELECT chunk, length(tasks) FROM rowmill_followup WHERE chunk > :k0 ORDER BY chunk LIMIT :limit"
            }
            Walk::Occurrences => {
                "SELECT schedule, due_at, by_hand, 0 FROM rowmill_occurrence WHERE (schedule, due_at, by_hand) > (:k0, :k1, :k2)
                  ORDER BY schedule, due_at, by_hand LIMIT :limit"
            }
        }
    }

    /// The rows of a page, as `page`. Tables with long columns are read where the law looks, up to the last key `:u0`.
    fn page(self) -> &'static str {
        match self {
            Walk::Queue => "SELECT * FROM queue WHERE id > :k0 AND id <= :u0",
            Walk::FollowUps => "SELECT * FROM rowmill_followup WHERE chunk > :k0 AND chunk <= :u0",
            Walk::Fresh => {
                "SELECT generation, partition, id FROM rowmill_settled
                  WHERE (generation, partition, id) > (:k0, :k1, :k2) ORDER BY generation, partition, id LIMIT :limit"
            }
            Walk::Occurrences => {
                "SELECT * FROM rowmill_occurrence WHERE (schedule, due_at, by_hand) > (:k0, :k1, :k2)
                  ORDER BY schedule, due_at, by_hand LIMIT :limit"
            }
            Walk::Order | Walk::Delayed => self.reach(),
        }
    }

    /// A law over `page`, as a whole statement.
    pub(super) fn statement(self, law: &str) -> String {
        format!("WITH page AS ({}) {law}", self.page())
    }

    /// Before the first key.
    fn start(self) -> Vec<Value> {
        let lowest = || Value::Integer(i64::MIN);
        match self {
            Walk::Queue | Walk::FollowUps => vec![lowest()],
            Walk::Delayed => vec![lowest(), lowest()],
            Walk::Fresh => vec![lowest(), lowest(), lowest()],
            Walk::Order => vec![lowest(), lowest(), Value::Integer(i64::MAX), lowest()],
            Walk::Occurrences => vec![Value::Text(String::new()), lowest(), lowest()],
        }
    }
}

/// Where a walk is.
#[derive(Debug)]
pub(super) struct Place {
    walk: Walk,
    key: Vec<Value>,
    limit: i64,
    least: i64,
    most: i64,
    /// Rows that are behind it.
    pub(super) rows: u64,
}

impl Place {
    pub(super) fn before(walk: Walk) -> Place {
        Place { walk, key: walk.start(), limit: FIRST, least: LEAST, most: MOST, rows: 0 }
    }

    /// The same with pages that begin with this length.
    #[cfg(test)]
    pub(super) fn with_pages_of(walk: Walk, limit: i64) -> Place {
        Place { limit, least: limit, most: limit, ..Place::before(walk) }
    }

    /// The last id that is behind it, of a walk over `queue`.
    pub(super) fn id(&self) -> u64 {
        match self.key.first() {
            Some(Value::Integer(id)) => u64::try_from(*id).unwrap_or(0),
            _ => 0,
        }
    }

    /// Looks at the next page at one instant: `look` gets what its statements are to be bound to. Whether there may be more: a
    /// page that is not full was the last one, whatever is inserted behind it meanwhile, so that a walk ends beside the busiest
    /// writers.
    pub(super) fn turn(&mut self, conn: &Connection, look: &mut dyn FnMut(&Bounds) -> Result<()>) -> Result<bool> {
        let watch = crate::clock::Watch::start();
        let reached = at_one_instant(conn, || {
            let Some(reached) = self.reach(conn)? else { return Ok(None) };
            look(&self.bounds(Some(&reached.last), reached.count))?;
            Ok(Some(reached))
        })?;
        let Some(Reached { last, count, more }) = reached else { return Ok(false) };
        self.key = last;
        self.rows += count.unsigned_abs();
        let took = watch.elapsed();
        if took > TARGET {
            self.limit = (self.limit / 2).max(self.least);
        } else if took < TARGET / 4 {
            self.limit = (self.limit * 2).min(self.most);
        }
        Ok(more)
    }

    /// How far the next page reaches.
    fn reach(&self, conn: &Connection) -> Result<Option<Reached>> {
        let mut query = conn.prepare_cached(self.walk.reach())?;
        let mut rows = bind(&mut query, &self.bounds(None, self.limit))?;
        let (mut last, mut count, mut weight, mut more) = (None, 0, 0, false);
        while let Some(row) = rows.next()? {
            last = Some((0..self.key.len()).map(|i| row.get(i)).collect::<rusqlite::Result<Vec<Value>>>()?);
            count += 1;
            weight += row.get::<_, Option<i64>>(self.key.len())?.unwrap_or(0);
            more = count == self.limit || weight > WEIGHT;
            if more {
                break;
            }
        }
        Ok(last.map(|last| Reached { last, count, more }))
    }

    fn bounds(&self, last: Option<&[Value]>, limit: i64) -> Bounds {
        let mut bounds: Bounds = self.key.iter().enumerate().map(|(i, key)| (format!(":k{i}"), key.clone())).collect();
        bounds.extend(last.into_iter().flatten().enumerate().map(|(i, key)| (format!(":u{i}"), key.clone())));
        bounds.push((":limit".to_string(), Value::Integer(limit)));
        bounds
    }
}

/// How far a page reaches.
struct Reached {
    /// Its last key.
    last: Vec<Value>,
    count: i64,
    /// Whether it is full, so that there may be more behind it.
    more: bool,
}

/// What the parameters of statements mean.
pub(super) type Bounds = Vec<(String, Value)>;

/// Binds those parameters that a statement has.
pub(super) fn bind<'a>(statement: &'a mut Statement<'_>, bounds: &Bounds) -> Result<Rows<'a>> {
    for index in 1..=statement.parameter_count() {
        let name = statement.parameter_name(index);
        if let Some((_, value)) = bounds.iter().find(|(known, _)| Some(known.as_str()) == name) {
            statement.raw_bind_parameter(index, value)?;
        }
    }
    Ok(statement.raw_query())
}

/// Has all that `body` reads be of one instant. Within a transaction it is already.
pub(super) fn at_one_instant<T>(conn: &Connection, body: impl FnOnce() -> Result<T>) -> Result<T> {
    if !conn.is_autocommit() {
        return body();
    }
    conn.execute_batch("BEGIN")?;
    let read = body();
    conn.execute_batch("ROLLBACK")?;
    read
}
