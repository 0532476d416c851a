//! Fewer workers under load.
//!
//! What would be found here: workers that stay although they are too many, all that leave, a reason that nobody can see, and
//! workers that never come back. What is decided when is shown by the tests of the decision; here it is planted, and stands
//! for as long as a decision stands.

use crate::installation::{BOUND, Installation, signal, within};
use rustix::process::Signal;

#[test]
fn those_that_are_too_many_leave_and_come_back() {
    // No machine has that load; a limit alone changes nothing.
    let here = Installation::new("workers = 4\nmax_load = 100000.0\n");
    let run = here.start(&["run"]);
    let workers = here.await_workers(4);
    let load = here.json(&["status"])["load"].clone();
    assert!(load["load"].as_f64().is_some() && load["max_load"] == 100_000.0 && load["workers"].is_null(), "{load}");
    assert!(here.run(&["status"]).well().contains(" of 100000.0: all workers may be there\n"));

    let planted = "INSERT INTO rowmill_curb (one, workers, since, why)
                   VALUES (1, 2, CAST(strftime('%s', 'now') AS INTEGER) * 1000 + 600000, 'load 9.0 of 8.0')";
    here.sql().execute(planted, []).unwrap();
    here.insert(400, "sleep", "5");
    let left = here.await_workers(2);
    assert!([0, 1].iter().all(|index| left[index] == workers[index]), "{left:?}");
    within(BOUND, "the rows to be done by those that are left", || (here.done() == 400).then_some(()));
    assert_eq!(here.lines("this worker leaves: only 2 are to be there now (load 9.0 of 8.0)"), 2, "{}", here.log());
    let status = here.json(&["status"]);
    assert_eq!((&status["load"]["workers"], &status["load"]["why"]), (&2.into(), &"load 9.0 of 8.0".into()));
    assert!(here.run(&["status"]).well().contains("load        2 of 4 workers may be there since "));

    // Without a limit nobody is held back any more.
    here.write("rowmill.toml", "workers = 4\n");
    signal(run.pid(), Signal::HUP);
    here.await_workers(4);
    assert_eq!((here.workers()[&0], here.json(&["status"])["load"]["workers"].clone()), (workers[&0], ().into()));
}

#[test]
fn a_tick_starts_no_more_than_the_machine_bears() {
    let here = Installation::new("workers = 4\nmax_pressure = \"100%\"\n");
    let planted = "INSERT INTO rowmill_curb (one, workers, since, why)
                   VALUES (1, 1, CAST(strftime('%s', 'now') AS INTEGER) * 1000 - 1000, 'io pressure 61% of 50%')";
    here.sql().execute(planted, []).unwrap();
    here.insert(40, "noop", "");
    if here.json(&["status"])["load"]["pressure"].as_object().unwrap().is_empty() {
        // A kernel that does not tell its pressure bears all.
        return;
    }
    here.run(&["tick"]).well();
    within(BOUND, "one worker to do all", || (here.done() == 40).then_some(()));
    here.run(&["tick"]).well();
    assert_eq!(here.workers().len(), 1);
}
