//! The simulation: the real engine on the real store, in a world that a seed decides.
//!
//! Workers (`work`), ticks (`tick`), resident schedulers (`resident`), applications and admins run as processes of one
//! deterministic world (see `world`): their turns, the time, deaths, frozen processes, jumping clocks, failed commits,
//! changes of N and whatever applications do to rows follow from a seed. Meanwhile the laws of the data hold; in the end
//! everything that was acknowledged is in one final state, was never run twice at once, and was charged to nobody else
//! (`record`). Of every sixteen seeds four have the laws examined after each commit, the others after each eighth: even so that
//! is a third of what a run costs.
//!
//! It is compiled into the library's unit tests, because its seams are seen by nobody else.
//!
//! ```sh
//! cargo test --lib simulation                                  # the suite's share
//! ROWMILL_SEEDS=100000 cargo test --lib simulation::holds -- --nocapture   # more; ROWMILL_FROM=N begins later
//! ROWMILL_SEED=4711 cargo test --lib simulation::replays -- --nocapture   # one seed, every turn of it
//! ```

mod application;
mod arena;
mod breaks;
mod chance;
mod director;
mod jobs;
#[path = "../scene/laws.rs"]
mod laws;
mod record;
mod resident;
mod store;
mod time;
mod turns;
mod world;

use arena::Arena;
use director::{Scheduling, Weather};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use world::Simulated;

impl Simulated {
    fn weather(&self) -> Option<&Weather> {
        (&*self.director as &dyn std::any::Any).downcast_ref()
    }

    /// Tells a process to stop.
    fn tell_to_stop(&self, process: usize) {
        if let Some(weather) = self.weather() {
            weather.tell(&mut self.inner(), process);
        }
    }
}

/// The suite's share.
const SEEDS: u64 = 2_000;

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
fn run(arena: &mut Arena, seed: u64, breaks: &[&'static str]) -> Seen {
    // Every partition count comes with either.
    let laws_every = if (seed / 4).is_multiple_of(4) { 1 } else { 8 };
    let record = arena.sweep(1 + (seed % 4) as u32, laws_every);
    let scheduling = match (seed / 16) % 4 {
        0 | 1 => Scheduling::Cron,
        2 => Scheduling::Resident,
        _ => Scheduling::Both,
    };
    let stormy = !seed.is_multiple_of(8);
    let weather = Weather::new(arena, stormy, stormy && !(seed / 7).is_multiple_of(4), scheduling);
    let world = Simulated::new(seed, breaks, Box::new(weather), record);
    let outcome = world.run();
    let mut inner = world.inner();
    inner.record.spectator.give_back();
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

/// Does `body` with each of these seeds, on all processors, and answers what came of it in the order of the seeds. It ends early
/// when `body` says so.
fn for_all<T: Send>(seeds: Range<u64>, body: impl Fn(&mut Arena, u64) -> (T, bool) + Sync) -> Vec<(u64, T)> {
    let (next, end) = (AtomicU64::new(seeds.start), AtomicU64::new(seeds.end));
    let work = || {
        let (mut arena, mut all) = (Arena::new(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end.load(Ordering::Relaxed) {
                return all;
            }
            let (one, last) = body(&mut arena, seed);
            if last {
                end.fetch_min(seed, Ordering::Relaxed);
                // What is left behind is not for another run.
                arena = Arena::new();
            }
            all.push((seed, one));
        }
    };
    // A run hands its turns from thread to thread, and its processor waits a little each time: another run has that.
    let threads = 2 * std::thread::available_parallelism().map_or(2, usize::from);
    let mut all: Vec<(u64, T)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort_unstable_by_key(|(seed, _)| *seed);
    all
}

#[test]
fn holds() {
    let seeds = number("ROWMILL_SEEDS").unwrap_or(SEEDS);
    let from = number("ROWMILL_FROM").unwrap_or(0);
    let all = for_all(from..from + seeds, |arena, seed| {
        let seen = run(arena, seed, &[]);
        let bad = seen.outcome.is_err();
        (seen, bad)
    });
    let (mut turns, mut runs, mut tasks, mut kills) = (0, 0, 0, 0);
    for (seed, seen) in all {
        if let Err(why) = seen.outcome {
            panic!("seed {seed}: {why}\nlast turns: {}", seen.last);
        }
        turns += seen.turns;
        runs += seen.runs;
        tasks += seen.tasks;
        kills += seen.kills;
    }
    println!("{seeds} seeds, {turns} turns, {tasks} tasks, {runs} runs, {kills} kills");
}

#[test]
fn a_seed_decides_everything() {
    let mut used = Arena::new();
    for seed in [1, 2, 3, 8, 33, 34, 50, 51] {
        let (first, second) = (run(&mut used, seed, &[]), run(&mut Arena::new(), seed, &[]));
        assert_eq!((first.turns, first.runs, first.last), (second.turns, second.runs, second.last));
    }
}

#[test]
fn replays() {
    let seen = run(&mut Arena::new(), number("ROWMILL_SEED").unwrap_or(1), &[]);
    assert_eq!(seen.outcome, Ok(()), "{}", seen.last);
}
