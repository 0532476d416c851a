//! Limits on open files and on processes: what cannot be started is put off uncharged, whoever cannot begin says so, and
//! everything goes on when the limit is lifted.
//!
//! What would be found here: tasks that are charged for what the machine refuses, workers that end for it, and commands
//! that take it for a mistake of the configuration. Limits on processes do not bind root: see `bounded`.

use super::bounded::{Bounded, limited};
use crate::installation::{BOUND, Installation, Running, alive, pause, to_its_end, within};
use crate::needs;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::collections::BTreeSet;
use std::time::Duration;

fn limit_files(pid: i32, files: Option<u64>) -> Rlimit {
    let pid = Pid::from_raw(pid);
    let before = prlimit(pid, Resource::Nofile, Rlimit { current: Some(1_024), maximum: Some(1_024) });
    let before = before.unwrap();
    prlimit(pid, Resource::Nofile, Rlimit { current: files.or(before.current), maximum: Some(1_024) }).unwrap();
    before
}

/// Waits until the only worker has nothing to do and is the lookout.
fn await_sleep(here: &Installation, worker: i32) {
    within(BOUND, "it to sleep", || (here.read("rowmill.db-run/lookout").trim() == worker.to_string()).then_some(()));
}

#[test]
fn scripts_that_find_no_descriptor_are_put_off_uncharged() {
    let here = Installation::new("workers = 1\n");
    here.script("mark", "echo $ROWMILL_TASK_ID >> runs\n");
    let worker = here.start(&["work", "--index", "0"]);
    here.insert(1, "noop", "");
    await_sleep(&here, worker.pid());
    // Enough to hold its partition, and not for a script's pipes.
    let open = std::fs::read_dir(format!("/proc/{}/fd", worker.pid())).unwrap();
    let open: BTreeSet<u64> = open.map(|one| one.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
    limit_files(worker.pid(), (0..).filter(|number| !open.contains(number)).nth(2));
    here.insert(20, "mark", "");
    within(BOUND, "scripts to be put off", || {
        (here.count("status = 'delayed' AND error IS NOT NULL") > 0).then_some(())
    });
    assert_eq!((here.count("attempt > 0 AND job = 'mark'"), here.read("runs").as_str()), (0, ""));
    limit_files(worker.pid(), Some(1_024));
    here.sql().execute("UPDATE queue SET run_at = NULL WHERE status = 'delayed'", []).unwrap();
    within(BOUND, "all rows to be done", || (here.done() == 21).then_some(()));
    assert_eq!((here.count("attempt <> 1"), here.read("runs").lines().count()), (0, 20));
    assert_eq!(here.workers()[&0], worker.pid());
    here.keeps_the_laws();
}

#[test]
fn a_worker_without_a_descriptor_to_spare_says_so_once_and_goes_on_afterwards() {
    let here = Installation::new("workers = 3\n");
    let worker = here.start(&["work", "--index", "0"]);
    here.insert(1, "noop", "");
    within(BOUND, "a first row to be done", || (here.done() == 1).then_some(()));
    // A number below this is never free again: none can be opened, whatever is closed meanwhile.
    limit_files(worker.pid(), Some(3));
    // They are in all partitions. What it has open already suffices for some, now and then for all.
    here.insert(5, "noop", "");
    within(BOUND, "it to wait, or to need nothing", || {
        (here.lines("waiting: ") > 0 || here.count("status <> 'done'") == 0).then_some(())
    });
    // It looks twice a second whether the cause is gone.
    pause(Duration::from_secs(3));
    let log = here.log();
    let said: Vec<&str> = log.lines().filter_map(|line| Some(line.split_once("waiting: ")?.1)).collect();
    assert_eq!(said.len(), said.iter().collect::<BTreeSet<_>>().len(), "each cause once: {log}");
    limit_files(worker.pid(), Some(1_024));
    within(BOUND, "all rows to be done", || (here.count("status <> 'done'") == 0).then_some(()));
    assert_eq!((here.count("attempt <> 1"), here.workers()[&0]), (0, worker.pid()));
    here.keeps_the_laws();
}

#[test]
fn a_worker_that_sleeps_without_a_descriptor_to_spare_wakes_for_the_next_row() {
    let here = Installation::new("workers = 3\n");
    let worker = here.start(&["work", "--index", "0"]);
    await_sleep(&here, worker.pid());
    limit_files(worker.pid(), Some(6));
    // The lookout looks once a second who the others are.
    pause(Duration::from_secs(3));
    limit_files(worker.pid(), Some(1_024));
    here.insert(3, "noop", "");
    within(BOUND, "all rows to be done", || (here.done() == 3).then_some(()));
    assert_eq!((here.count("attempt <> 1"), here.workers()[&0]), (0, worker.pid()));
    here.keeps_the_laws();
}

#[test]
fn with_too_few_descriptors_to_begin_everybody_says_so_and_that_it_may_be_tried_again() {
    if !needs::tool("prlimit") {
        return;
    }
    let here = Installation::new("workers = 1\n");
    here.script("mark", "echo $ROWMILL_TASK_ID >> runs\n");
    here.insert(3, "mark", "");
    // A pass of the scheduler that finds its worker there starts none.
    let mut worker = here.start(&["work", "--index", "0"]);
    within(BOUND, "the rows to be done", || (here.done() == 3).then_some(()));
    const LATE: [&str; 6] = ["work", "--index", "1", "--workers", "2", "--drain"];
    let (mut refused, mut well) = (0, 0);
    for args in [&["tick"][..], &["status"], &["enqueue", "mark"], &LATE] {
        // Below the first, the program cannot even be loaded. A worker that can just begin stays, and waits for more.
        for files in 4..13 {
            let said = to_its_end(limited(&here.command(args), &format!("--nofile={files}:{files}")));
            match said.code {
                Some(0) => well += 1,
                Some(127) => assert!(said.err.contains("shared librar"), "{said:?}"),
                Some(75) if said.err.contains("oo many open files") || said.err.contains("cannot be opened") => {
                    refused += 1;
                }
                _ => panic!("{args:?} with {files} descriptors: {said:?}"),
            }
        }
    }
    assert!(refused >= 20 && well >= 2, "{refused} refused, {well} well");
    here.run(&["stop"]).well();
    assert_eq!(worker.code(), Some(0));
    here.run(&["start"]).well();
    within(BOUND, "all rows to be done", || (here.count("status = 'ready'") == 0).then_some(()));
    assert_eq!(here.count("attempt <> 1 OR status <> 'done'"), 0);
    assert_eq!(here.read("runs").lines().collect::<BTreeSet<_>>().len(), here.read("runs").lines().count());
    here.keeps_the_laws();
}

#[test]
fn scripts_that_find_no_process_are_put_off_uncharged_and_whoever_cannot_begin_says_so() {
    let Some(bounded) = Bounded::new("workers = 2\nlinger = \"5m\"\n") else { return };
    let here = &bounded.here;
    here.script("mark", "echo $ROWMILL_TASK_ID >> runs\n");
    here.script("hold", "echo begun >> held\nuntil [ -e go ]; do sleep 0.02; done\n");
    bounded.own();
    to_its_end(bounded.command(&["tick"])).well();
    let before = here.await_workers(2);
    here.insert(1, "hold", "");
    within(BOUND, "a script to run", || (here.read("held") == "begun\n").then_some(()));
    for pid in before.values() {
        bounded.limit(*pid, "1");
    }
    here.insert(20, "mark", "");
    here.insert(20, "noop", "");
    within(BOUND, "what needs no process to be done", || {
        (here.count("job = 'noop' AND status = 'done'") == 20).then_some(())
    });
    within(BOUND, "each script to be put off", || {
        (here.count("job = 'mark' AND error LIKE '%look at ulimit -u%'") == 20).then_some(())
    });
    assert_eq!((here.count("attempt > 0 AND job = 'mark'"), here.read("runs").as_str()), (0, ""));
    within(BOUND, "the log to say so", || (here.lines("look at ulimit -u") >= 20).then_some(()));
    // Who begins now finds no place for its threads, and a tick none for another worker.
    for (args, words) in [
        (&["work", "--index", "2", "--workers", "3"][..], "the system refused another process or thread"),
        (&["tick", "--workers", "3"], "worker 2 cannot be started"),
    ] {
        let said = to_its_end(bounded.limited("--nproc=1", args));
        assert!(said.code == Some(75) && said.err.contains(words), "{args:?}: {said:?}");
    }
    assert_eq!((here.workers(), here.count("status = 'running' AND job = 'hold'")), (before.clone(), 1));
    for pid in before.values() {
        bounded.limit(*pid, &Bounded::own_limit());
    }
    here.write("go", "");
    within(BOUND, "all rows to be done", || (here.done() == 41).then_some(()));
    assert_eq!((here.count("attempt <> 1"), here.workers()), (0, before));
    let runs = here.read("runs");
    assert_eq!((runs.lines().count(), runs.lines().collect::<BTreeSet<_>>().len()), (20, 20));
    assert_eq!(here.read("held"), "begun\n");
    here.keeps_the_laws();
}

#[test]
fn a_script_that_finds_no_process_for_its_children_has_failed_and_is_tried_again() {
    const JOB: &str = "[[job]]\nname = \"fork\"\ncommand = [\"./fork\"]\nmax_attempts = 2\n\
                       backoff = { first = \"1h\", factor = 1.0, max = \"1h\" }\n";
    let Some(bounded) = Bounded::new(&format!("workers = 1\n{JOB}")) else { return };
    let here = &bounded.here;
    here.script("../fork", "for n in 1 2 3 4; do sleep 0.01 || exit 1 & done\nwait\necho $ROWMILL_TASK_ID >> runs\n");
    bounded.own();
    let mut command = bounded.command(&["work", "--index", "0"]);
    let worker = Running::start(&mut command);
    here.insert(1, "noop", "");
    within(BOUND, "a first row to be done", || (here.done() == 1).then_some(()));
    // Room for the script and at most one of its children.
    let threads = std::fs::read_dir(format!("/proc/{}/task", worker.pid())).unwrap().count();
    bounded.limit(worker.pid(), &(threads + 1).to_string());
    here.insert(1, "fork", "");
    here.insert(5, "noop", "");
    within(BOUND, "it to have failed", || (here.count("job = 'fork' AND status = 'delayed'") == 1).then_some(()));
    within(BOUND, "the others to be done", || (here.done() == 6).then_some(()));
    assert_eq!(
        here.count("job = 'fork' AND attempt = 1 AND error NOT LIKE '%ulimit%'"),
        1,
        "it was run, and is charged"
    );
    assert_eq!((here.count("job = 'noop' AND attempt <> 1"), here.read("runs").as_str()), (0, ""));
    bounded.limit(worker.pid(), &Bounded::own_limit());
    here.run(&["release", "2"]).well();
    within(BOUND, "it to be done", || (here.done() == 7).then_some(()));
    assert_eq!((here.count("job = 'fork' AND attempt = 2"), here.read("runs").as_str()), (1, "2\n"));
    assert!(alive(worker.pid()));
    here.keeps_the_laws();
}
