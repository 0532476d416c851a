//! What all benchmarks have in common as programs: how they are called, where they work, where their figures go.

use std::error::Error;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::{Args, Parser};
use serde_json::Value;
use tempfile::TempDir;

use super::machine::Machine;

/// The flags that all benchmarks have.
#[derive(Args)]
pub(crate) struct Stage {
    /// Write the figures to this file too.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where scratch folders are made; cargo's target folder unless said.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Stage {
    pub(crate) fn scratch(&self) -> Result<TempDir, Box<dyn Error>> {
        super::scratch(self.dir.as_deref())
    }

    /// Looks at the machine, and prints what it is.
    pub(crate) fn machine(&self) -> Result<Machine, Box<dyn Error>> {
        let machine = Machine::look(self.scratch()?.path())?;
        machine.print();
        Ok(machine)
    }

    /// Writes the figures to the file that was named, if one was.
    pub(crate) fn keep(&self, figures: &Value) -> Result<(), Box<dyn Error>> {
        let Some(path) = &self.json else { return Ok(()) };
        Ok(std::fs::write(path, serde_json::to_string_pretty(figures)? + "\n")?)
    }
}

/// Measures, if cargo asks for that: `cargo bench` says so by `--bench`, `cargo test --benches` does not.
pub(crate) fn run<A: Parser>(name: &str, measure: impl FnOnce(&A) -> Result<(), Box<dyn Error>>) -> ExitCode {
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("{name}: measures under `cargo bench` only");
        return ExitCode::SUCCESS;
    }
    exit(measure(&A::parse()))
}

/// Says what went wrong.
pub(crate) fn exit(done: Result<(), Box<dyn Error>>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How long a command takes that ends well, from before the spawn to after the exit, in milliseconds.
pub(crate) fn wall_ms(command: &mut Command) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    let status = command.status()?;
    let took = start.elapsed();
    if !status.success() {
        return Err(format!("{command:?}: {status}").into());
    }
    Ok(took.as_secs_f64() * 1e3)
}
