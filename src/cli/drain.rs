//! `drain`: N processes until nothing is ready.

use super::site::{Site, stop_on_signals};
use super::tick::judge;
use super::{Verdict, children, print, show, tell};
use crate::clock::{Millis, Watch};
use crate::error::Result;
use crate::log::Journal;
use crate::schedule::recover;
use crate::store::Store;
use crate::task::Status;
use crate::work::{Level, Stop};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::process::Child;
use std::time::Duration;

/// How often the progress bar is brought up to date.
const LOOK: Duration = Duration::from_millis(250);
/// How often it is looked whether another process still folds.
const FOLD_LOOK: Duration = Duration::from_millis(5);
/// Outcomes that one transaction folds.
const FOLD_ROWS: usize = 4_000;
/// Rows that one transaction counts.
const COUNT_ROWS: usize = 2_000;
/// Milliseconds of a UTC day.
const DAY_MS: i64 = 86_400_000;

pub(super) fn drain(site: &Site, workers: Option<u32>) -> Result<Verdict> {
    let stop = stop_on_signals()?;
    let journal = site.journal()?;
    let mut store = site.store()?;
    site.refuse_stopped(store.as_mut())?;
    let begun = Watch::start();
    let begun_ms = site.clock.now_ms();
    store.promote(begun_ms, FOLD_ROWS)?;
    // Here and not only when a worker starts: without any row that is ready, none does.
    while store.spread()?.is_some() {}
    let registry = site.registry()?;
    let dead_before = deaths(store.as_mut(), begun_ms)?;
    recover(store.as_mut(), begun_ms, &|lost| judge(&registry, lost, begun_ms))?;
    store.release_known(&registry.names().collect::<Vec<_>>())?;
    // Whatever came before is counted now, so that nothing that looks on the way reads it.
    while store.count(COUNT_ROWS)? > 0 {}
    let before = store.counts()?;
    let ready = before.total(Status::Ready);
    let workers = workers.unwrap_or(store.plan()?.current().partitions);
    // Workers settle what others left running when they died.
    let lost = !store.lost_claims()?.is_empty();
    let children = if ready > 0 || lost { start(site, &journal, store.as_mut(), workers)? } else { Vec::new() };
    let bar = Bar::new(ready);
    children::wait(children, &stop, LOOK, &mut || bar.look(store.as_mut()))?;
    wait_for_others(store.as_mut(), &stop, &bar)?;
    while store.spread()?.is_some() {}
    fold_all(store.as_mut(), &stop)?;
    bar.0.finish_and_clear();
    let after = store.counts()?;
    let left = after.total(Status::Ready);
    let lost = store.lost_claims()?.len() as u64;
    let died = deaths(store.as_mut(), begun_ms)?.saturating_sub(dead_before);
    let parked = after.total(Status::Parked).saturating_sub(before.total(Status::Parked));
    let now_ms = site.clock.now_ms();
    let delayed = store.next_delayed()?.map(|due| show::from_now(due, now_ms));
    let text = report(ready, [left, died, parked, lost], begun.elapsed(), delayed);
    print(&format!("{text}log: {}\n", journal.file().display()))?;
    match (left + lost, parked, died) {
        (0, 0, 0) => Ok(Verdict::Well),
        (0, 0, _) => Ok(Verdict::Failed),
        _ => Ok(Verdict::TryAgain),
    }
}

/// How many tasks became dead since the day before an instant, retried ones included. What became so in a drain is the
/// difference of two of these, whatever the clocks of the workers say.
fn deaths(store: &mut dyn Store, since_ms: Millis) -> Result<u64> {
    let days = store.history(since_ms.div_euclid(DAY_MS) - 1)?;
    Ok(days.iter().filter(|day| day.status == Status::Dead).map(|day| day.count).sum())
}

fn start(site: &Site, journal: &Journal, store: &mut dyn Store, workers: u32) -> Result<Vec<Child>> {
    let launch = site.launch(&["--workers".into(), workers.to_string(), "--drain".into()], false)?;
    let mut children = Vec::new();
    for index in 0..workers {
        if !store.is_alive(index)? {
            children.push(launch.start(index, journal)?);
        }
    }
    Ok(children)
}

/// Workers that were there before may still be busy with the last partitions.
fn wait_for_others(store: &mut dyn Store, stop: &Stop, bar: &Bar) -> Result<()> {
    while stop.level() == Level::GoOn && !store.waiting()?.is_empty() && !store.workers()?.is_empty() {
        store.sleep(LOOK, stop.descriptor())?;
        bar.look(store)?;
    }
    Ok(())
}

/// Folds until nothing is left. While another process folds, its end is waited for: then the table is right as well.
fn fold_all(store: &mut dyn Store, stop: &Stop) -> Result<()> {
    loop {
        match store.fold(FOLD_ROWS)? {
            Some(0) => {
                while stop.level() != Level::BreakOff && store.count(COUNT_ROWS)? > 0 {}
                return Ok(());
            }
            None if stop.level() != Level::GoOn => return Ok(()),
            // Beside workers that go on there would be no end of it.
            Some(_) if stop.level() != Level::GoOn && !store.workers()?.is_empty() => return Ok(()),
            Some(_) if stop.level() == Level::BreakOff => return Ok(()),
            None => {
                store.sleep(FOLD_LOOK, stop.descriptor())?;
            }
            Some(_) => {}
        }
    }
}

fn report(ready: u64, [left, died, parked, lost]: [u64; 4], took: Duration, delayed: Option<String>) -> String {
    let ran = ready.saturating_sub(left);
    let seconds = took.as_secs_f64().max(0.001);
    let rate = show::number((ran as f64 / seconds) as u64);
    let mut text = match ready {
        0 => "nothing was ready".to_string(),
        _ => format!("{} ready tasks drained in {seconds:.2} s ({rate}/s)", show::number(ran)),
    };
    for (count, what) in [(died, "died"), (parked, "parked"), (left, "still ready"), (lost, "lost with their worker")] {
        if count > 0 {
            text += &format!(", {} {what}", show::number(count));
        }
    }
    text += &delayed.map(|due| format!("; others are delayed, the next one is due {due}")).unwrap_or_default();
    text + "\n"
}

/// A progress bar on a terminal; nothing elsewhere.
struct Bar(ProgressBar);

impl Bar {
    fn new(ready: u64) -> Bar {
        let bar = if std::io::stderr().is_terminal() && ready > 0 {
            ProgressBar::with_draw_target(Some(ready), ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        match ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} tasks, {per_sec}, {eta} left") {
            Ok(style) => bar.set_style(style),
            Err(e) => tell(&format!("the progress bar is left plain: {e}\n")),
        }
        Bar(bar)
    }

    /// Asks for what is left only when somebody sees it.
    fn look(&self, store: &mut dyn Store) -> Result<()> {
        if let Some(length) = self.0.length().filter(|_| !self.0.is_hidden()) {
            self.0.set_position(length.saturating_sub(store.counts()?.total(Status::Ready)));
        }
        Ok(())
    }
}
