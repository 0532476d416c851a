//! Workers with nothing to do, or nothing that they may do: they cost nothing, stay while cron asks for them, and keep
//! the time of delayed rows while others are busy.
//!
//! What would be found here: workers that ring each other for ever over partitions that somebody else holds, delayed rows
//! that wait for a long task, and a gap between two ticks in which no worker is there.

use crate::installation::{BOUND, Installation, pause, within};
use rowmill::clock::Watch;
use rustix::fs::FlockOperation;
use std::collections::BTreeMap;
use std::fs::File;
use std::time::Duration;

/// How long processor time is watched.
const SPAN: Duration = Duration::from_secs(2);

/// The processor time that a process has used, in seconds: fields 14 and 15 of its line, counted from the name's end.
fn used(pid: i32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[11..=12].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// Fails when one of the workers uses a fifth of a processor or more.
#[track_caller]
fn idle(workers: &BTreeMap<u64, i32>) {
    let before: BTreeMap<u64, f64> = workers.iter().map(|(index, pid)| (*index, used(*pid))).collect();
    let watch = Watch::start();
    pause(SPAN);
    let span = watch.elapsed().as_secs_f64();
    for (index, pid) in workers {
        let share = (used(*pid) - before[index]) / span;
        assert!(share < 0.2, "worker {index} uses {:.0} % of a processor and does nothing", share * 100.0);
    }
}

/// Holds partitions as a worker does that is alive and lets nobody in.
fn held(here: &Installation, partitions: &[u32]) -> Vec<File> {
    let hold = |partition: &u32| {
        let file = File::create(here.path(&format!("rowmill.db-run/partition-1-{partition}"))).unwrap();
        rustix::fs::flock(&file, FlockOperation::LockExclusive).unwrap();
        file
    };
    partitions.iter().map(hold).collect()
}

fn lingering(workers: usize) -> (Installation, BTreeMap<u64, i32>) {
    let here = Installation::new(&format!("workers = {workers}\nlinger = \"5m\"\n"));
    here.script("hold", "echo $PPID > worker\nuntil [ -e go ]; do sleep 0.02; done\n");
    here.run(&["tick"]).well();
    let workers = here.await_workers(workers);
    (here, workers)
}

#[test]
fn a_worker_whose_home_somebody_else_holds_does_not_spin() {
    let (here, workers) = lingering(2);
    let holds = held(&here, &[1]);
    here.insert(4, "noop", "");
    within(BOUND, "the free partition to be done", || (here.done() == 2).then_some(()));
    idle(&workers);
    assert_eq!(here.count("status = 'ready'"), 2, "somebody else has them");
    drop(holds);
    within(BOUND, "the others to be done", || (here.done() == 4).then_some(()));
}

#[test]
fn a_worker_beside_a_long_task_does_not_spin() {
    let (here, workers) = lingering(2);
    here.insert(2, "sleep", "600000");
    within(BOUND, "both to run", || (here.count("status = 'running'") == 2).then_some(()));
    here.insert(4, "noop", "");
    idle(&workers);
}

#[test]
fn three_workers_and_two_held_partitions_do_not_ring_each_other_for_ever() {
    let (here, workers) = lingering(3);
    let _holds = held(&here, &[0, 1]);
    here.insert(9, "noop", "");
    within(BOUND, "the free partition to be done", || (here.done() == 3).then_some(()));
    idle(&workers);
}

#[test]
fn delayed_rows_start_in_time_while_the_lookout_runs_a_long_task() {
    let (here, _) = lingering(2);
    let lookout = within(BOUND, "a lookout", || here.read("rowmill.db-run/lookout").trim().parse::<i32>().ok());
    here.insert(1, "hold", "");
    let busy: i32 = within(BOUND, "the task to run", || here.read("worker").strip_suffix('\n')?.parse().ok());
    // Delayed rows of both partitions, in the same transaction, so that nobody is woken but by their time.
    let insert =
        "INSERT INTO queue (job, run_at) SELECT 'noop', CAST(round((julianday('now') - 2440587.5) * 86400000.0)
                    AS INTEGER) + 700 FROM (VALUES (1), (2), (3), (4))";
    here.sql().execute_batch(insert).unwrap();
    within(BOUND, "the delayed rows to be done", || (here.done() == 4).then_some(()));
    let latest = "SELECT max(started_at - run_at) FROM task WHERE job = 'noop'";
    let late_ms: i64 = here.sql().query_row(latest, [], |r| r.get(0)).unwrap();
    assert!(late_ms < 2_500, "{late_ms} ms late; process {busy} was busy, {lookout} the lookout");
    here.write("go", "");
    within(BOUND, "the long task to be done", || (here.done() == 5).then_some(()));
}

#[test]
fn workers_whom_cron_keeps_asking_for_are_there_all_the_time() {
    let here = Installation::new("workers = 3\nlinger = \"3s\"\n");
    here.run(&["tick"]).well();
    let workers = here.await_workers(3);
    // More than twice as long as they would stay by themselves.
    for _ in 0..7 {
        pause(Duration::from_secs(1));
        here.run(&["tick"]).well();
        assert_eq!(here.workers(), workers);
    }
    assert_eq!(here.lines("worker starts"), 3);
    here.await_silence();
    assert_eq!(here.lines("worker ends"), 3);
}
