//! Strange jobs: those that this worker does not know, and a living one does.
//!
//! That happens when a job was added after this worker had started. Their rows stay ready. This worker passes over them
//! and runs what stands behind, and sees to it that the partition gets into other hands: it gives it up after a slice,
//! tells those that know the job, and keeps away until one of them has had it. When nobody has come after a while, because
//! all of them are busy, it works there for a longer turn, then gives it up again. Where nothing else is ready, it
//! only looks. Nothing here costs anything until the first such row is met, which its settlement tells.

use super::slice::Slice;
use crate::clock::Watch;
use crate::error::Result;
use crate::store::{Batch, Hold, Mark, Store};
use crate::task::Partition;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often it is asked who knows a strange job.
const ASK: Duration = Duration::from_secs(1);
/// A job of which no row was met for this long is forgotten.
const FORGET: Duration = Duration::from_secs(60);
/// How long to keep away from a partition that was given up, if nobody comes. Who is busy at home looks once a second, between
/// two slices, at what nobody holds.
const AWAY: Duration = Duration::from_millis(1_500);
/// How long to work there then. The rows that were passed over are read anew after this.
const TURN: Duration = Duration::from_secs(1);

/// What one worker knows of them.
#[derive(Debug, Default)]
pub(super) struct Strange {
    /// The names, in order, and what is known of each.
    jobs: Vec<String>,
    known: Vec<Known>,
    places: BTreeMap<Partition, Place>,
    /// Rows that this slice has met without passing over them, and that it has passed over.
    met: usize,
    passed: usize,
}

#[derive(Debug)]
struct Known {
    /// The workers that are free to come for a row of it, as bits of their indexes mod 64.
    free: u64,
    asked: Watch,
    seen: Watch,
}

/// A partition with rows of strange jobs.
#[derive(Debug, Default)]
struct Place {
    /// Since when, and for how long, this worker keeps away.
    away: Option<(Watch, Duration)>,
    /// Whether it held the partition last when that began.
    given_up: bool,
    /// How far there are such rows, and since when that is so.
    mark: Option<Mark>,
    read: Option<Watch>,
}

impl Strange {
    /// Whether there are any.
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Takes note of a row that was not parked because somebody knows its job.
    pub(super) fn meet(&mut self, store: &mut dyn Store, job: &str) -> Result<()> {
        self.met += 1;
        if let Ok(at) = self.jobs.binary_search_by(|name| (**name).cmp(job)) {
            self.known[at].seen = Watch::start();
            return Ok(());
        }
        // Whoever knew it may have ended just now: then the next settlement parks the row.
        if let Some(free) = store.knowers(job)?
            && let Err(at) = self.jobs.binary_search_by(|name| (**name).cmp(job))
        {
            log::warn!("other workers know the job `{job}`, this one does not: `rowmill restart` replaces it");
            self.jobs.insert(at, job.to_string());
            self.known.insert(at, Known { free, asked: Watch::start(), seen: Watch::start() });
        }
        Ok(())
    }

    /// What a slice comes to that has settled so many tasks, those of strange jobs that it met counted in. The partition
    /// is given up when it has rows that somebody is free to come for, unless nobody came just before; and when it has no
    /// others.
    pub(super) fn judge(&mut self, partition: Partition, settled: usize) -> Slice {
        let (met, passed) = (std::mem::take(&mut self.met), std::mem::take(&mut self.passed));
        let settled = settled.saturating_sub(met);
        if met + passed > 0 && (settled == 0 || (self.callers() != 0 && !self.has_turn(partition))) {
            Slice::Left(settled)
        } else {
            Slice::Settled(settled)
        }
    }

    /// Looks from time to time who knows the jobs. One that nobody knows any more is not passed over: its next row is
    /// parked.
    pub(super) fn ask(&mut self, store: &mut dyn Store) -> Result<()> {
        for at in (0..self.jobs.len()).rev() {
            if !self.known[at].asked.left_of(ASK).is_zero() {
                continue;
            }
            let free = store.knowers(&self.jobs[at])?;
            match free.filter(|_| !self.known[at].seen.left_of(FORGET).is_zero()) {
                Some(free) => (self.known[at].free, self.known[at].asked) = (free, Watch::start()),
                None => {
                    self.jobs.remove(at);
                    self.known.remove(at);
                    self.places.clear();
                }
            }
        }
        Ok(())
    }

    /// The next rows of a partition that are not of strange jobs.
    pub(super) fn fetch(&mut self, store: &mut dyn Store, hold: &Hold, limit: usize) -> Result<Batch> {
        if self.is_empty() {
            (self.met, self.passed) = (0, 0);
            return store.fetch(hold, limit);
        }
        let place = self.places.entry(hold.partition()).or_default();
        let batch = store.fetch_past(hold, limit, &self.jobs, place.mark())?;
        (self.met, self.passed) = (0, batch.passed);
        if batch.passed > 0 {
            self.seen();
        }
        Ok(batch)
    }

    /// Whether this worker has something to do in a partition: there are rows of other jobs.
    pub(super) fn is_work(&mut self, store: &mut dyn Store, partition: Partition) -> Result<bool> {
        if self.is_empty() {
            return Ok(true);
        }
        let place = self.places.entry(partition).or_default();
        let is_work = store.has_others(partition, &self.jobs, place.mark())?;
        if !is_work {
            self.seen();
        }
        Ok(is_work)
    }

    /// Whether nobody came while this worker kept away, so that it is its turn.
    fn has_turn(&self, partition: Partition) -> bool {
        let away = self.places.get(&partition).and_then(|place| place.away);
        away.is_some_and(|(since, span)| !since.left_of(span + TURN).is_zero())
    }

    /// Keeps away from a partition, for `times` as long as from one of its own; when it was `given_up`, only until somebody
    /// who knows the jobs has held it.
    pub(super) fn keep_away(&mut self, partition: Partition, times: u32, given_up: bool) {
        let place = self.places.entry(partition).or_default();
        (place.away, place.given_up) = (Some((Watch::start(), AWAY * times)), given_up);
    }

    /// Whether it keeps away from a partition now.
    pub(super) fn is_away(&mut self, store: &mut dyn Store, partition: Partition) -> Result<bool> {
        let Some(place) = self.places.get_mut(&partition) else { return Ok(false) };
        if place.away.is_none_or(|(since, span)| since.left_of(span).is_zero()) {
            return Ok(false);
        }
        if place.given_up && store.was_known(partition, &self.jobs)? {
            place.away = None;
        }
        Ok(place.away.is_some())
    }

    /// Who is free to come for their rows, as bits of worker indexes mod 64.
    pub(super) fn callers(&self) -> u64 {
        self.known.iter().fold(0, |all, one| all | one.free)
    }

    fn seen(&mut self) {
        self.known.iter_mut().for_each(|one| one.seen = Watch::start());
    }
}

impl Place {
    /// Where to go on reading. From time to time everything is read anew: rows may have come in before it.
    fn mark(&mut self) -> &mut Option<Mark> {
        if self.read.is_none_or(|since| since.left_of(TURN).is_zero()) {
            (self.mark, self.read) = (None, Some(Watch::start()));
        }
        &mut self.mark
    }
}
