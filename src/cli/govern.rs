//! What a person steers: how many workers there are.

use super::site::Site;
use super::{Verdict, print, show, tick};
use crate::error::Result;
use crate::task::Partition;

pub(super) fn scale(site: &Site, partitions: u32) -> Result<Verdict> {
    let mut store = site.existing_store()?;
    let before = store.plan()?.current().partitions;
    let (generation, changed) = store.scale(partitions)?;
    if !changed {
        print(&format!("there are {partitions} partitions already\n"))?;
        return Ok(Verdict::Well);
    }
    // Everybody is to notice: those that are needed, and those that are not needed any more.
    let everybody: Vec<Partition> =
        (0..partitions.max(before)).map(|index| Partition { generation: generation.number, index }).collect();
    store.ring(&everybody, partitions.max(before));
    let from = show::number(u64::try_from(generation.first_id).unwrap_or(0).max(1));
    let mut text = format!("{partitions} partitions instead of {before}, for tasks from {from} on\n");
    if store.workers()?.is_empty() {
        text += "no worker is alive; the next tick or drain starts them\n";
    } else {
        drop(store);
        let journal = site.journal()?;
        tick::tick_once(site, &journal, None)?;
    }
    print(&text)?;
    Ok(Verdict::Well)
}
