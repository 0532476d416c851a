//! Schedules: what they ask for, how far they have come, and the verbs that move them.
//!
//! A schedule is a row with the next due time that is not seen to. Whoever sees to it moves that time on in the
//! transaction that enqueues the tasks; another one who had read the same row finds it moved, and does nothing. What was
//! enqueued is besides a row with schedule and due time as its key, so that no clock brings it back.

use super::Order;
use crate::clock::Millis;
use crate::cron::Timing;
use crate::error::Result;
use crate::task::{NewTask, parse_span, span_text};
use chrono_tz::Tz;
use std::fmt;

/// The most occurrences of one schedule that are enqueued at once, or wait for the one before them.
pub const MOST_AT_ONCE: usize = 1_000;

/// Missed occurrences are counted up to this number; it stands for itself or more.
pub const MOST_COUNTED: u32 = 10_000;

/// A schedule as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Schedule {
    /// Its name, unique: 1 to 200 characters.
    pub name: String,
    /// Who says what it is.
    pub origin: Origin,
    /// When it is due: a cron expression; or `at` and a local time; or `every` and an interval.
    pub timing: String,
    /// The zone in which it is due.
    pub zone: Tz,
    /// The job of its tasks.
    pub job: String,
    /// What they are given, JSON or nothing. `{due}`, `{due_ms}` and `{date}` stand for the occurrence's time.
    pub param: String,
    /// Larger runs first.
    pub priority: i64,
    /// Their `unique_key`, with the same placeholders.
    pub unique_key: Option<String>,
    /// What becomes of occurrences that nobody saw to in time.
    pub catch_up: CatchUp,
    /// What becomes of one that is due while a task of the schedule is unsettled.
    pub overlap: Overlap,
    /// Whether a command of the configuration is asked first.
    pub guarded: bool,
    /// Tasks begin at their due time or up to this much later, in milliseconds.
    pub jitter_ms: u64,
    /// No occurrence is due after it.
    pub until_ms: Option<Millis>,
    /// Whether it asks for anything at all.
    pub enabled: bool,
}

impl Schedule {
    /// A schedule of a pack: `job` whenever the cron expression is due in UTC; all else as when nothing is said. Other
    /// timings are `at 2026-11-09 02:01` and `every 15m`. What is wrong with it is said where it is registered.
    pub fn new(name: &str, timing: &str, job: &str) -> Schedule {
        Schedule {
            name: name.to_string(),
            origin: Origin::Pack,
            timing: timing.to_string(),
            zone: Tz::UTC,
            job: job.to_string(),
            param: String::new(),
            priority: 0,
            unique_key: None,
            catch_up: CatchUp::default(),
            overlap: Overlap::default(),
            guarded: false,
            jitter_ms: 0,
            until_ms: None,
            enabled: true,
        }
    }

    /// Reads the end of a schedule in its zone: a date, which is included, or a date and a time.
    pub fn parse_until(text: &str, zone: Tz) -> std::result::Result<Millis, String> {
        let how = "write it like 2027-01-31, or 2027-01-31 18:00";
        let text = text.trim();
        if text.split('-').next().is_none_or(|year| year.len() != 4) {
            return Err(format!("`{}` has no year; {how}", text.escape_debug()));
        }
        let (text, rest_ms) =
            if text.contains([' ', 'T']) { (text.to_string(), 0) } else { (format!("{text} 23:59:59"), 999) };
        let at = Timing::parse_at(&text, 0, zone).map_err(|e| e.to_string())?;
        let at_ms = at.next_after(Millis::from(i32::MIN), zone).ok_or_else(|| format!("it lies before 1970; {how}"))?;
        Ok(at_ms + rest_ms)
    }
}

/// Who says what a schedule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The configuration file: it follows that.
    File,
    /// The program: a pack registers it.
    Pack,
    /// A person, by `schedule add`: it stays until it is removed.
    Person,
}

impl Origin {
    const ALL: [Origin; 3] = [Origin::File, Origin::Pack, Origin::Person];

    /// Its word in the table and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Origin::File => "file",
            Origin::Pack => "pack",
            Origin::Person => "person",
        }
    }

    /// The origin with this word.
    pub fn from_word(word: &str) -> Option<Origin> {
        Origin::ALL.into_iter().find(|origin| origin.word() == word)
    }
}

/// What becomes of occurrences that came due while nobody looked. Each is judged by how late it is; at most
/// [`MOST_AT_ONCE`] are enqueued, the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CatchUp {
    /// Those that are late are left out.
    Skip,
    /// Of all that are due, the latest is enqueued, however late.
    #[default]
    Once,
    /// All are enqueued.
    All,
    /// Those that are no later than this many milliseconds are enqueued.
    Window(u64),
}

impl CatchUp {
    /// Reads `skip`, `once`, `all`, or `window` and a span.
    pub fn parse(text: &str) -> std::result::Result<CatchUp, String> {
        match text {
            "skip" => Ok(CatchUp::Skip),
            "once" => Ok(CatchUp::Once),
            "all" => Ok(CatchUp::All),
            _ => match text.strip_prefix("window ").map(parse_span) {
                Some(Ok(0)) => Err("a window is longer than 0; \"skip\" leaves out whatever is late".to_string()),
                Some(span) => span.map(CatchUp::Window),
                None => Err(format!("`{}` is not \"skip\", \"once\", \"all\" or \"window 2h\"", text.escape_debug())),
            },
        }
    }
}

impl fmt::Display for CatchUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CatchUp::Skip => f.write_str("skip"),
            CatchUp::Once => f.write_str("once"),
            CatchUp::All => f.write_str("all"),
            // In two units where these say all of it.
            CatchUp::Window(ms) if parse_span(&span_text(*ms)) == Ok(*ms) => write!(f, "window {}", span_text(*ms)),
            CatchUp::Window(ms) => write!(f, "window {ms}ms"),
        }
    }
}

/// What becomes of an occurrence that is due while a task of its schedule is unsettled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Overlap {
    /// It is enqueued all the same.
    #[default]
    Allow,
    /// It is left out.
    Skip,
    /// It waits until that task is settled; at most [`MOST_AT_ONCE`] wait.
    Queue,
}

impl Overlap {
    const ALL: [Overlap; 3] = [Overlap::Allow, Overlap::Skip, Overlap::Queue];

    /// Its word in the configuration and in the table.
    pub fn word(self) -> &'static str {
        match self {
            Overlap::Allow => "allow",
            Overlap::Skip => "skip",
            Overlap::Queue => "queue",
        }
    }

    /// The rule with this word.
    pub fn from_word(word: &str) -> Option<Overlap> {
        Overlap::ALL.into_iter().find(|overlap| overlap.word() == word)
    }
}

/// A schedule as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What it asks for.
    pub schedule: Schedule,
    /// Since when it is due at these times.
    pub made_at: Millis,
    /// The first due time that is not seen to; `None` when it is never due again, or switched off.
    pub next_at: Option<Millis>,
    /// By which clock `next_at` was moved last.
    pub seen_at: Millis,
    /// Up to when it was paused, or all was stopped, and in which words that is said.
    pub idle: Option<(Millis, String)>,
    /// Since when it is paused, and by whom.
    pub paused: Option<Order>,
    /// The occurrence that was enqueued last.
    pub last: Option<LastFired>,
    /// The due time that was missed or skipped last, and why.
    pub missed: Option<(Millis, String)>,
}

/// The occurrence that was enqueued last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastFired {
    /// Its due time.
    pub due_at: Millis,
    /// When it was enqueued.
    pub fired_at: Millis,
    /// Its task.
    pub task: i64,
}

/// What a tick makes of a schedule that is due, on its way into the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firing {
    /// The schedule.
    pub name: String,
    /// Its `next_at` and `seen_at` as they were read: who finds others changes nothing.
    pub was: (Millis, Millis),
    /// Due times with their tasks, ascending; at most [`MOST_AT_ONCE`].
    pub due: Vec<(Millis, NewTask)>,
    /// What is not enqueued, ascending.
    pub passed: Vec<Passed>,
    /// Where it goes on; `None` when it is never due again.
    pub next_at: Option<Millis>,
    /// The instant of the tick.
    pub now_ms: Millis,
}

/// A run of due times that are not enqueued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// The first of them.
    pub first_ms: Millis,
    /// The last of them.
    pub last_ms: Millis,
    /// How many there are, up to [`MOST_COUNTED`].
    pub count: u32,
    /// Whether somebody decided so; else nobody was there.
    pub skipped: bool,
    /// Why.
    pub reason: String,
}

/// What came of a [`Firing`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fired {
    /// Due times that were enqueued, with their tasks.
    pub tasks: Vec<(Millis, i64)>,
    /// Due times that were left out although they were to be enqueued, and why.
    pub skipped: Vec<(Millis, String)>,
    /// How many wait for the one before them.
    pub waiting: usize,
}

/// What became of a due time, or of a run of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// The due time, or the first of them.
    pub due_at: Millis,
    /// The last of them.
    pub last_at: Millis,
    /// How many there are, up to [`MOST_COUNTED`].
    pub count: u32,
    /// Whether a person asked for it, instead of its time.
    pub by_hand: bool,
    /// `fired`, `waiting`, `missed` or `skipped`.
    pub outcome: String,
    /// The task of one that was fired.
    pub task: Option<i64>,
    /// Why it was not.
    pub reason: Option<String>,
}

/// Works out a first due time: of this schedule, after this instant.
pub type First<'a> = dyn Fn(&Schedule, Millis) -> Option<Millis> + 'a;

/// The verbs about schedules.
pub trait Timetable {
    /// The stored schedules, by name.
    fn schedules(&mut self) -> Result<Vec<Kept>>;

    /// One schedule.
    fn schedule(&mut self, name: &str) -> Result<Option<Kept>>;

    /// The schedules that are due at `now_ms` and not paused, the longest overdue first. Reads those and no others.
    fn due_schedules(&mut self, now_ms: Millis) -> Result<Vec<Kept>>;

    /// The due times from `from_ms` on that were enqueued or wait: only a clock that was set back leaves any there.
    fn known_from(&mut self, name: &str, from_ms: Millis) -> Result<Vec<Millis>>;

    /// What became of the due times of a schedule, the latest first, at most `limit`.
    fn occurrences(&mut self, name: &str, limit: u32) -> Result<Vec<Occurrence>>;

    /// Makes the schedules of files and packs those of `wanted`: new ones begin at the due time that `first` works out,
    /// those whose time has changed too, others keep theirs; those that are not wanted are removed. One that a person
    /// made under a wanted name becomes the file's. `digest` stands for `wanted`: while it is the one that was stored last
    /// this is a read of one row. Steps of 500 schedules, a transaction each, and the digest in one after the last.
    ///
    /// Safe to repeat: yes, because it only compares and replaces; after a crash the next call does the rest.
    fn set_schedules(&mut self, wanted: &[Schedule], digest: i64, now_ms: Millis, first: &First<'_>) -> Result<()>;

    /// Adds a schedule that a person made; `false` when there is one of that name.
    ///
    /// Safe to repeat: yes, because it is there then.
    fn add_schedule(&mut self, schedule: &Schedule, next_at: Option<Millis>, now_ms: Millis) -> Result<bool>;

    /// Removes a schedule that a person made; those of files and packs stay. Its tasks stay too; what waits is skipped.
    ///
    /// Safe to repeat: yes, because it is gone then.
    fn remove_schedule(&mut self, name: &str) -> Result<bool>;

    /// Keeps a schedule from asking for tasks until it is resumed. Answers the order that holds: an earlier one stands;
    /// `None` when there is no such schedule.
    ///
    /// Safe to repeat: yes, because the first order stands.
    fn pause_schedule(&mut self, name: &str, by_whom: &str, now_ms: Millis) -> Result<Option<Order>>;

    /// Takes a pause back; answers it. What came due meanwhile is seen to by the next tick, as after an outage.
    ///
    /// Safe to repeat: yes, because there is nothing to take back then.
    fn resume_schedule(&mut self, name: &str, now_ms: Millis) -> Result<Option<Order>>;

    /// Enqueues one task of a schedule now, by hand: its times, its pause and its overlap are left aside. It counts as one
    /// of its tasks for those that come due. Answers its id; `None` when there is no such schedule, or its `unique_key`
    /// is another task's.
    ///
    /// Safe to repeat: no, because it adds a task again.
    fn run_schedule(&mut self, name: &str, task: &NewTask, now_ms: Millis) -> Result<Option<i64>>;

    /// Moves schedules on and enqueues what is due of them, all in one transaction. Each is alone: one whose tasks are
    /// refused stays where it was and answers the error. `None` for one that has moved on, is paused or gone. A due time
    /// that was enqueued before is passed over. Overlap is judged here, by the tasks that are unsettled now.
    ///
    /// Safe to repeat: yes, because each moves on from where it was read, and an occurrence is a row with schedule and
    /// due time as its key.
    fn fire(&mut self, firings: &[Firing]) -> Result<Vec<Result<Option<Fired>>>>;

    /// The schedules of which occurrences wait although no task of theirs is unsettled any more, each with the earliest of
    /// these, unless it is paused. A read of one index when none waits.
    fn waiting_occurrences(&mut self) -> Result<Vec<(Kept, Millis)>>;

    /// Enqueues an occurrence that waits; `None` when a task of the schedule is still unsettled, or it waits no more.
    ///
    /// Safe to repeat: yes, because it waits no more then.
    fn fire_waiting(&mut self, name: &str, due_at: Millis, task: &NewTask, now_ms: Millis) -> Result<Option<i64>>;

    /// The schedules that a clock has moved which was ahead of `now_ms`. A read of one key when there are none.
    fn ahead_schedules(&mut self, now_ms: Millis) -> Result<Vec<Kept>>;

    /// Takes a schedule back to `next_at`, its first due time after `now_ms`, because the clock was set back: what was
    /// missed, skipped or put off after `now_ms` comes due again, what was enqueued does not. `false` when it has moved
    /// since it was read.
    ///
    /// Safe to repeat: yes, because it has moved then.
    fn rewind(&mut self, kept: &Kept, next_at: Option<Millis>, now_ms: Millis) -> Result<bool>;
}
