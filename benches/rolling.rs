//! How long a partition stands still while all workers are replaced under load.
//!
//! `cargo bench --bench rolling -- --rounds 3 --workers 10 --json FILE`
//!
//! Workers of `run` drain a backlog that does not end; then `rowmill restart` replaces them all. A figure is the longest
//! time in which a partition settled nothing, of all partitions: during the restart, and in the stretch just as long
//! before it. (Times are those of the rows, in whole milliseconds.)

#![allow(missing_docs, reason = "a program, not a library")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the figures are what it is for")]
#![allow(clippy::disallowed_methods, reason = "it measures, from outside the library: the clock is its own")]

mod resident;
#[allow(dead_code, reason = "it uses a part of it")]
mod rig;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use resident::Resident;
use rig::now_ms;
use rig::program::Program;
use rig::spread::Spread;
use rig::stage::{Stage, run};
use rusqlite::Connection;
use serde_json::json;

/// How long the workers may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long they work before they are replaced.
const BEFORE: Duration = Duration::from_secs(4);

/// Measures how long partitions stand still during a rolling restart.
#[derive(Parser)]
struct Args {
    /// How many restarts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many workers there are.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=64))]
    workers: u32,
    /// How many tasks there are in each round.
    #[arg(long, default_value_t = 1_500_000)]
    tasks: i64,
    #[command(flatten)]
    stage: Stage,
}

fn main() -> ExitCode {
    run("rolling", measure)
}

fn measure(args: &Args) -> Result<(), Box<dyn Error>> {
    let machine = args.stage.machine()?;
    let (mut before, mut during, mut took) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        let program = Program::set_up(args.stage.scratch()?, args.workers, "full")?;
        program.load(args.tasks)?;
        let run = Resident::start(&program)?;
        let conn = program.connect()?;
        let begun = now_ms();
        while !exists(&conn, "rowmill_settled")? {
            if now_ms() - begun > i64::try_from(PATIENCE.as_millis())? {
                return Err("the workers do not begin".into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(BEFORE);
        let start = now_ms();
        program.run(&["restart"])?;
        let end = now_ms();
        std::thread::sleep(Duration::from_secs(1));
        let is_work_left = exists(&conn, "rowmill_ready")?;
        drop(run);
        if !is_work_left {
            return Err(
                format!("the backlog came to its end, restart took {} ms: give more --tasks", end - start).into()
            );
        }
        let span = (end - start).min(i64::try_from(BEFORE.as_millis())?);
        before.push(longest_rest(&conn, args.workers, start - span, start)?);
        during.push(longest_rest(&conn, args.workers, start, end)?);
        took.push((end - start) as f64);
    }
    println!("{} workers replaced under load, {} times; ms:", args.workers, args.rounds);
    let mut figures = json!({ "machine": machine.to_json(), "workers": args.workers });
    for (name, values) in [("restart", &took), ("longest rest before", &before), ("longest rest during", &during)] {
        let spread = Spread::of(values);
        println!("{name:>20}: min {:.0}, median {:.0}, worst {:.0}", spread.min, spread.median, spread.max);
        figures[name] = spread.to_json();
    }
    args.stage.keep(&figures)
}

fn exists(conn: &Connection, table: &str) -> Result<bool, Box<dyn Error>> {
    Ok(conn.query_row(&format!("SELECT EXISTS (SELECT 1 FROM {table})"), [], |row| row.get(0))?)
}

/// The longest time without a task of a partition that ended, of all partitions, in milliseconds.
fn longest_rest(conn: &Connection, partitions: u32, from: i64, to: i64) -> Result<f64, Box<dyn Error>> {
    let within = "SELECT DISTINCT id % ?1, finished_at FROM task WHERE finished_at BETWEEN ?2 AND ?3 ORDER BY 1, 2";
    let mut query = conn.prepare(within)?;
    let mut last = vec![from; partitions as usize];
    let mut longest = 0;
    let mut rows = query.query((partitions, from, to))?;
    while let Some(row) = rows.next()? {
        let (partition, at): (usize, i64) = (row.get(0)?, row.get(1)?);
        longest = longest.max(at - last[partition]);
        last[partition] = at;
    }
    Ok(last.into_iter().map(|at| to - at).fold(longest, i64::max) as f64)
}
