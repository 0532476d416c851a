//! What members of the group can do, and what is the owner's.
//!
//! What would be found here: a lock that only who made it can take, a log that a member's file closes to the owner, an
//! application that cannot insert because the last one to close the database was another.

use super::place::{GROUP, MEMBER, OWNER, Place, has_python};
use crate::installation::{BOUND, freeze, within};
use rowmill::share::Group;

#[test]
fn a_member_asks_looks_and_reads() {
    let Some(place) = Place::shared() else { return };
    place.call(OWNER, "077", &["tick"]).well();
    let id = place.call(MEMBER, "077", &["enqueue", "hello", "\"member\""]).well();
    assert_eq!(place.call(MEMBER, "077", &["wait", id.trim(), "--timeout", "60s"]).well(), "done\n");
    assert!(place.call(MEMBER, "077", &["status"]).well().contains("workers     0 (pid "));
    // The line is written when the worker has settled, and so perhaps after the wait is over.
    within(BOUND, "the log", || {
        let log = place.call(MEMBER, "077", &["logs", "--task", id.trim()]).well();
        log.contains("which was given: \"member\"").then_some(())
    });
    let check = place.call(MEMBER, "077", &["check"]);
    assert!(check.code == Some(0) && check.out.contains("`bin` reads the log and does not write it"), "{check:?}");
    place.call(MEMBER, "077", &["pause", "hello"]).well();
    place.call(MEMBER, "077", &["resume", "hello"]).well();
    assert!(place.call(MEMBER, "077", &["stop"]).well().contains("4 workers ended"));
    place.call(OWNER, "077", &["start"]).well();
}

#[test]
fn each_takes_the_locks_that_the_other_has_made() {
    let Some(place) = Place::shared() else { return };
    for (first, second) in [(OWNER, MEMBER), (MEMBER, OWNER)] {
        for user in [first, second] {
            let id = place.call(user, "077", &["enqueue", "hello"]).well();
            let log: &[&str] = if user == MEMBER { &["--log", "stderr"] } else { &[] };
            let args = [&["work", "--index", "0", "--workers", "1", "--drain"], log].concat();
            assert_eq!(place.call(user, "077", &args).code, Some(0));
            assert_eq!(place.call(first, "077", &["wait", id.trim(), "--timeout", "60s"]).well(), "done\n");
        }
        // The second round begins with what the member makes.
        std::fs::remove_dir_all(place.path("shop/queue/rowmill.db-run")).unwrap();
    }
}

#[test]
fn the_log_is_its_owner_s_and_root_s() {
    let Some(place) = Place::shared() else { return };
    let refused = |words: &str| {
        for args in [&["tick"][..], &["drain"], &["work", "--index", "0"]] {
            let said = place.call(MEMBER, "000", args);
            let hint = "hint: its owner and root write it: call this as one of them, or with --log stderr";
            assert!(said.code == Some(1) && said.err.contains(words) && said.err.contains(hint), "{said:?}");
        }
    };
    refused("the log folder ");
    assert!(!place.path("shop/logs").exists(), "a member's folder would lock the owner out");
    place.call(OWNER, "077", &["drain"]).well();
    refused("Permission denied");
    place.call(MEMBER, "077", &["enqueue", "hello"]).well();
    assert_eq!(place.call(MEMBER, "077", &["drain", "--log", "stderr"]).code, Some(0));
    assert!(place.call(MEMBER, "077", &["scale", "3"]).well().contains("no worker is alive"));
}

#[test]
fn an_application_of_the_group_inserts_whoever_is_there() {
    let Some(place) = Place::shared() else { return };
    if !has_python() {
        return;
    }
    let gid = Group::find(GROUP).unwrap().gid;
    let insert = "import sqlite3, os\n\
                  db = sqlite3.connect('shop/queue/rowmill.db', timeout=60)\n\
                  db.execute('PRAGMA wal_autocheckpoint = 0')\n\
                  with db: print(db.execute(\"INSERT INTO queue (job) VALUES ('hello')\").lastrowid)\n\
                  for end in ('-wal', '-shm'):\n    \
                      s = os.stat('shop/queue/rowmill.db' + end); print(s.st_uid, s.st_gid, oct(s.st_mode & 0o7777))\n";
    // Nobody has it open: the application makes the log and the shared memory.
    let made = place.python(MEMBER, insert).well();
    assert_eq!(made, format!("1\n2 {gid} 0o660\n2 {gid} 0o660\n"));
    place.call(OWNER, "077", &["drain"]).well();
    // The owner has it open.
    place.call(OWNER, "077", &["tick"]).well();
    let made = place.python(MEMBER, insert).well();
    assert_eq!(made, format!("2\n1 {gid} 0o660\n1 {gid} 0o660\n"));
    assert_eq!(place.call(MEMBER, "077", &["wait", "2", "--timeout", "60s"]).well(), "done\n");
    // The application has it open, and keeps it so while the owner works.
    place.call(OWNER, "077", &["stop"]).well();
    let stays = format!("{insert}open('inserted', 'w').close(); import signal; signal.pause()\n");
    std::fs::set_permissions(place.path(""), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let _application = place.start_python(MEMBER, &stays);
    within(BOUND, "the application", || place.path("inserted").exists().then_some(()));
    assert_eq!(place.of("shop/queue/rowmill.db-wal"), (MEMBER.uid, gid, 0o660));
    place.call(OWNER, "077", &["start"]).well();
    assert_eq!(place.call(MEMBER, "077", &["wait", "3", "--timeout", "60s"]).well(), "done\n");
}

#[test]
fn a_member_rings() {
    let Some(place) = Place::shared() else { return };
    if !has_python() {
        return;
    }
    place.call(OWNER, "077", &["tick"]).well();
    let bell = place.path("shop/queue/rowmill.db-run/bell-0");
    within(BOUND, "a worker that listens", || bell.exists().then_some(()));
    let ring = "import os, socket; os.chdir('shop/queue/rowmill.db-run')\n\
                s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); print(s.sendto(b'x', 'bell-0'))";
    assert_eq!(place.python(MEMBER, ring).well(), "1\n");
}

#[test]
fn a_frozen_worker_of_the_owner_is_left_to_the_owner() {
    use rustix::process::{Pid, Signal, kill_process};
    let Some(place) = Place::shared() else { return };
    let config = place.path("shop/rowmill.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text + "\nstall = \"1s\"\n").unwrap();
    let mut worker = place.start(OWNER, &["work", "--index", "1"]);
    let listens = place.path("shop/queue/rowmill.db-run/bell-1");
    within(BOUND, "a worker that listens", || listens.exists().then_some(()));
    let pid = Pid::from_raw(worker.pid()).unwrap();
    freeze(worker.pid(), &place.path("shop/queue/rowmill.db-run/gate"));
    let tick = ["tick", "--workers", "2", "--log", "stderr"];
    let said = within(BOUND, "a look at the frozen worker", || {
        let said = place.call(MEMBER, "077", &tick);
        (said.err.contains("made no progress")).then_some(said)
    });
    let words = format!("worker 1 (pid {}) made no progress for ", worker.pid());
    assert!(said.err.contains(&words) && said.err.contains("its user or root may kill it"), "{said:?}");
    assert!(!said.err.contains("was killed"), "{said:?}");
    assert!(worker.0.try_wait().unwrap().is_none());
    kill_process(pid, Signal::KILL).unwrap();
    worker.end();
}
