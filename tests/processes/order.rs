//! A witness of the order in which rows were taken: triggers of the test's own note, within each transaction, which keys
//! enter and leave the order of work. So what is noted stands in the order of the commits, whatever clocks say.
//!
//! What a worker fetches it runs in the order of the fetch, and it fetches again only when all of that has left. So
//! whatever leaves a partition while a better key stands there (of a higher priority, or as high and older) was in hand
//! before that key came: it is the rest of one batch, at most as many rows as a batch has, in their order.

use crate::installation::Installation;
use std::collections::BTreeMap;

/// Most rows of a batch.
const BATCH_ROWS: usize = 1_000;

const WATCH: &str = "
    CREATE TABLE seen (at INTEGER PRIMARY KEY, entered INTEGER, partition INTEGER, priority INTEGER, id INTEGER);
    CREATE TRIGGER seen_entering AFTER INSERT ON rowmill_ready BEGIN
        INSERT INTO seen (entered, partition, priority, id) VALUES (1, NEW.partition, NEW.priority, NEW.id);
    END;
    CREATE TRIGGER seen_leaving AFTER DELETE ON rowmill_ready BEGIN
        INSERT INTO seen (entered, partition, priority, id) VALUES (0, OLD.partition, OLD.priority, OLD.id);
    END;";

/// Begins to note. Rows of `enqueue --from` enter unseen, since it sets triggers aside; they are seen to leave.
pub(super) fn watch(here: &Installation) {
    here.sql().execute_batch(WATCH).unwrap();
}

/// A place in the order: the higher priority first, then the lower id.
type Key = (i64, i64);

/// What is known of one partition.
#[derive(Default)]
struct Partition {
    /// The keys that stand there, each with the number of keys that had left before it came.
    ready: BTreeMap<Key, usize>,
    left: usize,
    last: Option<Key>,
    /// The number of the first key of those that have left in their order.
    ordered_from: usize,
}

impl Partition {
    /// Takes a key out; whether another one stood there that is worse.
    fn leave(&mut self, key: Key) -> bool {
        self.ready.remove(&key);
        if self.last.is_some_and(|last| last >= key) {
            self.ordered_from = self.left;
        }
        self.last = Some(key);
        for (better, before) in self.ready.range(..key) {
            let since = self.left + 1 - before;
            assert!(
                since <= BATCH_ROWS && *before >= self.ordered_from,
                "(priority, id): {:?} was taken while {:?} stood there, which {since} have passed",
                (-key.0, key.1),
                (-better.0, better.1)
            );
        }
        self.left += 1;
        self.ready.range(key..).next().is_some()
    }
}

/// Asserts that nobody fetched a row while a better one stood in its partition. Answers how often there was a choice.
pub(super) fn assert_kept(here: &Installation) -> usize {
    let conn = here.sql();
    let mut query = conn.prepare("SELECT entered, partition, -priority, id FROM seen ORDER BY at").unwrap();
    let mut rows = query.query([]).unwrap();
    let mut partitions: BTreeMap<i64, Partition> = BTreeMap::new();
    let mut choices = 0;
    while let Some(row) = rows.next().unwrap() {
        let partition = partitions.entry(row.get(1).unwrap()).or_default();
        let key = (row.get(2).unwrap(), row.get(3).unwrap());
        if row.get(0).unwrap() {
            partition.ready.insert(key, partition.left);
        } else {
            choices += usize::from(partition.leave(key));
        }
    }
    choices
}
