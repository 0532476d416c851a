//! What rowmill costs when there is little or nothing to do: an idle tick, idle workers, and a row's way to its start.
//!
//! `cargo bench --bench footprint -- --only tick,memory,latency,cpu --workers 10 --json FILE`
//!
//! - tick: the wall clock of `rowmill tick` with all workers there and nothing due, and of `/bin/true`, in turns.
//! - memory: RSS and PSS of lingering workers; the peak of one worker that drains a backlog.
//! - latency: from the return of an application's COMMIT to `started_at`, workers asleep. `started_at` is cut to whole
//!   milliseconds, so half a millisecond is added: right on average, and each value within half a millisecond.
//! - cpu: processor time of all lingering workers together, as a share of one core.

#![allow(missing_docs, reason = "a program, not a library")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the figures are what it is for")]
#![allow(clippy::disallowed_methods, reason = "it measures, from outside the library: the clock is its own")]

mod rig;
mod workers;

use std::error::Error;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Parser, ValueEnum};
use rig::program::Program;
use rig::spread::Spread;
use rig::stage::{Stage, run, wall_ms};
use rig::{now_ms, param_of, priority_of};
use rusqlite::params;
use serde_json::{Map, Value, json};
use workers::{Workers, usage};

/// From the tick, or from the last work, until workers count as idle.
const REST: Duration = Duration::from_secs(3);

/// How long a backlog, or a single row, may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(180);

/// Measures an idle tick, idle workers, and the time from commit to start.
#[derive(Parser)]
struct Args {
    /// Idle workers.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// Idle ticks, and rows inserted one by one.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Rows of the backlog that the busy worker drains.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(i64).range(1..))]
    tasks: i64,
    /// How long the idle workers' processor time is counted.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Measure only these.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "tick,memory,latency,cpu")]
    only: Vec<Part>,
    #[command(flatten)]
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Tick,
    Memory,
    Latency,
    Cpu,
}

fn main() -> ExitCode {
    run("footprint", measure)
}

fn measure(args: &Args) -> Result<(), Box<dyn Error>> {
    let machine = args.stage.machine()?;
    println!();
    let mut figures = Map::new();
    figures.insert("machine".to_owned(), machine.to_json());
    figures.insert("workers".to_owned(), json!(args.workers));
    for durability in ["full", "normal"] {
        measure_idle(args, durability, &mut figures)?;
    }
    if args.only.contains(&Part::Memory) {
        figures.insert("memory_busy".to_owned(), busy_memory(args)?);
    }
    args.stage.keep(&figures.into())
}

/// All that wants idle workers. Only the latency depends on durability; the rest is measured once, with `full`.
fn measure_idle(args: &Args, durability: &str, figures: &mut Map<String, Value>) -> Result<(), Box<dyn Error>> {
    let wanted = |part| args.only.contains(&part) && (durability == "full" || part == Part::Latency);
    if ![Part::Tick, Part::Memory, Part::Latency, Part::Cpu].into_iter().any(wanted) {
        return Ok(());
    }
    let program = Program::set_up(args.stage.scratch()?, args.workers, durability)?;
    let workers = Workers::start(&program, args.workers)?;
    std::thread::sleep(REST);
    let mut note = |name: &str, figure| figures.insert(name.to_owned(), figure);
    if wanted(Part::Memory) {
        note("memory_idle", idle_memory(&workers)?);
    }
    if wanted(Part::Cpu) {
        note("cpu", idle_cpu(args, &workers)?);
    }
    if wanted(Part::Tick) {
        note("tick", idle_tick(args, &program)?);
    }
    if wanted(Part::Latency) {
        note(&format!("latency_{durability}"), latency(args, &program, durability)?);
    }
    workers.all_alive()?;
    workers.stop()
}

fn idle_tick(args: &Args, program: &Program) -> Result<Value, Box<dyn Error>> {
    let (mut ticks, mut nothings) = (Vec::new(), Vec::new());
    for _ in 0..args.runs {
        ticks.push(wall_ms(&mut program.command(&["tick"]))?);
        let mut nothing = Command::new("/bin/true");
        nothings.push(wall_ms(nothing.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))?);
    }
    let (tick, nothing) = (Spread::of(&ticks), Spread::of(&nothings));
    let difference_ms = tick.median - nothing.median;
    println!(
        "idle tick: {:.2} ms median, {:.2} p99; /bin/true: {:.2} ms median; difference {difference_ms:.2} ms",
        tick.median, tick.p99, nothing.median
    );
    Ok(json!({ "tick_ms": tick.to_json(), "true_ms": nothing.to_json(), "difference_ms": difference_ms }))
}

fn idle_memory(workers: &Workers) -> Result<Value, Box<dyn Error>> {
    let all = workers.pids().into_iter().map(usage::memory).collect::<Result<Vec<_>, _>>()?;
    let rss = Spread::of(&all.iter().map(|memory| memory.rss_kib).collect::<Vec<_>>());
    let pss = Spread::of(&all.iter().map(|memory| memory.pss_kib).collect::<Vec<_>>());
    println!(
        "idle worker, of {}: RSS {:.1} MiB median, {:.1} max; PSS {:.1} MiB median, {:.1} max",
        all.len(),
        rss.median / 1024.0,
        rss.max / 1024.0,
        pss.median / 1024.0,
        pss.max / 1024.0
    );
    Ok(json!({ "rss_kib": rss.to_json(), "pss_kib": pss.to_json() }))
}

/// The peak of the only worker that drained a backlog. It lingers afterwards, so the peak is read and not missed.
fn busy_memory(args: &Args) -> Result<Value, Box<dyn Error>> {
    let program = Program::set_up(args.stage.scratch()?, 1, "full")?;
    program.load(args.tasks)?;
    let workers = Workers::start(&program, 1)?;
    wait_until_none(&program, "SELECT EXISTS (SELECT 1 FROM queue WHERE status <> 'done')")?;
    workers.all_alive()?;
    let pid = workers.pids()[0];
    let (peak_kib, after) = (usage::peak_kib(pid)?, usage::memory(pid)?);
    workers.stop()?;
    println!(
        "busy worker, backlog of {}: peak {:.1} MiB RSS; afterwards {:.1} MiB",
        args.tasks,
        peak_kib / 1024.0,
        after.rss_kib / 1024.0
    );
    Ok(json!({ "tasks": args.tasks, "peak_kib": peak_kib, "after_rss_kib": after.rss_kib }))
}

/// Waits until the query, which answers 0 or 1, answers 0.
fn wait_until_none(program: &Program, sql: &str) -> Result<(), Box<dyn Error>> {
    let conn = program.connect()?;
    let since = Instant::now();
    while conn.query_row(sql, [], |row| row.get::<_, bool>(0))? {
        if since.elapsed() > PATIENCE {
            return Err(format!("after {PATIENCE:?} there still is something: {sql}").into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn latency(args: &Args, program: &Program, durability: &str) -> Result<Value, Box<dyn Error>> {
    let conn = program.connect()?;
    conn.pragma_update(None, "synchronous", durability.to_uppercase())?;
    let mut insert = conn.prepare("INSERT INTO queue (job, param, priority) VALUES ('noop', ?1, ?2)")?;
    let mut commits = Vec::new();
    let mut random = Random(now_ms().cast_unsigned() | 1);
    for n in 0..i64::from(args.runs) {
        std::thread::sleep(Duration::from_micros(random.between(5_000, 30_000)));
        insert.execute(params![param_of(n), priority_of(n)])?;
        let committed_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64() * 1e3;
        commits.push((conn.last_insert_rowid(), committed_ms));
    }
    wait_until_none(program, "SELECT EXISTS (SELECT 1 FROM task WHERE status <> 'done')")?;
    let mut started = conn.prepare("SELECT started_at FROM task WHERE id = ?1")?;
    let mut took = Vec::new();
    for (id, committed_ms) in commits {
        let started_ms: i64 = started.query_row([id], |row| row.get(0))?;
        took.push(started_ms as f64 + 0.5 - committed_ms);
    }
    let spread = Spread::of(&took);
    println!(
        "commit to start, durability {durability}: {:.1} ms median, {:.1} p99, {:.1} max",
        spread.median, spread.p99, spread.max
    );
    Ok(spread.to_json())
}

/// Marsaglia's xorshift; pauses need no better.
struct Random(u64);

impl Random {
    fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        low + self.0 % (high - low + 1)
    }
}

fn idle_cpu(args: &Args, workers: &Workers) -> Result<Value, Box<dyn Error>> {
    let used = || workers.pids().into_iter().map(usage::cpu_s).sum::<Result<f64, _>>();
    let (start, before_s) = (Instant::now(), used()?);
    std::thread::sleep(Duration::from_secs(args.seconds));
    let share = (used()? - before_s) / start.elapsed().as_secs_f64();
    println!("{} idle workers: {:.2} % of one core over {} s", workers.pids().len(), share * 100.0, args.seconds);
    Ok(json!({ "seconds": args.seconds, "share_of_one_core": share }))
}
