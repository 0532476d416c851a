//! A job that is paused and resumed while workers are busy with it and with another one.
//!
//! What would be found here: a task of a paused job that runs or is charged, one that stays parked after the resume, and
//! a job beside it that waits.

use crate::installation::{BOUND, Installation, within};

const ROWS: i64 = 1_200;

#[test]
fn its_tasks_wait_uncharged_while_others_run() {
    let here = Installation::new("workers = 3\n");
    here.run(&["pause", "echo"]).well();
    assert_eq!(here.json(&["status"])["paused"][0]["job"], "echo");
    here.insert(usize::try_from(ROWS).unwrap(), "echo", "1");
    here.insert(50, "noop", "");
    here.run(&["tick"]).well();
    within(BOUND, "all of them to be parked", || {
        (here.count("status = 'parked' AND cause = 'paused' AND attempt = 0") == ROWS).then_some(())
    });
    within(BOUND, "the others to be done", || (here.done() == 50).then_some(()));
    assert_eq!(here.count("job = 'echo' AND (attempt > 0 OR status <> 'parked')"), 0);
    assert!(here.run(&["status"]).well().contains("echo is paused since"));
    let drain = here.run(&["drain"]);
    assert!(drain.code == Some(0) && drain.err.is_empty(), "nothing is ready: {drain:?}");
    // While they are released, another pause comes: whatever it meets is released by the next resume.
    assert!(here.run(&["resume", "echo"]).well().contains("1,200"));
    here.run(&["pause", "echo"]).well();
    assert!(here.run(&["resume", "echo"]).well().contains("goes on"));
    within(BOUND, "all rows to be done", || (here.done() == 50 + u64::try_from(ROWS).unwrap()).then_some(()));
    assert_eq!(here.count("attempt = 1 AND cause IS NULL AND error IS NULL"), 50 + ROWS);
    assert!(here.run(&["resume", "echo"]).well().contains("was not paused"));
    assert_eq!(here.json(&["status"])["paused"].as_array().map(Vec::len), Some(0));
}
