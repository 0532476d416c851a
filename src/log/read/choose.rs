//! Which lines are wanted, and how they are shown.

use super::seek::SLACK_MS;
use crate::clock::Millis;
use crate::log::Form;
use crate::log::entry::{Entry, time_of};
use crate::log::line::{Escape, escape, is_steering};
use crate::log::stamp::WIDTH;

/// Which lines are wanted, by their tags.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Only lines with the tag `task=ID`.
    pub task: Option<i64>,
    /// Only lines with the tag `worker=I` or `worker=I/N`.
    pub worker: Option<u32>,
    /// Only lines with the tag `job=NAME`.
    pub job: Option<String>,
    /// Only lines of this level or a worse one.
    pub level: Option<::log::Level>,
    /// Only what tasks themselves wrote to their standard output and error.
    pub output: bool,
}

/// How lines are shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct View {
    /// All lines in this form; `None` is as they stand in the file.
    pub form: Option<Form>,
    /// The words `ERROR` and `WARN` in colours, in lines for people.
    pub colours: bool,
    /// What a task wrote is shown raw, unless it would steer a terminal and this is one.
    pub terminal: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Yes,
    No,
    /// Not this one, and none behind it.
    Over,
}

/// Which lines are shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    pub(super) choice: Choice,
    pub(super) since_ms: Option<Millis>,
    pub(super) until_ms: Option<Millis>,
}

impl Filter {
    /// Whether a line is wanted. `time_ms` is the time of the last line that had one, which also holds for lines behind it
    /// that have none.
    pub(super) fn judge(&self, line: &[u8], time_ms: &mut Option<Millis>) -> Taken {
        if self.since_ms.is_some() || self.until_ms.is_some() {
            *time_ms = time_of(line).or(*time_ms);
            let is_before = |bound: Option<Millis>| bound.is_some_and(|bound| time_ms.is_none_or(|time| time < bound));
            let is_behind = |bound_ms: Millis| time_ms.is_some_and(|time| time >= bound_ms);
            if self.until_ms.is_some_and(|until| is_behind(until.saturating_add(SLACK_MS))) {
                return Taken::Over;
            }
            if is_before(self.since_ms) || self.until_ms.is_some_and(is_behind) {
                return Taken::No;
            }
        }
        if self.choice.takes(line) { Taken::Yes } else { Taken::No }
    }
}

impl Choice {
    fn takes(&self, line: &[u8]) -> bool {
        let asks = self.task.is_some() || self.worker.is_some() || self.job.is_some();
        if !asks && self.level.is_none() && !self.output {
            return true;
        }
        let Some(entry) = Entry::read(line) else { return false };
        let number = |text: &str| text.parse::<i64>().ok();
        // The index stands in front of the number of partitions.
        let worker = || entry.tag("worker")?.split('/').next().and_then(number);
        self.level.is_none_or(|worst| entry.level <= worst)
            && self.task.is_none_or(|task| entry.tag("task").and_then(number) == Some(task))
            && self.worker.is_none_or(|index| worker() == Some(index.into()))
            && self.job.as_deref().is_none_or(|job| entry.tag("job") == Some(job))
            && (!self.output || entry.tag("from").is_some())
    }
}

impl View {
    /// Adds a line as it is shown. What this log wrote is harmless, and raw output is made so; only what a task wrote is
    /// given as it wrote it, when that is all that is wanted.
    pub(super) fn put(&self, page: &mut Vec<u8>, line: &[u8], only_output: bool) {
        let start = page.len();
        match (self.form, only_output) {
            (None, false) => put_as_it_is(page, line),
            (form, only_output) => match (Entry::read(line), form) {
                (Some(entry), Some(form)) => return self.paint(page, start, |page| entry.put(page, form)),
                (Some(entry), None) if only_output => put_output(page, &entry.text, self.terminal),
                (None, Some(Form::Json)) => {
                    page.extend_from_slice(b"{\"text\":\"");
                    escape(page, &String::from_utf8_lossy(line), Escape::Json);
                    page.extend_from_slice(b"\"}");
                }
                _ => put_as_it_is(page, line),
            },
        }
        self.paint(page, start, |page| page.push(b'\n'));
    }

    fn paint(&self, page: &mut Vec<u8>, start: usize, finish: impl FnOnce(&mut Vec<u8>)) {
        finish(page);
        let level = start + WIDTH + 1;
        let word = page.get(level..).unwrap_or_default();
        let (len, colour): (usize, &[u8]) = match () {
            () if !self.colours || time_of(&page[start..]).is_none() => return,
            () if word.starts_with(b"ERROR ") => (5, b"\x1b[31m"),
            () if word.starts_with(b"WARN ") => (4, b"\x1b[33m"),
            () => return,
        };
        page.splice(level + len..level + len, *b"\x1b[0m");
        page.splice(level..level, colour.iter().copied());
    }
}

fn put_as_it_is(page: &mut Vec<u8>, line: &[u8]) {
    match std::str::from_utf8(line) {
        Ok(text) if !text.contains(is_steering) => page.extend_from_slice(line),
        _ => escape(page, &String::from_utf8_lossy(line), Escape::Shown),
    }
}

fn put_output(page: &mut Vec<u8>, text: &str, terminal: bool) {
    if !terminal {
        return page.extend_from_slice(text.as_bytes());
    }
    for (i, part) in text.split('\t').enumerate() {
        if i > 0 {
            page.push(b'\t');
        }
        escape(page, part, Escape::Shown);
    }
}

#[cfg(test)]
mod tests;
