//! `init` and `migrate`: from an empty folder to something that works.

use super::args::PlaceArgs;
use super::site::{Register, Site, here};
use super::{Verdict, print};
use crate::config;
use crate::error::Result;
use std::path::Path;

pub(super) fn init(place: &PlaceArgs, register: Register, dir: &Path) -> Result<Verdict> {
    let mut text = String::new();
    for file in config::init(dir)? {
        let what = if file.written { "wrote" } else { "left as it is:" };
        text += &format!("{what} {}\n", file.path.display());
    }
    let config = Some(here()?.join(dir).join(config::FILE_NAME));
    let place = PlaceArgs { config, database: place.database.clone(), log: place.log };
    let site = Site::find(&place, register)?;
    let (there, made) = (site.database.exists(), site.store()?.plan()?.current().partitions);
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
    let partitions = site.store()?.plan()?.current().partitions;
    let what = if there { "is up to date" } else { "is made" };
    print(&format!("{} {what} ({partitions} partitions)\n", site.database.display()))?;
    Ok(Verdict::Well)
}
