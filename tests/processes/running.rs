//! Claimed tasks as rows: what an application, a stop, or the end of the machine does to one that is running.
//!
//! What would be found here: a running row that an application cannot take back, a settlement that does not say so, an
//! attempt charged for a stop or a power cut, and a script's group that outlives them.

use crate::installation::{BOUND, Installation, Running, alive, signal, statuses, terminate, within};
use rustix::process::Signal;

/// A script that goes on until there is a file `go`, and then fails if there is a file `fail`.
const HOLD: &str = "sleep 600 &\necho \"$$ $!\" >> pids\nuntil [ -e go ]; do sleep 0.02; done\n[ ! -e fail ]\n";

/// A worker whose task is claimed, and the processes of its script.
fn claimed() -> (Installation, Running, Vec<i32>) {
    let here = Installation::new(
        "workers = 1\n[[job]]\nname = \"hold\"\ncommand = [\"./hold\"]\ngrace = \"200ms\"\nbackoff = { first = \"50ms\" }\n",
    );
    here.script("../hold", HOLD);
    here.insert(1, "hold", "");
    let worker = here.start(&["work", "--index", "0"]);
    within(BOUND, "the task to be claimed", || (here.count("status = 'running' AND attempt = 1") == 1).then_some(()));
    let pids = within(BOUND, "the job to start", || {
        let text = here.read("pids");
        let pids: Vec<i32> = text.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        (pids.len() == 2 && text.ends_with('\n')).then_some(pids)
    });
    assert!(pids.iter().all(|pid| alive(*pid)));
    (here, worker, pids)
}

#[test]
fn a_running_task_that_an_application_takes_back_stays_so_and_the_log_says_it() {
    for (act, words, condition) in [
        ("UPDATE queue SET status = 'cancelled'", "ran, but was cancelled meanwhile", "status = 'cancelled'"),
        ("DELETE FROM queue", "ran, but its row is gone", "job = 'noop'"),
        ("UPDATE queue SET priority = 9", " done run_ms=", "status = 'done' AND priority = 9 AND attempt = 1"),
    ] {
        let (here, worker, _) = claimed();
        here.sql().execute_batch(act).unwrap();
        here.write("go", "");
        within(BOUND, "the end of the run to be said", || (here.lines("task=1 ") == 1).then_some(()));
        assert!(here.log().contains(words), "{}", here.log());
        // The worker goes on.
        here.insert(1, "noop", "");
        within(BOUND, "the next task", || (here.count("job = 'noop' AND status = 'done'") == 1).then_some(()));
        assert!(here.count(condition) >= 1, "{act}: {:?}", here.truth());
        drop(worker);
    }
}

#[test]
fn a_claimed_task_that_fails_is_delayed_and_runs_again() {
    let (here, _worker, _) = claimed();
    here.write("fail", "");
    here.write("go", "");
    within(BOUND, "the failure to be settled", || (here.lines(" delayed run_ms=") == 1).then_some(()));
    std::fs::remove_file(here.path("fail")).unwrap();
    within(BOUND, "another attempt", || (here.count("status = 'done' AND attempt > 1") == 1).then_some(()));
    assert_eq!(here.count("error IS NULL AND cause IS NULL"), 1);
}

#[test]
fn a_claimed_script_that_is_broken_off_is_put_back_and_its_group_is_gone() {
    let (here, mut worker, pids) = claimed();
    terminate(worker.pid());
    terminate(worker.pid());
    assert_eq!(worker.code(), Some(0));
    assert!(!pids.iter().any(|pid| alive(*pid)), "the script and its child are gone before their worker");
    assert_eq!(here.queue(), statuses([("ready", 1)]));
    assert_eq!(here.count("attempt = 0 AND error IS NULL AND cause IS NULL"), 1);
    here.write("go", "");
    here.run(&["drain"]).well();
    assert_eq!(here.count("status = 'done' AND attempt = 1"), 1);
}

#[test]
fn a_power_cut_puts_a_claimed_task_back_uncharged() {
    let (here, worker, pids) = claimed();
    signal(worker.pid(), Signal::KILL);
    within(BOUND, "the worker to be dead", || (!alive(worker.pid())).then_some(()));
    here.sql().execute("UPDATE rowmill_worker SET boot = 'an earlier one'", []).unwrap();
    here.write("go", "");
    here.run(&["drain"]).well();
    assert_eq!(here.count("status = 'done' AND attempt = 1"), 1, "{:?}", here.truth());
    assert!(!pids.iter().any(|pid| alive(*pid)));
}
