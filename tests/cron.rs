//! Rowmill under Debian's own cron, as an admin has it: a line in a user's crontab, a bare environment, nobody watching.
//!
//! First the ground: that the daemon of `tests/cron_daemon` runs a line, and leaves the machine as it was. Then, below,
//! what rowmill makes of it. Each test that waits for the next minute takes up to 65 seconds; they run side by side.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at the first thing that cannot be")]

mod cron_daemon;
mod needs;

use cron_daemon::{CronDaemon, NEXT_MINUTE, appears, possible, user};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Whether a process is there; one that only waits to be reaped is not.
fn alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// What a daemon must leave alone: the crontabs, the system's tables, and the pid file of a cron that may run.
fn machine() -> Vec<String> {
    let places = ["/var/spool/cron/crontabs", "/etc/cron.d", "/etc/crontab", "/run/crond.pid"];
    let seen = |place: &str| {
        let meta = fs::metadata(place).map(|meta| (meta.modified().unwrap(), meta.len()));
        let names =
            fs::read_dir(place).map(|entries| entries.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>());
        format!("{place}: {:?} {:?}", meta.ok(), names.ok())
    };
    places.iter().map(|place| seen(place)).collect()
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_line_runs_at_the_next_minute_and_leaves_nothing() {
    if !possible() {
        return;
    }
    let before = machine();
    let folder = tempfile::tempdir().unwrap();
    let job = folder.path().join("job");
    // The sleeper is what a worker is: detached, in a session of its own, alive after its parent has gone.
    script(
        &job,
        "#!/bin/sh\nsetsid sleep 900 < /dev/null > /dev/null 2>&1 &\necho \"$! $(id -un) $PATH $WORD\" > \"$0.new\"\n\
         echo noise\nmv \"$0.new\" \"$0.ran\"\n",
    );
    let daemon = CronDaemon::start(&[&format!("* * * * * {}", job.display())], &[("WORD", "two words")]);
    assert_eq!(machine(), before, "while the daemon runs");
    let ran = folder.path().join("job.ran");
    assert!(appears(&ran, NEXT_MINUTE), "cron has not run its line");

    let said = fs::read_to_string(&ran).unwrap();
    let (sleeper, rest) = said.trim().split_once(' ').unwrap();
    assert_eq!(rest, format!("{} /usr/bin:/bin two words", user()), "cron's environment is bare");
    assert!(alive(sleeper), "the detached process should be there, or its end proves nothing");

    let pid = daemon.pid().to_string();
    assert!(alive(&pid));
    drop(daemon);
    assert!(!alive(&pid) && !alive(sleeper), "a process is left");
    assert_eq!(machine(), before);
}

#[test]
fn daemons_stand_side_by_side_and_end_at_once() {
    if !possible() {
        return;
    }
    let before = machine();
    let never = ["0 0 30 2 * true"];
    let daemons = [CronDaemon::start(&never, &[]), CronDaemon::start(&never, &[])];
    let pids = daemons.each_ref().map(|daemon| daemon.pid().to_string());
    assert!(pids[0] != pids[1] && pids.iter().all(|pid| alive(pid)));
    drop(daemons);
    assert!(!pids.iter().any(|pid| alive(pid)), "a daemon is left");
    assert_eq!(machine(), before);
}

#[test]
fn the_example_is_one_line_of_absolute_paths() {
    let lines = example();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let words: Vec<&str> = lines[0].split(' ').skip(5).collect();
    assert!(words[0].starts_with('/') && words[0].ends_with("/rowmill"), "{words:?}");
    let config = words.iter().position(|word| *word == "--config").expect("it names its configuration");
    assert!(words[1] == "tick" && words[config + 1].starts_with('/'), "{words:?}");
    assert!(!lines[0].contains(['%', '>', '|', '~']), "the line runs as it stands");
}

/// The lines of `cron.example` that cron runs: no comments, no variables.
fn example() -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("cron.example")).unwrap();
    let runs = |line: &&str| line.starts_with(['*', '@']) || line.starts_with(|c: char| c.is_ascii_digit());
    text.lines().filter(runs).map(ToString::to_string).collect()
}

// ---- rowmill under cron: the line of cron.example, with `rowmill tick` ----
