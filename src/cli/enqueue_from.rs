//! `enqueue --from`: many tasks, one JSON object a line.
//!
//! A file is read twice: once to see that every line is right, and only then to enqueue, so that a wrong line leaves nothing
//! behind. What can be read only once (standard input, a pipe) is enqueued as it comes, a thousand lines at a time; then
//! the answer says how many were enqueued before the wrong line. Blank lines are passed over.

use super::site::Site;
use super::{Verdict, complain, print, show, tell};
use crate::error::{Error, Result};
use crate::store::{Enqueued, Store};
use crate::task::NewTask;
use crate::work::Registry;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read, Seek};
use std::path::Path;

/// Rows that one transaction inserts, and bytes of params after which it is closed before.
const BATCH: usize = 1_000;
const BATCH_BYTES: usize = 8 << 20;
/// The longest line, in bytes: the largest param with every byte escaped, and room for the rest.
const LINE: u64 = 6 * (16 << 20) + (1 << 20);
/// So many wrong lines are named.
const FEW: usize = 10;

pub(super) fn enqueue(site: &Site, from: &Path, dry_run: bool) -> Result<Verdict> {
    let registry = site.registry()?;
    if from == Path::new("-") {
        let lines = Lines::new("stdin", std::io::stdin().lock(), Bar::new("", None));
        return read_once(site, &registry, lines, dry_run);
    }
    let name = from.display().to_string();
    let unread = |e: std::io::Error| Error::usage(format!("{name}: {e}"));
    let mut file = File::open(from).map_err(unread)?;
    let about = file.metadata().map_err(unread)?;
    if !about.is_file() {
        return read_once(site, &registry, Lines::new(&name, BufReader::new(file), Bar::new("", None)), dry_run);
    }
    let length = Some(about.len());
    let Some(count) = check(Lines::new(&name, BufReader::new(&file), Bar::new("checking ", length)))? else {
        tell("hint: nothing was enqueued; mend these lines first\n");
        return Ok(Verdict::Wrong);
    };
    if dry_run {
        return would(count);
    }
    file.rewind().map_err(unread)?;
    let mut store = site.existing_store()?;
    insert_all(store.as_mut(), &registry, Lines::new(&name, BufReader::new(&file), Bar::new("", length)))
}

fn read_once(site: &Site, registry: &Registry, lines: Lines<impl BufRead>, dry_run: bool) -> Result<Verdict> {
    if dry_run {
        return match check(lines)? {
            Some(count) => would(count),
            None => Ok(Verdict::Wrong),
        };
    }
    insert_all(site.existing_store()?.as_mut(), registry, lines)
}

fn would(count: u64) -> Result<Verdict> {
    print(&format!("{} would be enqueued\n", tasks(count)))?;
    Ok(Verdict::Well)
}

fn tasks(count: u64) -> String {
    format!("{} {}", show::number(count), if count == 1 { "task" } else { "tasks" })
}

/// Looks at every line; `None` when some are wrong, which it has said.
fn check(mut lines: Lines<impl BufRead>) -> Result<Option<u64>> {
    let (mut right, mut wrong) = (0, 0);
    while let Some(task) = lines.next()? {
        match task {
            Ok(_) => right += 1,
            Err(why) => {
                wrong += 1;
                if wrong <= FEW {
                    lines.bar.0.suspend(|| complain(&why));
                }
            }
        }
    }
    lines.bar.0.finish_and_clear();
    if wrong > FEW {
        complain(&Error::usage(format!("{}: {} more lines are wrong", lines.name, wrong - FEW)));
    }
    Ok((wrong == 0).then_some(right))
}

/// What has been enqueued so far.
#[derive(Default)]
struct Count {
    new: u64,
    existing: u64,
}

fn insert_all(store: &mut dyn Store, registry: &Registry, mut lines: Lines<impl BufRead>) -> Result<Verdict> {
    let mut count = Count::default();
    let mut strangers = BTreeSet::new();
    loop {
        let done = next_batch(&mut lines).and_then(|batch| {
            strangers.extend(batch.iter().filter(|t| registry.get(&t.job).is_none()).map(|t| t.job.clone()));
            insert(store, &batch, &mut count)?;
            Ok(batch.is_empty())
        });
        match done {
            Ok(false) => {}
            Ok(true) => break,
            Err(e) => {
                lines.bar.0.finish_and_clear();
                let before = match count.new {
                    0 => "nothing was enqueued".to_string(),
                    n => format!("{} had been enqueued before; they stay", tasks(n)),
                };
                return Err(e.hint(before));
            }
        }
    }
    lines.bar.0.finish_and_clear();
    let existing = match count.existing {
        0 => String::new(),
        n => format!("; {} had a unique_key that an unsettled task has", show::number(n)),
    };
    print(&format!("{} enqueued{existing}\n", tasks(count.new)))?;
    for job in strangers.iter().take(FEW) {
        let job = show::excerpt(job.as_bytes(), 200);
        tell(&format!("note: no job `{job}` is known here; its tasks are parked until a worker knows it\n"));
    }
    Ok(Verdict::Well)
}

/// The next lines that go into one transaction; none when there are no more.
fn next_batch(lines: &mut Lines<impl BufRead>) -> Result<Vec<NewTask>> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < BATCH && bytes < BATCH_BYTES {
        let Some(task) = lines.next()? else { break };
        let task = task?;
        bytes += task.param.len();
        batch.push(task);
    }
    Ok(batch)
}

fn insert(store: &mut dyn Store, batch: &[NewTask], count: &mut Count) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let enqueued = store.enqueue_many(batch)?;
    let plan = store.plan()?;
    let mut touched = BTreeSet::new();
    for one in enqueued {
        match one {
            Enqueued::New(id) => {
                count.new += 1;
                touched.insert(plan.partition_of(id));
            }
            Enqueued::Exists(_) => count.existing += 1,
        }
    }
    store.ring(&touched.into_iter().collect::<Vec<_>>(), plan.current().partitions);
    Ok(())
}

/// The lines of a source, and where it is read.
struct Lines<R> {
    name: String,
    from: R,
    number: u64,
    line: Vec<u8>,
    bar: Bar,
}

impl<R: BufRead> Lines<R> {
    fn new(name: &str, from: R, bar: Bar) -> Lines<R> {
        Lines { name: name.to_string(), from, number: 0, line: Vec::new(), bar }
    }

    /// The task of the next line that is not blank. The inner error is the line's, and names it.
    fn next(&mut self) -> Result<Option<Result<NewTask>>> {
        loop {
            self.line.clear();
            let read = (&mut self.from).take(LINE).read_until(b'\n', &mut self.line);
            let length = read.map_err(|e| Error::failed(format!("{}: {e}", self.name)))?;
            if length == 0 {
                return Ok(None);
            }
            self.number += 1;
            self.bar.0.inc(length as u64);
            let wrong = |why: &str| Error::usage(format!("{}:{}: {why}", self.name, self.number));
            if length as u64 == LINE && self.line.last() != Some(&b'\n') {
                // What follows is not the beginning of another line.
                return Err(wrong(&format!("the line is longer than {LINE} bytes")));
            }
            // Some programs begin a file of UTF-8 with a mark of it.
            let text = if self.number == 1 { self.line.strip_prefix(b"\xef\xbb\xbf") } else { None };
            let text = text.unwrap_or(&self.line).trim_ascii();
            if !text.is_empty() {
                return Ok(Some(NewTask::from_json(text).map_err(|why| wrong(&why))));
            }
        }
    }
}

/// A progress bar on a terminal; nothing elsewhere.
struct Bar(ProgressBar);

impl Bar {
    /// Over that many bytes, or as many as come.
    fn new(what: &str, length: Option<u64>) -> Bar {
        if !std::io::stderr().is_terminal() {
            return Bar(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
        let template = match length {
            Some(_) => format!("{what}{{bar:40}} {{bytes}}/{{total_bytes}}, {{eta}} left"),
            None => "{bytes}, {bytes_per_sec}".to_string(),
        };
        match ProgressStyle::with_template(&template) {
            Ok(style) => bar.set_style(style),
            Err(e) => tell(&format!("the progress bar is left plain: {e}\n")),
        }
        Bar(bar)
    }
}
