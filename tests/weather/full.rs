//! The disk is full while ten workers run, and has room again: everybody waits and goes on, nobody is charged.
//!
//! What would be found here: workers that end, or die at a page of a mapped file that has no place on the disk, tasks that
//! are charged or run again for it, and a log that stays torn.

use super::small_disk::on_a_small_disk;
use crate::installation::{BOUND, Installation, alive, pause, signal, within};
use rustix::process::Signal;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Takes all the room that is left.
fn fill(path: &Path) {
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

/// Fills the disk until nothing can be inserted any more, however much is given back meanwhile.
fn fill_up(here: &Installation) {
    let conn = here.sql();
    within(BOUND, "the disk to be full", || {
        fill(&here.path("ballast"));
        let big = "INSERT INTO queue (job, param, run_at) VALUES ('noop', hex(zeroblob(20000)), 9000000000000)";
        let refused = conn.execute(big, []).is_err_and(|e| e.to_string().starts_with("d"));
        refused.then_some(())
    });
}

#[test]
fn ten_workers_wait_while_the_disk_is_full_and_go_on_when_it_is_not() {
    on_a_small_disk(96, |disk| {
        const ROWS: u64 = 3_000;
        let here = Installation::on(disk, "workers = 10\nlinger = \"5m\"\n");
        let late = ["work", "--index", "10", "--workers", "11", "--drain"];
        here.run(&late).well();
        here.run(&["tick"]).well();
        let before = here.await_workers(10);
        // One file that the late worker will have to make.
        fs::remove_file(here.path("rowmill.db-run/pulse-10")).unwrap();
        here.insert(usize::try_from(ROWS).unwrap(), "sleep", "10");
        within(BOUND, "the first rows to be done", || (here.done() >= 50).then_some(()));
        fill_up(&here);
        let said = here.run(&["enqueue", "noop", "--codec", "text", &"x".repeat(100_000)]);
        assert!(said.code == Some(75) && said.err.contains("the disk is full"), "{said:?}");
        // What is under way comes to a stand: whatever is finished waits to be written.
        let mut done = here.done();
        within(BOUND, "the work to stand still", || {
            fill(&here.path("ballast"));
            pause(Duration::from_millis(500));
            (std::mem::replace(&mut done, here.done()) == here.done()).then_some(())
        });
        assert!(done < ROWS, "the disk was full too late to prove anything");
        assert!(before.values().all(|pid| alive(*pid)), "nobody ends for it");
        let said = here.run(&late);
        assert!(
            said.code == Some(75) && said.err.contains("the disk is full"),
            "it says so, and does not die: {said:?}"
        );
        fs::remove_file(here.path("ballast")).unwrap();
        within(BOUND * 2, "all rows to be done", || {
            (here.count("job = 'sleep' AND status = 'done'") == 3_000).then_some(())
        });
        assert_eq!(here.count("job = 'sleep' AND attempt <> 1"), 0);
        assert!(before.values().all(|pid| alive(*pid)));
        let said = here.lines("the disk is full") + here.lines("dropped: No space left on device");
        assert!(said > 0, "the log says it, or that it could not: {}", here.log());
        here.keeps_the_laws();
    });
}

#[test]
fn a_worker_that_dies_on_a_full_disk_is_replaced_when_there_is_room() {
    on_a_small_disk(64, |disk| {
        let here = Installation::on(disk, "workers = 2\nlinger = \"5m\"\n");
        here.run(&["tick"]).well();
        let before = here.await_workers(2);
        here.insert(400, "sleep", "10");
        within(BOUND, "the first rows to be done", || (here.done() >= 10).then_some(()));
        fill_up(&here);
        for pid in before.values() {
            signal(*pid, Signal::KILL);
        }
        here.await_silence();
        let said = here.run(&["tick"]);
        assert!([Some(0), Some(75)].contains(&said.code), "{said:?}");
        fs::remove_file(here.path("ballast")).unwrap();
        here.run(&["tick"]).well();
        within(BOUND, "all rows to be done", || (here.count("job = 'sleep' AND status = 'done'") == 400).then_some(()));
        assert!(here.count("job = 'sleep' AND attempt > 1") <= 2, "one for each death at most");
        here.keeps_the_laws();
    });
}

#[test]
fn a_drain_on_a_full_disk_loses_nothing() {
    on_a_small_disk(32, |disk| {
        let here = Installation::on(disk, "workers = 2\n");
        here.insert(200, "noop", "");
        fill_up(&here);
        let said = here.run(&["enqueue", "noop", "--codec", "text", &"x".repeat(100_000)]);
        assert!(said.code == Some(75) && said.err.contains("the disk is full"), "{said:?}");
        let mut drain = here.start(&["drain"]);
        pause(Duration::from_millis(1_000));
        fs::remove_file(here.path("ballast")).unwrap();
        let code = drain.code();
        if code != Some(0) {
            assert_eq!(code, Some(75), "it says that it may be tried again");
            here.run(&["drain"]).well();
        }
        assert_eq!((here.done(), here.count("status = 'done' AND attempt <> 1")), (200, 0));
        here.keeps_the_laws();
    });
}
