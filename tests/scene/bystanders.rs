//! The rows that a test is not about: one of each kind in every partition, remembered as they were.
//!
//! They are made by the engine's own verbs, so that they are what a busy queue holds. A verb that reaches further than
//! it should (a missing partition, generation, id or status in a condition) changes one of them.

use super::{
    Database, FAR_MS, PARTITIONS, Scene, dead, done, hold_as, laws, parked, patiently, retried, settled, task,
};
use rowmill::task::{NewTask, Partition, Settlement};

/// A row with what stood in it and around it.
pub(crate) struct Bystander {
    kind: &'static str,
    id: i64,
    raw: Vec<String>,
    seen: Vec<String>,
}

impl Bystander {
    pub(super) fn of(database: &Database, kind: &'static str, id: i64) -> Bystander {
        Bystander { kind, id, raw: laws::raw(&database.conn, id), seen: laws::seen(&database.conn, id) }
    }

    /// Fails when it is not as it was. A fold may move a fresh outcome, never change what a reader sees.
    pub(super) fn untouched(&self, database: &Database, folds: bool) {
        let now = Bystander::of(database, self.kind, self.id);
        assert_eq!(now.seen, self.seen, "a reader sees another {} bystander", self.kind);
        if !(folds && self.kind == "fresh") {
            assert_eq!(now.raw, self.raw, "the {} bystander was touched", self.kind);
        }
    }
}

/// What becomes of a kind while the scene is set up.
enum Way {
    /// It stays as it was inserted.
    Stays,
    /// It runs and is settled like this.
    Settled(fn() -> Settlement),
    /// An application cancels it.
    Cancelled,
}

fn kinds() -> Vec<(&'static str, NewTask, Way)> {
    let high = |job| NewTask { priority: 100, ..task(job) };
    let undecodable = || Settlement::Parked { cause: "undecodable", reason: "not JSON".into() };
    let keyed = |key: &str| NewTask { unique_key: Some(key.into()), ..high("bystander") };
    vec![
        ("folded", high("bystander"), Way::Settled(done)),
        ("keyed done", keyed("k"), Way::Settled(done)),
        ("dead", keyed("k"), Way::Settled(dead)),
        ("retried", high("bystander"), Way::Settled(retried)),
        ("parked", high("unheard-of"), Way::Settled(parked)),
        ("undecodable", high("subject"), Way::Settled(undecodable)),
        ("cancelled", high("bystander"), Way::Cancelled),
        ("delayed", NewTask { run_at_ms: Some(FAR_MS), ..task("bystander") }, Way::Stays),
        ("fresh", high("bystander"), Way::Settled(done)),
        // Below the tasks of the tests, which are fetched first.
        ("low", NewTask { priority: -7, ..task("bystander") }, Way::Stays),
        ("low and keyed", NewTask { priority: -8, unique_key: Some("low".into()), ..task("bystander") }, Way::Stays),
    ]
}

/// Fills an empty scene.
pub(super) fn gather(scene: &mut Scene) {
    for (kind, task, way) in kinds() {
        // A row for each partition; keys are unique among the unsettled.
        let tasks: Vec<NewTask> = (0..PARTITIONS)
            .map(|n| NewTask { unique_key: task.unique_key.as_ref().map(|key| format!("{key}-{n}")), ..task.clone() })
            .collect();
        let ids: Vec<i64> = scene.store.enqueue(&tasks).unwrap().into_iter().map(|e| e.id()).collect();
        scene.count();
        match way {
            Way::Stays => {}
            Way::Settled(settlement) => (0..PARTITIONS).for_each(|index| settle_next(scene, index, settlement())),
            Way::Cancelled => {
                for id in &ids {
                    scene.sql(&format!("UPDATE queue SET status = 'cancelled' WHERE id = {id}"));
                }
            }
        }
        if kind == "folded" {
            scene.fold();
        }
        scene.bystanders.extend(ids.iter().map(|id| Bystander::of(&scene.database, kind, *id)));
    }
    laws::hold(&scene.database.conn);
}

fn settle_next(scene: &mut Scene, index: u32, settlement: Settlement) {
    let hold = patiently(|| hold_as(scene.store.as_mut(), Partition { generation: 1, index }, index));
    let task = scene.store.fetch(&hold, 1).unwrap().tasks.remove(0);
    scene.store.settle(&hold, &[settled(task, settlement)], &[]).unwrap();
}
