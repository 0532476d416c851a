//! HUP: the configuration is read anew. Workers are replaced when something changed that they read only when they start.

use super::super::site::Site;
use crate::error::{Error, Result};
use crate::task::Policy;
use crate::work::exec::Command;

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
