//! Two pid namespaces over one database, as two containers have them: the same numbers mean other processes.
//!
//! What would be found here: a worker that takes the living of the other side for dead, or kills one of its own side in
//! their place, and rows that stay with the dead of the other side.

use crate::installation::{BOUND, Installation, Running, alive, pause, signal, statuses, within};
use crate::needs;
use rustix::process::Signal;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What makes a namespace: of root, or of a user who may make one for users too.
const UNSHARE: [&str; 5] = ["--pid", "--fork", "--mount-proc", "--kill-child", "--"];

/// Whether this machine lets us make one.
fn can_unshare() -> bool {
    needs::tool("unshare")
        && needs::that(unshare("true").status().is_ok_and(|s| s.success()), "pid-namespaces", "be root")
}

fn unshare(program: &str) -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(UNSHARE).arg(program).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A worker in a namespace of its own, and its number in ours.
fn inside(here: &Installation, index: &str) -> (Running, i32) {
    let mut command = unshare(here.command(&[]).get_program().to_str().unwrap());
    command.args(["work", "--index", index]).current_dir(here.folder()).env_remove("ROWMILL_DATABASE");
    let running = Running::start(&mut command);
    let parent = running.pid();
    let pid = within(BOUND, "the worker in its namespace", || {
        let child = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
        let child: i32 = child.trim().parse().ok()?;
        fs::read_to_string(format!("/proc/{child}/comm")).ok()?.contains("rowmill").then_some(child)
    });
    (running, pid)
}

#[test]
fn workers_of_two_namespaces_share_partitions_and_leave_each_other_alone() {
    if !can_unshare() {
        return;
    }
    let here = Installation::new("workers = 2\nstall = \"1s\"\n");
    let alone = "set -C\n( : > running-$ROWMILL_TASK_ID ) || { echo $ROWMILL_TASK_ID >> twice; exit 1; }\n\
        sleep ${0##*-}\nrm running-$ROWMILL_TASK_ID\n";
    here.script("alone-0.01", alone);
    here.script("alone-2.5", alone);
    let outside = here.start(&["work", "--index", "0"]);
    let (_keeper, within_pid) = inside(&here, "1");
    assert_eq!(here.await_workers(2)[&1], 1, "in its own namespace it is the first process");
    // Longer than the stall: whoever mistook one for frozen or dead would show it here.
    here.insert(2, "alone-2.5", "");
    here.insert(60, "alone-0.01", "");
    within(BOUND, "all rows to be done", || (here.done() == 62).then_some(()));
    assert_eq!((here.read("twice").as_str(), here.count("attempt <> 1")), ("", 0));
    assert!(alive(outside.pid()) && alive(within_pid));
    assert_eq!(here.lines("made no progress for"), 0);
    let ran = |index| here.count(&format!("worker = {index}"));
    assert!(ran(0) > 0 && ran(1) > 0, "{} and {}", ran(0), ran(1));
    // A stopped one of the other side is not for this side to kill, and by its number there it would be another.
    signal(outside.pid(), Signal::STOP);
    pause(Duration::from_millis(2_500));
    assert!(alive(outside.pid()) && alive(within_pid));
    signal(outside.pid(), Signal::CONT);
}

#[test]
fn what_a_killed_worker_of_the_other_namespace_had_claimed_is_run_again() {
    if !can_unshare() {
        return;
    }
    let here = Installation::new("workers = 2\n");
    here.script("hold", "[ -e go ] && exit 0\necho run >> runs\nexec sleep 600\n");
    let (_keeper, within_pid) = inside(&here, "1");
    here.await_workers(1);
    here.insert(1, "hold", "");
    within(BOUND, "the claim", || (here.truth() == statuses([("running", 1)])).then_some(()));
    let outside = here.start(&["work", "--index", "0"]);
    here.await_workers(2);
    pause(Duration::from_millis(1_500));
    assert_eq!((here.read("runs").lines().count(), here.count("status = 'running'")), (1, 1));
    here.write("go", "");
    signal(within_pid, Signal::KILL);
    within(BOUND, "the other side to run it", || (here.done() == 1).then_some(()));
    assert_eq!(here.count("attempt = 2 AND worker = 0"), 1);
    assert!(alive(outside.pid()));
}

/// The lock file of the other side's worker is gone too: it cannot be seen from in there, so it is given its time.
#[test]
fn whoever_cannot_be_seen_is_not_taken_for_dead_when_the_run_folder_is_deleted() {
    if !can_unshare() {
        return;
    }
    let here = Installation::new("workers = 2\nstall = \"1h\"\n");
    here.script("hold", "echo run >> runs\nuntil [ -e go ]; do sleep 0.02; done\n");
    let outside = here.start(&["work", "--index", "0"]);
    here.await_workers(1);
    here.insert(1, "hold", "");
    within(BOUND, "the claim", || (here.truth() == statuses([("running", 1)])).then_some(()));
    signal(outside.pid(), Signal::STOP);
    within(BOUND, "the run folder to go", || fs::remove_dir_all(here.path("rowmill.db-run")).ok());
    let (_keeper, within_pid) = inside(&here, "1");
    pause(Duration::from_millis(2_500));
    assert!(alive(within_pid));
    assert_eq!((here.read("runs").lines().count(), here.count("status = 'running'")), (1, 1));
    signal(outside.pid(), Signal::CONT);
    here.write("go", "");
    within(BOUND, "the task to be done", || (here.done() == 1).then_some(()));
    assert_eq!((here.read("runs").lines().count(), here.count("attempt = 1")), (1, 1));
}
