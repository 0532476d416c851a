//! What the death of a worker costs under `run`: from kill -9 to the start of its task's next run.
//!
//! `cargo bench --bench death -- --kills 200 --workers 4 --json FILE`
//!
//! Each task is a program (this one) that says by a datagram that it has begun, and by whom it was started, and waits to be
//! killed with its worker; its next run says so too, and ends. So a figure holds all that lies between: the kernel's news of
//! the death, the next hold or claim, a new process if nobody else is free, and the start of the program. Half of the
//! tasks are killed as soon as they run, half when they are claimed.

#![allow(missing_docs, reason = "a program, not a library")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the figures are what it is for")]
#![allow(clippy::disallowed_methods, reason = "it measures, from outside the library: the clock is its own")]

mod resident;
#[allow(dead_code, reason = "it uses a part of it")]
mod rig;

use std::error::Error;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use resident::Resident;
use rig::program::Program;
use rig::spread::Spread;
use rig::stage::{Stage, exit, run};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

/// How long anything may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(120);
/// A worker that lived for less is given a pause before the next start.
const LIVED: Duration = Duration::from_millis(3_200);
/// A task is claimed after a slice; this is longer.
const CLAIMED: Duration = Duration::from_millis(400);

/// Measures the time from a worker's death to the next run of its task.
#[derive(Parser)]
struct Args {
    /// How many workers are killed.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    kills: u32,
    /// How many workers there are.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    #[command(flatten)]
    stage: Stage,
}

fn main() -> ExitCode {
    match std::env::var("ROWMILL_ATTEMPT") {
        Ok(attempt) => exit(be_a_job(&attempt)),
        Err(_) => run("death", measure),
    }
}

/// Says which attempt of which task has begun, and whose child this is; the first waits for its end.
fn be_a_job(attempt: &str) -> Result<(), Box<dyn Error>> {
    let task = std::env::var("ROWMILL_TASK_ID")?;
    let worker = std::env::var("ROWMILL_WORKER")?;
    let text = format!("{task} {attempt} {} {worker}", std::os::unix::process::parent_id());
    UnixDatagram::unbound()?.send_to(text.as_bytes(), "begun")?;
    if attempt == "1" {
        std::thread::sleep(PATIENCE);
    }
    Ok(())
}

fn measure(args: &Args) -> Result<(), Box<dyn Error>> {
    let machine = args.stage.machine()?;
    let dir = args.stage.scratch()?;
    let folder = dir.path().to_owned();
    let begun = UnixDatagram::bind(folder.join("begun"))?;
    begun.set_read_timeout(Some(PATIENCE))?;
    let program = Program::set_up(dir, args.workers, "full")?;
    add_job(&folder)?;
    let _run = Resident::start(&program)?;
    let conn = program.connect()?;
    let (mut fresh_ms, mut claimed_ms) = (Vec::new(), Vec::new());
    let mut born = vec![Instant::now(); args.workers as usize];
    let rest = |born: &[Instant], index: usize| LIVED.saturating_sub(born[index].elapsed());
    let mut last = 0;
    for n in 0..args.kills {
        // Its home most likely takes it. Nobody is killed who has not lived for a while.
        std::thread::sleep(rest(&born, (last + 1) % born.len()));
        let task: i64 = conn.query_row("INSERT INTO queue (job) VALUES ('wait') RETURNING id", [], |r| r.get(0))?;
        last = usize::try_from(task)?;
        let (worker, index) = await_begin(&begun, task, 1)?;
        let pause = rest(&born, index).max(if n % 2 == 1 { CLAIMED } else { Duration::ZERO });
        std::thread::sleep(pause);
        let watch = Instant::now();
        kill_process(worker, Signal::KILL)?;
        await_begin(&begun, task, 2)?;
        let took_ms = watch.elapsed().as_secs_f64() * 1e3;
        if pause.is_zero() { &mut fresh_ms } else { &mut claimed_ms }.push(took_ms);
        born[index] = Instant::now();
    }
    let all_ms: Vec<f64> = fresh_ms.iter().chain(&claimed_ms).copied().collect();
    println!("{} workers; from kill -9 to the next run, ms:", args.workers);
    let mut figures = json!({ "machine": machine.to_json(), "workers": args.workers });
    for (name, values) in [("all", &all_ms), ("just begun", &fresh_ms), ("claimed", &claimed_ms)] {
        let spread = Spread::of(values);
        let Spread { min, median, p99, max } = spread;
        println!("{name:>10}: {} kills, min {min:.1}, median {median:.1}, p99 {p99:.1}, worst {max:.1}", values.len());
        figures[name] = spread.to_json();
    }
    args.stage.keep(&figures)
}

/// The job `wait` is this program.
fn add_job(folder: &Path) -> Result<(), Box<dyn Error>> {
    let file = folder.join("rowmill.toml");
    let mut config = std::fs::read_to_string(&file)?;
    let program = std::env::current_exe()?;
    config += &format!("[[job]]\nname = \"wait\"\ncommand = [\"{}\"]\n", program.display());
    std::fs::write(file, config)?;
    Ok(())
}

/// Waits until this attempt of the task has begun; answers the process and the index of the worker that has started it.
fn await_begin(begun: &UnixDatagram, task: i64, attempt: u32) -> Result<(Pid, usize), Box<dyn Error>> {
    let mut bytes = [0; 100];
    loop {
        let length = begun.recv(&mut bytes)?;
        let text = std::str::from_utf8(&bytes[..length])?;
        let words: Vec<i64> = text.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        if words[..2] == [task, i64::from(attempt)] {
            let pid = Pid::from_raw(i32::try_from(words[2])?).ok_or("a process has a number")?;
            return Ok((pid, usize::try_from(words[3])?));
        }
    }
}
