//! What lies around the data: readers in the way, leftovers and strange locks in the run folder, dead workers, clocks.

use crate::installation::{BOUND, Installation, Running, signal, within};
use rustix::fs::{FlockOperation, Timespec, Timestamps, flock, utimensat};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs::{self, File};

/// The notes about something.
fn notes(answer: &Value, about: &str) -> Vec<String> {
    let notes = answer["notes"].as_array().unwrap().iter().filter(|note| note["about"] == about);
    notes.map(|note| note["message"].as_str().unwrap().to_string()).collect()
}

#[test]
fn a_reader_that_pins_the_log_is_named_by_its_pid() {
    let here = Installation::new("");
    let (reader, writer) = (here.sql(), here.sql());
    let count = "SELECT count(*) FROM queue";
    writer.execute("INSERT INTO queue (job) VALUES ('noop')", []).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row(count, [], |r| r.get::<_, i64>(0)).unwrap();
    let answer = here.json(&["doctor"]);
    let own = std::process::id();
    let readers = answer["log"]["readers"].as_array().unwrap();
    assert_eq!((readers.len(), &readers[0]["pid"], &readers[0]["sure"]), (1, &json!(own), &json!("likely")));
    writer.execute("INSERT INTO queue (job) VALUES ('noop')", []).unwrap();
    let answer = here.json(&["doctor"]);
    assert_eq!(answer["log"]["readers"][0]["sure"], "certain");
    let told = notes(&answer, "log");
    assert!(
        told.len() == 1 && told[0].contains(&format!("process {own} (")) && told[0].contains("old state"),
        "{told:?}"
    );
    reader.execute_batch("COMMIT").unwrap();
    let answer = here.json(&["doctor"]);
    assert_eq!((&answer["log"]["readers"], notes(&answer, "log").len()), (&json!([]), 0));
}

#[test]
fn what_is_left_over_in_the_run_folder_is_named() {
    let here = Installation::new("");
    here.insert(1, "noop", "");
    here.run(&["drain"]).well();
    here.write("rowmill.db-run/body-77", "");
    here.write("rowmill.db-run/body-78", "");
    here.write("rowmill.db-run/notes.txt", "");
    here.write("rowmill.db-run/worker-9", "");
    let body = File::open(here.path("rowmill.db-run/body-78")).unwrap();
    flock(&body, FlockOperation::NonBlockingLockShared).unwrap();
    let lock = File::open(here.path("rowmill.db-run/worker-9")).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    let answer = here.json(&["doctor"]);
    let own = std::process::id();
    let run = &answer["run_folder"];
    assert_eq!(run["bodies"], json!(["body-77"]));
    assert_eq!(run["strays"], json!([{ "file": "body-78", "pids": [own] }]));
    assert_eq!(run["orphaned_locks"], json!([{ "file": "worker-9", "pids": [own] }]));
    assert_eq!(run["foreign"], json!(["notes.txt"]));
    assert_eq!(notes(&answer, "run folder").len(), 4);
    assert_eq!(answer["ok"], true);
    drop((body, lock));
    for name in ["body-77", "body-78", "notes.txt"] {
        fs::remove_file(here.path("rowmill.db-run").join(name)).unwrap();
    }
    assert_eq!(notes(&here.json(&["doctor"]), "run folder"), [""; 0]);
}

#[test]
fn a_dead_worker_whose_claim_waits_is_named() {
    let here = Installation::new("workers = 1\n");
    here.insert(1, "sleep", "60000");
    let mut worker: Running = here.start(&["work", "--index", "0", "--log", "stderr"]);
    within(BOUND, "the claim", || (here.count("status = 'running'") == 1).then_some(()));
    assert_eq!(here.json(&["doctor"])["dead_workers"], json!([]));
    signal(worker.pid(), Signal::KILL);
    worker.end();
    let answer = here.json(&["doctor"]);
    let dead = &answer["dead_workers"][0];
    assert_eq!((&dead["index"], &dead["pid"], &dead["tasks"]), (&json!(0), &json!(worker.pid()), &json!([1])));
    assert!(notes(&answer, "workers")[0].contains("is dead, and its claims wait"), "{answer}");
    assert_eq!(answer["ok"], true, "recovery will see to it");
}

#[test]
fn a_clock_that_was_set_back_is_noticed() {
    let here = Installation::new("");
    here.run(&["tick"]).well();
    assert_eq!(notes(&here.json(&["doctor"]), "clock"), [""; 0]);
    // What a tick leaves behind whose clock was in the year 2096.
    let ahead = Timespec { tv_sec: 4_000_000_000, tv_nsec: 0 };
    let times = Timestamps { last_access: ahead, last_modification: ahead };
    let lock = here.path("rowmill.db-run/scheduler");
    utimensat(rustix::fs::CWD, &lock, &times, rustix::fs::AtFlags::empty()).unwrap();
    let answer = here.json(&["doctor"]);
    assert!(notes(&answer, "clock")[0].contains("the clock was set back"), "{answer}");
    assert_eq!(answer["clock"]["last_tick_at"], 4_000_000_000_000_i64);
}

#[test]
fn outcomes_that_nobody_folds_are_noticed() {
    let here = Installation::new("");
    here.insert(1, "noop", "");
    here.sql()
        .execute_batch(
            "DELETE FROM rowmill_ready;
             INSERT INTO rowmill_settled SELECT generation, 1 % partitions, 1, 1, 5, 5, 0, NULL FROM rowmill_generation;
             INSERT INTO rowmill_history VALUES (0, 'noop', 'done', 1)",
        )
        .unwrap();
    let answer = here.json(&["doctor"]);
    assert!(notes(&answer, "fold")[0].contains("to be folded"), "{answer}");
    assert_eq!(answer["waiting"]["oldest_unfolded_at"], 5);
}
