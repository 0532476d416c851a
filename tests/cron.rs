//! Rowmill under Debian's own cron, as an admin has it: a line in a user's crontab, a bare environment, nobody watching.
//!
//! First the ground: that the daemon of `tests/cron_daemon` runs a line, and leaves the machine as it was. Then, below,
//! what rowmill makes of it. Each test that waits for the next minute takes up to 65 seconds; they run side by side.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at the first thing that cannot be")]

mod cron_daemon;
mod installation;
mod needs;
mod storm;

use cron_daemon::{CronDaemon, NEXT_MINUTE, appears, possible, user};
use installation::{BOUND, Installation, signal, within};
use rowmill::clock::Watch;
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

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

/// What would be found here: a tick that needs more than cron's bare environment, a mail from cron, workers that go with
/// the tick that started them or at cron's word, rows that wait for the next minute, dead workers that stay dead.
#[test]
fn cron_keeps_ten_workers_alive_and_rows_start_between_its_calls() {
    if !possible() {
        return;
    }
    let here = Installation::new("workers = 10\n");
    let program = env!("CARGO_BIN_EXE_rowmill");
    let [config, said] = ["rowmill.toml", "said"].map(|name| here.path(name).display().to_string());
    let daemon = CronDaemon::start(&[&format!("* * * * * {program} tick --config {config} >> {said} 2>&1")], &[]);
    let started = |count| (here.lines("worker starts") >= count).then_some(());
    within(NEXT_MINUTE, "cron's first tick", || started(10));
    let first = here.await_workers(10);

    rows_start_at_once(&here, 20);
    for index in [3, 7] {
        signal(first[&index], Signal::KILL);
    }
    within(BOUND, "two to be gone", || (here.workers().len() == 8).then_some(()));
    // Those that are left do the rows of the dead ones too, and do not wait for the next minute.
    rows_start_at_once(&here, 20);

    within(NEXT_MINUTE, "cron's next tick", || started(12));
    let second = here.await_workers(10);
    let replaced: Vec<u64> = first.keys().copied().filter(|index| first[index] != second[index]).collect();
    assert_eq!(replaced, [3, 7], "nobody else was touched");
    rows_start_at_once(&here, 20);
    assert_eq!(here.count("status = 'done' AND attempt = 1"), 60);
    assert_eq!(here.lines("worker starts"), 12);
    assert_eq!(here.read("said"), "", "a tick prints nothing");
    drop(daemon);
    assert!(here.processes().is_empty());
}

/// Rows that follow each other, each inserted when the one before is done. Workers that only looked by themselves would
/// take about a second for each, and those that waited for cron a minute; this only tells them apart.
fn rows_start_at_once(here: &Installation, count: i64) {
    let conn = here.sql();
    let done =
        || conn.query_row("SELECT count(*) FROM task WHERE status = 'done'", [], |r| r.get::<_, i64>(0)).unwrap();
    let before = done();
    let watch = Watch::start();
    for n in 1..=count {
        conn.execute("INSERT INTO queue (job) VALUES ('noop')", []).unwrap();
        within(BOUND, "a row to be done", || (done() == before + n).then_some(()));
    }
    let took = watch.elapsed();
    assert!(took < Duration::from_millis(400) * u32::try_from(count).unwrap(), "{took:?} for {count} rows");
}

/// What would be found here: a row that is lost or done twice while workers die between cron's calls.
#[test]
fn nothing_is_lost_or_doubled_under_cron() {
    if !possible() {
        return;
    }
    let here = Installation::new(storm::CONFIG);
    let program = env!("CARGO_BIN_EXE_rowmill");
    let [config, said] = ["rowmill.toml", "said"].map(|name| here.path(name).display().to_string());
    let daemon = CronDaemon::start(&[&format!("* * * * * {program} tick --config {config} >> {said} 2>&1")], &[]);
    within(NEXT_MINUTE, "cron's first tick", || (here.lines("worker starts") >= 4).then_some(()));
    let report = storm::Storm::of(storm::seconds()).over(&here);
    assert_eq!(here.read("said"), "", "a tick prints nothing");
    println!("under cron: {report}");
    drop(daemon);
}
