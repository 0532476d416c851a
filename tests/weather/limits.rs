//! A worker that meets its limit of open files: what cannot be started is put off uncharged, and goes on afterwards. (Limits
//! on processes, which do not bind root, are in src/work/exec/tests.)
//!
//! What would be found here: tasks that are charged for what the machine refuses, and workers that end for it.

use super::process::descriptors;
use crate::installation::{BOUND, Installation, within};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

fn limit_files(pid: i32, files: Option<u64>) -> Rlimit {
    let pid = Pid::from_raw(pid);
    let before = prlimit(pid, Resource::Nofile, Rlimit { current: Some(1_024), maximum: Some(1_024) });
    let before = before.unwrap();
    prlimit(pid, Resource::Nofile, Rlimit { current: files.or(before.current), maximum: Some(1_024) }).unwrap();
    before
}

#[test]
fn scripts_that_find_no_descriptor_are_put_off_uncharged() {
    let here = Installation::new("workers = 1\n");
    here.script("mark", "echo $ROWMILL_TASK_ID >> runs\n");
    let worker = here.start(&["work", "--index", "0"]);
    here.insert(1, "noop", "");
    within(BOUND, "a first row to be done", || (here.done() == 1).then_some(()));
    limit_files(worker.pid(), Some(descriptors(worker.pid()) as u64 + 2));
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
}
