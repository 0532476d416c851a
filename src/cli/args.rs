//! The command line: every flag beside its help text.

use super::args_logs::LogsArgs;
use super::args_schedules::{NextArgs, ScheduleCommand, SchedulesArgs};
use super::args_tasks::{FromArgs, OperateArgs, TryArgs, WaitArgs};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// A batch processor: tasks are rows of a table, workers are processes, cron calls the scheduler.
#[derive(Debug, Parser)]
#[command(name = "rowmill", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Begin with `rowmill demo`, or with `rowmill init` in an empty folder.\n\
    Exit codes: 0 all well, 1 it was tried and failed, 2 the call or the configuration is wrong, 75 try again later.")]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Where the configuration and the database are.
#[derive(Debug, Args)]
pub(super) struct PlaceArgs {
    /// Configuration file [default: ./rowmill.toml if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Database: a path or sqlite:PATH [default: what the configuration says, else rowmill.db; env: ROWMILL_DATABASE]
    #[arg(long, global = true, value_name = "URL")]
    pub(super) database: Option<String>,
    /// Where log lines go
    #[arg(long, global = true, value_enum, default_value_t = LogTo::File, hide_default_value = true)]
    pub(super) log: LogTo,
}

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogTo {
    /// To the day's file (the default)
    File,
    /// To standard error
    Stderr,
}

/// How a command that reads writes its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// For scripts: stable names, times in UTC milliseconds
    Json,
}

/// How `status` writes its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum StatusFormat {
    /// For people
    Table,
    /// For scripts: stable names, times in UTC milliseconds
    Json,
    /// For monitoring: the text exposition format of Prometheus
    Prometheus,
}

/// The answer's form.
#[derive(Debug, Args)]
pub(super) struct FormatArgs {
    /// Form of the answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(super) format: Format,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write a commented rowmill.toml, a sample script job and the database; never overwrites
    #[command(
        after_help = "Examples:\n  rowmill init /srv/shop && cd /srv/shop && rowmill enqueue hello '\"world\"' && rowmill drain\n  \
        rowmill init /srv/shop --group www-data"
    )]
    Init {
        /// The folder; made when it is missing
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// Share the database, in a folder of its own, and the log with this group
        #[arg(long, value_name = "GROUP")]
        group: Option<String>,
    },
    /// Apply the schema to the database, making it when it is missing
    Migrate,
    /// Ask for a task and print its id
    #[command(
        after_help = "Examples:\n  rowmill enqueue send_message '{\"uid\":4,\"uids\":[6,234],\"content\":\"hi\"}'\n  \
        rowmill enqueue report --at '2026-12-01 02:00' --unique monthly-report\n  \
        generate | rowmill enqueue import - --codec text --priority 10\n  \
        rowmill enqueue --from tasks.ndjson"
    )]
    Enqueue(EnqueueArgs),
    /// One pass of the scheduler: what cron calls each minute. Prints nothing
    #[command(after_help = "In a crontab:\n  * * * * * /usr/local/bin/rowmill tick --config /srv/shop/rowmill.toml")]
    Tick {
        /// Start that many workers instead of one for each partition
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
        workers: Option<u32>,
        /// Stay until the workers that were started have ended; for containers
        #[arg(long)]
        wait: bool,
    },
    /// The resident scheduler: ticks by itself, and replaces a worker that dies at once
    #[command(
        after_help = "TERM ends all workers in good order, within their grace, and then this; a second TERM breaks off what runs. HUP reads\n\
        the configuration anew: a wrong one is logged, and the old one stays. Cron's ticks may go on beside it.\n\
        Example:\n  rowmill run --config /srv/shop/rowmill.toml"
    )]
    Run {
        /// Keep that many workers instead of one for each partition
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
        workers: Option<u32>,
    },
    /// One worker in the foreground
    Work {
        /// Its index: partition I is its home
        #[arg(long, value_name = "I", value_parser = clap::value_parser!(u32).range(0..4096))]
        index: u32,
        /// How many workers there are
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
        workers: Option<u32>,
        /// End when nothing is ready
        #[arg(long)]
        drain: bool,
        /// Leave the session of whoever started it
        #[arg(long, hide = true)]
        detached: bool,
    },
    /// Work with N processes until nothing is ready: the batch mode
    #[command(after_help = "Exits with 0 if all went well, 1 if a task died, 75 if work remains that could not run.")]
    Drain {
        /// How many processes [default: one for each partition]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
        workers: Option<u32>,
    },
    /// End all workers and keep them from working until `start`, whatever cron does
    Stop {
        /// Break off what runs, which is put back and costs no attempt
        #[arg(long)]
        now: bool,
    },
    /// Let workers work again after `stop`, and start them
    Start,
    /// Replace the workers one after the other, so that they see a new program or configuration
    Restart {
        /// Start that many instead of one for each partition, as in `tick --workers N`
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
        workers: Option<u32>,
    },
    /// The living workers, and what each does
    Workers(FormatArgs),
    /// Keep the tasks of a job from running: they are parked until `resume`; those that run go on
    Pause {
        /// The name of the job
        job: String,
    },
    /// Let the tasks of a paused job run again
    Resume {
        /// The name of the job
        job: String,
    },
    /// Make, remove, run, pause or resume a schedule
    #[command(
        subcommand,
        after_help = "Examples:\n  rowmill schedule add nightly --cron '0 2 * * *' --timezone Europe/Berlin --job report\n  \
        rowmill schedule run nightly --wait\n  rowmill schedule pause nightly"
    )]
    Schedule(ScheduleCommand),
    /// The schedules: when they are due, and what became of it
    #[command(after_help = "Examples:\n  rowmill schedules\n  rowmill schedules nightly --limit 50")]
    Schedules(SchedulesArgs),
    /// When a schedule is due next: local time, UTC, and where a change of the clock applies
    #[command(after_help = "Example:\n  rowmill next nightly -n 10")]
    Next(NextArgs),
    /// How many tasks became final, by day, job and status; days are UTC
    History(HistoryArgs),
    /// Remove old tasks that are done, dead or cancelled, and old log files; ticks do so by themselves
    Prune {
        /// Older than this span, such as 7d [default: `retention` of the configuration]
        #[arg(long, value_name = "SPAN")]
        older_than: Option<String>,
        /// Only say how much it would be
        #[arg(long)]
        dry_run: bool,
    },
    /// Change N, the number of partitions and workers, while everything runs
    #[command(
        after_help = "Rows that are there keep their partition; new ones belong to the new N. When workers live here, \
        those that are missing are started at once; those that are too many finish their rows and end."
    )]
    Scale {
        /// The number, 1 to 4096
        #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
        partitions: u32,
    },
    /// Counts by status and job, living workers, next occurrences of schedules
    Status {
        /// Form of the answer
        #[arg(long, value_enum, default_value_t = StatusFormat::Table)]
        format: StatusFormat,
    },
    /// List tasks, newest first
    ///
    /// Running, parked, dead and cancelled tasks are found by an index, and what is not there at all by the counts. Other
    /// tasks are looked for from the newest on: to find old ones among many millions takes seconds; --since bounds that.
    #[command(after_help = "Example:\n  rowmill tasks --status dead --job send_message --since 1d")]
    Tasks(TasksArgs),
    /// Everything about one task
    Task {
        /// Its id
        id: i64,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Put dead tasks back under their ids; their attempts are counted anew
    #[command(after_help = "Examples:\n  rowmill retry 42 43\n  rowmill retry --job send_message --since 1d --dry-run")]
    Retry(OperateArgs),
    /// Cancel tasks that are not final; one that runs is not broken off, but what comes of it is dropped
    #[command(after_help = "Examples:\n  rowmill cancel 42\n  rowmill cancel --job import --status delayed --yes")]
    Cancel(OperateArgs),
    /// Let parked tasks go, once the reason is mended, and delayed ones before their time
    #[command(
        after_help = "Examples:\n  rowmill release 42\n  rowmill release --job report\n  rowmill release --status delayed --since 1h\n\
        A filter without --status means parked tasks."
    )]
    Release(OperateArgs),
    /// Wait until a task is final; print its status and its result
    #[command(after_help = "Exits with 0 if it is done, 1 if it is dead or cancelled, 75 if the time is over.\n\
        Example:\n  rowmill wait $(rowmill enqueue report) --timeout 10m")]
    Wait(WaitArgs),
    /// Run one task in the foreground, without any row, its output live
    #[command(
        after_help = "Exits as the job did: with an executable's own code; for a job in Rust 0 done, 1 failed, 65 rejected,\n\
        75 to be tried again.\nExample:\n  rowmill try send_message '{\"uid\":4,\"uids\":[6],\"content\":\"hi\"}'"
    )]
    Try(TryArgs),
    /// The log: of today, of a day, of a range of time; by what it is about; and as it grows
    #[command(after_help = "Examples:\n  rowmill logs -f -n 20\n  rowmill logs --level warn --since 2h\n  \
        rowmill logs --task 42 --since 2026-11-01\n  rowmill logs --date yesterday --since 14:00 --until 14:30\n  \
        rowmill logs --job report --output -n 100\n  rowmill logs --since 1h --format json | jq .text")]
    Logs(LogsArgs),
    /// Check configuration, schedules, scripts and database; starts nothing
    #[command(after_help = "Examples:\n  rowmill check\n  rowmill check --as-cron --config /srv/shop/rowmill.toml")]
    Check {
        /// Also say what would be missing when cron calls `tick`
        #[arg(long)]
        as_cron: bool,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Examine the data: every law that holds for them, and files, locks and processes around them; writes nothing
    #[command(
        after_help = "May be called beside busy workers: each look at the database takes a fraction of a second.\n\
        Exits with 0 if every law holds (there may be notes), 1 if one is broken, 2 if there is nothing to examine,\n\
        75 if the database cannot be looked at now.\nExamples:\n  rowmill doctor\n  \
        rowmill doctor --format json | jq '.laws[] | select(.broken > 0)'"
    )]
    Doctor(DoctorArgs),
    /// Print the script by which a shell completes this program's arguments
    #[command(after_help = "Example:\n  rowmill completions bash > ~/.local/share/bash-completion/completions/rowmill")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page of the program, or of one of its commands
    #[command(after_help = "Example:\n  rowmill man enqueue | man -l -")]
    Man {
        /// The command
        command: Option<String>,
    },
    /// See the whole thing work in a scratch folder, explained as it goes
    Demo,
}

#[derive(Debug, Args)]
pub(super) struct EnqueueArgs {
    /// The name of the job
    #[arg(required_unless_present = "from")]
    pub(super) job: Option<String>,
    /// What the job is given; - reads it from standard input
    pub(super) param: Option<String>,
    /// Read the param from a file
    #[arg(long, value_name = "FILE", conflicts_with = "param")]
    pub(super) param_file: Option<PathBuf>,
    /// How the param is written: json, form, bincode or text
    #[arg(long, default_value = "json")]
    pub(super) codec: String,
    /// Larger runs first
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub(super) priority: i64,
    /// Not before this time: 2026-12-01T02:00:00Z, '2026-12-01 02:00' in the configured zone, or UTC milliseconds
    #[arg(long, value_name = "TIME", conflicts_with = "delay")]
    pub(super) at: Option<String>,
    /// Not before this span from now is over: 500ms, 30s, 1h30m, 7d
    #[arg(long, value_name = "SPAN")]
    pub(super) delay: Option<String>,
    /// At most one unsettled task has this key; the id of the other one is printed when there is one
    #[arg(long, value_name = "KEY")]
    pub(super) unique: Option<String>,
    /// Attempts until the task is dead [default: what the job says]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) max_attempts: Option<u32>,
    #[command(flatten)]
    pub(super) many: FromArgs,
}

#[derive(Debug, Args)]
pub(super) struct TasksArgs {
    /// Only those in this status
    #[arg(long, value_name = "STATUS")]
    pub(super) status: Option<String>,
    /// Only those of this job
    #[arg(long, value_name = "JOB")]
    pub(super) job: Option<String>,
    /// Only those inserted within this span, such as 2h or 7d
    #[arg(long, value_name = "SPAN")]
    pub(super) since: Option<String>,
    /// At most that many
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(super) limit: u32,
    #[command(flatten)]
    pub(super) format: FormatArgs,
}

#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// That many days up to today
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(super) days: u32,
    #[command(flatten)]
    pub(super) format: FormatArgs,
}

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Read the whole database file too, page by page, as fast as the disk goes; the log is not truncated meanwhile
    #[arg(long)]
    pub(super) deep: bool,
    #[command(flatten)]
    pub(super) format: FormatArgs,
}
