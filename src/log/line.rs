//! One line of the log, as it is written: for people, or as JSON.
//!
//! `TIME LEVEL key=value key="a value" text`, or one JSON object. What others wrote can neither end a line, nor steer a
//! terminal, nor pass for a tag: control characters are escaped, values that would run on are quoted, and a text that
//! begins like a tag gets a dash in front. Nothing is lost by that: [`Entry`](super::entry::Entry) reads back from a line
//! of either form what was written. So the tags of a line end at the first word that is none, and a filter is exact.

use super::stamp::Stamp;
use crate::clock::Millis;
use std::fmt::{self, Write as _};
use std::sync::Arc;

/// In which form lines stand in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// For people: `TIME LEVEL key=value text`.
    #[default]
    Text,
    /// For programs: one object a line, with the keys `time` (RFC 3339), `level`, those of the tags, and `text`.
    Json,
}

/// A batch of lines that reach the file in one write.
#[derive(Debug, Clone)]
pub struct Lines {
    bytes: Vec<u8>,
    /// Up to here the bytes are whole lines; behind it can only be what a panicking `Display` left.
    whole: usize,
    count: u64,
    level: ::log::LevelFilter,
    form: Form,
    /// The tags of the process, as they stand in each line.
    tags: Arc<[u8]>,
    stamp: Stamp,
}

impl Lines {
    pub(super) fn new(level: ::log::LevelFilter, form: Form, stamp: Stamp) -> Lines {
        Lines { bytes: Vec::new(), whole: 0, count: 0, level, form, tags: Arc::new([]), stamp }
    }

    /// Adds one line; nothing when its level is below the journal's. `tags` stand behind those of the process, in
    /// their order; characters of a key other than ASCII letters, digits and `_.-` become `_`. Whatever the values and
    /// the text hold, exactly one line is added.
    pub fn add(
        &mut self,
        now_ms: Millis,
        level: ::log::Level,
        tags: &[(&str, &dyn fmt::Display)],
        text: fmt::Arguments<'_>,
    ) {
        if level > self.level {
            return;
        }
        self.bytes.truncate(self.whole);
        put_head(&mut self.bytes, self.form, self.stamp.text(now_ms), level);
        self.bytes.extend_from_slice(&self.tags);
        put_tags(&mut self.bytes, self.form, tags);
        put_text(&mut self.bytes, self.form, text);
        self.whole = self.bytes.len();
        self.count += 1;
    }

    /// How many lines it holds.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether it holds no line.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes all lines out and keeps the memory, for the next batch.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.whole = 0;
        self.count = 0;
    }

    /// The lines as they stand in the file.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.whole]
    }

    pub(super) fn set_tags(&mut self, tags: Arc<[u8]>) {
        self.tags = tags;
    }

    pub(super) fn stamp(&mut self) -> &mut Stamp {
        &mut self.stamp
    }

    pub(super) fn set_level(&mut self, level: ::log::LevelFilter) {
        self.level = level;
    }
}

/// Tags as they stand in a line, with what parts each from what is in front of it.
pub(super) fn written(form: Form, tags: &[(&str, &dyn fmt::Display)]) -> Arc<[u8]> {
    let mut bytes = Vec::new();
    put_tags(&mut bytes, form, tags);
    bytes.into()
}

/// The beginning of a line.
pub(super) fn put_head(bytes: &mut Vec<u8>, form: Form, time: &[u8], level: ::log::Level) {
    let (before, between, behind): (&[u8], &[u8], &[u8]) = match form {
        Form::Text => (b"", b" ", b""),
        Form::Json => (JSON_HEAD, b"\",\"level\":\"", b"\""),
    };
    for part in [before, time, between, level.as_str().as_bytes(), behind] {
        bytes.extend_from_slice(part);
    }
}

/// How each line of the JSON form begins; the time follows.
pub(super) const JSON_HEAD: &[u8] = b"{\"time\":\"";

/// Keys whose values are numbers in JSON.
const NUMBERS: [&str; 2] = ["task", "attempt"];

/// Keys of JSON that no tag may have.
const TAKEN: [&str; 3] = ["time", "level", "text"];

pub(super) fn put_tags(bytes: &mut Vec<u8>, form: Form, tags: &[(&str, &dyn fmt::Display)]) {
    for (key, value) in tags {
        match form {
            Form::Text => {
                bytes.push(b' ');
                put_key(bytes, key);
                bytes.push(b'=');
                put_value(bytes, *value);
            }
            Form::Json => {
                bytes.extend_from_slice(b",\"");
                if TAKEN.contains(key) {
                    bytes.push(b'_');
                }
                put_key(bytes, key);
                bytes.extend_from_slice(b"\":");
                put_json_value(bytes, NUMBERS.contains(key), *value);
            }
        }
    }
}

fn put_key(bytes: &mut Vec<u8>, key: &str) {
    if key.is_empty() {
        bytes.push(b'_');
    }
    bytes.extend(key.bytes().map(|byte| if is_key_byte(byte) { byte } else { b'_' }));
}

fn put_value(bytes: &mut Vec<u8>, value: &dyn fmt::Display) {
    let start = bytes.len();
    put(bytes, format_args!("{value}"), Escape::Plain);
    let runs_on = bytes[start..].iter().any(|byte| matches!(byte, b' ' | b'"' | b'='));
    if !runs_on && bytes.len() > start {
        return;
    }
    bytes.truncate(start);
    bytes.push(b'"');
    put(bytes, format_args!("{value}"), Escape::Quoted);
    bytes.push(b'"');
}

fn put_json_value(bytes: &mut Vec<u8>, may_be_number: bool, value: &dyn fmt::Display) {
    let start = bytes.len();
    bytes.push(b'"');
    put(bytes, format_args!("{value}"), Escape::Json);
    if may_be_number && is_number(&bytes[start + 1..]) {
        bytes.remove(start);
    } else {
        bytes.push(b'"');
    }
}

/// Whether these are the digits of an integer as JSON writes it, and one of 64 bits at that.
fn is_number(digits: &[u8]) -> bool {
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<i64>().ok());
    number.is_some_and(|number| number.to_string().as_bytes() == digits)
}

/// The text, and the end of the line.
pub(super) fn put_text(bytes: &mut Vec<u8>, form: Form, text: fmt::Arguments<'_>) {
    if form == Form::Json {
        bytes.extend_from_slice(b",\"text\":\"");
        put(bytes, text, Escape::Json);
        bytes.extend_from_slice(b"\"}\n");
        return;
    }
    bytes.push(b' ');
    let start = bytes.len();
    put(bytes, text, Escape::Plain);
    if bytes.len() == start {
        bytes.pop();
    } else if passes_for_tag(&bytes[start..]) {
        bytes.splice(start..start, *b"- ");
    }
    bytes.push(b'\n');
}

/// Whether a text begins like a tag, or like one that got dashes in front.
pub(super) fn passes_for_tag(mut text: &[u8]) -> bool {
    while let Some(rest) = text.strip_prefix(b"- ") {
        text = rest;
    }
    split_key(text).is_some()
}

/// What is written otherwise than it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    /// What steers (see [`is_steering`]), and backslashes that would be read as the beginning of an escape.
    Plain,
    /// What steers, quotation marks, and every backslash.
    Quoted,
    /// The same, as JSON writes it.
    Json,
    /// Only what steers: for showing what is not read back.
    Shown,
}

/// Adds a text. A Display that answers with an error has still written what it could; that is what the line shows.
fn put(bytes: &mut Vec<u8>, text: fmt::Arguments<'_>, how: Escape) {
    let start = bytes.len();
    let mut raw = Raw { bytes, marks: how != Escape::Plain, clean: true };
    let _ = raw.write_fmt(text);
    if !raw.clean {
        // It is known whole only now, and whether a backslash is taken for an escape depends on what follows it.
        let text = String::from_utf8_lossy(&bytes[start..]).into_owned();
        bytes.truncate(start);
        escape(bytes, &text, how);
    }
}

/// Takes text as it comes, and notes whether anything in it has to be escaped.
struct Raw<'a> {
    bytes: &'a mut Vec<u8>,
    /// Whether a quotation mark is one of those.
    marks: bool,
    clean: bool,
}

impl fmt::Write for Raw<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let marks = self.marks;
        let is_clean = |byte: u8| byte.wrapping_sub(b' ') < 0x5f && (byte != b'\\') & !(marks & (byte == b'"'));
        // Without an early end, so that the compiler checks many bytes at once.
        self.clean &= text.bytes().fold(true, |clean, byte| clean & is_clean(byte));
        self.bytes.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Adds text with all escaped that `how` says: `\n`, `\t`, `\u{1b}`, or in JSON `\u001b`.
pub(super) fn escape(bytes: &mut Vec<u8>, text: &str, how: Escape) {
    let is_special = |c: char| match c {
        '"' => matches!(how, Escape::Quoted | Escape::Json),
        '\\' => how != Escape::Shown,
        _ => is_steering(c),
    };
    let mut rest = text;
    while let Some(at) = rest.find(is_special) {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let mut chars = rest[at..].chars();
        match chars.next() {
            Some('"') => bytes.extend_from_slice(b"\\\""),
            Some('\\') => {
                let next = chars.clone().next();
                let is_taken = |c: char| is_steering(c) || matches!(c, 'n' | 'r' | 't' | 'u' | '\\');
                let alone = how == Escape::Plain && !next.is_some_and(is_taken);
                bytes.extend_from_slice(if alone { b"\\" } else { b"\\\\" });
            }
            Some(c) if how == Escape::Json && !matches!(c, '\n' | '\r' | '\t') => {
                bytes.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
            }
            Some(c) => bytes.extend(c.escape_default().map(|c| c as u8)),
            None => {}
        }
        rest = chars.as_str();
    }
    bytes.extend_from_slice(rest.as_bytes());
}

/// What could end a line or change how what follows is shown: C0, DEL, C1, line separators, marks of writing direction.
/// All of them have at most four hexadecimal digits.
pub(crate) fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

/// The length of the key in front of the equals sign; `None` when the bytes do not begin like a tag.
pub(super) fn split_key(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().position(|byte| !is_key_byte(*byte))?;
    (end > 0 && bytes[end] == b'=').then_some(end)
}

#[cfg(test)]
mod tests;
