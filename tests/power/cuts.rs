//! Power cuts at every point of a history, and what is to be found afterwards.
//!
//! Each commit makes a state. An image must be one of them: none that is younger than the cut, none that is older than
//! what somebody relies on. Whether each state keeps the laws, and can be finished, is asked of the state itself.

use super::chance::Chance;
use super::disk::{Event, Told};
use super::platter::{Cut, Fate, Image, Platter};
use super::verdict::{NOTHING, Seen, Table};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What was done and what was found.
#[derive(Debug, Default, Clone)]
pub(crate) struct Found {
    /// Points at which the power was cut.
    pub(crate) points: u64,
    /// Images that were made, equal ones included.
    pub(crate) made: u64,
    /// Different images that were opened and checked.
    pub(crate) opened: u64,
    /// Commits of the histories: each state was finished.
    pub(crate) commits: u64,
    /// How often the log was cut to nothing, and removed.
    pub(crate) truncated: u64,
    pub(crate) removed: u64,
    /// Syncs that failed.
    pub(crate) lost: u64,
    /// Tasks that began, and may run only once.
    pub(crate) began: u64,
    /// What is wrong.
    pub(crate) wrong: Vec<String>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Found { points, made, opened, commits, truncated, removed, lost, began, wrong } = self;
        write!(f, "{commits} commits, {began} tasks begun that run only once, {truncated} logs truncated, ")?;
        write!(f, "{removed} files removed, {lost} syncs failed; power cut at {points} points, ")?;
        write!(f, "{made} images made, {opened} different ones opened, {} wrong", wrong.len())
    }
}

impl Found {
    pub(crate) fn add(&mut self, other: Found) {
        self.points += other.points;
        self.made += other.made;
        self.opened += other.opened;
        self.commits += other.commits;
        self.truncated += other.truncated;
        self.removed += other.removed;
        self.lost += other.lost;
        self.began += other.began;
        self.wrong.extend(other.wrong);
    }

    fn count(&mut self, event: &Event) {
        match event {
            Event::Cut { length: 0, .. } => self.truncated += 1,
            Event::Removed { .. } => self.removed += 1,
            Event::Lost { .. } => self.lost += 1,
            Event::Told(told) => self.began += told.began.len() as u64,
            _ => {}
        }
    }
}

/// The states of a history by the number of commits: 0 is before the first.
struct States {
    sums: Vec<u64>,
    found: Found,
}

/// Cuts the power at every point of a history, in about `most` ways that lead to different files.
pub(crate) fn cut_everywhere(events: &[Event], seed: u64, most: usize) -> Found {
    let mut table = Table::new();
    let States { sums, mut found } = states(events, &mut table);
    let mut chance = Chance::of(seed);
    // How many images an even share of the points may have, in thousandths.
    let share = most * 1_000 / events.len().max(1);
    let mut platter = Platter::default();
    let (mut safe, mut credit) = (0, 0);
    let mut known: HashMap<u64, Result<u64, String>> = HashMap::new();
    let mut tried: HashSet<(u64, usize, usize)> = HashSet::new();
    for (point, event) in events.iter().enumerate() {
        let before_sync = matches!(event, Event::Synced { .. } | Event::Removed { .. } | Event::Told(_));
        let mut cuts = Vec::new();
        if before_sync {
            cuts.extend(at_sync(&platter, &mut chance));
        }
        let committed = platter.commits();
        let mut check = |platter: &Platter, cut: Cut, committed: usize, safe: usize, found: &mut Found| {
            let image = platter.image(cut);
            found.made += 1;
            let content = content_of(&image);
            if !tried.insert((content, safe, committed)) {
                return false;
            }
            let mut opened = false;
            let seen = known.entry(content).or_insert_with(|| {
                opened = true;
                found.opened += 1;
                table.look(&image).map(|seen| seen.sum)
            });
            if let Err(why) = within(seen, &sums, safe, committed) {
                found.wrong.push(format!("event {point}, {cut:?}: {why}"));
            }
            opened
        };
        // Before a sync, a promise or a removal: what it is to make certain is still in the balance.
        for cut in cuts {
            if credit > 0 && check(&platter, cut, committed, safe, &mut found) {
                credit -= 1_000;
            }
        }
        platter.follow(event);
        if let Event::Told(Told { safe: true, .. }) = event {
            safe = platter.commits();
        }
        found.points += 1;
        credit += share as i64;
        let committed = platter.commits();
        for cut in after(event, &platter, &mut chance) {
            if (credit > 0 || before_sync) && check(&platter, cut, committed, safe, &mut found) {
                credit -= 1_000;
            }
        }
    }
    found
}

/// How the power may go while everything since the last sync is in the balance.
fn at_sync(platter: &Platter, chance: &mut Chance) -> Vec<Cut> {
    let pending = platter.pending();
    let mut cuts = Vec::new();
    for _ in 0..pending.min(6) {
        cuts.push(Cut::Mixed { seed: chance.next() });
        cuts.push(Cut::Without(chance.below(pending)));
        cuts.push(Cut::Alone(chance.below(pending)));
    }
    cuts
}

/// How the power may go just after an event.
fn after(event: &Event, platter: &Platter, chance: &mut Chance) -> Vec<Cut> {
    let seed = chance.next();
    match event {
        Event::Wrote { .. } => vec![
            Cut::Mixed { seed },
            [
                Cut::Last(Fate::Torn { sector: 512, seed }),
                Cut::Last(Fate::Torn { sector: 4096, seed }),
                Cut::Last(Fate::Begun { seed }),
                Cut::Last(Fate::Rubbish { seed }),
                Cut::Last(Fate::LengthOnly),
                Cut::NothingLost,
            ][chance.below(6)],
        ],
        _ if platter.pending() > 0 => vec![Cut::AllLost, Cut::NothingLost, Cut::NamesLost, Cut::Mixed { seed }],
        _ => vec![Cut::AllLost, Cut::NothingLost],
    }
}

/// Whether what was seen is a state that may be found: not older than what is safe, not younger than what was written.
fn within(seen: &Result<u64, String>, sums: &[u64], safe: usize, committed: usize) -> Result<(), String> {
    let sum = seen.as_ref().map_err(Clone::clone)?;
    if sums[safe..=committed].contains(sum) {
        return Ok(());
    }
    let older = sums[..safe].iter().rposition(|one| one == sum);
    Err(match older {
        Some(commit) => format!("commit {commit} is found, and {safe} was relied on"),
        None => format!("what is found is none of the states {safe} to {committed}"),
    })
}

/// Opens the state after each commit, holds the laws against it and finishes it; and looks whether what was told is true.
fn states(events: &[Event], table: &mut Table) -> States {
    let mut states = States { sums: vec![NOTHING], found: Found::default() };
    let mut platter = Platter::default();
    let mut judged = HashSet::new();
    let mut last = Seen { sum: NOTHING, tasks: Vec::new() };
    for (point, event) in events.iter().enumerate() {
        if platter.follow(event) {
            let image = platter.seen();
            states.found.commits += 1;
            let seen = table.look(&image).and_then(|seen| {
                if judged.insert(seen.sum) {
                    table.judge(&image)?;
                }
                Ok(seen)
            });
            last = seen.unwrap_or_else(|why| {
                states.found.wrong.push(format!("event {point}, commit {}: {why}", platter.commits()));
                Seen { sum: 1, tasks: Vec::new() }
            });
            states.sums.push(last.sum);
        }
        states.found.count(event);
        if let Event::Told(told) = event {
            let status = |id: &i64| last.tasks.iter().find(|(one, _)| one == id).map(|(_, status)| status.as_str());
            let missing: Vec<&i64> = told.asked.iter().filter(|id| status(id).is_none()).collect();
            let waiting: Vec<&i64> = told.began.iter().filter(|id| status(id) != Some("running")).collect();
            if !missing.is_empty() || !waiting.is_empty() {
                let wrong = format!("event {point}: told and not so: asked {missing:?}, began {waiting:?}");
                states.found.wrong.push(wrong);
            }
        }
    }
    states
}

fn content_of(image: &Image) -> u64 {
    let mut hasher = DefaultHasher::new();
    image.hash(&mut hasher);
    hasher.finish()
}
