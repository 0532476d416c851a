//! The verbs, one by one: what each needs beforehand, and the call that is made on a failing disk.
//!
//! A call can be made again with what was prepared: that is what a caller does whose call has failed.

use super::disk::Disk;
use super::layer;
use super::platter::{Image, Platter};
use super::tasks::{self, APPLICATION, LATE_MS, NOW_MS};
use super::verdict::PARTITIONS;
use rowmill::Result;
use rowmill::store::sqlite::{Create, Sqlite, as_application};
use rowmill::store::{
    Badge, Chosen, Claim, Durability, Firing, Govern, Hold, LastWord, Operate, Origin, Schedule, Settled, Store,
    Timetable,
};
use rowmill::task::{NewTask, Partition, Right, Task};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// A database in a folder of its own, with what a verb needs.
pub(crate) struct Stage {
    folder: TempDir,
    store: Option<Sqlite>,
    badge: Option<Badge>,
    hold: Option<Hold>,
    taken: Vec<(Task, Right)>,
    settled: Vec<Settled>,
    claim: Option<(Claim, Task)>,
}

impl Stage {
    /// Lays out the files of an image.
    pub(crate) fn of(image: &Image, disk: &Arc<Disk>) -> Stage {
        let folder = TempDir::new().unwrap();
        for (name, bytes) in image {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        layer::insert(folder.path(), disk);
        let (store, badge, hold, claim) = (None, None, None, None);
        Stage { folder, store, badge, hold, taken: Vec::new(), settled: Vec::new(), claim }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("q.db")
    }

    fn store(&mut self) -> &mut Sqlite {
        self.store.as_mut().unwrap()
    }

    fn open(&mut self) -> Result<()> {
        // `normal`: where more is promised, the engine must see to it.
        let opened = Sqlite::open(&self.path(), Durability::Normal, Create::WithPartitions(PARTITIONS))?;
        self.store = Some(opened);
        Ok(())
    }

    fn enlist(&mut self) {
        (self.hold, self.badge) = (None, None);
        self.badge = Some(tasks::enlist(self.store(), 1).unwrap());
    }

    /// Holds the partition in which the tasks of this job are, and takes the first of them.
    fn take(&mut self, job: &str, most: usize) {
        self.enlist();
        for index in 0..PARTITIONS {
            let partition = Partition { generation: 1, index };
            let hold = tasks::hold(self.store.as_mut().unwrap(), partition, self.badge.as_ref().unwrap()).unwrap();
            let batch = self.store().fetch(&hold, 1_000).unwrap();
            let of_job = |(task, _): &(Task, Right)| task.job == job;
            self.taken = batch.tasks.into_iter().filter(of_job).take(most).collect();
            self.hold = Some(hold);
            if !self.taken.is_empty() {
                return;
            }
        }
        panic!("there is no {job}");
    }

    fn run_taken(&mut self) {
        let taken = std::mem::take(&mut self.taken);
        self.settled = taken.into_iter().map(|(task, right)| Settled { ended: tasks::run(&task), right }).collect();
    }

    fn settle(&mut self) -> Result<()> {
        let (store, hold) = (self.store.as_mut().unwrap(), self.hold.as_ref().unwrap());
        store.settle(hold, &self.settled, &[]).map(drop)
    }

    fn claim(&mut self) -> Result<()> {
        let (store, hold, badge) =
            (self.store.as_mut().unwrap(), self.hold.as_ref().unwrap(), self.badge.as_ref().unwrap());
        let (task, right) = &self.taken[0];
        let claim = tasks::claim(store, hold, badge, task, right)?;
        self.claim = Some((claim, task.clone()));
        Ok(())
    }

    /// Gives everything back, and takes the disk away.
    pub(crate) fn close(mut self) {
        self.hold = None;
        self.badge = None;
        self.store = None;
        layer::remove(self.folder.path());
    }
}

/// A verb under test.
pub(crate) struct Verb {
    pub(crate) name: &'static str,
    pub(crate) base: Base,
    /// It is more than one transaction; each that was committed stays.
    pub(crate) in_steps: bool,
    pub(crate) prepare: fn(&mut Stage),
    pub(crate) act: fn(&mut Stage) -> Result<()>,
}

/// In which database a verb is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    Empty,
    Busy,
    /// With follow-ups that wait.
    Fanned,
}

/// The files of a database as a process that was killed has left them.
pub(crate) fn base(base: Base) -> Image {
    if base == Base::Empty {
        return Image::new();
    }
    let disk = Disk::recording(false);
    let mut stage = Stage::of(&Image::new(), &disk);
    stage.open().unwrap();
    as_application(&stage.path(), APPLICATION).unwrap();
    if base == Base::Fanned {
        stage.store().enqueue(&[NewTask::of("fan", "1003")]).unwrap();
        stage.take("fan", 1);
        stage.run_taken();
        stage.settle().unwrap();
    }
    let jobs = ["plain", "note", "flaky", "once", "long", "doomed", "unheard", "fan"];
    let asked: Vec<NewTask> = (0..48).map(|n| NewTask::of(jobs[n / 6], "2")).collect();
    if base == Base::Busy {
        stage.store().enqueue(&asked).unwrap();
        for job in ["flaky", "doomed", "unheard", "plain", "note"] {
            stage.take(job, 1);
            stage.run_taken();
            stage.settle().unwrap();
            stage.hold = None;
        }
        stage.take("long", 1);
        stage.claim().unwrap();
    }
    // They are another boot's when they are laid out.
    as_application(&stage.path(), "UPDATE rowmill_worker SET boot = 'another'").unwrap();
    let mut platter = Platter::default();
    for event in disk.events() {
        platter.follow(&event);
    }
    stage.close();
    platter.seen()
}

fn ready(stage: &mut Stage) {
    stage.open().unwrap();
}

/// Makes a schedule of the configuration that is due now.
fn set_schedule(store: &mut dyn Store) -> Result<()> {
    let nightly = Schedule { origin: Origin::File, ..Schedule::new("nightly", "0 2 * * *", "scheduled") };
    store.set_schedules(&[nightly], 1, NOW_MS - 1, &|_, _| Some(NOW_MS)).map(drop)
}

/// What is due of it, as it was made.
fn firing() -> Firing {
    let task = NewTask { job: "scheduled".into(), param: b"{}".to_vec(), priority: 1, ..NewTask::default() };
    Firing {
        name: "nightly".into(),
        was: (NOW_MS, NOW_MS - 1),
        due: vec![(NOW_MS, task)],
        passed: Vec::new(),
        next_at: Some(NOW_MS + 1),
        now_ms: NOW_MS,
    }
}

fn many() -> Vec<NewTask> {
    (0..20).map(|n| NewTask { unique_key: (n < 2).then(|| format!("many {n}")), ..NewTask::of("note", "m") }).collect()
}

/// A verb that needs an open database and nothing else.
const fn plain(name: &'static str, act: fn(&mut Stage) -> Result<()>) -> Verb {
    Verb { name, base: Base::Busy, in_steps: false, prepare: ready, act }
}

/// All of them.
pub(crate) const VERBS: &[Verb] = &[
    Verb { name: "make", base: Base::Empty, in_steps: true, prepare: |_| {}, act: Stage::open },
    Verb { name: "open", base: Base::Busy, in_steps: false, prepare: |_| {}, act: Stage::open },
    plain("enqueue", |s| s.store().enqueue(&[NewTask::of("note", "one")]).map(drop)),
    plain("enqueue many", |s| s.store().enqueue_many(&many()).map(drop)),
    plain("enlist", |s| {
        s.badge = Some(tasks::enlist(s.store(), 2)?);
        Ok(())
    }),
    Verb {
        name: "hold",
        base: Base::Busy,
        in_steps: false,
        prepare: |s| {
            ready(s);
            s.enlist();
        },
        act: |s| {
            let (store, badge) = (s.store.as_mut().unwrap(), s.badge.as_ref().unwrap());
            s.hold = Some(tasks::hold(store, Partition { generation: 1, index: 1 }, badge)?);
            Ok(())
        },
    },
    settling("settle", "plain"),
    settling("settle with effects", "note"),
    settling("settle with follow-ups", "fan"),
    settling("settle a retry", "flaky"),
    settling("settle a death", "doomed"),
    claiming("claim", "long"),
    claiming("claim at most once", "once"),
    Verb {
        name: "settle a claim",
        base: Base::Busy,
        in_steps: false,
        prepare: claimed,
        act: |s| {
            let (claim, task) = s.claim.as_ref().unwrap();
            s.store.as_mut().unwrap().settle_claim(claim, &tasks::run(task)).map(drop)
        },
    },
    Verb {
        name: "last word",
        base: Base::Busy,
        in_steps: false,
        prepare: claimed,
        act: |s| {
            let claim = &s.claim.as_ref().unwrap().0;
            s.store.as_mut().unwrap().last_word(claim, LastWord::Interrupted)
        },
    },
    plain("recover", |s| tasks::recover_all(s.store())),
    Verb { name: "spread", base: Base::Fanned, in_steps: false, prepare: ready, act: |s| s.store().spread().map(drop) },
    plain("fold", |s| s.store().fold(1_000).map(drop)),
    plain("promote", |s| s.store().promote(LATE_MS, 500).map(drop)),
    Verb {
        name: "release known",
        base: Base::Busy,
        in_steps: true,
        prepare: ready,
        act: |s| s.store().release_known(&["unheard"]).map(drop),
    },
    plain("scale", |s| s.store().scale(PARTITIONS + 1).map(drop)),
    Verb { in_steps: true, ..plain("set schedules", |s| set_schedule(s.store())) },
    Verb {
        name: "fire",
        base: Base::Busy,
        in_steps: false,
        prepare: |s| {
            ready(s);
            set_schedule(s.store()).unwrap();
        },
        act: |s| s.store().fire(&[firing()]).map(drop),
    },
    plain("prune", |s| s.store().prune(0, LATE_MS, 500, false).map(drop)),
    plain("retry", |s| {
        let all: Vec<i64> = (1..49).collect();
        s.store().retry(&Chosen::Ids(&all), NOW_MS, &mut |_, _| {}).map(drop)
    }),
    plain("cancel", |s| s.store().cancel(&Chosen::Ids(&[7, 20]), NOW_MS, &mut |_, _| {}).map(drop)),
    plain("pause", |s| s.store().pause("note", "somebody", NOW_MS).map(drop)),
    plain("stop", |s| s.store().stop("somebody", NOW_MS).map(drop)),
    Verb {
        name: "write a long log back",
        base: Base::Busy,
        in_steps: false,
        prepare: |s| {
            ready(s);
            let log = std::fs::OpenOptions::new().write(true).open(s.path().with_file_name("q.db-wal")).unwrap();
            log.set_len(32 << 20).unwrap();
        },
        act: |s| s.store().enqueue(&[NewTask::of("note", "long")]).map(drop),
    },
    Verb {
        name: "close",
        base: Base::Busy,
        in_steps: false,
        prepare: ready,
        act: |s| {
            s.store = None;
            Ok(())
        },
    },
];

const fn settling(name: &'static str, job: &'static str) -> Verb {
    let prepare: fn(&mut Stage) = match job.as_bytes() {
        b"plain" => |s| taken(s, "plain"),
        b"note" => |s| taken(s, "note"),
        b"fan" => |s| taken(s, "fan"),
        b"flaky" => |s| taken(s, "flaky"),
        _ => |s| taken(s, "doomed"),
    };
    Verb { name, base: Base::Busy, in_steps: false, prepare, act: Stage::settle }
}

fn taken(stage: &mut Stage, job: &str) {
    ready(stage);
    stage.take(job, 2);
    stage.run_taken();
}

const fn claiming(name: &'static str, job: &'static str) -> Verb {
    let prepare: fn(&mut Stage) = match job.as_bytes() {
        b"once" => |s| {
            ready(s);
            s.take("once", 1);
        },
        _ => |s| {
            ready(s);
            s.take("long", 1);
        },
    };
    Verb { name, base: Base::Busy, in_steps: false, prepare, act: Stage::claim }
}

fn claimed(stage: &mut Stage) {
    ready(stage);
    stage.take("long", 1);
    stage.claim().unwrap();
}
