//! Workers that are told to stop: once, and what runs is finished; twice, and it is broken off and put back.
//!
//! What would be found here: a stop that charges an attempt, begins another task, leaves a script's processes behind or
//! answers with anything but exit code 0.

use crate::installation::{BOUND, Installation, Running, alive, freeze, signal, statuses, terminate, within};
use crate::needs;
use rustix::process::Signal;

/// An installation whose job `hold` runs until there is a file `go`, with a child of its own; and its one worker, which
/// has begun with the first of two such rows and five others. The processes of the job come last.
fn at_work(job: &str) -> (Installation, Running, Vec<i32>) {
    let here = Installation::new("workers = 1\n[[job]]\nname = \"hold\"\ncommand = [\"./hold\"]\ngrace = \"200ms\"\n");
    here.script("../hold", job);
    here.insert(2, "hold", "");
    here.insert(5, "noop", "");
    let worker = here.start(&["work", "--index", "0"]);
    let pids = within(BOUND, "the job to start", || {
        let text = here.read("pids");
        let pids: Vec<i32> = text.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        (pids.len() == 2 && text.ends_with('\n')).then_some(pids)
    });
    assert!(pids.iter().all(|pid| alive(*pid)));
    (here, worker, pids)
}

const HOLD: &str = "sleep 600 &\necho \"$$ $!\" > pids\nuntil [ -e go ]; do sleep 0.02; done\n";

#[test]
fn what_runs_is_finished_and_the_rest_is_left() {
    let (here, mut worker, pids) = at_work(HOLD);
    terminate(worker.pid());
    assert!(alive(pids[0]), "the task goes on");
    here.write("go", "");
    assert_eq!(worker.code(), Some(0));
    assert_eq!(here.queue(), statuses([("done", 1), ("ready", 6)]));
    assert_eq!(here.count("id = 1 AND status = 'done' AND attempt = 1"), 1);
    assert_eq!(here.count("status = 'ready' AND attempt = 0 AND started_at IS NULL AND error IS NULL"), 6);
    here.await_silence();
    // Whoever comes next does them, as if nothing had been.
    here.run(&["drain"]).well();
    assert_eq!((here.queue(), here.count("attempt = 1")), (statuses([("done", 7)]), 7));
}

#[test]
fn told_twice_it_breaks_off_and_puts_back() {
    // Deaf to TERM, so that only KILL ends it and its child.
    let (here, mut worker, pids) = at_work(&format!("trap '' TERM\n{HOLD}"));
    terminate(worker.pid());
    assert!(alive(worker.pid()) && pids.iter().all(|pid| alive(*pid)), "the first TERM breaks nothing off");
    terminate(worker.pid());
    assert_eq!(worker.code(), Some(0));
    within(BOUND, "the job's processes to end", || (!pids.iter().any(|pid| alive(*pid))).then_some(()));
    assert_eq!(here.queue(), statuses([("ready", 7)]));
    assert_eq!(here.count("attempt = 0 AND error IS NULL"), 7);
    assert_eq!(here.lines("task=1 job=hold put back, nothing charged"), 1);
    here.write("go", "");
    here.run(&["drain"]).well();
    assert_eq!((here.queue(), here.count("attempt = 1")), (statuses([("done", 7)]), 7));
}

#[test]
fn told_twice_it_drops_a_job_that_sleeps() {
    let here = Installation::new("workers = 1\n");
    here.insert(1, "sleep", "600000");
    let mut worker = here.start(&["work", "--index", "0"]);
    let held = || here.sql().query_row("SELECT count(*) FROM rowmill_partition", [], |r| r.get::<_, i64>(0)).unwrap();
    within(BOUND, "the worker to hold its partition", || (held() == 1).then_some(()));
    terminate(worker.pid());
    terminate(worker.pid());
    assert_eq!(worker.code(), Some(0));
    assert_eq!((here.queue(), here.count("attempt = 0")), (statuses([("ready", 1)]), 1));
}

#[test]
fn under_load_all_end_well_and_nothing_of_any_script_is_left() {
    if !needs::tool("setsid") {
        return;
    }
    let here = Installation::new("workers = 4\n");
    // Each leaves a child in its group, and one that has left it.
    here.script("family", "sleep 600 &\nsetsid sleep 600 &\nsleep 0.05\n");
    let mut workers: Vec<Running> = ["0", "1", "2", "3"].map(|index| here.start(&["work", "--index", index])).into();
    here.await_workers(4);
    for _ in 0..200 {
        here.insert(1, "family", "");
        here.insert(9, "noop", "");
    }
    within(BOUND, "work to be under way", || (here.count("job = 'family' AND status = 'done'") >= 10).then_some(()));
    for worker in &workers {
        terminate(worker.pid());
    }
    assert!(workers.iter_mut().all(|worker| worker.code() == Some(0)));
    assert_eq!(here.processes(), [], "of the scripts' families nobody is left");
    let left = i64::try_from(2_000 - here.done()).unwrap();
    assert!(left > 0, "there is nothing left to prove anything with");
    assert_eq!(here.count("status = 'ready' AND attempt = 0 AND error IS NULL"), left, "{:?}", here.truth());
    assert_eq!(here.count("status = 'done' AND attempt = 1"), 2_000 - left);
}

#[test]
fn an_idle_worker_goes_at_once() {
    let here = Installation::new("workers = 2\n");
    here.run(&["tick"]).well();
    for pid in here.await_workers(2).into_values() {
        terminate(pid);
    }
    here.await_silence();
    assert_eq!((here.lines("worker starts"), here.lines("worker ends")), (2, 2));
}

#[test]
fn a_drain_hands_the_stop_on_and_says_that_work_remains() {
    let here = Installation::new("workers = 2\n");
    here.insert(2_000, "sleep", "20");
    let mut drain = here.start(&["drain"]);
    within(BOUND, "the first rows to be done", || (here.done() > 0).then_some(()));
    terminate(drain.pid());
    assert_eq!(drain.code(), Some(75));
    assert!(here.processes().is_empty(), "a drain ends after its workers");
    let queue = here.queue();
    assert_eq!(queue["done"] + queue["ready"], 2_000);
    assert_eq!(here.count("status = 'ready' AND attempt <> 0"), 0);
}

/// Whoever ends would have no end of folding while others settle.
#[test]
fn who_ends_leaves_the_folding_to_those_that_go_on_and_the_last_one_folds() {
    let here = Installation::new("workers = 2\n");
    here.run(&["tick"]).well();
    let workers = here.await_workers(2);
    let fresh =
        || -> i64 { here.sql().query_row("SELECT count(*) FROM rowmill_settled", [], |row| row.get(0)).unwrap() };
    // As if somebody folded all the time.
    let folding =
        std::fs::File::options().write(true).create(true).truncate(false).open(here.path("rowmill.db-run/fold"));
    let folding = folding.unwrap();
    folding.lock().unwrap();
    here.insert(50, "noop", "");
    within(BOUND, "the rows to be done", || (here.done() == 50).then_some(()));
    // One that took long was claimed, and is settled in its own row.
    let settled = fresh();
    assert!(settled > 0);
    // It is there, and does nothing.
    let gate = here.path("rowmill.db-run/gate");
    freeze(workers[&1], &gate);
    // Whatever it is at, it has been told to stop before it can fold.
    let gate = std::fs::File::open(gate).unwrap();
    gate.lock().unwrap();
    terminate(workers[&0]);
    drop(folding);
    within(BOUND, "it to wait for its turn", || waits_for_a_lock(workers[&0]).then_some(()));
    drop(gate);
    within(BOUND, "the first to end", || (!alive(workers[&0])).then_some(()));
    assert_eq!(fresh(), settled);
    signal(workers[&1], Signal::CONT);
    here.run(&["stop"]).well();
    assert_eq!((fresh(), here.done()), (0, 50));
}

/// Whether a process waits for a lock that another one has.
fn waits_for_a_lock(pid: i32) -> bool {
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    locks.lines().any(|line| line.contains("-> FLOCK") && line.contains(&format!(" {pid} ")))
}
