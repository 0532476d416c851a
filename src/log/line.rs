//! One line of the log: how it is written, and how its tags are read back.
//!
//! `TIME LEVEL key=value key="a value" text`. What others wrote can neither end a line, nor steer a terminal, nor pass
//! for a tag: control characters are escaped, values that would run on are quoted, and a text that begins like a tag
//! gets a dash in front. So the tags of a line end at the first word that is none, and a filter on them is exact.

use super::stamp::{self, Stamp};
use crate::clock::Millis;
use std::fmt::{self, Write as _};
use std::sync::Arc;

/// A batch of lines that reach the file in one write.
#[derive(Debug, Clone)]
pub struct Lines {
    bytes: Vec<u8>,
    /// Up to here the bytes are whole lines; behind it can only be what a panicking `Display` left.
    whole: usize,
    count: u64,
    level: ::log::LevelFilter,
    /// The tags of the process, as they stand in each line, with a space in front of each.
    tags: Arc<[u8]>,
    stamp: Stamp,
}

impl Lines {
    pub(super) fn new(level: ::log::LevelFilter, stamp: Stamp) -> Lines {
        Lines { bytes: Vec::new(), whole: 0, count: 0, level, tags: Arc::new([]), stamp }
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
        self.bytes.extend_from_slice(self.stamp.text(now_ms));
        self.bytes.push(b' ');
        self.bytes.extend_from_slice(level.as_str().as_bytes());
        self.bytes.extend_from_slice(&self.tags);
        put_tags(&mut self.bytes, tags);
        put_text(&mut self.bytes, text);
        self.bytes.push(b'\n');
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

/// Tags as they stand in a line, with a space in front of each.
pub(super) fn written(tags: &[(&str, &dyn fmt::Display)]) -> Arc<[u8]> {
    let mut bytes = Vec::new();
    put_tags(&mut bytes, tags);
    bytes.into()
}

fn put_tags(bytes: &mut Vec<u8>, tags: &[(&str, &dyn fmt::Display)]) {
    for (key, value) in tags {
        bytes.push(b' ');
        put_key(bytes, key);
        bytes.push(b'=');
        put_value(bytes, *value);
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
    // A Display that answers with an error has still written what it could; that is what the line shows.
    let _ = write!(Escaped { bytes, quoted: false }, "{value}");
    let plain = bytes[start..].iter().all(|byte| !matches!(byte, b' ' | b'"' | b'='));
    if plain && bytes.len() > start {
        return;
    }
    bytes.truncate(start);
    bytes.push(b'"');
    let _ = write!(Escaped { bytes, quoted: true }, "{value}");
    bytes.push(b'"');
}

fn put_text(bytes: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    bytes.push(b' ');
    let start = bytes.len();
    let _ = Escaped { bytes, quoted: false }.write_fmt(text);
    if bytes.len() == start {
        bytes.pop();
    } else if split_key(&bytes[start..]).is_some() {
        bytes.splice(start..start, *b"- ");
    }
}

/// Writes text into bytes without anything that could end a line or steer a terminal.
struct Escaped<'a> {
    bytes: &'a mut Vec<u8>,
    /// Between quotation marks, which it must not end.
    quoted: bool,
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let quoted = self.quoted;
        // Without an early end, so that the compiler checks many bytes at once.
        let clean = text.bytes().fold(true, |clean, byte| clean & is_clean(byte, quoted));
        if clean {
            self.bytes.extend_from_slice(text.as_bytes());
        } else {
            escape(self.bytes, text, quoted);
        }
        Ok(())
    }
}

fn is_clean(byte: u8, quoted: bool) -> bool {
    byte.wrapping_sub(b' ') < 0x5f && !(quoted & ((byte == b'"') | (byte == b'\\')))
}

/// Adds text with its control characters escaped (`\n`, `\t`, `\u{1b}`), and between quotation marks also those marks
/// and backslashes.
pub(super) fn escape(bytes: &mut Vec<u8>, text: &str, quoted: bool) {
    let mut rest = text;
    while let Some(at) = rest.find(|c| is_steering(c) || (quoted && matches!(c, '"' | '\\'))) {
        let (clean, tail) = rest.split_at(at);
        bytes.extend_from_slice(clean.as_bytes());
        let mut chars = tail.chars();
        match chars.next() {
            Some(c) if is_steering(c) => bytes.extend(c.escape_default().map(|c| c as u8)),
            Some(c) => bytes.extend_from_slice(&[b'\\', c as u8]),
            None => {}
        }
        rest = chars.as_str();
    }
    bytes.extend_from_slice(rest.as_bytes());
}

/// What could end a line or change how what follows is shown: C0, DEL, C1, line separators, marks of writing direction.
pub(super) fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

/// The key in front of the equals sign, and what stands behind it; `None` when the bytes do not begin like a tag.
fn split_key(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| !is_key_byte(*byte))?;
    (end > 0 && bytes[end] == b'=').then(|| (&bytes[..end], &bytes[end + 1..]))
}

/// The tags of a line (without its newline), or `None` when it is not a line of this log.
pub(super) fn tags_of(line: &[u8]) -> Option<Tags<'_>> {
    if !stamp::is_at_start_of(line) {
        return None;
    }
    let rest = line[stamp::WIDTH..].strip_prefix(b" ")?;
    let level = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].into_iter().find(|level| {
        rest.strip_prefix(level.as_bytes()).is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b' '))
    })?;
    Some(Tags { rest: &rest[level.len()..] })
}

/// The tags of a line, in order: key, and value as it is written.
pub(super) struct Tags<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Tags<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, behind) = split_key(self.rest.strip_prefix(b" ")?)?;
        let (value, rest) = behind.split_at(value_len(behind)?);
        self.rest = rest;
        Some((key, value))
    }
}

fn value_len(bytes: &[u8]) -> Option<usize> {
    if bytes.first() != Some(&b'"') {
        return Some(bytes.iter().position(|byte| *byte == b' ').unwrap_or(bytes.len()));
    }
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests;
