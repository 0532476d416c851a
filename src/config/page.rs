//! A configuration file as text with places, and what is wrong with it.
//!
//! The file is walked as a tree of spanned values, not decoded into structs in one go: that would end at the first
//! error, and an admin who mends a file wants to see all of them, each with its line and column.

use crate::error::Error;
use std::cell::RefCell;
use std::fmt;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, or the folder, as it was named.
    pub file: String,
    /// Line and column in it, both from 1, columns in characters.
    pub line_column: Option<(usize, usize)>,
}

impl Place {
    /// A whole file or folder.
    pub(super) fn whole(file: impl Into<String>) -> Place {
        Place { file: one_line(&file.into()), line_column: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line_column {
            Some((line, column)) => write!(f, "{}:{line}:{column}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// Something in the configuration that an admin should see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// What is wrong, in one line.
    pub what: String,
    /// What to do about it, where there is something to say.
    pub hint: Option<String>,
    /// Whether it is only worth knowing: nothing is refused because of it.
    pub remark: bool,
}

impl Problem {
    pub(super) fn new(place: Place, wrong: Wrong) -> Problem {
        let hint = wrong.hint.map(|hint| one_line(&hint));
        Problem { place, what: one_line(&wrong.what), hint, remark: false }
    }

    pub(super) fn remark(place: Place, what: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem { place, what: what.into(), hint: Some(hint.into()), remark: true }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Error {
        let error = Error::usage(problem.to_string());
        match problem.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// What is wrong with one value, before it is known where that stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    what: String,
    hint: Option<String>,
    /// Where in the value's text, in bytes, if it is wrong in one place.
    at: Option<usize>,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>) -> Wrong {
        Wrong { what: what.into(), hint: None, at: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Wrong {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn at(mut self, at: Option<usize>) -> Wrong {
        self.at = at;
        self
    }
}

/// A group that is not there.
pub(super) fn no_group(why: String) -> Wrong {
    Wrong::new(why).hint("make it (`groupadd`), or mend `group`")
}

impl From<&Error> for Wrong {
    fn from(error: &Error) -> Wrong {
        Wrong { what: error.to_string(), hint: error.hint_text().map(str::to_string), at: None }
    }
}

impl From<Wrong> for Error {
    fn from(wrong: Wrong) -> Error {
        match wrong.hint {
            Some(hint) => Error::usage(wrong.what).hint(hint),
            None => Error::usage(wrong.what),
        }
    }
}

/// The text of a file, and the problems found in it so far.
pub(super) struct Page<'t> {
    name: String,
    text: &'t str,
    /// Where each line begins: a file has thousands of places, and counting lines anew for each is a second.
    lines: Vec<usize>,
    problems: RefCell<Vec<Problem>>,
}

impl<'t> Page<'t> {
    pub(super) fn new(name: String, text: &'t str) -> Page<'t> {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Page { name, text, lines, problems: RefCell::default() }
    }

    /// The tree of the file; after a syntax error `None`, since what is left of it would only mislead.
    pub(super) fn tree(&self) -> Option<Spanned<DeTable<'t>>> {
        let (tree, errors) = DeTable::parse_recoverable(self.text);
        if errors.is_empty() {
            return Some(tree);
        }
        let mut lines = Vec::new();
        for e in errors {
            let place = self.place(e.span().map_or(self.text.len(), |span| span.start));
            // What follows on the same line is nearly always a consequence of the first.
            if !lines.contains(&place.line_column.map(|(line, _)| line)) {
                lines.push(place.line_column.map(|(line, _)| line));
                let what = format!("this is not TOML: {}", e.message());
                self.problems.borrow_mut().push(Problem::new(place, Wrong::new(what)));
            }
        }
        None
    }

    /// The place of a byte of the text.
    pub(super) fn place(&self, at: usize) -> Place {
        let at = if self.text.is_char_boundary(at) { at } else { self.text.len() };
        let line = self.lines.partition_point(|begin| *begin <= at);
        let begin = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = self.text[begin..at].chars().count() + 1;
        Place { file: self.name.clone(), line_column: Some((line, column)) }
    }

    /// Notes a problem with what begins at byte `at`.
    pub(super) fn wrong(&self, at: usize, wrong: Wrong) {
        self.problems.borrow_mut().push(Problem::new(self.place(at), wrong));
    }

    /// Notes something that is only worth knowing about what begins at byte `at`.
    pub(super) fn remark(&self, at: usize, what: &str, hint: &str) {
        self.problems.borrow_mut().push(Problem::remark(self.place(at), what, hint));
    }

    /// Notes a problem with the string `value`, at the right character within it where the file has it as it is read.
    pub(super) fn wrong_in(&self, value: &Spanned<String>, wrong: Wrong) {
        let span = value.span();
        let quoted = self.text.get(span.start + 1..span.end.saturating_sub(1));
        let offset = wrong.at.filter(|_| quoted == Some(value.get_ref().as_str())).map_or(0, |at| at + 1);
        self.wrong(span.start + offset, wrong);
    }

    /// Everything found, in the order of the file.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|p| p.place.line_column);
        problems
    }
}

/// Messages are one line each, and quote what others wrote: its control characters are escaped.
fn one_line(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_debug().collect() } else { String::from(c) };
    text.chars().map(escaped).collect()
}

/// What a value is, in the words of messages.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The candidate that a mistyped word most likely meant: at most a third of its letters differ.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if word.len() > 100 {
        return None;
    }
    let near = candidates.into_iter().map(|c| (distance(&word.to_lowercase(), &c.to_lowercase()), c));
    near.min().filter(|(far, c)| *far * 3 <= c.chars().count().max(3)).map(|(_, c)| c)
}

/// How many letters must be put in, left out or changed to make one word of the other (Levenshtein, 1966).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
