//! Run folders that are deleted or replaced under living workers, and databases that have more than one name.
//!
//! What would be found here: a partition that two workers hold because one locked a file that is not there any more, a
//! claimed script that is run again while it runs, and workers that nobody can wake or see after their folder was lost.

use crate::installation::{BOUND, Installation, Running, alive, pause, signal, statuses, within};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

/// A job that notes when it finds another run of its own task.
const ALONE: &str = "set -C\n( : > running-$ROWMILL_TASK_ID ) 2>/dev/null || { echo $ROWMILL_TASK_ID >> twice; exit 1; }\n\
    echo $ROWMILL_TASK_ID >> runs\n";

fn delete(here: &Installation) {
    // Whoever comes back to it while it is emptied makes its files anew: then it is tried again.
    within(BOUND, "the run folder to go", || fs::remove_dir_all(here.path("rowmill.db-run")).ok());
}

fn replace(here: &Installation) {
    fs::rename(here.path("rowmill.db-run"), here.path("elsewhere")).unwrap();
    // The workers may have made one already.
    let _ = fs::create_dir(here.path("rowmill.db-run"));
}

/// Workers that linger go on with a new folder, are seen again, and run what comes.
fn goes_on_after(lose: fn(&Installation)) {
    let here = Installation::new("workers = 3\n");
    here.run(&["tick"]).well();
    let before = here.await_workers(3);
    here.insert(30, "noop", "");
    within(BOUND, "the rows to be done", || (here.done() == 30).then_some(()));
    lose(&here);
    here.insert(30, "noop", "");
    within(BOUND, "new rows to be done", || (here.done() == 60).then_some(()));
    assert_eq!(here.await_workers(3), before, "the same processes have their places again");
    here.run(&["tick"]).well();
    assert_eq!(here.await_workers(3), before);
    within(BOUND, "the sockets to be there again", || {
        (0..3).all(|n| here.path("rowmill.db-run").join(format!("bell-{n}")).exists()).then_some(())
    });
    within(BOUND, "the pulses to be there again", || {
        (0..3).all(|n| here.path("rowmill.db-run").join(format!("pulse-{n}")).exists()).then_some(())
    });
    assert_eq!(here.count("attempt <> 1"), 0);
    for pid in before.into_values() {
        signal(pid, Signal::TERM);
    }
    here.await_silence();
    assert_eq!(here.sql().query_row("SELECT count(*) FROM rowmill_worker", [], |r| r.get::<_, i64>(0)).unwrap(), 0);
}

#[test]
fn lingering_workers_go_on_when_their_run_folder_is_deleted() {
    goes_on_after(delete);
}

#[test]
fn lingering_workers_go_on_when_their_run_folder_is_replaced() {
    goes_on_after(replace);
}

/// A script that runs, claimed or not, is not run again by anyone while it does.
fn not_run_twice_after(lose: fn(&Installation)) {
    let here = Installation::new("workers = 3\nlinger = \"30s\"\n");
    here.script("alone", &format!("{ALONE}until [ -e go ]; do sleep 0.02; done\nrm running-$ROWMILL_TASK_ID\n"));
    here.run(&["tick"]).well();
    here.await_workers(3);
    here.insert(1, "alone", "");
    within(BOUND, "the script to run, claimed", || (here.truth() == statuses([("running", 1)])).then_some(()));
    lose(&here);
    // Each of these would find the worker dead by its lock alone; so would the others that linger, once a second.
    for _ in 0..4 {
        here.run(&["tick"]).well();
        here.insert(6, "noop", "");
        pause(Duration::from_millis(600));
    }
    assert_eq!((here.read("runs").lines().count(), here.read("twice").as_str()), (1, ""));
    within(BOUND, "the others' rows to be done", || (here.done() == 24).then_some(()));
    here.write("go", "");
    within(BOUND, "the script to be done", || (here.done() == 25).then_some(()));
    assert_eq!((here.count("attempt <> 1"), here.read("twice").as_str()), (0, ""));
}

#[test]
fn a_claimed_script_is_not_run_again_when_the_run_folder_is_deleted() {
    not_run_twice_after(delete);
}

#[test]
fn a_claimed_script_is_not_run_again_when_the_run_folder_is_replaced() {
    not_run_twice_after(replace);
}

/// The worker itself is stopped, so that it cannot come back: whoever locks the new files waits all the same.
#[test]
fn a_process_that_lives_keeps_its_index_and_its_partition_without_its_lock_files() {
    let here = Installation::new("workers = 1\nstall = \"1h\"\n");
    here.script("alone", &format!("{ALONE}until [ -e go ]; do sleep 0.02; done\nrm running-$ROWMILL_TASK_ID\n"));
    here.insert(2, "alone", "");
    let worker = here.start(&["work", "--index", "0"]);
    // Stopped in its first moments of the task, or when it has claimed it: neither may be taken over.
    within(BOUND, "the script to run", || (here.read("runs").lines().count() == 1).then_some(()));
    signal(worker.pid(), Signal::STOP);
    delete(&here);
    let mut same = here.start(&["work", "--index", "0", "--drain"]);
    assert_ne!(same.code(), None, "it ends, and is not worker 0");
    let other = here.start(&["work", "--index", "1", "--workers", "2"]);
    pause(Duration::from_millis(2_500));
    assert_eq!(here.read("twice"), "");
    assert_eq!(here.count("attempt > 1"), 0);
    signal(worker.pid(), Signal::KILL);
    within(BOUND, "the process to end", || (!alive(worker.pid())).then_some(()));
    // Its script goes with it, although its body lies in no folder any more; then the other one runs both.
    let _ = fs::remove_file(here.path("running-1"));
    here.write("go", "");
    within(BOUND, "both to be done", || (here.done() == 2).then_some(()));
    assert_eq!(here.read("twice"), "");
    drop(other);
}

#[test]
fn descendants_of_a_script_are_found_without_the_run_folder() {
    let here = Installation::new("workers = 1\n");
    here.script("family", "[ -e go ] && exit 0\nsetsid sleep 600 &\necho $! > pid\nwait\n");
    here.insert(1, "family", "");
    let worker = here.start(&["work", "--index", "0"]);
    let pid: i32 = within(BOUND, "the script to run", || here.read("pid").strip_suffix('\n')?.parse().ok());
    within(BOUND, "the claim", || (here.truth() == statuses([("running", 1)])).then_some(()));
    replace(&here);
    signal(worker.pid(), Signal::KILL);
    here.write("go", "");
    here.run(&["drain"]).well();
    assert!(!alive(pid), "the grandchild is gone before the task runs again");
    assert_eq!(here.count("status = 'done' AND attempt = 2"), 1);
}

/// Workers that were started by two names of one database share its locks, and are seen by either.
#[test]
fn a_link_to_the_database_leads_to_the_same_locks() {
    let here = Installation::new("workers = 2\n");
    here.script("alone", &format!("{ALONE}sleep 0.01\nrm running-$ROWMILL_TASK_ID\n"));
    fs::create_dir(here.path("names")).unwrap();
    std::os::unix::fs::symlink(here.path("rowmill.db"), here.path("names/other.db")).unwrap();
    std::os::unix::fs::symlink(here.folder(), here.path("names/folder")).unwrap();
    here.insert(100, "alone", "");
    let names = ["rowmill.db", "names/other.db", "names/folder/rowmill.db"];
    let work = |index: &str, name: &str| here.start(&["--database", name, "work", "--index", index]);
    let mut workers: Vec<Running> = vec![work("0", names[0]), work("1", names[1])];
    let seen = here.await_workers(2);
    // A second process for an index finds the first by another name.
    assert!(work("0", names[2]).code().is_some());
    for name in names {
        let mut status = here.command(&["--database", name, "status", "--format", "json"]);
        let said = status.stderr(Stdio::null()).output().unwrap().stdout;
        let status: serde_json::Value = serde_json::from_slice(&said).unwrap();
        let pids: BTreeSet<i64> =
            status["workers"].as_array().unwrap().iter().filter_map(|w| w["pid"].as_i64()).collect();
        assert_eq!(pids, seen.values().map(|pid| i64::from(*pid)).collect(), "{name}");
    }
    within(BOUND, "all rows to be done", || (here.done() == 100).then_some(()));
    assert_eq!((here.read("runs").lines().count(), here.read("twice").as_str()), (100, ""));
    assert!(!here.path("names/other.db-run").exists());
    workers.clear();
}
