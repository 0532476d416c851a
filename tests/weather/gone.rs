//! Files and folders that go away under living workers: the database, the log, the run folder. (A run folder that is
//! deleted or replaced stands in processes/places.)
//!
//! What would be found here: workers that go on writing into a file that nobody else sees, ones that die without a word,
//! and ones that do not go on when what was missing is back.

use crate::installation::{BOUND, Installation, alive, statuses, within};
use std::fs;

/// The database with its log and its index.
const FILES: [&str; 3] = ["rowmill.db", "rowmill.db-wal", "rowmill.db-shm"];

/// One worker runs a claimed script, one is busy, one sleeps.
fn all_kinds() -> (Installation, i32) {
    let here = Installation::new("workers = 3\nlinger = \"5m\"\n");
    here.script("hold", "echo $$ > pid\nuntil [ -e go ]; do sleep 0.02; done\n");
    here.run(&["tick"]).well();
    here.await_workers(3);
    here.insert(1, "hold", "");
    within(BOUND, "the claim", || (here.truth() == statuses([("running", 1)])).then_some(()));
    let script = within(BOUND, "the script", || here.read("pid").strip_suffix('\n')?.parse().ok());
    // All in one partition: its holder is busy, one more sleeps.
    let conn = here.sql();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..300 {
        conn.execute("INSERT INTO queue (job, param) VALUES ('sleep', '20')", []).unwrap();
    }
    conn.execute_batch("DELETE FROM queue WHERE job = 'sleep' AND id % 3 <> 0; COMMIT").unwrap();
    within(BOUND, "the first rows to be done", || (here.done() >= 3).then_some(()));
    (here, script)
}

fn all_have_said(here: &Installation, words: &str) {
    assert_eq!(here.lines(&format!("worker ends: {}", here.path("rowmill.db").display())), 3, "{}", here.log());
    assert!(here.lines(words) >= 3, "{}", here.log());
}

#[test]
fn workers_end_when_the_database_is_deleted() {
    let (here, script) = all_kinds();
    for name in FILES {
        fs::remove_file(here.path(name)).unwrap();
    }
    here.await_silence();
    assert!(!alive(script), "what it ran is broken off");
    all_have_said(&here, "was deleted or moved away while it was in use");
}

#[test]
fn workers_end_when_the_database_is_replaced_and_lose_nothing_of_the_old_one() {
    let (here, script) = all_kinds();
    let ready = here.count("status = 'ready'");
    fs::create_dir(here.path("away")).unwrap();
    for name in FILES {
        fs::rename(here.path(name), here.path(&format!("away/{name}"))).unwrap();
    }
    here.run(&["migrate"]).well();
    within(BOUND, "the old workers to end", || here.processes().is_empty().then_some(()));
    assert!(!alive(script));
    all_have_said(&here, "while it was in use");
    // The new one works at once, with the locks of the same run folder.
    here.insert(5, "noop", "");
    here.run(&["drain"]).well();
    assert_eq!(here.truth(), statuses([("done", 5)]));
    // The old one, back in its place, has everything that it had.
    for name in FILES {
        let _ = fs::remove_file(here.path(name));
        let _ = fs::rename(here.path(&format!("away/{name}")), here.path(name));
    }
    here.write("go", "");
    assert!(here.count("status = 'ready'") <= ready && here.count("status = 'ready'") > 0);
    here.run(&["drain"]).well();
    assert_eq!(here.truth(), statuses([("done", 101)]));
    assert!(here.count("attempt > 1") <= 3, "what ran when its worker ended, and nothing else");
    here.keeps_the_laws();
}

#[test]
fn a_busy_database_that_is_moved_away_takes_no_more_outcomes() {
    let here = Installation::new("workers = 2\n");
    here.insert(2_000, "sleep", "5");
    let mut drain = here.start(&["drain"]);
    within(BOUND, "the first rows to be done", || (here.done() >= 20).then_some(()));
    fs::create_dir(here.path("away")).unwrap();
    for name in FILES {
        fs::rename(here.path(name), here.path(&format!("away/{name}"))).unwrap();
    }
    let moved = rusqlite::Connection::open(here.path("away/rowmill.db")).unwrap();
    let done =
        || moved.query_row("SELECT count(*) FROM task WHERE status = 'done'", [], |r| r.get::<_, u64>(0)).unwrap();
    let before = done();
    assert_ne!(drain.code(), Some(0), "work remains, and it says so");
    here.await_silence();
    // A settlement that was just under way may have come through, for each worker; a row takes 5 ms.
    assert!(before < 1_900 && done() <= before + 2 * 100, "{before} and then {}", done());
}

#[test]
fn work_goes_on_without_a_log_folder_and_the_log_when_it_can_be_made() {
    let here = Installation::new("workers = 2\nlinger = \"5m\"\n");
    here.run(&["tick"]).well();
    let before = here.await_workers(2);
    fs::remove_dir_all(here.path("logs")).unwrap();
    // In its place lies something that no log can be written to, for root neither.
    here.write("logs", "");
    here.insert(40, "noop", "");
    within(BOUND, "the rows to be done", || (here.done() == 40).then_some(()));
    let said = here.run(&["tick"]);
    assert!(said.code == Some(1) && said.err.contains("the log"), "{said:?}");
    fs::remove_file(here.path("logs")).unwrap();
    within(BOUND, "the log to go on", || {
        here.insert(2, "noop", "");
        (here.lines(" lines were dropped: ") >= 1 && here.lines(" done ") >= 2).then_some(())
    });
    assert_eq!((here.workers(), here.count("attempt > 1")), (before, 0));
    here.keeps_the_laws();
}

#[test]
fn without_a_run_folder_that_can_be_written_workers_say_so_and_end_and_the_next_tick_goes_on() {
    let here = Installation::new("workers = 2\nlinger = \"5m\"\n");
    here.run(&["tick"]).well();
    here.await_workers(2);
    let run = here.path("rowmill.db-run");
    within(BOUND, "something else to lie there", || {
        let _ = fs::remove_dir_all(&run);
        fs::write(&run, "").ok()
    });
    here.await_silence();
    assert_eq!(here.lines("worker ends: "), 2, "{}", here.log());
    here.insert(20, "noop", "");
    let said = here.run(&["tick"]);
    assert!(said.code == Some(2) && said.err.contains("is not a folder") && said.err.contains("hint: "), "{said:?}");
    fs::remove_file(&run).unwrap();
    here.run(&["tick"]).well();
    within(BOUND, "the rows to be done", || (here.done() == 20).then_some(()));
    assert_eq!(here.count("attempt > 1"), 0);
    here.keeps_the_laws();
}
