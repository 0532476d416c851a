//! The form of a cron expression, read before croner sees it.
//!
//! Croner lets some texts through that can only be mistakes (an empty item of a list, a month's name among the
//! minutes, a seventh field), and does not say where an error is. This reader knows each field's values, refuses
//! everything else with its place, and hands on an expression in capitals without nicknames.

use super::TimingError;
use super::piece::{Piece, all_plain};

struct Field {
    /// What one value of it is called in messages.
    what: &'static str,
    min: u32,
    max: u32,
    /// Names that stand for the values from `first` on.
    names: &'static [&'static str],
    first: u32,
}

const MONTHS: &[&str] = &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const SECOND: Field = Field { what: "a second", min: 0, max: 59, names: &[], first: 0 };
const MINUTE: Field = Field { what: "a minute", min: 0, max: 59, names: &[], first: 0 };
const HOUR: Field = Field { what: "an hour", min: 0, max: 23, names: &[], first: 0 };
const DAY: Field = Field { what: "a day of the month", min: 1, max: 31, names: &[], first: 1 };
const MONTH: Field = Field { what: "a month", min: 1, max: 12, names: MONTHS, first: 1 };
const WEEKDAY: Field = Field { what: "a weekday", min: 0, max: 7, names: WEEKDAYS, first: 0 };

const NICKNAMES: [(&str, &str); 7] = [
    ("@YEARLY", "0 0 1 1 *"),
    ("@ANNUALLY", "0 0 1 1 *"),
    ("@MONTHLY", "0 0 1 * *"),
    ("@WEEKLY", "0 0 * * 0"),
    ("@DAILY", "0 0 * * *"),
    ("@MIDNIGHT", "0 0 * * *"),
    ("@HOURLY", "0 * * * *"),
];

/// Longer than any expression that a person writes; a list of every second has 169 characters.
const LONGEST: usize = 1_000;

/// Every minute of an hour, every hour of a day; see [`Fields`].
pub(super) const ALL_MINUTES: u64 = (1 << 60) - 1;
pub(super) const ALL_HOURS: u64 = (1 << 24) - 1;

/// What the fields of an expression say. Two expressions with the same fields are due at the same local times.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Fields {
    /// Sets of values: bit v stands for the value v.
    pub(super) seconds: u64,
    pub(super) minutes: u64,
    pub(super) hours: u64,
    pub(super) days: Days,
    pub(super) months: u64,
    pub(super) weekdays: Weekdays,
    /// It runs whenever the clock shows a time that matches, and not once for each.
    pub(super) follows_the_clock: bool,
}

/// The longest that each month can be.
const LENGTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

impl Fields {
    /// Whether there is a day at all that they name. There is no 30th of February, and no workday nearest to it.
    pub(super) fn has_a_day(&self) -> bool {
        // Each month has each weekday, and February a fifth one in some years.
        let by_weekday = !self.weekdays.any;
        let in_every_month = self.days.any || self.days.last || self.days.last_workday;
        let numbers = self.days.set | self.days.nearest_workday;
        let months = (1..).zip(LENGTHS).filter(|(month, _)| self.months & (1 << month) != 0);
        let by_number = months.map(|(_, length)| run(1, length, 1)).any(|days| days & numbers != 0);
        by_weekday || in_every_month || by_number
    }
}

/// The field of days of the month.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Days {
    /// `*` or `?`: the weekday decides alone.
    pub(super) any: bool,
    pub(super) set: u64,
    /// `L`
    pub(super) last: bool,
    /// `LW`
    pub(super) last_workday: bool,
    /// `15W`: the workday nearest to the 15th.
    pub(super) nearest_workday: u64,
}

/// The field of weekdays; Sunday is 0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Weekdays {
    /// `*` or `?`: the day of the month decides alone.
    pub(super) any: bool,
    pub(super) set: u64,
    /// `5L`: the last Friday of the month.
    pub(super) last: u64,
    /// `5#2`: the second Friday of the month. Sets of weekdays for the first to the fifth.
    pub(super) nth: [u64; 5],
}

/// An expression of the right form.
pub(super) struct Read {
    /// In capitals and without nicknames.
    pub(super) plain: String,
    pub(super) fields: Fields,
    /// Where the day of the month stands.
    pub(super) day_at: usize,
}

/// Reads what has the right form.
pub(super) fn read(text: &str) -> Result<Read, TimingError> {
    all_plain(text)?;
    if text.len() > LONGEST {
        return Err(TimingError::new(format!("it is longer than {LONGEST} characters"), Some(LONGEST)));
    }
    let mut plain = text.to_ascii_uppercase();
    let mut pieces: Vec<Piece<'_>> = Piece::whole(&plain).words().collect();
    if let Some(nickname) = pieces.first().filter(|piece| piece.text.starts_with('@')) {
        plain = plain_nickname(*nickname, pieces.get(1).copied())?.to_string();
        pieces = Piece::whole(&plain).words().collect();
    }
    let (second, [minute, hour, day, month, weekday]) = match pieces[..] {
        [minute, hour, day, month, weekday] => (None, [minute, hour, day, month, weekday]),
        [second, minute, hour, day, month, weekday] => (Some(second), [minute, hour, day, month, weekday]),
        _ => return wrong_number_of_fields(&pieces),
    };
    let seconds = second.map_or(Ok(1), |second| values(&SECOND, second))?;
    let (minutes, hours) = (values(&MINUTE, minute)?, values(&HOUR, hour)?);
    let (day_at, days) = (day.at, days(day)?);
    let (months, weekdays) = (values(&MONTH, month)?, weekdays(weekday)?);
    let each = |field: &Field, set: u64, piece: Piece<'_>| set == all_of(field) || piece.text.contains('*');
    let follows_the_clock = hours == all_of(&HOUR)
        || each(&MINUTE, minutes, minute)
        || second.is_some_and(|second| each(&SECOND, seconds, second));
    let fields = Fields { seconds, minutes, hours, days, months, weekdays, follows_the_clock };
    Ok(Read { plain, fields, day_at })
}

fn wrong_number_of_fields<T>(pieces: &[Piece<'_>]) -> Result<T, TimingError> {
    let has = match pieces.len() {
        0 => "it is empty".to_string(),
        1 => "it has 1 field".to_string(),
        n => format!("it has {n} fields"),
    };
    let fields = "minute, hour, day of month, month, weekday; seconds may stand in front";
    // What is missing is missing behind the last one.
    let end = pieces.last().map_or(0, |p| p.at + p.text.len());
    let at = pieces.get(6).map_or(end, |p| p.at);
    Err(TimingError::new(format!("{has}; 5 are needed: {fields}"), Some(at)))
}

fn plain_nickname(nickname: Piece<'_>, after: Option<Piece<'_>>) -> Result<&'static str, TimingError> {
    let written = nickname.text.to_ascii_lowercase();
    let Some((_, plain)) = NICKNAMES.iter().find(|(name, _)| *name == nickname.text) else {
        return nickname.wrong(match written.as_str() {
            "@reboot" => {
                "`@reboot` is not a time; a service of the system starts what is to run when it boots".to_string()
            }
            "@every" => "an interval is not a cron expression: write every = \"15m\" instead of cron".to_string(),
            "@at" => {
                "a one-off time is not a cron expression: write at = \"2026-11-09 02:01\" instead of cron".to_string()
            }
            _ => format!(
                "`{written}` is not a nickname; there are @yearly, @annually, @monthly, @weekly, @daily, @midnight and \
                 @hourly"
            ),
        });
    };
    match after {
        Some(after) => after.wrong(format!("nothing may follow `{written}`")),
        None => Ok(plain),
    }
}

fn all_of(field: &Field) -> u64 {
    run(field.min, field.max, 1)
}

fn run(first: u32, last: u32, step: u32) -> u64 {
    (first..=last).step_by(step as usize).fold(0, |set, value| set | 1 << value)
}

/// A field of values, ranges and steps.
fn values(field: &Field, piece: Piece<'_>) -> Result<u64, TimingError> {
    if piece.text == "*" {
        return Ok(all_of(field));
    }
    piece.split(',').try_fold(0, |set, item| Ok(set | item_of_values(field, item)?))
}

fn item_of_values(field: &Field, item: Piece<'_>) -> Result<u64, TimingError> {
    if item.text.is_empty() {
        return item.wrong(format!("{} is missing in the list", field.what));
    }
    if item.text == "*" {
        return item.wrong("`*` stands alone, not in a list");
    }
    if let Some((range, step)) = item.split_once('/') {
        return stepped(field, range, step);
    }
    if let Some((from, to)) = item.split_once('-') {
        let (first, last) = bounds(field, from, to)?;
        return Ok(run(first, last, 1));
    }
    value(field, item).map(|value| 1 << value)
}

fn days(piece: Piece<'_>) -> Result<Days, TimingError> {
    if piece.text == "*" || piece.text == "?" {
        return Ok(Days { any: true, ..Days::default() });
    }
    let mut days = Days::default();
    for item in piece.split(',') {
        match (item.text, item.without_end('W')) {
            ("L", _) => days.last = true,
            ("LW", _) => days.last_workday = true,
            (_, Some(day)) => days.nearest_workday |= 1 << value(&DAY, day)?,
            _ => days.set |= item_of_values(&DAY, item)?,
        }
    }
    // Croner would take such an `L` for the last workday.
    if days.last && (days.last_workday || days.nearest_workday != 0) {
        return piece.wrong("`L` and a workday (`LW`, `15W`) cannot stand in one list; make two schedules of it");
    }
    Ok(days)
}

fn weekdays(piece: Piece<'_>) -> Result<Weekdays, TimingError> {
    if piece.text == "*" || piece.text == "?" {
        return Ok(Weekdays { any: true, ..Weekdays::default() });
    }
    let mut weekdays = Weekdays::default();
    for item in piece.split(',') {
        if item.text == "L" {
            return item.wrong("`L` needs a weekday before it, as in 5L: the last Friday of the month");
        }
        if let Some((day, nth)) = item.split_once('#') {
            let day = value(&WEEKDAY, day)? % 7;
            match number(nth.text).and_then(|n| weekdays.nth.get_mut((n as usize).wrapping_sub(1))) {
                Some(days) if nth.text.len() == 1 => *days |= 1 << day,
                _ => return nth.wrong(format!("`{}` must be 1 to 5: which one of the month", nth.text)),
            }
        } else if let Some(day) = item.without_end('L') {
            weekdays.last |= 1 << (value(&WEEKDAY, day)? % 7);
        } else {
            let set = item_of_values(&WEEKDAY, item)?;
            weekdays.set |= set & 0x7f | set >> 7;
        }
    }
    Ok(weekdays)
}

fn stepped(field: &Field, range: Piece<'_>, step: Piece<'_>) -> Result<u64, TimingError> {
    let (first, last) = if range.text == "*" {
        // Sunday is 0 here, and not 7 too.
        (field.min, if field.what == WEEKDAY.what { 6 } else { field.max })
    } else {
        let Some((from, to)) = range.split_once('-') else {
            return range.wrong(format!("a step needs a range before it, as in */{} or 1-5/{}", step.text, step.text));
        };
        bounds(field, from, to)?
    };
    match number(step.text) {
        Some(step @ 1..) => Ok(run(first, last, step)),
        _ => step.wrong(format!("`{}` is not a step (1 or more)", step.text)),
    }
}

fn bounds(field: &Field, from: Piece<'_>, to: Piece<'_>) -> Result<(u32, u32), TimingError> {
    let first = value(field, from)?;
    let last = match to.text {
        "SUN" if field.what == WEEKDAY.what => 7,
        _ => value(field, to)?,
    };
    if first > last {
        // Written out: FRI-MON is FRI-SUN,MON, and 22-4 is 22-23,0-4.
        let (end, start) = match field.what {
            "a weekday" => ("SUN".to_string(), "MON".to_string()),
            _ => (field.max.to_string(), field.min.to_string()),
        };
        let range = |from: &str, to: &str| if from == to { from.to_string() } else { format!("{from}-{to}") };
        let (front, back) = (range(from.text, &end), range(&start, to.text));
        return from.wrong(format!("the range `{}-{}` runs backwards; write {front},{back}", from.text, to.text));
    }
    Ok((first, last))
}

fn value(field: &Field, piece: Piece<'_>) -> Result<u32, TimingError> {
    let named = field.names.iter().zip(field.first..).find(|(name, _)| **name == piece.text);
    if let Some((_, value)) = named {
        return Ok(value);
    }
    match number(piece.text) {
        Some(value) if value >= field.min && value <= field.max => Ok(value),
        _ => {
            let names = match (field.names.first(), field.names.last()) {
                (Some(first), Some(last)) => format!(", or {first} to {last}"),
                _ => String::new(),
            };
            let (text, what, hint) = (piece.text, field.what, hint(field, piece.text));
            piece.wrong(format!("`{text}` is not {what} ({} to {}{names}){hint}", field.min, field.max))
        }
    }
}

fn hint(field: &Field, text: &str) -> &'static str {
    match (field.what, text) {
        ("an hour", "24") => "; midnight is 0",
        ("a second", "60") => "; a leap second is no time of its own here",
        _ => "",
    }
}

/// At most four digits, so that no step overflows in croner.
fn number(text: &str) -> Option<u32> {
    if text.len() > 4 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}
