//! A year of ticks, with a clock that the test sets: outages, restarts, pauses, a clock that is set back and one that runs
//! ahead, both changes of daylight saving in three zones, for each policy.
//!
//! The oracle knows nothing of cron: it walks over every minute of the year, looks at the local time, and judges by the
//! rules as docs/schedules.md has them. What the store holds in the end must be what it says, task by task.

use crate::scene::{PARTITIONS, Scene};
use chrono::{DateTime, Datelike, NaiveDateTime, Timelike, Utc};
use chrono_tz::Tz;
use rowmill::schedule::{Answer, Calendar, tick};
use rowmill::store::{CatchUp, Origin, Schedule};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

on_every_backend!(a_year_loses_nothing_and_doubles_nothing);

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// The first of January 2030, 00:00 UTC.
const BEGIN_MS: i64 = 1_893_456_000_000;
const END_MS: i64 = BEGIN_MS + 365 * DAY_MS;
/// Later than this is late, when catch_up = skip.
const IN_TIME_MS: i64 = 120_000;
const WINDOW_MS: i64 = 3 * HOUR_MS;

/// When an entry is due, as text and as what the local time must be.
#[derive(Clone, Copy)]
enum Times {
    /// Each day at a local time, or right after it was left out; the first of two.
    Daily(u32, u32),
    /// Whenever the local minute is 0.
    Hourly,
    /// Sundays at 03:00.
    Weekly,
    /// Each 90 minutes from 1970 on.
    Every,
}

impl Times {
    fn text(self) -> String {
        match self {
            Times::Daily(hour, minute) => format!("{minute} {hour} * * *"),
            Times::Hourly => "0 * * * *".to_string(),
            Times::Weekly => "0 3 * * SUN".to_string(),
            Times::Every => "every 90m".to_string(),
        }
    }

    /// Every due time in `(from_ms, to_ms]`, minute by minute.
    fn walk(self, zone: Tz, from_ms: i64, to_ms: i64) -> Vec<i64> {
        let local = |ms: i64| -> NaiveDateTime {
            DateTime::<Utc>::from_timestamp_millis(ms).unwrap().with_timezone(&zone).naive_local()
        };
        let at = |date: NaiveDateTime, hour, minute| date.date().and_hms_opt(hour, minute, 0).unwrap();
        let mut found = Vec::new();
        // A named time of day is passed when the local clock shows it, or more, for the first time on that day.
        let mut passed = BTreeSet::new();
        for ms in (from_ms - 2 * DAY_MS..=to_ms).step_by(MINUTE_MS as usize) {
            let now = local(ms);
            let named = |hour, minute| now >= at(now, hour, minute);
            let due = match self {
                Times::Daily(hour, minute) => named(hour, minute) && passed.insert(now.date()),
                Times::Weekly => now.weekday() == chrono::Weekday::Sun && named(3, 0) && passed.insert(now.date()),
                Times::Hourly => now.minute() == 0,
                Times::Every => ms % (90 * MINUTE_MS) == 0,
            };
            if due && ms > from_ms {
                found.push(ms);
            }
        }
        found
    }
}

/// What the oracle knows of an entry.
struct Entry {
    schedule: Schedule,
    due: Vec<i64>,
    /// All due times up to here are judged; what lies behind is open, unless it was enqueued.
    upto_ms: i64,
    fired: BTreeSet<i64>,
}

impl Entry {
    fn ticked(&mut self, now_ms: i64) {
        if now_ms < self.upto_ms {
            self.upto_ms = now_ms;
            return;
        }
        let due: Vec<i64> = self.due.iter().copied().filter(|at| *at > self.upto_ms && *at <= now_ms).collect();
        let wanted = |at: &i64| match self.schedule.catch_up {
            CatchUp::Once => due.last() == Some(at),
            CatchUp::All => true,
            CatchUp::Skip => now_ms - at <= IN_TIME_MS,
            CatchUp::Window(_) => now_ms - at <= WINDOW_MS,
        };
        let wanted: Vec<i64> = due.iter().copied().filter(wanted).collect();
        // (At most a thousand at once, which nothing here reaches.)
        self.fired.extend(wanted);
        self.upto_ms = now_ms;
    }
}

fn entries() -> Vec<Entry> {
    let berlin = [Times::Daily(2, 30), Times::Every].map(|times| (Tz::Europe__Berlin, times));
    let lord_howe = [Times::Daily(2, 15), Times::Hourly].map(|times| (Tz::Australia__Lord_Howe, times));
    let santiago = [Times::Daily(0, 0), Times::Weekly].map(|times| (Tz::America__Santiago, times));
    let policies = [CatchUp::Once, CatchUp::Skip, CatchUp::All, CatchUp::Window(WINDOW_MS.unsigned_abs())];
    let mut entries = Vec::new();
    for (zone, times) in [berlin, lord_howe, santiago].concat() {
        let due = times.walk(zone, BEGIN_MS, END_MS + 60 * DAY_MS);
        for catch_up in policies {
            let name = format!("{} {} {catch_up}", zone.name(), times.text());
            let param = "\"{due_ms}\"".to_string();
            let of_name = Schedule::new(&name, &times.text(), "year");
            let schedule = Schedule { origin: Origin::File, zone, catch_up, param, ..of_name };
            entries.push(Entry { schedule, due: due.clone(), upto_ms: BEGIN_MS, fired: BTreeSet::new() });
        }
    }
    entries
}

/// What the clock shows at each tick: when what is rare is due, every six hours, and each minute for a while after
/// something has happened.
fn clock(entries: &[Entry]) -> Vec<i64> {
    let rare = entries.iter().filter(|entry| entry.due.len() < 1_000).flat_map(|entry| entry.due.iter().copied());
    let rare: BTreeSet<i64> = rare.collect();
    let day = |n: i64| BEGIN_MS + n * DAY_MS;
    // From when to when nobody ticks. The second lies over a change of each zone, the third over the year's middle.
    let outages = [(day(20), day(20) + 5 * HOUR_MS), (day(85), day(98) + 7 * MINUTE_MS), (day(180), day(183) + 1)];
    // From when to when the clock is wrong, and by how much.
    let wrong = [
        (day(30), day(31), -HOUR_MS),
        (day(40), day(40) + 2 * HOUR_MS, DAY_MS),
        (day(110), day(110) + HOUR_MS, 40 * DAY_MS),
        // Over the changes of Berlin in March and October, and of the others in April.
        (day(89), day(90), -3 * HOUR_MS),
        (day(97) + HOUR_MS, day(98), 2 * HOUR_MS),
        (day(300), day(300) + 4 * HOUR_MS, -2 * DAY_MS),
    ];
    let edges: Vec<i64> =
        outages.iter().map(|(_, to)| *to).chain(wrong.iter().flat_map(|(a, b, _)| [*a, *b])).collect();
    let fine = |at: i64| edges.iter().any(|edge| (*edge..edge + 10 * MINUTE_MS).contains(&at));
    let mut shown = Vec::new();
    for minute in 0..365 * 24 * 60 {
        let true_ms = BEGIN_MS + minute * MINUTE_MS + 1_500;
        let out = outages.iter().any(|(from, to)| (*from..*to).contains(&true_ms));
        if out || (minute % 360 != 0 && !rare.contains(&(true_ms - 1_500)) && !fine(true_ms)) {
            continue;
        }
        let off = wrong.iter().find(|(from, to, _)| (*from..*to).contains(&true_ms)).map_or(0, |(.., off)| *off);
        shown.push(true_ms + off);
    }
    shown
}

fn pass(s: &mut Scene, schedules: &[Schedule], now_ms: i64) {
    let mut ask = |name: &str| -> Answer { panic!("{name} has no command") };
    let mut calendar = Calendar { schedules, ask: &mut ask };
    let blamed = |lost: &rowmill::store::LostClaim| panic!("task {} is blamed", lost.task.id);
    tick(s.store.as_mut(), &mut calendar, PARTITIONS, now_ms, Duration::from_secs(30), &blamed, &mut |_| Ok(()))
        .unwrap();
}

fn a_year_loses_nothing_and_doubles_nothing(s: &mut Scene) {
    s.expect_folds();
    let mut entries = entries();
    let schedules: Vec<Schedule> = entries.iter().map(|entry| entry.schedule.clone()).collect();
    pass(s, &schedules, BEGIN_MS);
    // Every third entry is paused for a while.
    let paused = |entry: usize| entry.is_multiple_of(3);
    let (pause_at, resume_at) = (BEGIN_MS + 250 * DAY_MS, BEGIN_MS + 260 * DAY_MS);
    let mut is_paused = false;
    for (n, now_ms) in clock(&entries).into_iter().enumerate() {
        if n % 500 == 0 {
            s.store = s.another();
        }
        let pauses = (pause_at..resume_at).contains(&now_ms);
        if pauses != is_paused {
            is_paused = pauses;
            for (_, schedule) in schedules.iter().enumerate().filter(|(entry, _)| paused(*entry)) {
                match pauses {
                    true => s.store.pause_schedule(&schedule.name, "test", now_ms).unwrap(),
                    false => s.store.resume_schedule(&schedule.name, now_ms).unwrap(),
                };
            }
        }
        pass(s, &schedules, now_ms);
        for (_, entry) in entries.iter_mut().enumerate().filter(|(n, _)| !(is_paused && paused(*n))) {
            entry.ticked(now_ms);
        }
    }
    let mut tasks: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let all = "SELECT o.schedule, CAST(trim(q.param, '\"') AS INTEGER), o.due_at FROM queue q
                 JOIN rowmill_occurrence o ON o.task = q.id WHERE q.job = 'year' ORDER BY 1, 2";
    let mut query = s.database.conn.prepare(all).unwrap();
    let mut rows = query.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let (name, param, due_at): (String, i64, i64) = (row.get(0).unwrap(), row.get(1).unwrap(), row.get(2).unwrap());
        assert_eq!(param, due_at, "{name}");
        tasks.entry(name).or_default().push(due_at);
    }
    drop(rows);
    drop(query);
    let number = tasks.values().map(Vec::len).sum::<usize>();
    assert_eq!(
        s.number("SELECT count(*) FROM queue WHERE job = 'year'"),
        i64::try_from(number).unwrap(),
        "no task is without one"
    );
    for entry in &entries {
        judge(s, entry, &tasks[&entry.schedule.name]);
    }
}

/// Whether an entry has the tasks that the oracle says, and a record of every other due time.
fn judge(s: &mut Scene, entry: &Entry, tasks: &[i64]) {
    let name = &entry.schedule.name;
    let wanted: Vec<i64> = entry.fired.iter().copied().collect();
    let differ = wanted.iter().zip(tasks).find(|(a, b)| a != b);
    assert_eq!((wanted.len(), differ), (tasks.len(), None), "{name}");
    let past: Vec<i64> = entry.due.iter().copied().filter(|at| *at <= entry.upto_ms).collect();
    if entry.schedule.catch_up == CatchUp::All {
        let run: Vec<i64> = tasks.iter().copied().filter(|at| *at <= entry.upto_ms).collect();
        assert_eq!(run, past, "{name}: all means all");
    }
    let found = s.store.occurrences(name, u32::MAX).unwrap();
    let recorded = |at: i64| found.iter().any(|one| (one.due_at..=one.last_at).contains(&at));
    let lost: Vec<i64> = past.iter().copied().filter(|at| !recorded(*at)).collect();
    assert_eq!(lost, [0; 0], "{name}: nobody knows what became of these");
    let rows = found.iter().filter(|one| one.outcome != "fired").count();
    assert!(rows <= tasks.len() + 60, "{name}: {rows} rows about what did not run, which come in runs");
}
