//! One table of the configuration file, and the ways to take values out of it.
//!
//! A value that is missing or wrong comes back as `None`; what is wrong has then been noted on the page, so that the
//! caller goes on with the default and finds what else is wrong.

use super::page::{Page, Wrong, kind, nearest};
use crate::task::{parse_size, parse_span};
use chrono_tz::Tz;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A table whose keys are all known.
#[derive(Clone, Copy)]
pub(super) struct Section<'p, 't> {
    page: &'p Page<'t>,
    table: &'p DeTable<'t>,
    /// Where it begins.
    at: usize,
    /// What it is called in messages.
    title: &'static str,
}

impl<'p, 't> Section<'p, 't> {
    /// Opens a table; keys that are not among `keys` are noted.
    pub(super) fn open(
        page: &'p Page<'t>,
        table: &'p DeTable<'t>,
        at: usize,
        title: &'static str,
        keys: &[&str],
    ) -> Section<'p, 't> {
        for (key, _) in table.iter().filter(|(key, _)| !keys.contains(&key.get_ref().as_ref())) {
            let hint = match nearest(key.get_ref(), keys.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the keys of {title} are {}", keys.join(", ")),
            };
            let what = format!("unknown key `{}` in {title}", key.get_ref().escape_debug());
            page.wrong(key.span().start, Wrong::new(what).hint(hint));
        }
        Section { page, table, at, title }
    }

    /// Where the table begins.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The page that it stands on.
    pub(super) fn page(&self) -> &'p Page<'t> {
        self.page
    }

    /// The keys that are given.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'p str> {
        self.table.iter().map(|(key, _)| key.get_ref().as_ref())
    }

    /// The value as it stands.
    pub(super) fn raw(&self, key: &str) -> Option<&'p Spanned<DeValue<'t>>> {
        self.table.get(key)
    }

    /// Notes that a key that must be there is not.
    pub(super) fn lacks(&self, key: &str, hint: &str) {
        self.page.wrong(self.at, Wrong::new(format!("{} has no `{key}`", self.title)).hint(hint));
    }

    /// Notes what is wrong with a key's value, or with its being there.
    pub(super) fn wrong_at(&self, key: &str, wrong: Wrong) {
        self.page.wrong(self.raw(key).map_or(self.at, |value| value.span().start), wrong);
    }

    /// Notes what is only worth knowing about a key's value.
    pub(super) fn remark_at(&self, key: &str, what: &str, hint: &str) {
        self.page.remark(self.raw(key).map_or(self.at, |value| value.span().start), what, hint);
    }

    fn wrong_kind(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let what = format!("`{key}` must be {wanted}, not {}", kind(value.get_ref()));
        self.page.wrong(value.span().start, Wrong::new(what));
    }

    fn text_of(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) -> Option<Spanned<String>> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_kind(key, value, wanted);
            return None;
        };
        if text.contains('\0') {
            self.page.wrong(value.span().start, Wrong::new(format!("`{key}` contains a NUL character")));
            return None;
        }
        Some(Spanned::new(value.span(), text.to_string()))
    }

    /// A text that is read into something else; `wanted` is what it must be, for messages.
    pub(super) fn parsed<T>(
        &self,
        key: &str,
        wanted: &str,
        read: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<Spanned<T>> {
        let text = self.text_of(key, self.raw(key)?, wanted)?;
        match read(text.get_ref()) {
            Ok(value) => Some(Spanned::new(text.span(), value)),
            Err(wrong) => {
                self.page.wrong_in(&text, wrong);
                None
            }
        }
    }

    /// A span of time, in milliseconds.
    pub(super) fn span_ms(&self, key: &str) -> Option<Spanned<u64>> {
        self.parsed(key, "a span of time in quotes, such as \"30s\"", |text| parse_span(text).map_err(Wrong::new))
    }

    /// A size, in bytes.
    pub(super) fn size(&self, key: &str) -> Option<Spanned<u64>> {
        self.parsed(key, "a size in quotes, such as \"256MB\"", |text| parse_size(text).map_err(Wrong::new))
    }

    /// A time zone.
    pub(super) fn zone(&self, key: &str) -> Option<Tz> {
        let zone = self.parsed(key, "the name of a time zone in quotes", |text| {
            text.parse::<Tz>().map_err(|_| {
                let hint = match nearest(text, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "use a name of the IANA database, such as Europe/Berlin, Asia/Shanghai or UTC".to_string(),
                };
                Wrong::new(format!("`{text}` is not a time zone")).hint(hint)
            })
        });
        zone.map(Spanned::into_inner)
    }

    /// An integer from `min` to `max`.
    pub(super) fn number(&self, key: &str, min: i64, max: i64) -> Option<i64> {
        let value = self.raw(key)?;
        let DeValue::Integer(integer) = value.get_ref() else {
            self.wrong_kind(key, value, &format!("an integer from {min} to {max}"));
            return None;
        };
        match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if number >= min && number <= max => Some(number),
            _ => {
                let what = format!("`{key}` must be from {min} to {max}, not {integer}");
                self.page.wrong(value.span().start, Wrong::new(what));
                None
            }
        }
    }

    /// A number of at least `min`, with or without a fraction.
    pub(super) fn fraction(&self, key: &str, min: f64) -> Option<f64> {
        let value = self.raw(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(i) => i64::from_str_radix(i.as_str(), i.radix()).ok().map(|i| i as f64),
            DeValue::Float(f) => f.as_str().parse().ok(),
            _ => {
                self.wrong_kind(key, value, "a number");
                return None;
            }
        };
        let found = number.filter(|n: &f64| n.is_finite() && *n >= min);
        if found.is_none() {
            self.page.wrong(value.span().start, Wrong::new(format!("`{key}` must be {min} or more")));
        }
        found
    }

    /// True or false.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        let value = self.raw(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_kind(key, value, "true or false");
        }
        flag
    }

    /// A list of texts, with the place of the list.
    pub(super) fn texts(&self, key: &str) -> Option<Spanned<Vec<Spanned<String>>>> {
        let value = self.raw(key)?;
        let Some(list) = value.get_ref().as_array() else {
            self.wrong_kind(key, value, "a list of texts, such as [\"a\", \"b\"]");
            return None;
        };
        let texts: Option<Vec<_>> =
            list.iter().map(|item| self.text_of(key, item, "a list of texts in quotes")).collect();
        Some(Spanned::new(value.span(), texts?))
    }

    /// A table of texts, with the places of their keys.
    pub(super) fn pairs(&self, key: &str) -> BTreeMap<String, Spanned<String>> {
        let Some(value) = self.raw(key) else { return BTreeMap::new() };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_kind(key, value, "a table of texts, such as { NAME = \"value\" }");
            return BTreeMap::new();
        };
        let texts = table.iter().filter_map(|(name, value)| {
            let text = self.text_of(name.get_ref(), value, "text in quotes")?;
            Some((name.get_ref().to_string(), Spanned::new(name.span(), text.into_inner())))
        });
        texts.collect()
    }

    /// The table under `key`.
    pub(super) fn section(&self, key: &str, title: &'static str, keys: &[&str]) -> Option<Section<'p, 't>> {
        let value = self.raw(key)?;
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_kind(key, value, &format!("a table of {}", keys.join(", ")));
            return None;
        };
        Some(Section::open(self.page, table, value.span().start, title, keys))
    }

    /// The tables under `[[key]]`, in the order of the file.
    pub(super) fn sections(&self, key: &str, title: &'static str, keys: &[&str]) -> Vec<Section<'p, 't>> {
        let Some(value) = self.raw(key) else { return Vec::new() };
        let Some(list) = value.get_ref().as_array() else {
            self.wrong_kind(key, value, &format!("written as {title}, with two brackets"));
            return Vec::new();
        };
        let tables = list.iter().filter_map(|item| match item.get_ref() {
            DeValue::Table(table) => Some(Section::open(self.page, table, item.span().start, title, keys)),
            _ => {
                self.wrong_kind(key, item, &format!("written as {title}"));
                None
            }
        });
        tables.collect()
    }

    /// The name of a job or a schedule, which must be there.
    pub(super) fn name(&self, key: &str) -> Option<Spanned<String>> {
        if self.raw(key).is_none() {
            self.lacks(key, &format!("add {key} = \"…\""));
        }
        self.parsed(key, "a name in quotes", |text| {
            if is_name(text) {
                return Ok(text.to_string());
            }
            let what = format!("`{}` cannot be a name", text.escape_debug());
            Err(Wrong::new(what).hint("a name has 1 to 200 characters, none of them a control character"))
        })
    }
}

/// Whether a job or a schedule can have this name.
pub(super) fn is_name(text: &str) -> bool {
    (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}
