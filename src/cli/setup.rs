//! `init` and `migrate`: from an empty folder to something that works.

use super::args::PlaceArgs;
use super::site::{self, Register, Site, here};
use super::{Verdict, print};
use crate::config;
use crate::error::{Error, Result};
use std::path::Path;

pub(super) fn init(place: &PlaceArgs, register: Register, dir: &Path, group: Option<&str>) -> Result<Verdict> {
    let mut text = String::new();
    let group = group.map(site::group_named).transpose()?;
    for file in config::init(dir, group.as_ref())? {
        let what = if file.written { "wrote" } else { "left as it is:" };
        text += &format!("{what} {}\n", file.path.display());
    }
    let config = Some(here()?.join(dir).join(config::FILE_NAME));
    let place = PlaceArgs { config, database: place.database.clone(), log: place.log };
    let site = Site::find(&place, register)?;
    if let Some(group) = &group
        && site.config.group.as_ref().map(|entry| &entry.name) != Some(&group.name)
    {
        let text = format!(
            "{} was there before, and does not name the group `{}`",
            dir.join(config::FILE_NAME).display(),
            group.name
        );
        return Err(
            Error::usage(text).hint(format!("write `group = \"{}\"` into it, then see `rowmill check`", group.name))
        );
    }
    site.make_folder()?;
    let (there, made) = (site.database.exists(), site.store()?.plan()?.current().partitions);
    site.share_log_that_is_there()?;
    let what = if there { "left as it is:" } else { "made" };
    text += &format!("{what} {} ({made} partitions)\n", site.database.display());
    text += "\nNext:\n";
    if dir != Path::new(".") {
        text += &format!("  cd {}\n", dir.display());
    }
    text += "  rowmill enqueue hello '\"world\"'\n  rowmill drain\n  rowmill status\n";
    print(&text)?;
    Ok(Verdict::Well)
}

pub(super) fn migrate(site: &Site) -> Result<Verdict> {
    let there = site.database.exists();
    site.make_folder()?;
    let partitions = site.store()?.plan()?.current().partitions;
    site.share_log_that_is_there()?;
    let what = if there { "is up to date" } else { "is made" };
    print(&format!("{} {what} ({partitions} partitions)\n", site.database.display()))?;
    Ok(Verdict::Well)
}
