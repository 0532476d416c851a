//! What executables cost: tasks through one child that stays, and through one process each, in turns, in one run.
//!
//! `cargo bench --bench stream -- --rounds 3 --tasks 100000 --starts 1000 --json FILE`
//!
//! One worker drains a backlog of no-op tasks: by `noop` in Rust, by a stream in Python and in PHP with the files of
//! `jobs/stream/`, with 64 tasks in flight and with one, and by starting `true` for each. The time is from the first task's
//! start to the last one's end, by the rows. Beside it stands how often a second this program itself can start the same `true`,
//! its pipes included, and wait for it. Read the ratios, which are taken within one round.

#![allow(missing_docs, reason = "a program, not a library")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the figures are what it is for")]
#![allow(clippy::disallowed_methods, reason = "it measures, from outside the library: the clock is its own")]

#[allow(dead_code, reason = "it uses a part of it")]
mod rig;

use std::error::Error;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use clap::Parser;
use rig::param_of;
use rig::program::Program;
use rig::spread::Spread;
use rig::stage::{Stage, run};
use rusqlite::params;
use serde_json::{Map, Value, json};

/// The files for users.
const HOME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/jobs/stream");
const PYTHON: &str = "import rowmill_stream\nrowmill_stream.serve(lambda param, task: None)\n";
const PHP: &str =
    "<?php\nrequire getenv('STREAM_HOME') . '/rowmill_stream.php';\nRowmill\\serve(fn ($param, $task) => null);\n";

/// Measures streams and starts of programs.
#[derive(Parser)]
struct Args {
    /// How often each is measured.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Rows for each stream.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(i64).range(1..))]
    tasks: i64,
    /// Rows for each program that is started, and starts without rowmill.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(i64).range(1..))]
    starts: i64,
    /// Measure only these jobs; `bare` is starting `true` without rowmill.
    #[arg(long, value_delimiter = ',', default_value = "noop,python,python_one,php,php_one,exec,bare")]
    only: Vec<String>,
    #[command(flatten)]
    stage: Stage,
}

fn main() -> ExitCode {
    run("stream", measure)
}

fn measure(args: &Args) -> Result<(), Box<dyn Error>> {
    let machine = args.stage.machine()?;
    println!("one worker, durability full; {} tasks, {} starts, {} rounds\n", args.tasks, args.starts, args.rounds);
    let mut rates: Vec<(String, Vec<f64>)> = args.only.iter().map(|job| (job.clone(), Vec::new())).collect();
    for _ in 0..args.rounds {
        for (job, rates) in &mut rates {
            rates.push(match job.as_str() {
                "bare" => bare(args.starts)?,
                "exec" => drained(args, job, args.starts)?,
                _ => drained(args, job, args.tasks)?,
            });
        }
    }
    let of =
        |job: &str| rates.iter().find(|(name, _)| name == job).map(|(_, rates)| rates.as_slice()).unwrap_or_default();
    let mut all = Map::new();
    for (job, rates) in &rates {
        let Spread { min, median, max, .. } = Spread::of(rates);
        println!("{job:>12}: {median:>8.0}/s (min {min:.0}, max {max:.0})");
        all.insert(job.clone(), Spread::of(rates).to_json());
    }
    println!();
    let mut ratios = Map::new();
    for (one, other) in [("python", "noop"), ("php", "noop"), ("python", "exec"), ("php", "exec"), ("exec", "bare")] {
        let values: Vec<f64> = of(one).iter().zip(of(other)).map(|(one, other)| one / other).collect();
        if !values.is_empty() {
            let Spread { min, median, max, .. } = Spread::of(&values);
            println!("{:>14}: {median:.2} (min {min:.2}, max {max:.2})", format!("{one}/{other}"));
            ratios.insert(format!("{one}/{other}"), Spread::of(&values).to_json());
        }
    }
    let all: Value = json!({ "machine": machine.to_json(), "rates": all, "ratios": ratios });
    args.stage.keep(&all)
}

/// Tasks a second of a job, by one worker.
fn drained(args: &Args, job: &str, tasks: i64) -> Result<f64, Box<dyn Error>> {
    let dir = args.stage.scratch()?;
    let folder = dir.path().to_owned();
    let program = Program::set_up(dir, 1, "full")?;
    std::fs::write(folder.join("p.py"), PYTHON)?;
    std::fs::write(folder.join("p.php"), PHP)?;
    let stream = |name: &str, command: &str, in_flight: u32| {
        format!(
            "[[job]]\nname = \"{name}\"\ncommand = {command}\nmode = \"stream\"\nin_flight = {in_flight}\n\
             env = {{ PYTHONPATH = \"{HOME}\", STREAM_HOME = \"{HOME}\", PYTHONDONTWRITEBYTECODE = \"1\" }}\n"
        )
    };
    let (python, php) = ("[\"python3\", \"p.py\"]", "[\"php\", \"p.php\"]");
    let file = folder.join("rowmill.toml");
    let config = std::fs::read_to_string(&file)?
        + &stream("python", python, 64)
        + &stream("python_one", python, 1)
        + &stream("php", php, 64)
        + &stream("php_one", php, 1)
        + "[[job]]\nname = \"exec\"\ncommand = [\"/bin/true\"]\n";
    std::fs::write(file, config)?;
    let mut conn = program.connect()?;
    let transaction = conn.transaction()?;
    let mut row = transaction.prepare("INSERT INTO queue (job, param) VALUES (?1, ?2)")?;
    for n in 0..tasks {
        row.execute(params![job, param_of(n)])?;
    }
    drop(row);
    transaction.commit()?;
    program.run(&["drain"])?;
    let span = "SELECT count(*), max(finished_at) - min(started_at) FROM task WHERE status = 'done'";
    let (done, took_ms): (i64, i64) = conn.query_row(span, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if done != tasks {
        return Err(format!("of {tasks} tasks of `{job}` {done} are done").into());
    }
    Ok(tasks as f64 * 1e3 / took_ms.max(1) as f64)
}

/// How often a second `true` is started, with pipes to all that it has, and waited for.
fn bare(starts: i64) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    for _ in 0..starts {
        let mut command = Command::new("/bin/true");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn()?.wait_with_output()?;
    }
    Ok(starts as f64 / start.elapsed().as_secs_f64())
}
