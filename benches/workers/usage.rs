//! What a process uses, as the kernel tells it in `/proc`.
//!
//! Memory: PSS counts a page that k processes share as 1/k of a page, so the sum over workers is what they cost
//! together; RSS counts it fully for each. The peak is that of RSS.

use std::error::Error;

/// Memory of a process in KiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) rss_kib: f64,
    pub(crate) pss_kib: f64,
}

pub(crate) fn memory(pid: u32) -> Result<Memory, Box<dyn Error>> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    Ok(Memory { rss_kib: kib_of(&rollup, "Rss:")?, pss_kib: kib_of(&rollup, "Pss:")? })
}

/// The most that the process ever had in memory, in KiB.
pub(crate) fn peak_kib(pid: u32) -> Result<f64, Box<dyn Error>> {
    kib_of(&std::fs::read_to_string(format!("/proc/{pid}/status"))?, "VmHWM:")
}

fn kib_of(text: &str, label: &str) -> Result<f64, Box<dyn Error>> {
    let rest = text.lines().find_map(|line| line.strip_prefix(label)).ok_or_else(|| format!("no {label}"))?;
    Ok(rest.trim().trim_end_matches(" kB").parse()?)
}

/// Processor time that the process has used, user and system, in seconds; told in clock ticks, mostly of 10 ms.
pub(crate) fn cpu_s(pid: u32) -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field, the name, may have spaces and parentheses in it: count from the last one on.
    let (_, rest) = stat.rsplit_once(") ").ok_or("no name in stat")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let [utime, stime] = [11, 12].map(|n| fields.get(n).copied().unwrap_or_default());
    let ticks = utime.parse::<u64>()? + stime.parse::<u64>()?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}
