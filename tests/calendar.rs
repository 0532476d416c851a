//! The calendar: the tables of `docs/schedules.md`, and a decade of occurrences, compared with an implementation that shares nothing with ours: Python's croniter.
//!
//! `tests/run` installs it into `target/croniter`. Where the two differ on purpose is listed in `docs/schedules.md` and in
//! [`DIFFERENCES`] below; everything else must be equal, to the second.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first thing that cannot be"
)]

mod calendar {
    pub(super) mod page;
}
mod needs;

use chrono::{LocalResult, NaiveDate, Offset, TimeZone};
use chrono_tz::Tz;
use rowmill::cron::Timing;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Half-hour and southern rules, a gap at the end of a day, changes around a month that moves, two zones that gave daylight
/// saving up within the decade or before, and two that have none.
const ZONES: [Tz; 10] = [
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::Australia__Lord_Howe,
    Tz::Australia__Adelaide,
    Tz::America__Nuuk,
    Tz::Africa__Casablanca,
    Tz::Asia__Tehran,
    Tz::America__Sao_Paulo,
    Tz::Asia__Kathmandu,
    Tz::UTC,
];

/// Forms and dates that a generator rarely hits.
const ODD: [&str; 44] = [
    "30 2 * * *",
    "0 0 * * *",
    "0,30 2 * * *",
    "30 1-3 * * *",
    "15 */2 * * *",
    "0 * * * *",
    "17 * * * *",
    "*/7 * * * *",
    "*/20 2 * * *",
    "*/15 0-5 * * *",
    "* 2 * * *",
    "0 0-23 * * 0",
    "0 */5 * * *",
    "45 23 * * sat",
    "45 23 * * 6",
    "0 0 * * 7",
    "0 0 * * sun,3",
    "0 0 * * SAT-SUN",
    "0 12 * * MON-FRI",
    "0 12 * jan-mar,DEC *",
    "0 12 1-31/7 * *",
    "0 12 */10 * *",
    "0 12 */10 * 1",
    "0 12 13 * FRI",
    "0 12 1,15 */3 2",
    "0 12 ? * 2",
    "0 12 31 * *",
    "0 12 30,31 * *",
    "0 12 29 2 *",
    "0 12 29 2 1",
    "59 23 31 12 *",
    "0 0 1 1 *",
    "0 12 L * *",
    "0 12 L 2 *",
    "0 12 15W * *",
    "0 12 1W * *",
    "0 12 * * 5L",
    "0 12 * * 0#1",
    "0 12 * * 3#5",
    "0 12 * 3,10 0#4",
    "30 30 2 * * *",
    "0,20,40 59 1 * * 0",
    "@weekly",
    "@monthly",
];

/// How many are made from the seed, besides.
const MADE: usize = 240;
const SEED: u64 = 20_261_109;

/// Numbers from a seed, the same on every machine.
struct Dice(u64);

impl Dice {
    /// From `low` to `high`, both included.
    fn roll(&mut self, low: u32, high: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        low + u32::try_from((self.0 >> 20) % u64::from(high - low + 1)).unwrap()
    }

    /// A field without `*`. Ranges have at least two values: of `5-5` croniter makes the whole cycle.
    fn some(&mut self, low: u32, high: u32) -> String {
        let items = (0..self.roll(1, 3)).map(|_| {
            let (a, b) = (self.roll(low, high - 1), self.roll(low + 1, high));
            let step = self.roll(1, 4);
            match self.roll(0, 5) {
                0 if a < b => format!("{a}-{b}"),
                1 if a < b => format!("{a}-{b}/{step}"),
                _ => a.to_string(),
            }
        });
        items.collect::<Vec<_>>().join(",")
    }

    fn field(&mut self, low: u32, high: u32, stars: u32) -> String {
        match self.roll(1, 10) {
            n if n <= stars => "*".to_string(),
            n if n == stars + 1 => format!("*/{}", self.roll(2, (high - low) / 2)),
            _ => self.some(low, high),
        }
    }

    /// Half of the hours are those in which clocks change.
    fn expression(&mut self) -> String {
        let minute = self.field(0, 59, 1);
        let hour = if self.roll(0, 1) == 0 { self.some(0, 4) } else { self.field(0, 23, 1) };
        let (day, weekday) = match self.roll(0, 4) {
            0 => (self.field(1, 31, 1), self.field(0, 6, 1)),
            1 => (self.some(1, 31), "*".to_string()),
            2 => ("L".to_string(), "*".to_string()),
            3 => ("*".to_string(), format!("{}#{}", self.roll(0, 6), self.roll(1, 5))),
            _ => ("*".to_string(), self.field(0, 6, 3)),
        };
        format!("{minute} {hour} {day} {} {weekday}", self.field(1, 12, 6))
    }
}

/// As croniter spells it: the last Friday is `L5` there.
fn spelt(cron: &str) -> String {
    let fields = cron.split(' ').enumerate().map(|(i, field)| match field.strip_suffix('L') {
        Some(day) if i == 4 && !day.is_empty() => format!("L{day}"),
        _ => field.to_string(),
    });
    fields.collect::<Vec<_>>().join(" ")
}

fn day_s(year: i32, month: u32, day: u32) -> i64 {
    NaiveDate::from_ymd_opt(year, month, day).unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp()
}

fn offset_s(zone: Tz, at_s: i64) -> i64 {
    zone.timestamp_opt(at_s, 0).unwrap().offset().fix().local_minus_utc().into()
}

/// The changes of a zone's clock within the decade.
fn changes(zone: Tz) -> Vec<i64> {
    let quarters: Vec<i64> = (day_s(2020, 1, 1)..=day_s(2031, 1, 1)).step_by(900).collect();
    quarters.windows(2).filter(|pair| offset_s(zone, pair[0]) != offset_s(zone, pair[1])).map(|pair| pair[1]).collect()
}

/// What one side is asked for.
struct Run {
    cron: String,
    zone: Tz,
    from_s: i64,
    until_s: i64,
}

/// At most so many occurrences of one run are asked for.
const MOST: usize = 4_500;
/// An expression with more than this in the decade is compared for some days around what is odd about them.
const FEW: usize = 150;

/// The whole decade of what is rare, and of all daily times in the list of odd ones; else the days around each change of the
/// clock, the end of February and the end of the year.
fn runs() -> Vec<Run> {
    let mut dice = Dice(SEED);
    let made: Vec<String> = (0..MADE).map(|_| dice.expression()).collect();
    let changes: BTreeMap<&str, Vec<i64>> = ZONES.iter().map(|zone| (zone.name(), changes(*zone))).collect();
    let mut runs = Vec::new();
    let decade = (day_s(2020, 1, 1) - 1, day_s(2031, 1, 1));
    for (i, cron) in ODD.iter().map(|odd| (*odd).to_string()).chain(made).enumerate() {
        let timing = Timing::parse_cron(&cron).unwrap_or_else(|e| panic!("{cron}: {e}"));
        let zones: Vec<Tz> =
            if i < ODD.len() { ZONES.to_vec() } else { vec![ZONES[i % 10], ZONES[(i + i / 10 + 1) % 10]] };
        for (nth, zone) in zones.into_iter().enumerate() {
            let count = timing.due(decade.0 * 1_000, decade.1 * 1_000, zone).take(FEW + 1).count();
            let whole = count <= FEW || i < 2 && nth < 3;
            let spans = if whole { vec![decade] } else { odd_days(&changes[zone.name()], i) };
            runs.extend(spans.into_iter().map(|(from_s, until_s)| Run { cron: cron.clone(), zone, from_s, until_s }));
        }
    }
    runs
}

/// Some of the changes, and a turn of month or year: others for each expression.
fn odd_days(changes: &[i64], i: usize) -> Vec<(i64, i64)> {
    let few = changes.iter().skip(i % 5).step_by(5).map(|change_s| (change_s - 30_000, change_s + 30_000));
    let year = 2020 + i32::try_from(i % 10).unwrap();
    let turn_s = if i.is_multiple_of(2) { day_s(year, 2, 28) } else { day_s(year, 12, 31) };
    few.chain([(turn_s, turn_s + 130_000)]).collect()
}

/// The answers of croniter to questions, one line each.
fn ask(python: &Path, questions: &[String]) -> Vec<serde_json::Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/calendar/occurrences.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = questions.join("\n") + "\n";
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let answers = String::from_utf8(output.stdout).unwrap();
    answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Why croniter has an occurrence that we do not have, if that is meant to be.
fn croniters_own(cron: &str, zone: Tz, at_s: i64) -> Option<&'static str> {
    if !follows_the_clock(cron) && is_second_of_two(zone, at_s).is_some() {
        return Some("named times are due again in a repeat");
    }
    if keeps_its_second(cron) && offset_s(zone, at_s) > offset_s(zone, at_s - 60) {
        return Some("the second of a named time is kept after a gap");
    }
    let some_hours = follows_the_clock(cron) && !cron.ends_with("* * * *");
    (some_hours && offset_s(zone, at_s) > offset_s(zone, at_s - 1))
        .then_some("what is left out is made up for after a gap")
}

/// Why we have an occurrence that croniter does not have, if that is meant to be. In a repeat of half an hour, as on Lord
/// Howe, it does not see that what follows begins again.
fn ours_alone(cron: &str, zone: Tz, at_s: i64) -> Option<&'static str> {
    if keeps_its_second(cron) && offset_s(zone, at_s) > offset_s(zone, at_s - 1) {
        return Some("the second of a named time is kept after a gap");
    }
    let short = follows_the_clock(cron) && is_second_of_two(zone, at_s).is_some_and(|repeat_s| repeat_s < 3_600);
    short.then_some("half an hour is not repeated")
}

/// Whether every hour or every n-th minute is meant, and not times of day.
fn follows_the_clock(cron: &str) -> bool {
    let fields: Vec<&str> = cron.split(' ').collect();
    let (smaller, hour) = fields.split_at(fields.len().saturating_sub(4));
    smaller.iter().any(|field| field.contains('*')) || ["*", "0-23"].contains(&hour[0])
}

/// Whether it names times of day that are not at the beginning of a minute.
fn keeps_its_second(cron: &str) -> bool {
    cron.split(' ').count() == 6 && !follows_the_clock(cron)
}

/// How long before this instant the clock showed the same time, if it did.
fn is_second_of_two(zone: Tz, at_s: i64) -> Option<i64> {
    let local = zone.timestamp_opt(at_s, 0).unwrap().naive_local();
    match zone.from_local_datetime(&local) {
        LocalResult::Ambiguous(a, b) if at_s == a.max(b).timestamp() => Some(at_s - a.min(b).timestamp()),
        _ => None,
    }
}

/// What differs on purpose, or because croniter errs: in the words of the page.
const DIFFERENCES: [&str; 4] = [
    "half an hour is not repeated",
    "named times are due again in a repeat",
    "the second of a named time is kept after a gap",
    "what is left out is made up for after a gap",
];

#[test]
fn a_decade_is_as_croniter_says() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/croniter/bin/python");
    let probe = Command::new(&python).args(["-c", "import croniter, zoneinfo"]).stderr(Stdio::null()).status();
    if !needs::that(probe.is_ok_and(|status| status.success()), "croniter", "run tests/run, which installs it") {
        return;
    }
    // The zone data of this machine may be another year's.
    let zones: Vec<Tz> = ZONES.into_iter().filter(|zone| has_our_data(&python, *zone)).collect();
    assert!(zones.len() >= 5 && zones.contains(&Tz::UTC), "only these zones are the same: {zones:?}");
    let runs: Vec<Run> = runs().into_iter().filter(|run| zones.contains(&run.zone)).collect();
    let answers = answers(&python, &runs);
    assert_eq!(answers.len(), runs.len());

    let (mut compared, mut differences) = (0, BTreeMap::new());
    for (run, theirs) in runs.iter().zip(answers) {
        compared += theirs.len();
        compare(run, theirs, &mut differences);
    }
    assert!(compared > 50_000, "{compared} occurrences were compared");
    assert_eq!(differences.keys().copied().collect::<Vec<_>>(), DIFFERENCES, "not all differences were met");
    let page = calendar::page::text();
    assert!(DIFFERENCES.iter().all(|difference| page.contains(difference)), "the page lists them");
}

fn compare(run: &Run, theirs: Vec<i64>, differences: &mut BTreeMap<&'static str, usize>) {
    let Run { cron, zone, .. } = run;
    let until_s = if theirs.len() == MOST { theirs[MOST - 1] } else { run.until_s };
    let timing = Timing::parse_cron(cron).unwrap();
    let ours: Vec<i64> = timing.due(run.from_s * 1_000, until_s * 1_000, *zone).map(|at_ms| at_ms / 1_000).collect();
    let mut is_meant = |reason: Option<&'static str>| {
        reason.is_some_and(|reason| {
            *differences.entry(reason).or_insert(0) += 1;
            true
        })
    };
    let has = |list: &[i64], at_s: i64| list.binary_search(&at_s).is_ok();
    let odd = theirs.iter().find(|at_s| !has(&ours, **at_s) && !is_meant(croniters_own(cron, *zone, **at_s)));
    let missed = ours.iter().find(|at_s| !has(&theirs, **at_s) && !is_meant(ours_alone(cron, *zone, **at_s)));
    let shown = |at_s: Option<&i64>| at_s.map(|at_s| zone.timestamp_opt(*at_s, 0).unwrap().to_string());
    assert_eq!((shown(missed), shown(odd)), (None, None), "due for us or for croniter alone: {cron} in {zone}");
}

/// Croniter's occurrences of each run. Half of them is found beside the other.
fn answers(python: &Path, runs: &[Run]) -> Vec<Vec<i64>> {
    let question = |run: &Run| {
        let (cron, zone) = (spelt(&run.cron), run.zone.name());
        serde_json::json!({ "cron": cron, "zone": zone, "from": run.from_s, "until": run.until_s, "most": MOST })
    };
    let questions: Vec<String> = runs.iter().map(|run| question(run).to_string()).collect();
    let (front, back) = questions.split_at(questions.len() / 2);
    let answers: Vec<serde_json::Value> = std::thread::scope(|scope| {
        let halves = [front, back].map(|part| scope.spawn(|| ask(python, part)));
        halves.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    answers.into_iter().map(|answer| serde_json::from_value(answer).unwrap()).collect()
}

fn has_our_data(python: &Path, zone: Tz) -> bool {
    let known = [day_s(2020, 1, 1), day_s(2030, 12, 31)];
    let edges = changes(zone).into_iter().flat_map(|change_s| [change_s - 1, change_s]).chain(known);
    let offsets: Vec<(i64, i64)> = edges.map(|at_s| (at_s, offset_s(zone, at_s))).collect();
    let question = serde_json::json!({ "zone": zone.name(), "offsets": offsets }).to_string();
    ask(python, &[question])[0] == serde_json::Value::Bool(true)
}
