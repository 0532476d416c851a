//! The machine a figure was taken on: without it, no figure can be read.
//!
//! The cost of a small durable write is measured in the scratch folder itself, since with `durability = "full"` it
//! decides more than the processor does.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use super::spread::Spread;

/// Appends that are timed.
const APPENDS: usize = 100;

pub(crate) struct Machine {
    cores: usize,
    processor: String,
    kernel: String,
    file_system: String,
    fdatasync_ms: Spread,
}

impl Machine {
    /// Looks at the machine, and writes a little into `dir`.
    pub(crate) fn look(dir: &Path) -> Result<Self, Box<dyn Error>> {
        Ok(Machine {
            cores: std::thread::available_parallelism()?.get(),
            processor: processor(),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            file_system: file_system(dir)?,
            fdatasync_ms: fdatasync_ms(dir)?,
        })
    }

    pub(crate) fn print(&self) {
        println!("machine: {} cores, {}, Linux {}", self.cores, self.processor, self.kernel);
        println!("scratch: {}; SQLite {}", self.file_system, rusqlite::version());
        let Spread { median, p99, .. } = self.fdatasync_ms;
        println!("4 KiB append + fdatasync: {median:.2} ms median, {p99:.2} ms p99");
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "cores": self.cores, "processor": self.processor, "kernel": self.kernel, "file_system": self.file_system,
            "sqlite": rusqlite::version(), "fdatasync_ms": self.fdatasync_ms.to_json(),
        })
    }
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    name.unwrap_or("unknown processor").to_owned()
}

/// The type of the file system that `dir` lies on: of the mount points that are above it, the longest, and of those
/// the last, which lies on top.
fn file_system(dir: &Path) -> Result<String, Box<dyn Error>> {
    let dir = dir.canonicalize()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let found = mounts.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let point = left.split(' ').nth(4)?;
        dir.starts_with(point).then(|| (point.len(), right.split(' ').next().unwrap_or_default().to_owned()))
    });
    Ok(found.max_by_key(|(length, _)| *length).map_or_else(|| "unknown".to_owned(), |(_, kind)| kind))
}

/// The cost of a 4 KiB append and its fdatasync in `dir`.
pub(crate) fn fdatasync_ms(dir: &Path) -> Result<Spread, Box<dyn Error>> {
    let path = dir.join("append");
    let mut file = File::create(&path)?;
    let mut took = Vec::with_capacity(APPENDS);
    for _ in 0..APPENDS {
        let start = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        took.push(start.elapsed().as_secs_f64() * 1e3);
    }
    std::fs::remove_file(&path)?;
    Ok(Spread::of(&took))
}
