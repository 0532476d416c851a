//! What every benchmark here stands on: a scratch folder on a real disk, the rows of work, the machine it ran on, the
//! rowmill program, and the few numbers that stand for many.
//!
//! The same rows are made for whoever is measured: job `noop`, 100 bytes of JSON, three priorities in no order.

pub(crate) mod machine;
pub(crate) mod program;
pub(crate) mod spread;
pub(crate) mod stage;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

/// A folder that vanishes with the value. Without a `parent` it lies in cargo's target folder: a real disk, whereas
/// the system's folder for temporary files is often memory, where a commit costs nothing.
pub(crate) fn scratch(parent: Option<&Path>) -> Result<TempDir, Box<dyn Error>> {
    let parent = parent.map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), Path::to_owned);
    std::fs::create_dir_all(&parent)?;
    Ok(tempfile::Builder::new().prefix("rowmill-bench-").tempdir_in(parent)?)
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

/// The param of row `n`: exactly 100 bytes of JSON.
pub(crate) fn param_of(n: i64) -> String {
    let head = format!(r#"{{"uid":{n},"content":""#);
    let width = 100 - head.len() - 2;
    format!(r#"{head}{:.<width$}"}}"#, "hello")
}

/// The priority of row `n`: one of three, scattered by a multiplicative hash so that it follows no partition.
pub(crate) fn priority_of(n: i64) -> i64 {
    [0, 5, 10][(((n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) % 3) as usize]
}
