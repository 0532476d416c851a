//! The program of these tests, and an installation of it.
//!
//! Cargo tells a test where the binaries of its package are, but not where its examples are, and builds them only with all
//! targets. So it is asked to build this one, which costs nothing when it is there already.

use crate::installation::Installation;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where the program is.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = Path::new(env!("CARGO_BIN_EXE_rowmill")).parent().unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--example", "trial", "--target-dir"]);
        cargo.arg(folder.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "examples/trial.rs cannot be built");
        folder.join("examples/trial")
    })
}

/// An installation of the program with that many workers, and the table that its jobs write to.
pub(crate) fn installed(config: &str) -> Installation {
    let here = Installation::of(program(), config);
    here.sql().execute_batch("CREATE TABLE outbox (task INTEGER, n INTEGER)").unwrap();
    here
}

/// How often the outbox has each pair of task and number more or less than once, of all that should be there: none.
pub(crate) fn notes(here: &Installation) -> (i64, i64) {
    let count = "SELECT count(*), count(DISTINCT task || ':' || n) FROM outbox";
    here.sql().query_row(count, [], |r| Ok((r.get(0)?, r.get(1)?))).unwrap()
}
