//! Workers that know different jobs over one database: a job was added while they ran.
//!
//! What would be found here: a row that is parked although a living worker knows its job, one that nobody comes for, rows
//! behind it that wait, a worker that takes and gives back a partition for ever because of rows that it cannot run, and
//! rows that stay ready, or stay parked, when who knew their job is gone, or is back.

use crate::installation::{BOUND, Installation, Running, signal, within};
use rustix::process::Signal;
use std::fs;

/// Long lives, so that nobody leaves in the middle.
const CONFIG: &str = "linger = \"10m\"\n";

/// A database and a worker 0 that knows none of the jobs that come later.
fn old(partitions: u32) -> (Installation, Running) {
    let here = Installation::new(&format!("workers = {partitions}\n{CONFIG}"));
    let old = here.start(&["work", "--index", "0"]);
    here.await_workers(1);
    await_list(&here, 0);
    (here, old)
}

/// Worker 1, which also knows the job `new`: a script.
fn new(here: &Installation, script: &str) -> Running {
    here.script("new", script);
    let new = here.start(&["work", "--index", "1", "--workers", "2"]);
    here.await_workers(2);
    await_list(here, 1);
    new
}

/// Until a worker has written down what it knows.
fn await_list(here: &Installation, index: usize) {
    within(BOUND, "a list of jobs", || {
        let workers = here.json(&["workers"]);
        workers.as_array()?.iter().find(|w| w["index"] == index)?["jobs"].as_array().filter(|jobs| !jobs.is_empty())?;
        Some(())
    });
}

/// Inserts rows of these jobs, in order.
fn insert(here: &Installation, rows: &[(&str, &str, i64)]) {
    let mut conn = here.sql();
    let transaction = conn.transaction().unwrap();
    for (job, param, priority) in rows {
        let row = "INSERT INTO queue (job, param, priority) VALUES (?1, ?2, ?3)";
        transaction.execute(row, rusqlite::params![job, param, priority]).unwrap();
    }
    transaction.commit().unwrap();
}

fn number(here: &Installation, sql: &str) -> i64 {
    here.sql().query_row(sql, [], |r| r.get(0)).unwrap()
}

#[test]
fn rows_of_a_new_job_run_where_it_is_known_and_none_is_parked() {
    let (here, _old) = old(2);
    let _new = new(&here, "echo $ROWMILL_WORKER >> ran\n");
    let jobs = [("noop", "", 0), ("new", "", 0), ("noop", "", 10), ("new", "", 10), ("echo", "1", 5)];
    let rows: Vec<_> = jobs.iter().copied().cycle().take(200).collect();
    for part in rows.chunks(50) {
        insert(&here, part);
    }
    within(BOUND, "all rows to be done", || (here.done() == 200).then_some(()));
    assert_eq!((here.count("attempt = 1"), here.lines("parked")), (200, 0), "{}", here.log());
    let ran = here.read("ran");
    assert_eq!((ran.lines().count(), ran.lines().filter(|worker| *worker == "1").count()), (80, 80));
    assert_eq!(here.count("job = 'new' AND worker <> 1"), 0);
}

#[test]
fn the_old_worker_goes_on_with_what_it_knows_while_the_new_one_is_busy() {
    let (here, _old) = old(1);
    let _new = new(&here, "[ -e go ] || { : > busy; while [ ! -e go ]; do sleep 0.05; done; }\n");
    insert(&here, &[("new", "", 0)]);
    within(BOUND, "the new worker to be busy", || {
        (here.path("busy").exists() && here.count("status = 'running'") == 1).then_some(())
    });
    // More than are looked at each time, above all that the old one may run.
    insert(&here, &vec![("new", "", 10); 2_500]);
    insert(&here, &[("echo", "1", 5), ("noop", "", 0), ("new", "", 0), ("noop", "", -5)]);
    within(BOUND, "the others to be done", || (here.count("job <> 'new' AND started_at > 0") == 3).then_some(()));
    assert_eq!(here.count("job = 'new' AND status = 'ready' AND attempt = 0"), 2_501);
    // In their order, whatever stands between.
    let order = "SELECT group_concat(job) FROM (SELECT job FROM task WHERE job <> 'new' ORDER BY started_at, id)";
    assert!(here.sql().query_row(order, [], |r| r.get::<_, String>(0)).unwrap().starts_with("echo"));
    // While it only looks, the partition is held by nobody. What it would take and give back would be counted.
    let epoch = "SELECT epoch FROM rowmill_partition";
    let looks = |here: &Installation| number(here, "SELECT unixepoch() - claimed_at / 1000 FROM rowmill_claim");
    let (before, since) = (number(&here, epoch), looks(&here));
    within(BOUND, "it to have looked a few times", || (looks(&here) > since + 5).then_some(()));
    let taken = number(&here, epoch) - before;
    assert_eq!(taken, 0, "it took the partition for rows that it cannot run");
    insert(&here, &[("noop", "", 20)]);
    within(BOUND, "a late row to be done", || (here.count("job = 'noop' AND status = 'done'") == 3).then_some(()));
    insert(&here, &[("noop", "", -20)]);
    within(BOUND, "another one", || (here.count("job = 'noop' AND status = 'done'") == 4).then_some(()));
    here.sql().execute("DELETE FROM queue WHERE status = 'ready' AND job = 'new' AND id > 20", []).unwrap();
    fs::write(here.path("go"), "").unwrap();
    within(BOUND, "the new rows to be done", || (here.count("job = 'new' AND status <> 'done'") == 0).then_some(()));
    assert_eq!(here.lines("parked"), 0);
}

#[test]
fn who_is_busy_at_home_comes_for_them_all_the_same() {
    let (here, _old) = old(2);
    let _new = new(&here, "");
    let steadily: Vec<_> = std::iter::repeat_n(("sleep", "5", 0), 12_000).collect();
    insert(&here, &steadily);
    within(BOUND, "both to be busy", || (here.count("status = 'done' AND worker = 0") > 0).then_some(()));
    within(BOUND, "both to be busy", || (here.count("status = 'done' AND worker = 1") > 0).then_some(()));
    // Only in the old one's home.
    insert(&here, &[("new", "", 10), ("new", "", 10), ("new", "", -10), ("new", "", -10)]);
    here.sql().execute("DELETE FROM queue WHERE job = 'new' AND id % 2 = 1", []).unwrap();
    within(BOUND, "the urgent one to be done", || {
        (here.count("job = 'new' AND priority = 10 AND status = 'done'") == 1).then_some(())
    });
    let left = here.count("job = 'sleep' AND status = 'ready' AND id % 2 = 1");
    assert!(left > 0, "it came only when its home had no work any more");
    here.sql().execute("DELETE FROM queue WHERE status = 'ready' AND job = 'sleep'", []).unwrap();
    within(BOUND, "all to be done", || (here.count("status <> 'done'") == 0).then_some(()));
    assert_eq!(here.lines("parked"), 0);
}

#[test]
fn after_the_death_of_who_knew_them_they_are_parked_and_with_the_next_one_they_run() {
    let (here, _old) = old(2);
    let dies = new(&here, "[ -e go ] || { : > busy; exec sleep 600; }\n");
    insert(&here, &[("new", "", 0)]);
    within(BOUND, "the new worker to be busy", || {
        (here.path("busy").exists() && here.count("status = 'running'") == 1).then_some(())
    });
    insert(&here, &[("new", "", 5), ("noop", "", 0), ("new", "", -5), ("noop", "", 0)]);
    within(BOUND, "the old rows to be done", || (here.done() == 2).then_some(()));
    assert_eq!(here.count("status = 'parked'"), 0);
    signal(dies.pid(), Signal::KILL);
    within(BOUND, "all of them to be parked", || (here.count("job = 'new' AND status = 'parked'") == 3).then_some(()));
    assert_eq!(here.count("cause = 'unknown_job' AND error LIKE '%no worker knows the job `new`%'"), 3);
    drop(dies);
    fs::write(here.path("go"), "").unwrap();
    let _next = new(&here, "exit 0\n");
    within(BOUND, "all of them to be done", || (here.count("job = 'new' AND status = 'done'") == 3).then_some(()));
    // The attempt that its death has cost is the only one.
    assert_eq!(here.count("job = 'new' AND attempt = 2"), 1);
}

#[test]
fn two_that_know_each_a_job_of_its_own_both_get_on() {
    let here = Installation::new(&format!("workers = 1\n{CONFIG}"));
    let job = |name: &str| format!("{CONFIG}[[job]]\nname = \"{name}\"\ncommand = [\"/bin/sh\", \"-c\", \"exit 0\"]\n");
    let mut living = Vec::new();
    for (index, name) in ["before", "after"].iter().enumerate() {
        here.write("rowmill.toml", &job(name));
        living.push(here.start(&["work", "--index", &index.to_string(), "--workers", "2"]));
        here.await_workers(index + 1);
        await_list(&here, index);
    }
    let rows: Vec<_> = [("before", "", 1), ("after", "", 1)].into_iter().cycle().take(300).collect();
    insert(&here, &rows);
    within(BOUND, "all rows to be done", || (here.done() == 300).then_some(()));
    assert_eq!((here.count("job = 'before' AND worker <> 0"), here.count("job = 'after' AND worker <> 1")), (0, 0));
    assert_eq!(here.lines("parked"), 0);
}

#[test]
fn a_change_of_jobs_is_told_wherever_one_looks() {
    let (here, _old) = old(2);
    for command in ["status", "workers", "check"] {
        assert!(!here.run(&[command]).well().contains("jobs were changed"), "{command}");
    }
    here.script("new", "exit 0\n");
    for command in ["status", "workers", "check"] {
        let text = here.run(&[command]).well();
        let told = "worker 0 started before the jobs were changed, without new";
        assert!(text.contains(told) && text.contains("`rowmill restart`"), "{command}: {text}");
    }
    here.run(&["tick"]).well();
    here.await_workers(2);
    assert_eq!(here.lines("worker 0 started before the jobs were changed, without new"), 1, "{}", here.log());
    here.run(&["tick"]).well();
    assert_eq!(here.lines("before the jobs were changed"), 1, "said once");
    here.run(&["restart"]).well();
    assert!(!here.run(&["status"]).well().contains("jobs were changed"));
    (0..2).for_each(|index| await_list(&here, index));
    fs::remove_file(here.path("scripts/new")).unwrap();
    assert!(here.run(&["status"]).well().contains("workers 0, 1 started before the jobs were changed, still with new"));
    assert!(here.json(&["check"])["found"].to_string().contains("still with new"));
}
