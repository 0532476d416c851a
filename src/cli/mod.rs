//! The command line door: arguments in, words and exit codes out.
//!
//! Everything that a command does is done by the rooms below; here it is asked for, waited for and shown. What goes to
//! standard output is the answer; errors go to standard error as `error: …` and `hint: …`. A closed pipe is quiet.

mod access;
mod args;
mod args_logs;
mod args_schedules;
mod args_tasks;
mod as_cron;
mod check;
mod children;
mod crew;
mod demo;
mod doctor;
mod drain;
mod enqueue;
mod enqueue_from;
mod exposed;
mod govern;
mod history;
mod logs;
mod operate;
mod paper;
mod prometheus;
mod prune;
mod run;
mod schedule;
mod schedules;
mod setup;
mod show;
mod site;
mod status;
mod tasks;
mod tick;
mod trial;
mod wait;
mod work;

use crate::error::{Error, Kind, Result};
use crate::store::Operation;
use crate::work::Registry;
use args::{Cli, Command};
use clap::Parser;
use site::{Register, Site};
use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// What a command came to, besides errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// All well.
    Well,
    /// It was tried and failed, and has said so.
    Failed,
    /// The configuration is wrong, and it has said so.
    Wrong,
    /// Work remains.
    TryAgain,
    /// What a job made of it: its own exit code.
    Own(u8),
}

/// The whole program: reads the command line, does what it says, and answers the exit code. `register` lists the jobs
/// that are written in Rust.
///
/// ```no_run
/// # use rowmill::{Context, Job, JobError, Outcome};
/// # #[derive(serde::Deserialize)] struct Greet {}
/// # impl Job for Greet {
/// #     const NAME: &'static str = "greet";
/// #     async fn run(self, _: &Context) -> Result<Outcome, JobError> { Ok(Outcome::done()) }
/// # }
/// fn main() -> std::process::ExitCode {
///     rowmill::main(|jobs| {
///         jobs.job::<Greet>()?;
///         Ok(())
///     })
/// }
/// ```
pub fn main(register: fn(&mut Registry) -> Result<()>) -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version come this way too; where they cannot be printed, nobody is there to read them.
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { 2 } else { 0 });
        }
    };
    match run(cli, register) {
        Ok(Verdict::Well) => ExitCode::SUCCESS,
        Ok(Verdict::Failed) => ExitCode::from(1),
        Ok(Verdict::Wrong) => ExitCode::from(2),
        Ok(Verdict::TryAgain) => ExitCode::from(75),
        Ok(Verdict::Own(code)) => ExitCode::from(code),
        Err(e) => {
            complain(&e);
            ExitCode::from(code(&e))
        }
    }
}

fn run(cli: Cli, register: Register) -> Result<Verdict> {
    let Cli { place, command } = cli;
    match command {
        Command::Init { dir, group } => setup::init(&place, register, &dir, group.as_deref()),
        Command::Migrate => setup::migrate(&Site::find(&place, register)?),
        Command::Enqueue(args) => enqueue::enqueue(&Site::find(&place, register)?, &args),
        Command::Tick { workers, wait } => tick::tick(&Site::find(&place, register)?, workers, wait),
        Command::Run { workers } => run::run(&place, register, workers),
        Command::Work { index, workers, drain, detached } => {
            work::work(&Site::find(&place, register)?, index, workers, drain, detached)
        }
        Command::Drain { workers } => drain::drain(&Site::find(&place, register)?, workers),
        Command::Stop { now } => crew::stop(&Site::find(&place, register)?, now),
        Command::Start => crew::start(&Site::find(&place, register)?),
        Command::Restart { workers } => crew::restart(&Site::find(&place, register)?, workers),
        Command::Workers(format) => crew::workers(&Site::find(&place, register)?, format.format),
        Command::Pause { job } => govern::pause(&Site::find(&place, register)?, &job),
        Command::Resume { job } => govern::resume(&Site::find(&place, register)?, &job),
        Command::Schedule(args) => schedule::schedule(&Site::find(&place, register)?, args),
        Command::Schedules(args) => schedules::schedules(&Site::find(&place, register)?, &args),
        Command::Next(args) => schedules::next_times(&Site::find(&place, register)?, &args),
        Command::History(args) => history::history(&Site::find(&place, register)?, &args),
        Command::Prune { older_than, dry_run } => {
            prune::prune(&Site::find(&place, register)?, older_than.as_deref(), dry_run)
        }
        Command::Scale { partitions } => govern::scale(&Site::find(&place, register)?, partitions),
        Command::Status { format } => status::status(&Site::find(&place, register)?, format),
        Command::Tasks(args) => tasks::tasks(&Site::find(&place, register)?, &args),
        Command::Task { id, format } => tasks::task(&Site::find(&place, register)?, id, format.format),
        Command::Retry(args) => operate::operate(&Site::find(&place, register)?, Operation::Retry, &args),
        Command::Cancel(args) => operate::operate(&Site::find(&place, register)?, Operation::Cancel, &args),
        Command::Release(args) => operate::operate(&Site::find(&place, register)?, Operation::Release, &args),
        Command::Wait(args) => wait::wait(&Site::find(&place, register)?, &args),
        Command::Try(args) => trial::try_once(&Site::find(&place, register)?, &args),
        Command::Logs(args) => logs::logs(&Site::find(&place, register)?, &args),
        Command::Check { as_cron, format } => check::check(&place, register, as_cron, format.format),
        Command::Doctor(args) => doctor::doctor(&Site::find(&place, register)?, &args),
        Command::Completions { shell } => paper::completions(shell),
        Command::Man { command } => paper::man(command.as_deref()),
        Command::Demo => demo::demo(&place, register),
    }
}

/// The exit code of an error.
fn code(e: &Error) -> u8 {
    match e.kind() {
        Kind::Failed => 1,
        Kind::Usage => 2,
        Kind::TryAgain => 75,
    }
}

/// Writes an error for a person.
fn complain(e: &Error) {
    let hint = e.hint_text().map(|hint| format!("hint: {}\n", show::one_line(hint))).unwrap_or_default();
    tell(&format!("error: {}\n{hint}", show::one_line(&e.to_string())));
}

/// Writes to standard error; where that is closed, nobody reads it.
fn tell(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Writes an answer, whatever others wrote into it. A closed pipe is quiet: whoever read it has had enough.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(show::harmless(text).as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Error::failed(format!("cannot write the answer: {e}"))),
        _ => Ok(()),
    }
}
