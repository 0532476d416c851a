//! How fast a backlog is drained: rowmill's own processes against a bare rusqlite loop on the same layout, and against
//! the claim-by-UPDATE layout of other queues, in turns, in one run on one machine.
//!
//! `cargo bench --bench drain -- --rounds 3 --tasks 200000 --workers 1,2,10 --only rowmill,bare,claim --json FILE`
//!
//! Rowmill's time is that of the whole `rowmill drain` command, from spawn to exit: starting processes, log lines and
//! folding included. The baselines' time is without start-up, and they neither fold nor log. Read the ratios, which
//! are taken between neighbours in time; the rates are the machine's, and above all its disk's, so the cost of a sync
//! is measured again in every round.

#![allow(missing_docs, reason = "a program, not a library")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the table is what it is for")]
#![allow(clippy::disallowed_methods, reason = "it measures, from outside the library: the clock is its own")]

mod baseline;
#[allow(dead_code, reason = "it uses a part of it")]
mod rig;

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use baseline::Layout;
use clap::{Parser, ValueEnum};
use rig::machine::fdatasync_ms;
use rig::now_ms;
use rig::program::Program;
use rig::spread::Spread;
use rig::stage::{Stage, exit, run};
use serde_json::{Value, json};

/// Drains a backlog by rowmill and by the baselines, in turns, and prints the ratios.
#[derive(Parser)]
struct Args {
    /// Numbers of processes.
    #[arg(long, value_delimiter = ',', default_value = "1,2,10", value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: Vec<u32>,
    /// How often each is measured.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Rows of the backlog.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(i64).range(1..))]
    tasks: i64,
    /// Measure only these.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "rowmill,bare,claim")]
    only: Vec<Side>,
    #[command(flatten)]
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    Rowmill,
    Bare,
    Claim,
}

/// Tasks a second of every round at one number of processes; empty where a side was not measured.
#[derive(Default)]
struct Row {
    workers: u32,
    rowmill: Vec<f64>,
    rowmill_without_start: Vec<f64>,
    bare: Vec<f64>,
    claim: Vec<f64>,
    /// Median cost of a 4 KiB append and its fdatasync before each round, in milliseconds.
    sync_ms: Vec<f64>,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    match words.get(1).is_some_and(|word| word == baseline::HIDDEN_ARGUMENT) {
        true => exit(baseline::work(&words[2..])),
        false => run("drain", compare),
    }
}

fn compare(args: &Args) -> Result<(), Box<dyn Error>> {
    let machine = args.stage.machine()?;
    println!("{} tasks of 100 bytes, durability full, {} rounds in turns\n", args.tasks, args.rounds);
    print_heading();
    let mut rows = Vec::new();
    for &workers in &args.workers {
        let row = measure(args, workers)?;
        row.print();
        rows.push(row.to_json());
    }
    let all = json!({ "machine": machine.to_json(), "tasks": args.tasks, "rounds": args.rounds, "drain": rows });
    args.stage.keep(&all)
}

/// All rounds at one number of processes, the sides in turns.
fn measure(args: &Args, workers: u32) -> Result<Row, Box<dyn Error>> {
    let mut row = Row { workers, ..Row::default() };
    for _ in 0..args.rounds {
        row.sync_ms.push(fdatasync_ms(args.stage.scratch()?.path())?.median);
        for side in [Side::Rowmill, Side::Bare, Side::Claim] {
            if !args.only.contains(&side) {
                continue;
            }
            let rate = |took_s: f64| args.tasks as f64 / took_s;
            let baseline = |layout| -> Result<f64, Box<dyn Error>> {
                let dir = args.stage.scratch()?;
                Ok(rate(baseline::drain(layout, dir.path(), workers, args.tasks)?.as_secs_f64()))
            };
            match side {
                Side::Bare => row.bare.push(baseline(Layout::Bare)?),
                Side::Claim => row.claim.push(baseline(Layout::Claim)?),
                Side::Rowmill => {
                    let (whole_s, without_start_s) = drain_by_rowmill(args, workers)?;
                    row.rowmill.push(rate(whole_s));
                    row.rowmill_without_start.push(rate(without_start_s));
                }
            }
        }
    }
    Ok(row)
}

/// Seconds that `rowmill drain` took as a whole, and from the start of its first task on.
fn drain_by_rowmill(args: &Args, workers: u32) -> Result<(f64, f64), Box<dyn Error>> {
    let program = Program::set_up(args.stage.scratch()?, workers, "full")?;
    program.load(args.tasks)?;
    let start_ms = now_ms();
    let start = Instant::now();
    program.run(&["drain", "--workers", &workers.to_string()])?;
    let whole_s = start.elapsed().as_secs_f64();

    let conn = program.connect()?;
    let mut statement = conn.prepare("SELECT status, count(*) FROM queue GROUP BY status")?;
    let counts = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let counts = counts.collect::<Result<Vec<(String, i64)>, _>>()?;
    if counts != [("done".to_owned(), args.tasks)] {
        return Err(format!("after `rowmill drain` of {} tasks the queue has {counts:?}", args.tasks).into());
    }
    let first_ms: i64 = conn.query_row("SELECT min(started_at) FROM task", [], |row| row.get(0))?;
    Ok((whole_s, whole_s - (first_ms - start_ms).max(0) as f64 / 1e3))
}

fn print_heading() {
    println!(
        "{:>3}  {:>22}  {:>13}  {:>22}  {:>22}  {:>12}  {:>13}  {:>16}",
        "N",
        "rowmill (min-max)",
        "w/o start-up",
        "bare (min-max)",
        "claim (min-max)",
        "rowmill/bare",
        "rowmill/claim",
        "fdatasync ms"
    );
}

impl Row {
    fn print(&self) {
        let Spread { min, median, max, .. } = Spread::of(&self.sync_ms);
        println!(
            "{:>3}  {:>22}  {:>13}  {:>22}  {:>22}  {:>12}  {:>13}  {:>16}",
            self.workers,
            rates(&self.rowmill),
            rates(&self.rowmill_without_start).split(' ').next().unwrap_or_default(),
            rates(&self.bare),
            rates(&self.claim),
            ratio(&self.rowmill, &self.bare).map_or_else(|| "-".to_owned(), |r| format!("{r:.2}")),
            ratio(&self.rowmill, &self.claim).map_or_else(|| "-".to_owned(), |r| format!("{r:.2}")),
            format!("{median:.2} ({min:.2}-{max:.2})"),
        );
    }

    fn to_json(&self) -> Value {
        let side = |rates: &[f64]| json!({ "tasks_per_s": Spread::of(rates).to_json(), "rounds": rates });
        json!({
            "workers": self.workers,
            "rowmill": side(&self.rowmill),
            "rowmill_without_start": side(&self.rowmill_without_start),
            "bare": side(&self.bare),
            "claim": side(&self.claim),
            "fdatasync_ms": self.sync_ms,
            "rowmill_to_bare": ratio(&self.rowmill, &self.bare),
            "rowmill_to_claim": ratio(&self.rowmill, &self.claim),
        })
    }
}

/// The median, and the least and greatest, in thousands a second.
fn rates(all: &[f64]) -> String {
    if all.is_empty() {
        return "-".to_owned();
    }
    let Spread { min, median, max, .. } = Spread::of(all);
    format!("{:.1}k ({:.1}-{:.1})", median / 1e3, min / 1e3, max / 1e3)
}

/// The median of the ratios of neighbours in time.
fn ratio(one: &[f64], other: &[f64]) -> Option<f64> {
    let ratios: Vec<f64> = one.iter().zip(other).map(|(a, b)| a / b).collect();
    (!ratios.is_empty()).then(|| Spread::of(&ratios).median)
}
