//! The flags of the commands that work on tasks: retry, cancel and release, wait, try, and many at once from a file.
//!
//! They stand apart from the other commands' flags so that each file can be read at once.

use super::args::FormatArgs;
use clap::Args;
use std::path::PathBuf;

/// Which tasks `retry`, `cancel` and `release` are about.
#[derive(Debug, Args)]
pub(super) struct OperateArgs {
    /// Their ids
    #[arg(value_name = "ID", conflicts_with_all = ["job", "status", "since", "limit"],
          required_unless_present_any = ["job", "status", "since"])]
    pub(super) ids: Vec<i64>,
    /// Those of this job
    #[arg(long, value_name = "JOB")]
    pub(super) job: Option<String>,
    /// Those in this status
    #[arg(long, value_name = "STATUS")]
    pub(super) status: Option<String>,
    /// Those inserted within this span, such as 2h or 7d
    #[arg(long, value_name = "SPAN")]
    pub(super) since: Option<String>,
    /// At most that many of those that match, the newest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) limit: Option<u32>,
    /// Change nothing; show how many there are, and the first few
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not ask, however many match
    #[arg(short, long)]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) format: FormatArgs,
}

#[derive(Debug, Args)]
pub(super) struct WaitArgs {
    /// The id of the task
    pub(super) id: i64,
    /// Wait no longer than this span, such as 30s or 5m
    #[arg(long, value_name = "SPAN")]
    pub(super) timeout: Option<String>,
    #[command(flatten)]
    pub(super) format: FormatArgs,
}

#[derive(Debug, Args)]
pub(super) struct TryArgs {
    /// The name of the job
    pub(super) job: String,
    /// What the job is given; - reads it from standard input
    pub(super) param: Option<String>,
    /// How the param is written: json, form, bincode or text
    #[arg(long, default_value = "json")]
    pub(super) codec: String,
}

/// Many tasks at once.
#[derive(Debug, Args)]
pub(super) struct FromArgs {
    /// Ask for many: a file with one JSON object a line, under the names job, param, codec, priority, run_at, unique_key
    /// and max_attempts; - reads standard input. When a line of a file is wrong, nothing of it is enqueued
    #[arg(long, value_name = "FILE", conflicts_with_all = ["job", "param", "param_file", "codec", "priority", "at", "delay",
          "unique", "max_attempts"])]
    pub(super) from: Option<PathBuf>,
    /// Check every line of --from and enqueue nothing
    // Not only `requires`: clap asks for nothing that a flag which is there conflicts with.
    #[arg(long, requires = "from", conflicts_with = "job")]
    pub(super) dry_run: bool,
}
