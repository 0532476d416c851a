//! TERM: all workers end in good order, and `run` after them.
//!
//! What would be found here: an exit code that is not 0, an attempt that a stop has cost, a process that is left, a second
//! TERM that breaks nothing off.

use crate::installation::{BOUND, Installation, alive, signal, statuses, terminate, within};
use crate::needs;
use rustix::process::Signal;

#[test]
fn under_load_all_end_well_and_nothing_is_charged_or_left() {
    if !needs::tool("setsid") {
        return;
    }
    let here = Installation::new("workers = 4\n");
    // Each leaves a child in its group, and one that has left it.
    here.script("family", "sleep 600 &\nsetsid sleep 600 &\nsleep 0.05\n");
    let mut run = here.start(&["run"]);
    here.await_workers(4);
    // At once: nobody is done with all before the last have come.
    let mixed = "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 1999)
                 INSERT INTO queue (job) SELECT iif(n % 10 = 0, 'family', 'noop') FROM n";
    assert_eq!(here.sql().execute(mixed, []).unwrap(), 2_000);
    within(BOUND, "work to be under way", || (here.count("job = 'family' AND status = 'done'") >= 10).then_some(()));
    terminate(run.pid());
    assert_eq!(run.code(), Some(0));
    assert_eq!(here.processes(), [], "nobody is left");
    let left = i64::try_from(2_000 - here.done()).unwrap();
    assert!(left > 0, "there is nothing left to prove anything with");
    assert_eq!(here.count("status = 'ready' AND attempt = 0 AND error IS NULL"), left, "{:?}", here.truth());
    assert_eq!(here.count("status = 'done' AND attempt = 1"), 2_000 - left);
    assert_eq!((here.lines("worker ends"), here.lines("run ends")), (4, 1));
}

#[test]
fn what_runs_is_finished_and_a_second_term_breaks_it_off() {
    let here = Installation::new("workers = 1\n[[job]]\nname = \"hold\"\ncommand = [\"./hold\"]\ngrace = \"200ms\"\n");
    here.script("../hold", "echo $$ > pid\nuntil [ -e go ]; do sleep 0.02; done\n");
    here.insert(2, "hold", "");
    let begun = || within(BOUND, "the job to start", || here.read("pid").strip_suffix('\n')?.parse::<i32>().ok());
    let mut run = here.start(&["run"]);
    let pid = begun();
    terminate(run.pid());
    within(BOUND, "the worker to be told", || (here.lines("run is told to stop") == 1).then_some(()));
    assert!(alive(pid) && alive(run.pid()), "the first TERM breaks nothing off");
    here.write("go", "");
    assert_eq!(run.code(), Some(0));
    assert_eq!(
        (here.queue(), here.count("status = 'done' AND attempt = 1")),
        (statuses([("done", 1), ("ready", 1)]), 1)
    );

    std::fs::remove_file(here.path("go")).unwrap();
    std::fs::remove_file(here.path("pid")).unwrap();
    let mut run = here.start(&["run"]);
    let pid = begun();
    terminate(run.pid());
    terminate(run.pid());
    assert_eq!(run.code(), Some(0));
    assert!(!alive(pid));
    assert_eq!(
        (here.queue(), here.count("status = 'ready' AND attempt = 0")),
        (statuses([("done", 1), ("ready", 1)]), 1)
    );
    assert_eq!(here.processes(), []);
}

#[test]
fn a_killed_run_leaves_its_workers_to_the_next() {
    let here = Installation::new("workers = 2\n");
    let run = here.start(&["run"]);
    let workers = here.await_workers(2);
    signal(run.pid(), Signal::KILL);
    drop(run);
    here.insert(10, "noop", "");
    within(BOUND, "the rows to be done", || (here.done() == 10).then_some(()));
    let mut run = here.start(&["run"]);
    within(BOUND, "the next one to be there", || (here.lines("run begins") == 2).then_some(()));
    assert_eq!(here.await_workers(2), workers, "they are left alone");
    // It has not started them, and sees their end all the same.
    signal(workers[&1], Signal::KILL);
    let again = within(BOUND, "another one", || Some(here.workers()).filter(|w| w.len() == 2 && w[&1] != workers[&1]));
    assert_eq!(again[&0], workers[&0]);
    terminate(run.pid());
    assert_eq!(run.code(), Some(0));
    assert_eq!(here.processes(), [], "it ends them, whoever had started them");
}
