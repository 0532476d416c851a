//! Room for applications: how long their single inserts wait while ten workers drain, and what that costs the workers.
//!
//! `cargo bench --bench room -- --rounds 3 --tasks 400000 --applications 1,3 --pause-ms 50 --json FILE`
//!
//! In turns, the same backlog is drained by `rowmill drain` alone, and beside applications that insert one row, pause, and insert
//! the next, each on a connection of its own with a busy timeout of five seconds. An insert counts when it began and ended
//! while the drain ran. Read the ratio of the rates, and the waits beside the cost of a sync, which each insert pays too.

#![allow(missing_docs, reason = "a program, not a library")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the table is what it is for")]
#![allow(clippy::disallowed_methods, reason = "it measures, from outside the library: the clock is its own")]
#![allow(dead_code, reason = "it uses a part of the rig")]

mod rig;

use std::error::Error;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use rig::machine::fdatasync_ms;
use rig::program::Program;
use rig::spread::Spread;
use rig::stage::{Stage, run};
use rusqlite::{Connection, ErrorCode};
use serde_json::{Value, json};

const WORKERS: u32 = 10;

/// Drains a backlog beside applications that insert, and prints how long they waited.
#[derive(Parser)]
struct Args {
    /// How often each is measured.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Rows of the backlog.
    #[arg(long, default_value_t = 400_000, value_parser = clap::value_parser!(i64).range(1..))]
    tasks: i64,
    /// Numbers of applications.
    #[arg(long, value_delimiter = ',', default_value = "1,3")]
    applications: Vec<usize>,
    /// How long an application pauses after each insert, in milliseconds.
    #[arg(long, default_value_t = 50)]
    pause_ms: u64,
    #[command(flatten)]
    stage: Stage,
}

/// What the applications of some rounds saw.
#[derive(Default)]
struct Seen {
    /// Milliseconds that an insert took.
    waits_ms: Vec<f64>,
    refused: usize,
    /// The rates of the drains beside them, in tasks a second.
    rates: Vec<f64>,
}

fn main() -> ExitCode {
    run("room", measure)
}

fn measure(args: &Args) -> Result<(), Box<dyn Error>> {
    let machine = args.stage.machine()?;
    println!(
        "{} tasks of 100 bytes, {WORKERS} workers, durability full, {} rounds in turns\n",
        args.tasks, args.rounds
    );
    let mut alone = Vec::new();
    let mut beside: Vec<Seen> = args.applications.iter().map(|_| Seen::default()).collect();
    let mut sync_ms = Vec::new();
    for _ in 0..args.rounds {
        sync_ms.push(fdatasync_ms(args.stage.scratch()?.path())?.median);
        alone.push(drain(args, 0, &mut Seen::default())?);
        for (seen, applications) in beside.iter_mut().zip(&args.applications) {
            let rate = drain(args, *applications, seen)?;
            seen.rates.push(rate);
        }
    }
    let rate = Spread::of(&alone);
    println!("{:<22} {:>6.0} k tasks/s ({:.0}-{:.0})", "alone", rate.median / 1e3, rate.min / 1e3, rate.max / 1e3);
    for (seen, applications) in beside.iter().zip(&args.applications) {
        seen.print(*applications, rate.median);
    }
    println!("a 4 KiB append and its fdatasync: {:.2} ms", Spread::of(&sync_ms).median);
    let rows = beside.iter().zip(&args.applications).map(|(seen, n)| seen.to_json(*n, rate.median)).collect::<Value>();
    let all = json!({ "machine": machine.to_json(), "tasks": args.tasks, "alone": alone, "beside": rows,
                      "fdatasync_ms": sync_ms });
    args.stage.keep(&all)
}

/// One drain; tasks of the backlog a second, and what the applications beside it saw.
fn drain(args: &Args, applications: usize, seen: &mut Seen) -> Result<f64, Box<dyn Error>> {
    let program = Program::set_up(args.stage.scratch()?, WORKERS, "full")?;
    program.load(args.tasks)?;
    let connections = (0..applications).map(|_| program.connect()).collect::<Result<Vec<_>, _>>()?;
    let over = AtomicBool::new(false);
    let pause = Duration::from_millis(args.pause_ms);
    let (took, inserts) = std::thread::scope(|scope| {
        let threads: Vec<_> = connections.into_iter().map(|c| scope.spawn(|| insert(c, pause, &over))).collect();
        let start = Instant::now();
        // It goes on while rows come in; who comes after its end makes it say that some are left.
        let status = program.command(&["drain"]).status();
        let took = start.elapsed();
        over.store(true, Ordering::Relaxed);
        let inserts: Vec<_> = threads.into_iter().filter_map(|thread| thread.join().ok()).collect();
        status.map(|status| (status.code(), took)).map(|took| (took, inserts))
    })?;
    let (code, took) = took;
    if !matches!(code, Some(0 | 75)) {
        return Err(format!("`rowmill drain` ended with {code:?}").into());
    }
    for one in inserts {
        for (wait_ms, refused) in one? {
            match refused {
                true => seen.refused += 1,
                false => seen.waits_ms.push(wait_ms),
            }
        }
    }
    Ok(args.tasks as f64 / took.as_secs_f64())
}

/// Single inserts until it is over: how long each took, in milliseconds, and whether it was refused. The last one may have
/// ended after the drain, and does not count.
fn insert(conn: Connection, pause: Duration, over: &AtomicBool) -> Result<Vec<(f64, bool)>, rusqlite::Error> {
    let mut row = conn.prepare("INSERT INTO queue (job, param) VALUES ('noop', '\"an application\"')")?;
    let mut all = Vec::new();
    loop {
        let start = Instant::now();
        let refused = match row.execute([]) {
            Ok(_) => false,
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => true,
            Err(e) => return Err(e),
        };
        if over.load(Ordering::Relaxed) {
            return Ok(all);
        }
        all.push((start.elapsed().as_secs_f64() * 1e3, refused));
        std::thread::sleep(pause);
    }
}

impl Seen {
    fn late(&self) -> usize {
        self.waits_ms.iter().filter(|ms| **ms > 100.0).count()
    }

    fn print(&self, applications: usize, alone: f64) {
        let (rate, wait) = (Spread::of(&self.rates), Spread::of(&self.waits_ms));
        println!(
            "{:<22} {:>6.0} k tasks/s ({:.0}-{:.0}), {:.2} of alone; {} inserts, {} refused, ms: median {:.1}, p99 {:.0}, \
             longest {:.0}; {} over 100 ms",
            format!("beside {applications} applications"),
            rate.median / 1e3,
            rate.min / 1e3,
            rate.max / 1e3,
            rate.median / alone,
            self.waits_ms.len() + self.refused,
            self.refused,
            wait.median,
            wait.p99,
            wait.max,
            self.late(),
        );
    }

    fn to_json(&self, applications: usize, alone: f64) -> Value {
        json!({ "applications": applications, "tasks_per_s": self.rates,
                "ratio_to_alone": Spread::of(&self.rates).median / alone, "inserts": self.waits_ms.len() + self.refused,
                "refused": self.refused, "wait_ms": Spread::of(&self.waits_ms).to_json(), "over_100_ms": self.late() })
    }
}
