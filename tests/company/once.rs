//! Jobs that run at most once: seen as running before they begin, and dead for whatever keeps them from being done.
//!
//! The job itself would tell if it were run again: it makes a file that must not be there.

use super::trial::installed;
use crate::installation::{BOUND, Installation, signal, statuses, terminate, within};
use rustix::process::Signal;

/// The cause of the one task, dead after one attempt.
fn cause_of_death(here: &Installation) -> String {
    let task = here.json(&["task", "1"]);
    assert_eq!((task["status"].as_str(), task["attempt"].as_i64()), (Some("dead"), Some(1)), "{task}");
    task["cause"].as_str().unwrap().to_string()
}

#[test]
fn it_is_seen_to_run_before_it_begins_and_a_death_is_its_end() {
    let here = installed("workers = 2\ndurability = \"normal\"\n");
    here.insert(1, "once", "\"wait\"");
    let mut worker = here.start(&["work", "--index", "1"]);
    within(BOUND, "the job to begin", || here.path("once-1").exists().then_some(()));
    assert_eq!(here.truth(), statuses([("running", 1)]));
    signal(worker.pid(), Signal::KILL);
    worker.end();
    here.insert(3, "note", "1");
    here.run(&["tick"]).well();
    within(BOUND, "the others to be done", || (here.done() == 3).then_some(()));
    assert_eq!(cause_of_death(&here), "worker_died");
}

#[test]
fn being_broken_off_is_its_end() {
    let here = installed("workers = 1\n");
    here.insert(1, "once", "\"wait\"");
    let mut worker = here.start(&["work", "--index", "0"]);
    within(BOUND, "the job to begin", || here.path("once-1").exists().then_some(()));
    terminate(worker.pid());
    terminate(worker.pid());
    assert_eq!(worker.code(), Some(0));
    assert_eq!(cause_of_death(&here), "interrupted");
}

#[test]
fn whatever_it_answers_it_is_not_run_again() {
    for (param, status, cause) in [
        ("\"retry\"", "dead", Some("error")),
        ("\"snooze\"", "dead", Some("error")),
        ("\"fail\"", "dead", Some("error")),
        ("\"well\"", "done", None),
        ("7", "parked", Some("undecodable")),
    ] {
        let here = installed("workers = 1\n");
        here.insert(1, "once", param);
        here.insert(2, "note", "1");
        here.run(&["work", "--index", "0", "--drain"]).well();
        let task = here.json(&["task", "1"]);
        assert_eq!((task["status"].as_str(), task["cause"].as_str()), (Some(status), cause), "{param}: {task}");
        assert_eq!(here.count("job = 'note' AND status = 'done'"), 2, "{param}");
    }
}

#[test]
fn programs_run_at_most_once_when_the_configuration_says_so() {
    let job = "[[job]]\nname = \"pay\"\ncommand = [\"./pay\"]\ndelivery = \"at_most_once\"\n";
    let here = installed(&format!("workers = 1\n{job}"));
    here.script("../pay", "echo x >> paid\nuntil [ -e go ]; do sleep 0.02; done\n");
    here.insert(1, "pay", "");
    let mut worker = here.start(&["work", "--index", "0"]);
    within(BOUND, "the job to begin", || (here.read("paid") == "x\n").then_some(()));
    assert_eq!(here.truth(), statuses([("running", 1)]));
    signal(worker.pid(), Signal::KILL);
    worker.end();
    here.run(&["tick"]).well();
    within(BOUND, "its end", || (here.truth() == statuses([("dead", 1)])).then_some(()));
    assert_eq!((cause_of_death(&here).as_str(), here.read("paid").as_str()), ("worker_died", "x\n"));
}
