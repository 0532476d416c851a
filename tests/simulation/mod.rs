//! The simulation: the real engine on the real store, in a world that a seed decides.
//!
//! Workers (`work`), ticks (`tick`), applications and admins run as processes of one deterministic world (see `world`): their
//! turns, the time, deaths, frozen processes, jumping clocks, failed commits, changes of N and whatever applications do
//! to rows follow from a seed. After every commit the laws of the data hold; in the end everything that was acknowledged
//! is in one final state, was never run twice at once, and was charged to nobody else (`record`).
//!
//! It is compiled into the library's unit tests, because its seams are seen by nobody else.
//!
//! ```sh
//! cargo test --lib simulation                                  # the suite's share
//! ROWMILL_SEEDS=100000 cargo test --lib simulation::holds -- --nocapture   # more; ROWMILL_FROM=N begins later
//! ROWMILL_SEED=4711 cargo test --lib simulation::replays -- --nocapture   # one seed, every turn of it
//! ```

mod application;
mod breaks;
mod chance;
mod director;
mod jobs;
#[path = "../scene/laws.rs"]
mod laws;
mod record;
mod store;
mod time;
mod turns;
mod world;

use crate::store::Durability;
use crate::store::sqlite::{Create, Sqlite};
use director::Weather;
use record::Record;
use world::Simulated;

impl Simulated {
    fn weather(&self) -> Option<&Weather> {
        (&*self.director as &dyn std::any::Any).downcast_ref()
    }
}

/// The suite's share.
const SEEDS: u64 = 400;

/// How a run went.
struct Seen {
    outcome: Result<(), String>,
    turns: u64,
    runs: usize,
    tasks: usize,
    kills: u64,
    last: String,
}

/// One run.
fn run(seed: u64, breaks: &[&'static str]) -> Seen {
    time::follow_the_world();
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("q.db");
    drop(Sqlite::open(&database, Durability::Normal, Create::WithPartitions(1 + (seed % 4) as u32)).unwrap());
    let record = Record::new(&database);
    record.spectator.execute_batch("CREATE TABLE effect (task INTEGER, attempt INTEGER)").unwrap();
    let world = Simulated::new(seed, breaks, Box::new(Weather::new(folder.path(), !seed.is_multiple_of(8))), record);
    let outcome = world.run();
    let inner = world.inner();
    Seen {
        outcome,
        turns: inner.turns,
        runs: inner.record.runs.len(),
        tasks: inner.record.asked.len(),
        kills: inner.record.kills,
        last: inner.record.last_turns(),
    }
}

#[allow(clippy::disallowed_methods, reason = "how long a test takes is for whoever runs it to say")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs every second seed, `first` being one of them, and answers what that came to.
fn run_all(first: u64) {
    let seeds = number("ROWMILL_SEEDS").unwrap_or(SEEDS);
    let from = number("ROWMILL_FROM").unwrap_or(0);
    let (mut turns, mut runs, mut tasks, mut kills) = (0, 0, 0, 0);
    for seed in (from + first..from + seeds).step_by(2) {
        let seen = run(seed, &[]);
        if let Err(why) = seen.outcome {
            panic!("seed {seed}: {why}\nlast turns: {}", seen.last);
        }
        turns += seen.turns;
        runs += seen.runs;
        tasks += seen.tasks;
        kills += seen.kills;
    }
    println!("{} seeds, {turns} turns, {tasks} tasks, {runs} runs, {kills} kills", seeds.div_ceil(2));
}

#[test]
fn holds_with_even_seeds() {
    run_all(0);
}

#[test]
fn holds_with_odd_seeds() {
    run_all(1);
}

#[test]
fn a_seed_decides_everything() {
    for seed in [1, 2, 3] {
        let (first, second) = (run(seed, &[]), run(seed, &[]));
        assert_eq!((first.turns, first.runs, first.last), (second.turns, second.runs, second.last));
    }
}

#[test]
fn replays() {
    let seen = run(number("ROWMILL_SEED").unwrap_or(1), &[]);
    assert_eq!(seen.outcome, Ok(()), "{}", seen.last);
}
