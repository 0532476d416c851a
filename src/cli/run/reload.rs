//! HUP: the configuration is read anew, and workers are replaced one by one when something changed that they read only when
//! they start.

use super::super::site::Site;
use crate::error::{Error, Result};
use crate::schedule::Wards;
use crate::work::exec::Command;
use crate::{store::Store, task::Policy};
use std::collections::VecDeque;

use super::super::crew::TAKES_PLACE;
use crate::clock::Watch;

/// Whether the new configuration may take the place of the old one.
pub(super) fn may_follow(old: &Site, new: &Site) -> Result<()> {
    // Names that two jobs have are found when they are put together.
    new.registry()?;
    if old.database != new.database {
        let (then, now) = (old.database.display(), new.database.display());
        return Err(Error::usage(format!("the database is {now} now, and was {then}")).hint("start `run` anew"));
    }
    Ok(())
}

/// Whether workers that were started by the old configuration differ from those of the new one. Where in the file
/// something stands does not count.
pub(super) fn workers_differ(old: &Site, new: &Site) -> Result<bool> {
    Ok(settings(old) != settings(new) || jobs(old)? != jobs(new)?)
}

fn settings(site: &Site) -> String {
    let c = &site.config;
    let group = c.group.as_ref().map(|group| &group.name);
    format!("{:?}", (c.timezone, c.durability, group, &c.log_dir, c.log_level, c.log_format, c.linger_ms, c.stall_ms))
}

fn jobs(site: &Site) -> Result<Vec<(String, Command, Policy)>> {
    let all = site.config.jobs.iter().cloned().chain(site.config.scripts()?);
    Ok(all.map(|job| (job.name, job.command, job.policy)).collect())
}

/// Workers that are replaced, one after the other.
#[derive(Debug, Default)]
pub(super) struct Rolling {
    left: VecDeque<(u32, i32)>,
    now: Option<Replaced>,
}

#[derive(Debug)]
struct Replaced {
    index: u32,
    pid: i32,
    /// Since when its process is gone.
    gone: Option<Watch>,
}

impl Rolling {
    /// All that are there now are to be replaced.
    pub(super) fn all(&mut self, wards: &Wards) {
        self.left = wards.all().into();
        self.left.make_contiguous().sort_unstable();
    }

    /// Whether a worker is just being replaced, so that it is worth looking again soon.
    pub(super) fn is_starting(&self) -> bool {
        self.now.as_ref().is_some_and(|now| now.gone.is_some())
    }

    /// One step further: tells the next worker to end when the one before has a successor that has taken its place. Of
    /// `workers` there are to be, others are not needed any more.
    pub(super) fn step(&mut self, wards: &mut Wards, store: &mut dyn Store, workers: u32) -> Result<()> {
        if let Some(now) = &mut self.now {
            if wards.has_process(now.pid) {
                return Ok(());
            }
            let gone = *now.gone.get_or_insert_with(Watch::start);
            if now.index < workers && !store.is_alive(now.index)? {
                if !gone.left_of(TAKES_PLACE).is_zero() {
                    return Ok(());
                }
                log::error!("worker {} does not begin; {} others are left as they are", now.index, self.left.len());
                self.left.clear();
            }
            self.now = None;
        }
        while let Some((index, pid)) = self.left.pop_front() {
            if wards.has_process(pid) && wards.tell(pid) {
                self.now = Some(Replaced { index, pid, gone: None });
                break;
            }
        }
        Ok(())
    }
}
