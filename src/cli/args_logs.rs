//! The flags of `logs`.

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Go on with the lines that come, over midnight too
    #[arg(short, long, conflicts_with = "until")]
    pub(super) follow: bool,
    /// Only the last N lines of those that are chosen
    #[arg(short = 'n', long, value_name = "N")]
    pub(super) lines: Option<usize>,
    /// The day: 2026-11-21, today, yesterday [default: today, unless --since or --until says otherwise]
    #[arg(long, value_name = "DATE")]
    pub(super) date: Option<String>,
    /// From this time on: 2h (ago), 14:00 (of the day), 2026-11-21 (from its beginning), '2026-11-21 14:00', or RFC 3339
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// Before this time, written likewise; of a day, up to its end
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<String>,
    /// Only lines about this task
    #[arg(long, value_name = "ID")]
    pub(super) task: Option<i64>,
    /// Only lines of this worker
    #[arg(long, value_name = "I")]
    pub(super) worker: Option<u32>,
    /// Only lines about tasks of this job
    #[arg(long, value_name = "JOB")]
    pub(super) job: Option<String>,
    /// Only lines of this level, or worse
    #[arg(long, value_name = "LEVEL", value_parser = ["error", "warn", "info", "debug", "trace"])]
    pub(super) level: Option<String>,
    /// Only what tasks themselves wrote to standard output and error, as they wrote it
    #[arg(long, conflicts_with = "format")]
    pub(super) output: bool,
    /// Form of the lines [default: as they stand in the file]
    #[arg(long, value_enum)]
    pub(super) format: Option<LineFormat>,
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LineFormat {
    /// For people
    Text,
    /// For programs: one object a line
    Json,
}
