//! What a tick costs with none, a hundred and ten thousand schedules, beside starting `/bin/true`.
//!
//! `cargo bench --bench tick -- --runs 100 --json FILE`
//!
//! One worker is there all the time and has nothing to do, but for the tick that has all of them due: that one enqueues as
//! many tasks, and the next begins when they are done. All expressions differ. Each tick is followed by a `/bin/true`, and
//! is told as a ratio to those of its own row.

#![allow(missing_docs, reason = "a program, not a library")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the figures are what it is for")]
#![allow(clippy::disallowed_methods, reason = "it measures, from outside the library: the clock is its own")]
#![allow(dead_code, reason = "of what the benchmarks share, this one uses a part")]

mod rig;
mod workers;

use std::error::Error;
use std::fmt::Write;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use rig::program::Program;
use rig::spread::Spread;
use rig::stage::{Stage, run, wall_ms};
use serde_json::{Map, Value, json};
use workers::Workers;

/// How many schedules there are.
const NUMBERS: [u32; 3] = [0, 100, 10_000];
/// Ticks that have all of them due take this part of the others' number.
const DUE_PART: u32 = 10;
/// How long ten thousand tasks may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures ticks.
#[derive(Parser)]
struct Args {
    /// Ticks of each kind.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(10..))]
    runs: u32,
    #[command(flatten)]
    stage: Stage,
}

fn main() -> ExitCode {
    run("tick", measure_all)
}

fn measure_all(args: &Args) -> Result<(), Box<dyn Error>> {
    let machine = args.stage.machine()?;
    println!();
    let mut figures = Map::new();
    figures.insert("machine".to_owned(), machine.to_json());
    for number in NUMBERS {
        figures.insert(format!("{number}_schedules"), measure(args, number, Scene::NoneDue)?);
    }
    figures.insert("10000_by_hand".to_owned(), measure(args, 10_000, Scene::ByHand)?);
    figures.insert("10000_due".to_owned(), measure(args, 10_000, Scene::AllDue)?);
    args.stage.keep(&figures.into())
}

/// Where the schedules stand, and what of them is due.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scene {
    /// In the file, none due.
    NoneDue,
    /// None due, and none in the file: as if each had been added by the command line.
    ByHand,
    /// In the file, all due.
    AllDue,
}

fn measure(args: &Args, number: u32, scene: Scene) -> Result<Value, Box<dyn Error>> {
    let due = scene == Scene::AllDue;
    let program = Program::set_up_with(args.stage.scratch()?, 1, "full", &schedules(number, due))?;
    let workers = Workers::start(&program, 1)?;
    if scene == Scene::ByHand {
        program.connect()?.execute_batch("UPDATE rowmill_schedule SET origin = 'person'")?;
        program.configure(1, "full", "")?;
    }
    let (mut ticks, mut nothings) = (Vec::new(), Vec::new());
    for _ in 0..if due { args.runs / DUE_PART } else { args.runs } {
        if due {
            make_due(&program)?;
        }
        ticks.push(wall_ms(&mut program.command(&["tick"]))?);
        let mut nothing = Command::new("/bin/true");
        nothings.push(wall_ms(nothing.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))?);
    }
    workers.all_alive()?;
    workers.stop()?;
    let (tick, nothing) = (Spread::of(&ticks), Spread::of(&nothings));
    let ratio = tick.median / nothing.median;
    println!(
        "tick with {number} schedules, {}: {:.2} ms median, {:.2} p99; {ratio:.1} times /bin/true ({:.2} ms median)",
        match scene {
            Scene::NoneDue => "in the file, none due",
            Scene::ByHand => "not in the file, none due",
            Scene::AllDue => "in the file, all due",
        },
        tick.median,
        tick.p99,
        nothing.median,
    );
    Ok(json!({ "tick_ms": tick.to_json(), "true_ms": nothing.to_json(), "ratio": ratio }))
}

/// That many schedules, no two with one expression: of each minute, or of a minute a year.
fn schedules(number: u32, due: bool) -> String {
    let mut text = String::new();
    for n in 0..number {
        let (minute, hour, day) = (n % 60, n / 60 % 24, 1 + n / 1_440);
        let cron = match due {
            true => format!("0-59,{minute} 0-23,{hour} 1-31,{day} * *"),
            // One of them may be due while this runs: that does not move a median.
            false => format!("{minute} {hour} {day} {} *", 1 + n % 12),
        };
        let _ =
            write!(text, "[[schedule]]\nname = \"s{n}\"\ncron = \"{cron}\"\njob = \"noop\"\nparam = {{ n = {n} }}\n\n");
    }
    text
}

/// As if nobody had ticked for a minute; what was enqueued before is done and forgotten.
fn make_due(program: &Program) -> Result<(), Box<dyn Error>> {
    let conn = program.connect()?;
    let since = Instant::now();
    while conn
        .query_row("SELECT EXISTS (SELECT 1 FROM task WHERE status <> 'done')", [], |row| row.get::<_, bool>(0))?
    {
        if since.elapsed() > PATIENCE {
            return Err("the tasks of a tick are not done".into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    conn.execute_batch(
        "DELETE FROM rowmill_occurrence; UPDATE rowmill_schedule SET next_at = next_at - 60000, seen_at = 0;",
    )?;
    Ok(())
}
