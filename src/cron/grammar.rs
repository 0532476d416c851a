//! The form of a cron expression, read before croner sees it.
//!
//! Croner lets some texts through that can only be mistakes (an empty item of a list, a month's name among the
//! minutes, a seventh field), and does not say where an error is. This reader knows each field's values, refuses
//! everything else with its place, and hands on an expression in capitals without nicknames.

use super::CronError;

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

const FIELDS: [&Field; 6] = [&SECOND, &MINUTE, &HOUR, &DAY, &MONTH, &WEEKDAY];

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

/// A piece of the text and the byte that it begins at.
#[derive(Clone, Copy)]
struct Piece<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Piece<'t> {
    fn split(self, separator: char) -> impl Iterator<Item = Piece<'t>> {
        let mut at = self.at;
        self.text.split(separator).map(move |text| {
            let piece = Piece { text, at };
            at += text.len() + separator.len_utf8();
            piece
        })
    }

    fn split_once(self, separator: char) -> Option<(Piece<'t>, Piece<'t>)> {
        let (left, right) = self.text.split_once(separator)?;
        let right = Piece { text: right, at: self.at + left.len() + separator.len_utf8() };
        Some((Piece { text: left, at: self.at }, right))
    }

    fn without_end(self, end: char) -> Option<Piece<'t>> {
        Some(Piece { text: self.text.strip_suffix(end)?, at: self.at })
    }

    fn wrong<T>(self, message: String) -> Result<T, CronError> {
        Err(CronError::new(message, Some(self.at)))
    }
}

/// The expression in capitals and without nicknames, if it has the right form.
pub(super) fn plain(text: &str) -> Result<String, CronError> {
    if let Some((at, odd)) = text.char_indices().find(|(_, c)| !c.is_ascii_graphic() && *c != ' ' && *c != '\t') {
        return Err(CronError::new(format!("`{}` has no meaning here", odd.escape_default()), Some(at)));
    }
    if text.len() > LONGEST {
        return Err(CronError::new(format!("it is longer than {LONGEST} characters"), Some(LONGEST)));
    }
    let capitals = text.to_ascii_uppercase();
    let all = Piece { text: &capitals, at: 0 };
    let pieces: Vec<Piece<'_>> = all.split(' ').flat_map(|p| p.split('\t')).filter(|p| !p.text.is_empty()).collect();
    if let Some(nickname) = pieces.first().filter(|p| p.text.starts_with('@')) {
        return plain_nickname(*nickname, pieces.get(1).copied());
    }
    let fields = match pieces.len() {
        5 => &FIELDS[1..],
        6 => &FIELDS[..],
        n => {
            let has = match n {
                0 => "it is empty".to_string(),
                1 => "it has 1 field".to_string(),
                n => format!("it has {n} fields"),
            };
            let fields = "minute, hour, day of month, month, weekday; seconds may stand in front";
            return Err(CronError::new(format!("{has}; 5 are needed: {fields}"), pieces.get(6).map(|p| p.at)));
        }
    };
    for (field, piece) in fields.iter().zip(&pieces) {
        field_is_well_formed(field, *piece)?;
    }
    Ok(capitals)
}

fn plain_nickname(nickname: Piece<'_>, after: Option<Piece<'_>>) -> Result<String, CronError> {
    if let Some(after) = after {
        return after.wrong(format!("nothing may follow `{}`", nickname.text.to_ascii_lowercase()));
    }
    match NICKNAMES.iter().find(|(name, _)| *name == nickname.text) {
        Some((_, plain)) => Ok((*plain).to_string()),
        None => nickname.wrong(format!(
            "`{}` is not a nickname; there are @yearly, @annually, @monthly, @weekly, @daily, @midnight and @hourly",
            nickname.text.to_ascii_lowercase()
        )),
    }
}

fn field_is_well_formed(field: &Field, piece: Piece<'_>) -> Result<(), CronError> {
    let is_day = std::ptr::eq(field, FIELDS[3]) || std::ptr::eq(field, FIELDS[5]);
    if piece.text == "*" || (piece.text == "?" && is_day) {
        return Ok(());
    }
    for item in piece.split(',') {
        item_is_well_formed(field, item)?;
    }
    Ok(())
}

fn item_is_well_formed(field: &Field, item: Piece<'_>) -> Result<(), CronError> {
    if item.text.is_empty() {
        return item.wrong(format!("{} is missing in the list", field.what));
    }
    if item.text == "*" {
        return item.wrong("`*` stands alone, not in a list".to_string());
    }
    if let Some((range, step)) = item.split_once('/') {
        return step_is_well_formed(field, range, step);
    }
    if let Some((from, to)) = item.split_once('-') {
        return range_is_well_formed(field, from, to);
    }
    match field.what {
        "a day of the month" => match item.without_end('W') {
            _ if item.text == "L" || item.text == "LW" => Ok(()),
            Some(day) => value(field, day).map(drop),
            None => value(field, item).map(drop),
        },
        "a weekday" => weekday_is_well_formed(item),
        _ => value(field, item).map(drop),
    }
}

fn weekday_is_well_formed(item: Piece<'_>) -> Result<(), CronError> {
    if item.text == "L" {
        return item.wrong("`L` needs a weekday before it, as in 5L: the last Friday of the month".to_string());
    }
    if let Some((day, nth)) = item.split_once('#') {
        value(&WEEKDAY, day)?;
        return match nth.text {
            "1" | "2" | "3" | "4" | "5" => Ok(()),
            _ => nth.wrong(format!("`{}` must be 1 to 5: which one of the month", nth.text)),
        };
    }
    value(&WEEKDAY, item.without_end('L').unwrap_or(item)).map(drop)
}

fn step_is_well_formed(field: &Field, range: Piece<'_>, step: Piece<'_>) -> Result<(), CronError> {
    if range.text != "*" {
        let Some((from, to)) = range.split_once('-') else {
            return range.wrong(format!("a step needs a range before it, as in */{} or 1-5/{}", step.text, step.text));
        };
        range_is_well_formed(field, from, to)?;
    }
    match number(step.text) {
        Some(1..) => Ok(()),
        _ => step.wrong(format!("`{}` is not a step (1 or more)", step.text)),
    }
}

fn range_is_well_formed(field: &Field, from: Piece<'_>, to: Piece<'_>) -> Result<(), CronError> {
    let first = value(field, from)?;
    let last = match to.text {
        "SUN" if field.what == WEEKDAY.what => 7,
        _ => value(field, to)?,
    };
    if first > last {
        return from.wrong(format!("the range `{}-{}` runs backwards", from.text, to.text));
    }
    Ok(())
}

fn value(field: &Field, piece: Piece<'_>) -> Result<u32, CronError> {
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
            piece.wrong(format!("`{}` is not {} ({} to {}{names})", piece.text, field.what, field.min, field.max))
        }
    }
}

/// At most four digits, so that no step overflows in croner.
fn number(text: &str) -> Option<u32> {
    if text.len() > 4 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}
