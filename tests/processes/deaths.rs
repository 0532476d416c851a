//! Deaths beside the living, with no tick to help: what the dead had in hand runs again at once, and a task that kills
//! whoever runs it is dead after its attempts.
//!
//! What would be found here: rows that wait for the next tick although somebody is there, a lookout whose death nobody
//! notices, and a poisonous task that is never caught or takes its neighbours with it.

use crate::installation::{BOUND, Installation, alive, signal, statuses, within};
use rowmill::clock::Watch;
use rustix::process::Signal;
use std::time::Duration;

/// Far longer than a second or so, and far shorter than anything that would come to help: no tick is called, and workers
/// linger for a minute or more.
const AT_ONCE: Duration = Duration::from_secs(45);

/// Three workers that know this script, of whom one is the lookout.
fn three(name: &str, script: &str) -> Installation {
    let here = Installation::new("workers = 3\nlinger = \"5m\"\n");
    here.script(name, script);
    here.run(&["tick"]).well();
    here.await_workers(3);
    lookout(&here);
    here
}

/// The process of the lookout, which is there as soon as somebody sleeps.
fn lookout(here: &Installation) -> i32 {
    within(BOUND, "a lookout", || {
        let pid = here.read("rowmill.db-run/lookout").trim().parse().ok()?;
        here.workers().values().any(|worker| *worker == pid).then_some(pid)
    })
}

#[allow(clippy::print_stdout, reason = "shown when the test fails, or on wish")]
fn runs_again_at_once(here: &Installation, what: &str, watch: Watch, attempt: i64) {
    within(AT_ONCE, what, || (here.done() == 1).then_some(()));
    println!("{what}: done {:?} after the death", watch.elapsed());
    assert_eq!(here.count(&format!("status = 'done' AND attempt = {attempt}")), 1);
    assert_eq!(here.workers().len(), 2, "nobody was replaced");
}

#[test]
fn a_claimed_script_of_a_dead_worker_runs_again_while_others_live() {
    let here = three("hold", "[ -e go ] && exit 0\necho $PPID > worker\nexec sleep 600\n");
    here.insert(1, "hold", "");
    within(BOUND, "the task to be claimed", || (here.count("status = 'running'") == 1).then_some(()));
    let worker: i32 = here.read("worker").trim().parse().unwrap();
    // Who runs a claimed task has passed the post on.
    within(BOUND, "somebody else to be the lookout", || (lookout(&here) != worker).then_some(()));
    here.write("go", "");
    signal(worker, Signal::KILL);
    runs_again_at_once(&here, "a claimed task", Watch::start(), 2);
}

#[test]
fn a_task_in_the_hands_of_a_dead_worker_runs_again_while_others_live() {
    // At once: its worker may be the lookout. After a while: the post is passed on, the task not claimed yet.
    for before in ["", "sleep 0.05\n"] {
        let kill = format!("[ -e mark ] && exit 0\n{before}echo > mark\nkill -9 $PPID\nsleep 600\n");
        let here = three("kill", &kill);
        here.insert(1, "kill", "");
        within(BOUND, "the worker to be killed", || (here.workers().len() == 2).then_some(()));
        runs_again_at_once(&here, "a task in hand", Watch::start(), 2);
    }
}

#[test]
fn a_claimed_task_of_a_worker_that_has_only_just_started_runs_again() {
    let here = Installation::new("workers = 2\nlinger = \"5m\"\n");
    here.script("hold", "[ -e go ] && exit 0\necho $PPID > worker\nexec sleep 600\n");
    let living = here.start(&["work", "--index", "1"]);
    here.await_workers(1);
    assert_eq!(lookout(&here), living.pid());
    // Stopped while the young one takes the row.
    signal(living.pid(), Signal::STOP);
    here.insert(2, "hold", "");
    here.sql().execute("DELETE FROM queue WHERE id % 2 = 1", []).unwrap();
    let young = here.start(&["work", "--index", "0"]);
    within(BOUND, "the task to be claimed", || (here.count("status = 'running'") == 1).then_some(()));
    within(BOUND, "the job to start", || (here.read("worker").trim() == young.pid().to_string()).then_some(()));
    signal(living.pid(), Signal::CONT);
    here.insert(1, "noop", "");
    within(BOUND, "a row to be done by the living", || (here.done() == 1).then_some(()));
    here.write("go", "");
    signal(young.pid(), Signal::KILL);
    within(AT_ONCE, "the task to be done", || (here.done() == 2).then_some(()));
}

#[test]
fn when_the_lookout_is_killed_rows_start_all_the_same() {
    let here = three("unused", "exit 0\n");
    let dead = lookout(&here);
    signal(dead, Signal::KILL);
    here.insert(1, "noop", "");
    runs_again_at_once(&here, "a row beside a dead lookout", Watch::start(), 1);
    assert!(!alive(dead) && lookout(&here) != dead);
}

#[test]
fn a_task_that_kills_its_worker_is_dead_after_its_attempts_and_its_neighbours_are_not_charged() {
    let here = Installation::new("workers = 4\nlinger = \"5m\"\n");
    here.script("poison", "echo run >> runs\nkill -9 $PPID\nsleep 600\n");
    here.run(&["tick"]).well();
    here.await_workers(4);
    let conn = here.sql();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    for n in 0..80 {
        let insert = match n {
            40 => "INSERT INTO queue (job, max_attempts) VALUES ('poison', 3)",
            _ => "INSERT INTO queue (job, param) VALUES ('sleep', '5')",
        };
        conn.execute(insert, []).unwrap();
    }
    conn.execute_batch("COMMIT").unwrap();
    within(BOUND, "the poison to be dead", || {
        here.run(&["tick"]).well();
        (here.count("job = 'poison' AND status = 'dead'") == 1).then_some(())
    });
    assert_eq!(here.count("job = 'poison' AND attempt = 3 AND cause = 'worker_died'"), 1);
    within(BOUND, "its neighbours to be done", || (here.done() == 79).then_some(()));
    assert_eq!((here.count("job = 'sleep' AND attempt = 1"), here.read("runs").lines().count()), (79, 3));
    here.run(&["tick"]).well();
    here.await_workers(4);
    assert_eq!(here.truth(), statuses([("dead", 1), ("done", 79)]));
}
