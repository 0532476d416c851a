//! Cron expressions in plain language.
//!
//! The words are made of the sets that a text stands for, so another way to write the same has the same words; and they
//! say all of the sets, so what is due at other times has other words. Nothing is said about changes of the clock.

use super::grammar::{ALL_HOURS, ALL_MINUTES, Days, Fields, Weekdays};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const ORDINALS: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];

const ALL_DAYS: u64 = 0xffff_fffe;
const ALL_MONTHS: u64 = 0x1ffe;
const ALL_WEEKDAYS: u64 = 0x7f;

/// At most so many times of day are listed one by one.
const TIMES: usize = 6;

/// What the fields say: when on a day, on which days, in which months.
pub(super) fn fields(fields: &Fields) -> String {
    let (time, is_list) = time(fields.seconds, fields.minutes, fields.hours);
    let months = values(fields.months);
    let single_month = match months[..] {
        [month] => MONTHS.get(month as usize - 1).copied(),
        _ => None,
    };
    let days = days(&fields.days, &fields.weekdays, single_month.unwrap_or("the month"));
    let mut text = time;
    match &days {
        Some(days) => text += &format!(" {}", days.join(" and ")),
        None if is_list => text += " every day",
        None => {}
    }
    let month_is_said = single_month.is_some_and(|month| days.iter().flatten().all(|d| d.ends_with(month)));
    if fields.months != ALL_MONTHS && !(month_is_said && days.is_some()) {
        text += &format!(" in {}", named(&months, |month| MONTHS[month as usize - 1].to_string()));
    }
    text
}

/// When on a day, and whether that is a list of times of day.
fn time(seconds: u64, minutes: u64, hours: u64) -> (String, bool) {
    let (s, m, h) = (values(seconds), values(minutes), values(hours));
    if s.len() * m.len() * h.len() <= TIMES {
        let mut times = Vec::new();
        for hour in &h {
            for minute in &m {
                times.extend(s.iter().map(|second| match seconds {
                    1 => format!("{hour:02}:{minute:02}"),
                    _ => format!("{hour:02}:{minute:02}:{second:02}"),
                }));
            }
        }
        return (format!("at {}", and(&times)), true);
    }
    let text = if seconds != 1 {
        let said = often("second", &s);
        match minutes {
            ALL_MINUTES if said.starts_with("at ") => format!("{said} of every minute{}", in_hours(hours, &h)),
            ALL_MINUTES => said + &in_hours(hours, &h),
            _ if hours == ALL_HOURS => format!("{said} in the {} of every hour", counted("minute", &m)),
            _ => format!("{said} in the {}{}", counted("minute", &m), in_hours(hours, &h)),
        }
    } else if minutes == ALL_MINUTES || step(&m, 60).is_some() {
        format!("{}{}", often("minute", &m), in_hours(hours, &h))
    } else {
        match (&m[..], run(&h), step(&h, 24)) {
            ([0], _, _) if hours == ALL_HOURS => "every hour".to_string(),
            (_, _, _) if hours == ALL_HOURS => format!("{} of every hour", often("minute", &m)),
            ([minute], _, Some(n)) => format!("every {n} hours from 00:{minute:02}"),
            ([minute], Some((from, to)), _) => format!("every hour from {from:02}:{minute:02} to {to:02}:{minute:02}"),
            _ => format!("{} in the {}", often("minute", &m), counted("hour", &h)),
        }
    };
    (text, false)
}

/// `every 5 minutes`, `every second`, `at minutes 1 and 2`.
fn often(unit: &str, list: &[u32]) -> String {
    if list.len() == 60 {
        return format!("every {unit}");
    }
    match step(list, 60) {
        Some(n) => format!("every {n} {unit}s"),
        None => format!("at {}", counted(unit, list)),
    }
}

/// What is said of the hours behind something that happens within each of them.
fn in_hours(hours: u64, list: &[u32]) -> String {
    match run(list) {
        _ if hours == ALL_HOURS => String::new(),
        Some((from, to)) => format!(" from {from:02}:00 to {to:02}:59"),
        None => format!(" in the {}", counted("hour", list)),
    }
}

/// On which days; `None` is every day.
fn days(days: &Days, weekdays: &Weekdays, month: &str) -> Option<Vec<String>> {
    if days.any && weekdays.any {
        return None;
    }
    let mut weekdays = weekdays.clone();
    // What happens on each first to fifth Friday happens on each Friday, and on the last one too.
    weekdays.set |= weekdays.nth.iter().fold(ALL_WEEKDAYS, |all, days| all & days);
    weekdays.last &= !weekdays.set;
    weekdays.nth = weekdays.nth.map(|nth| nth & !weekdays.set);
    if days.set == ALL_DAYS || weekdays.set == ALL_WEEKDAYS {
        return None;
    }
    let mut said = Vec::new();
    let mut dates: Vec<String> = parts(&values(days.set), ordinal);
    if days.last {
        dates.push("last day".to_string());
    }
    if !dates.is_empty() {
        said.push(format!("on the {} of {month}", and(&dates)));
    }
    for day in values(days.nearest_workday) {
        said.push(format!("on the workday nearest to the {} of {month}", ordinal(day)));
    }
    if days.last_workday {
        said.push(format!("on the last workday of {month}"));
    }
    let has_dates = !said.is_empty();
    if weekdays.set != 0 {
        let each = if has_dates { "every " } else { "" };
        // The week begins on Monday where its days are counted up.
        let mut list: Vec<u32> = values(weekdays.set).into_iter().map(|day| (day + 6) % 7).collect();
        list.sort_unstable();
        said.push(format!("on {each}{}", named(&list, |day| WEEKDAYS[(day as usize + 1) % 7].to_string())));
    }
    for (nth, set) in weekdays.nth.iter().enumerate() {
        said.extend(
            values(*set).iter().map(|d| format!("on the {} {} of {month}", ORDINALS[nth], WEEKDAYS[*d as usize])),
        );
    }
    said.extend(values(weekdays.last).iter().map(|d| format!("on the last {} of {month}", WEEKDAYS[*d as usize])));
    Some(said)
}

fn values(set: u64) -> Vec<u32> {
    (0..64).filter(|value| set >> value & 1 == 1).collect()
}

/// The n of 0, n, 2n, … below `of`, if there are at least two and n divides it.
fn step(list: &[u32], of: u32) -> Option<u32> {
    let n = *list.get(1)?;
    let is_step = of.is_multiple_of(n) && list.iter().copied().eq((0..of).step_by(n as usize));
    is_step.then_some(n).filter(|n| *n > 1)
}

/// The first and last of values that follow each other.
fn run(list: &[u32]) -> Option<(u32, u32)> {
    let (first, last) = (*list.first()?, *list.last()?);
    (last - first + 1 == list.len() as u32).then_some((first, last))
}

/// `minute 5`, `minutes 5 and 7`.
fn counted(unit: &str, list: &[u32]) -> String {
    let plural = if list.len() == 1 { "" } else { "s" };
    format!("{unit}{plural} {}", named(list, |value| value.to_string()))
}

fn named(list: &[u32], name: impl Fn(u32) -> String) -> String {
    and(&parts(list, name))
}

/// Values, with three and more that follow each other as `5 to 7`, and five and more at one distance as `1, 3, …, 9`.
fn parts(list: &[u32], name: impl Fn(u32) -> String) -> Vec<String> {
    if let [first, second, .., last] = list
        && list.len() >= 5
        && second - first > 1
        && list.windows(2).all(|pair| pair[1] - pair[0] == second - first)
    {
        return vec![format!("{}, {}, …, {}", name(*first), name(*second), name(*last))];
    }
    let mut parts = Vec::new();
    for run in list.chunk_by(|a, b| *b == *a + 1) {
        match run {
            [first, _, .., last] => parts.push(format!("{} to {}", name(*first), name(*last))),
            few => parts.extend(few.iter().map(|value| name(*value))),
        }
    }
    parts
}

/// `a, b and c`.
fn and(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [only] => only.clone(),
        [front @ .., last] => format!("{} and {last}", front.join(", ")),
    }
}

fn ordinal(n: u32) -> String {
    let end = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{end}")
}
