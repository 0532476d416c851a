//! The flags of the commands about schedules.

use super::args::FormatArgs;
use clap::{Args, Subcommand};

/// What is done to a schedule.
#[derive(Debug, Subcommand)]
pub(super) enum ScheduleCommand {
    /// Make a schedule that lives in the database; what it asks for is a job that has a name
    #[command(
        after_help = "Examples:\n  rowmill schedule add nightly --cron '0 2 * * *' --timezone Europe/Berlin --job report\n  \
        rowmill schedule add once --at '2026-11-09 02:01' --job report --param '{\"day\":\"{date}\"}'\n  \
        rowmill schedule add pulse --every 15m --job ping --catch-up skip --overlap skip\n\
        A schedule with a command of its own, or with only_if, stands in rowmill.toml: no row names a program."
    )]
    Add(Box<AddArgs>),
    /// Remove a schedule that was made by `add`; its tasks stay
    Remove {
        /// Its name
        name: String,
    },
    /// Ask for a task of it now, whether it is due or paused or not; prints the id
    Run {
        /// Its name
        name: String,
        /// Stay until the task is final; exits as `rowmill wait` does
        #[arg(long)]
        wait: bool,
    },
    /// Keep it from asking for tasks until `resume`
    Pause {
        /// Its name
        name: String,
    },
    /// Let it go on; what it had due meanwhile is made up for as its catch_up says
    Resume {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// Its name
    pub(super) name: String,
    /// A cron expression
    #[arg(long, value_name = "EXPRESSION", conflicts_with_all = ["at", "every"], required_unless_present_any = ["at", "every"])]
    pub(super) cron: Option<String>,
    /// Once, at this local time: '2026-11-09 02:01', or '11-09 02:01' for the next one
    #[arg(long, value_name = "TIME", conflicts_with = "every")]
    pub(super) at: Option<String>,
    /// At this interval, such as 15m
    #[arg(long, value_name = "SPAN")]
    pub(super) every: Option<String>,
    /// The zone in which it is due [default: the configured one]
    #[arg(long, value_name = "ZONE")]
    pub(super) timezone: Option<String>,
    /// The job of its tasks
    #[arg(long, value_name = "JOB")]
    pub(super) job: String,
    /// What they are given, JSON; {due}, {due_ms} and {date} stand for the time at which they are due
    #[arg(long, value_name = "PARAM", default_value = "", hide_default_value = true)]
    pub(super) param: String,
    /// Larger runs first
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub(super) priority: i32,
    /// At most one unsettled task has this key; with placeholders as in --param
    #[arg(long, value_name = "KEY")]
    pub(super) unique: Option<String>,
    /// What becomes of missed occurrences: skip, once, all or 'window 2h'
    #[arg(long, value_name = "POLICY", default_value = "once")]
    pub(super) catch_up: String,
    /// While a task of it is unsettled: allow, skip or queue
    #[arg(long, value_name = "RULE", default_value = "allow")]
    pub(super) overlap: String,
    /// Tasks begin up to this much later than they are due
    #[arg(long, value_name = "SPAN")]
    pub(super) jitter: Option<String>,
    /// Its last day, or its last instant: 2027-01-31 or '2027-01-31 18:00'
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct SchedulesArgs {
    /// What became of the due times of this one, the latest first
    pub(super) name: Option<String>,
    /// At most that many lines about it
    #[arg(long, value_name = "N", default_value_t = 20, requires = "name")]
    pub(super) limit: u32,
    #[command(flatten)]
    pub(super) format: FormatArgs,
}

#[derive(Debug, Args)]
pub(super) struct NextArgs {
    /// Its name
    pub(super) name: String,
    /// How many times
    #[arg(short, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) n: u32,
    #[command(flatten)]
    pub(super) format: FormatArgs,
}
