//! What a test needs from the machine, and what happens when it is not there.
//!
//! `if !needs::tool("python3") { return; }` leaves the test out on a machine without Python, and says so on standard
//! error, past libtest's capture. With `ROWMILL_TEST_ALL` set (`tests/run` sets it) a missing tool fails the test, so
//! that a green run means that everything was run; except for what `ROWMILL_TEST_WITHOUT` lists, separated by spaces:
//! what `tests/run` has looked for in vain and names in its last line.

#![allow(dead_code, reason = "each test target that includes this module uses a part of it")]

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Whether an executable of this name is there. See [`that`] for what happens otherwise.
#[track_caller]
pub(crate) fn tool(name: &str) -> bool {
    that(find(name).is_some(), name, "install it, or run tests/run")
}

/// A program whose SQLite is 3.35, the oldest that applications may have; `tests/run` builds it.
pub(crate) const OLDEST_SQLITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/oldest_sqlite/debug/oldest_sqlite");

/// Whether that program is there, and is what it should be.
#[track_caller]
pub(crate) fn oldest_sqlite() -> bool {
    let version = Command::new(OLDEST_SQLITE).stdin(Stdio::null()).output();
    let right = version.is_ok_and(|said| said.stdout.starts_with(b"3.35."));
    that(right, "sqlite-3.35", "run tests/run, which builds tests/oldest_sqlite")
}

/// Whether a language that is there has something that does not come with it: `probe`, in that language, ends well where
/// it has. `tests/run` knows it by the same name.
#[track_caller]
pub(crate) fn extension(name: &str, language: &str, probe: &str) -> bool {
    let mut command = Command::new(language);
    command.args([if language == "php" { "-r" } else { "-e" }, probe]);
    let there = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    that(there.is_ok_and(|status| status.success()), name, "install it, or run tests/run")
}

/// Whether the test can go on. Otherwise says that it is left out, for want of `what` and with a hint, or fails when
/// nothing may be left out.
#[track_caller]
#[allow(clippy::panic, reason = "this is how a test that may not be left out fails")]
pub(crate) fn that(there: bool, what: &str, hint: &str) -> bool {
    if there {
        return true;
    }
    let place = std::panic::Location::caller();
    let thread = std::thread::current();
    // With one thread libtest runs the tests on the main one, which does not bear their names.
    let test = match thread.name() {
        Some(name) if name != "main" => name.to_string(),
        _ => format!("{}:{}", place.file(), place.line()),
    };
    let known = variable("ROWMILL_TEST_WITHOUT").to_string_lossy().split_whitespace().any(|word| word == what);
    assert!(
        known || variable("ROWMILL_TEST_ALL").is_empty(),
        "{test} needs {what} ({hint}), and ROWMILL_TEST_ALL lets no test be left out"
    );
    // Written at once and whole, and not by a macro: those are captured. A closed stderr is nobody's failure.
    let _ = std::io::stderr().write_all(format!("left out: {test} needs {what} ({hint})\n").as_bytes());
    false
}

/// Where an executable of this name is: in `PATH`, or where Debian keeps the programs of admins.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::split_paths(&variable("PATH")).collect();
    folders.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.into_iter().map(|folder| folder.join(name)).find(|path| is_executable(path))
}

fn is_executable(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn variable(name: &str) -> OsString {
    std::env::var_os(name).unwrap_or_default()
}
