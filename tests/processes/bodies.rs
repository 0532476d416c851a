//! What a script has started and no worker may kill, since it has become another user's: its own task waits until that is
//! gone, and nothing else does.
//!
//! What would be found here: workers that stand still before somebody else's process, a partition that nobody can hold,
//! an index that nobody can be, and a task that runs again beside what is left of its first run.

use crate::installation::{BOUND, Installation, Running, alive, pause, signal, to_its_end, within};
use crate::needs;
use rustix::process::Signal;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The user who has nothing.
const NOBODY: u32 = 65_534;

/// Whose program becomes root's process; the second attempt goes well, if nothing is left of the first.
const SCRIPT: &str = "[ -e go ] && { grep -qs '^State:.[^Z]' /proc/$(cat pid)/status && exit 1; exit 0; }\n\
    ./become --reuid 0 --clear-groups sleep 600 &\necho $! > pid\n";

/// An installation in which nobody works, with a program that makes its caller root for good.
fn of_nobody(script: &str) -> Option<Installation> {
    let here = Installation::new("workers = 2\nlinger = \"5m\"\n");
    here.script("stay", script);
    let prepare = "chmod 755 . && cp \"$0\" rowmill && chown -R 65534:65534 . && cp \"$(command -v setpriv)\" become \
        && chmod 4755 become";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", prepare, env!("CARGO_BIN_EXE_rowmill")]).current_dir(here.folder());
    let prepared = rustix::process::geteuid().is_root() && to_its_end(command).code == Some(0);
    let becomes = || {
        let mut id = Command::new("./become");
        id.args(["--reuid", "0", "--clear-groups", "id", "-ru"]).uid(NOBODY).gid(NOBODY).current_dir(here.folder());
        to_its_end(id).out == "0\n"
    };
    needs::that(prepared && becomes(), "root", "be root, and allow setuid programs where temporary files are")
        .then_some(here)
}

fn work(here: &Installation, index: &str) -> Running {
    let mut command = Command::new(here.path("rowmill"));
    command.args(["work", "--index", index]).current_dir(here.folder()).env_remove("ROWMILL_DATABASE");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Running::start(command.uid(NOBODY).gid(NOBODY))
}

/// The process that only root can kill, once it is root's.
fn unkillable(here: &Installation) -> i32 {
    within(BOUND, "the process of another user", || {
        let pid = here.read("pid").strip_suffix('\n')?.parse().ok()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        (status.contains("Name:\tsleep") && status.contains("Uid:\t0\t0\t0\t0")).then_some(pid)
    })
}

/// The worker is killed, and its script with it; what became root's lives on. Rows of both partitions are done
/// meanwhile, by the other worker and by the next one of that index, in far more slices than either could wait through.
fn only_its_own_task_waits(here: &Installation, mut dead: Running) {
    let pid = unkillable(here);
    signal(dead.pid(), Signal::KILL);
    dead.end();
    let _others = [work(here, "0"), work(here, "1")];
    within(BOUND, "both workers", || (here.workers().len() == 2).then_some(()));
    let by = |index| here.count(&format!("job = 'sleep' AND attempt = 1 AND worker = {index}"));
    let mut rows = 0;
    // At least so many, and on a busy machine more, until the one that began later has had its share.
    within(BOUND, "the rows of others to be done by both", || {
        if here.done() < rows {
            return None;
        }
        if rows >= 400 && by(0) > 0 && by(1) > 0 {
            return Some(());
        }
        here.insert(100, "sleep", "20");
        rows += 100;
        None
    });
    assert_eq!(u64::try_from(by(0) + by(1)).unwrap(), rows);
    assert!(alive(pid) && here.count("id = 1 AND status = 'running'") == 1, "{:?}", here.truth());
    assert!(here.lines("do not end") <= 4, "each process says so once:\n{}", here.log());
    here.write("go", "");
    pause(Duration::from_millis(1_500));
    assert_eq!(here.count("id = 1 AND status = 'running' AND attempt = 1"), 1);
    signal(pid, Signal::KILL);
    within(BOUND, "the task to be done", || (here.done() == rows + 1).then_some(()));
    assert_eq!(here.count("id = 1 AND attempt = 2"), 1, "{}", here.log());
}

#[test]
fn of_a_claimed_task_what_cannot_be_killed_holds_up_that_task_alone() {
    let Some(here) = of_nobody(&format!("{SCRIPT}wait\n")) else { return };
    let dead = work(&here, "1");
    here.insert(1, "stay", "");
    within(BOUND, "the task to be claimed", || (here.count("status = 'running'") == 1).then_some(()));
    only_its_own_task_waits(&here, dead);
}

#[test]
fn of_a_task_that_was_not_claimed_it_does_so_too() {
    // The worker is stopped before it can claim: nobody else has written anything about the task.
    let Some(here) = of_nobody(&format!("{SCRIPT}kill -STOP $PPID\nwait\n")) else { return };
    let dead = work(&here, "1");
    here.insert(1, "stay", "");
    unkillable(&here);
    assert_eq!(here.count("id = 1 AND status = 'ready'"), 1);
    only_its_own_task_waits(&here, dead);
}
