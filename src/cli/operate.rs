//! `retry`, `cancel` and `release`: by ids or by a filter, with a look before.
//!
//! What a filter matches is shown and asked about before it is done, unless `--yes` says that nobody wants to see it. What
//! is done after the answer is what was shown, not what matches by then.

use super::args::Format;
use super::args_tasks::OperateArgs;
use super::site::Site;
use super::{Verdict, print, show, tasks, tell};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::store::{Chosen, Fate, Filter, Operation, Row, Store, Tally};
use serde_json::{Value, json};
use std::io::{BufRead, IsTerminal};

/// So many tasks are shown of many.
const FEW: usize = 10;

pub(super) fn operate(site: &Site, operation: Operation, args: &OperateArgs) -> Result<Verdict> {
    let filter = filter(site, args)?;
    let mut store = site.existing_store()?;
    let chosen = filter.as_ref().map_or(Chosen::Ids(&args.ids), Chosen::Matching);
    let by_filter = filter.is_some();
    let now_ms = site.clock.now_ms();
    let mut told = Vec::new();
    if args.dry_run || (by_filter && !args.yes) {
        let tally = store.foresee(operation, &chosen, now_ms, &mut |id, fate| told.push((id, fate)))?;
        if args.dry_run {
            let first = if by_filter { first(store.as_mut(), &told)? } else { Vec::new() };
            return Report { operation, dry: true, by_filter, tally, told, first }.give(site, args.format.format);
        }
        let ids: Vec<i64> = told.drain(..).map(|(id, _)| id).collect();
        if ids.len() > 1 && !agreed(operation, &ids)? {
            tell("nothing was changed\n");
            return Ok(Verdict::Failed);
        }
        let tally = run(store.as_mut(), operation, &Chosen::Ids(&ids), now_ms, &mut told)?;
        return Report { operation, dry: false, by_filter, tally, told, first: Vec::new() }
            .give(site, args.format.format);
    }
    let tally = run(store.as_mut(), operation, &chosen, now_ms, &mut told)?;
    Report { operation, dry: false, by_filter, tally, told, first: Vec::new() }.give(site, args.format.format)
}

fn filter(site: &Site, args: &OperateArgs) -> Result<Option<Filter>> {
    if !args.ids.is_empty() {
        return Ok(None);
    }
    let status = args.status.as_deref().map(tasks::status_of).transpose()?;
    let since_ms = tasks::since_ms(site, args.since.as_deref())?;
    Ok(Some(Filter { status, job: args.job.clone(), since_ms, limit: args.limit.unwrap_or(u32::MAX) }))
}

fn run(
    store: &mut dyn Store,
    operation: Operation,
    chosen: &Chosen<'_>,
    now_ms: i64,
    told: &mut Vec<(i64, Fate)>,
) -> Result<Tally> {
    let mut note = |id, fate| told.push((id, fate));
    match operation {
        Operation::Retry => store.retry(chosen, now_ms, &mut note),
        Operation::Cancel => store.cancel(chosen, now_ms, &mut note),
        Operation::Release => store.release(chosen, now_ms, &mut note),
    }
}

/// The first few that would be changed.
fn first(store: &mut dyn Store, told: &[(i64, Fate)]) -> Result<Vec<Row>> {
    let ids = told.iter().filter(|(_, fate)| matches!(fate, Fate::Changed(_))).map(|(id, _)| *id);
    ids.take(FEW).filter_map(|id| store.task(id).transpose()).collect()
}

/// Asks on a terminal; elsewhere nobody answers.
fn agreed(operation: Operation, ids: &[i64]) -> Result<bool> {
    let (word, count) = (operation.word(), show::number(ids.len() as u64));
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Error::usage(format!("{count} tasks match, and nobody is there to be asked"))
            .hint("--dry-run shows them, --yes goes on without asking"));
    }
    let first: Vec<String> = ids.iter().take(FEW).map(i64::to_string).collect();
    let more = if ids.len() > FEW { ", …" } else { "" };
    tell(&format!("{word} {count} tasks: {}{more}\ngo on? [y/N] ", first.join(", ")));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

/// What was done, or would be.
struct Report {
    operation: Operation,
    /// Whether it is only what would be done.
    dry: bool,
    by_filter: bool,
    tally: Tally,
    /// What became of each.
    told: Vec<(i64, Fate)>,
    /// The first of those that a filter would change.
    first: Vec<Row>,
}

impl Report {
    fn give(&self, site: &Site, format: Format) -> Result<Verdict> {
        match format {
            Format::Json => print(&format!("{}\n", self.json()))?,
            Format::Table => print(&self.text(&site.config))?,
        }
        // What a filter had matched may have settled meanwhile: nobody asked for it by name.
        let left = if self.by_filter { self.tally.key_taken } else { self.tally.left() };
        Ok(if left == 0 { Verdict::Well } else { Verdict::Failed })
    }

    /// What is told of single tasks: all that were named; of a filter's, the first that were left as they are.
    fn singled_out(&self) -> impl Iterator<Item = &(i64, Fate)> {
        let shown = |told: &&(i64, Fate)| !self.by_filter || !matches!(told.1, Fate::Changed(_));
        self.told.iter().filter(shown).take(if self.by_filter { FEW } else { usize::MAX })
    }

    fn json(&self) -> Value {
        let one = |(id, fate): &(i64, Fate)| match fate {
            Fate::Changed(status) => json!({ "id": id, "changed": true, "status": status.word() }),
            Fate::Unfit(status) => json!({ "id": id, "changed": false, "status": status.word() }),
            Fate::KeyTaken(holder) => json!({ "id": id, "changed": false, "status": "dead", "key_taken_by": holder }),
            Fate::Missing => json!({ "id": id, "changed": false, "status": null }),
        };
        let mut tasks: Vec<Value> = self.singled_out().map(one).collect();
        tasks.extend(self.first.iter().map(show::task));
        json!({ "dry_run": self.dry, "changed": self.tally.changed, "left": self.tally.left(), "tasks": tasks })
    }

    fn text(&self, config: &Config) -> String {
        let mut text = String::new();
        if self.by_filter {
            text += &self.summary();
            if !self.first.is_empty() {
                text += &tasks::list(&self.first, config);
            }
        }
        for (id, fate) in self.singled_out() {
            text += &match (fate, self.dry) {
                (Fate::Changed(status), false) => format!("task {id} is {status}\n"),
                (Fate::Changed(status), true) => format!("task {id} would be {status}\n"),
                (Fate::Unfit(status), _) => format!("task {id} is left as it is: it is {status}\n"),
                (Fate::KeyTaken(holder), _) => {
                    format!("task {id} is left as it is: task {holder} has its unique_key\n")
                }
                (Fate::Missing, _) => format!("there is no task {id}\n"),
            };
        }
        text
    }

    fn summary(&self) -> String {
        let done = match (self.dry, self.operation) {
            (true, operation) => format!("would {}", operation.word()),
            (false, Operation::Retry) => "retried".to_string(),
            (false, Operation::Cancel) => "cancelled".to_string(),
            (false, Operation::Release) => "released".to_string(),
        };
        let tasks = |n: u64| format!("{} {}", show::number(n), if n == 1 { "task" } else { "tasks" });
        match (self.tally.changed, self.tally.left()) {
            (0, 0) => "no task matches\n".to_string(),
            (changed, 0) => format!("{done} {}\n", tasks(changed)),
            (changed, left) => format!("{done} {}; {} left\n", tasks(changed), tasks(left)),
        }
    }
}
