//! A line of the log, read back: time, level, tags, text, from either form.
//!
//! What is not a line of this log (the raw output of a panic, say) is no entry. Which form a line has is seen by the
//! line itself: a file in which the form changed is read like any other.

use super::line::{Form, JSON_HEAD, passes_for_tag, put_head, put_tags, put_text, split_key};
use super::stamp::{self, WIDTH};
use crate::clock::Millis;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// What stands in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// The time, as it is written.
    pub(super) time: &'a [u8],
    pub(super) level: ::log::Level,
    /// In their order.
    pub(super) tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub(super) text: Cow<'a, str>,
}

/// The levels, by the words in the lines.
const LEVELS: [::log::Level; 5] =
    [::log::Level::Error, ::log::Level::Warn, ::log::Level::Info, ::log::Level::Debug, ::log::Level::Trace];

/// The instant of a line of either form, without a look at the rest of it. `None` when it is no line of this log.
pub(super) fn time_of(line: &[u8]) -> Option<Millis> {
    stamp::read(line.strip_prefix(JSON_HEAD).unwrap_or(line))
}

/// How many bytes of a line suffice for [`time_of`].
pub(super) const HEAD_LEN: usize = JSON_HEAD.len() + WIDTH;

impl<'a> Entry<'a> {
    /// Reads a line without its end.
    pub(super) fn read(line: &'a [u8]) -> Option<Entry<'a>> {
        let text = std::str::from_utf8(line).ok()?;
        if line.starts_with(JSON_HEAD) { read_json(text) } else { read_text(text) }
    }

    /// The value of the first tag of this key.
    pub(super) fn tag(&self, key: &str) -> Option<&str> {
        self.tags.iter().find(|(found, _)| found == key).map(|(_, value)| &**value)
    }

    /// Adds it in the other form, or the same again, as a whole line.
    pub(super) fn put(&self, bytes: &mut Vec<u8>, form: Form) {
        put_head(bytes, form, self.time, self.level);
        let tags: Vec<(&str, &dyn fmt::Display)> = self.tags.iter().map(|(key, value)| (&**key, value as _)).collect();
        put_tags(bytes, form, &tags);
        put_text(bytes, form, format_args!("{}", self.text));
    }
}

fn read_text(line: &str) -> Option<Entry<'_>> {
    stamp::read(line.as_bytes())?;
    let (time, rest) = line.split_at(WIDTH);
    let (level, mut rest) = LEVELS.into_iter().find_map(|level| {
        let rest = rest.strip_prefix(' ')?.strip_prefix(level.as_str())?;
        (rest.is_empty() || rest.starts_with(' ')).then_some((level, rest))
    })?;
    let mut tags = Vec::new();
    while let Some((key, value, behind)) = next_tag(rest) {
        tags.push((key.into(), value));
        rest = behind;
    }
    let text = rest.strip_prefix(' ').unwrap_or(rest);
    let text = match text.strip_prefix("- ") {
        Some(behind) if passes_for_tag(behind.as_bytes()) => behind,
        _ => text,
    };
    Some(Entry { time: time.as_bytes(), level, tags, text: unescape(text, false) })
}

/// Key, value, and what stands behind them.
fn next_tag(rest: &str) -> Option<(&str, Cow<'_, str>, &str)> {
    let rest = rest.strip_prefix(' ')?;
    let (key, value) = rest.split_at(split_key(rest.as_bytes())?);
    let value = &value[1..];
    if let Some(quoted) = value.strip_prefix('"') {
        let mut escaped = false;
        let end = quoted.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        return Some((key, unescape(&quoted[..end], true), &quoted[end + 1..]));
    }
    let (value, rest) = value.split_at(value.find(' ').unwrap_or(value.len()));
    Some((key, unescape(value, false), rest))
}

/// The text that was escaped; `marks` when quotation marks were.
fn unescape(text: &str, marks: bool) -> Cow<'_, str> {
    let Some(first) = text.find('\\') else { return text.into() };
    let mut out = text[..first].to_string();
    let mut rest = &text[first..];
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        let (c, len) = match behind.as_bytes().first() {
            Some(b'n') => ('\n', 1),
            Some(b'r') => ('\r', 1),
            Some(b't') => ('\t', 1),
            Some(b'"') if marks => ('"', 1),
            Some(b'\\') => ('\\', 1),
            Some(b'u') => coded(behind).unwrap_or(('\\', 0)),
            _ => ('\\', 0),
        };
        out.push(c);
        rest = &behind[len..];
    }
    out.push_str(rest);
    out.into()
}

/// The character of `u{1b}`, and how long that is.
fn coded(text: &str) -> Option<(char, usize)> {
    let digits = text.strip_prefix("u{")?.split_once('}')?.0;
    Some((char::from_u32(u32::from_str_radix(digits, 16).ok()?)?, digits.len() + 3))
}

fn read_json(line: &str) -> Option<Entry<'_>> {
    let time = line.as_bytes().get(JSON_HEAD.len()..HEAD_LEN)?;
    stamp::read(time)?;
    let mut reader = serde_json::Deserializer::from_str(line);
    let (level, tags, text) = reader.deserialize_map(Object).ok()?;
    reader.end().ok()?;
    Some(Entry { time, level, tags, text })
}

/// Level, tags in their order, and text.
type Parts<'a> = (::log::Level, Vec<(Cow<'a, str>, Cow<'a, str>)>, Cow<'a, str>);

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Parts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a line of the log")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parts<'de>, A::Error> {
        let (mut level, mut tags, mut text) = (None, Vec::new(), None);
        while let Some((Word(key), Word(value))) = map.next_entry()? {
            match &*key {
                "time" => {}
                "level" => level = LEVELS.into_iter().find(|level| level.as_str() == value),
                "text" => text = Some(value),
                _ => tags.push((key, value)),
            }
        }
        Ok((level.ok_or_else(|| A::Error::missing_field("level"))?, tags, text.unwrap_or_default()))
    }
}

/// A string or an integer, as text; borrowed where nothing in it is escaped.
struct Word<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Word<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Word<'de>, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Word<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an integer")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Word<'de>, E> {
                Ok(Word(text.into()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Word<'de>, E> {
                Ok(Word(text.to_string().into()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Word<'de>, E> {
                Ok(Word(number.to_string().into()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Word<'de>, E> {
                Ok(Word(number.to_string().into()))
            }
        }
        reader.deserialize_any(Read)
    }
}

#[cfg(test)]
mod tests;
