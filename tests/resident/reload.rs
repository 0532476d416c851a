//! HUP: the configuration is read anew.
//!
//! What would be found here: a wrong configuration that takes down what runs, workers that do not learn of new jobs, or are
//! replaced although nothing concerns them.

use crate::installation::{BOUND, Installation, alive, signal, within};
use rustix::process::Signal;

const OLD: &str = "workers = 2\n[[job]]\nname = \"old\"\ncommand = [\"true\"]\n";

#[test]
fn a_good_one_reaches_the_workers_one_by_one() {
    let here = Installation::new(OLD);
    let run = here.start(&["run"]);
    let workers = here.await_workers(2);
    here.write("rowmill.toml", &format!("# a line more, which changes nothing\n{OLD}"));
    signal(run.pid(), Signal::HUP);
    within(BOUND, "the configuration to be read", || (here.lines("was read anew") == 1).then_some(()));
    here.write("rowmill.toml", &format!("{OLD}[[job]]\nname = \"new\"\ncommand = [\"true\"]\n"));
    signal(run.pid(), Signal::HUP);
    let again = within(BOUND, "all to be replaced", || {
        Some(here.workers()).filter(|w| w.len() == 2 && w.iter().all(|(index, pid)| workers[index] != *pid))
    });
    here.insert(2, "new", "");
    here.insert(2, "old", "");
    within(BOUND, "old and new jobs to run", || (here.done() == 4).then_some(()));
    within(BOUND, "the last one to say that it begins", || (here.lines("worker starts") >= 4).then_some(()));
    assert_eq!((here.lines("worker starts"), here.lines("replaced one by one")), (4, 1), "{}", here.log());
    assert_eq!(here.workers(), again);
}

#[test]
fn a_wrong_one_is_said_and_the_old_one_stays() {
    let here = Installation::new(OLD);
    let run = here.start(&["run"]);
    let workers = here.await_workers(2);
    here.write("rowmill.toml", "workers = 2\n[[job]]\nname = \"old\"\ncommand = \"true\"\n");
    signal(run.pid(), Signal::HUP);
    let words = "the configuration is wrong, and the one before stays in force: rowmill.toml:4:11: ";
    within(BOUND, "the mistake to be said", || (here.lines(words) == 1).then_some(()));
    here.write("rowmill.toml", &OLD.replace("[[job]]", "database = \"other.db\"\n[[job]]"));
    signal(run.pid(), Signal::HUP);
    within(BOUND, "the other database to be refused", || {
        (here.lines("stays in force: the database is ") == 1).then_some(())
    });
    // For the commands of this test; `run` has not been told.
    here.write("rowmill.toml", OLD);
    here.insert(1, "old", "");
    within(BOUND, "the old job to run", || (here.done() == 1).then_some(()));
    assert_eq!(here.workers(), workers);
    assert!(alive(run.pid()) && !here.path("other.db").exists());
}

#[test]
fn a_new_schedule_is_kept_and_no_worker_is_replaced() {
    let here = Installation::new("workers = 1\n");
    let run = here.start(&["run"]);
    let workers = here.await_workers(1);
    let often = "workers = 1\n[[schedule]]\nname = \"often\"\ncron = \"* * * * * *\"\njob = \"noop\"\n";
    here.write("rowmill.toml", often);
    signal(run.pid(), Signal::HUP);
    within(BOUND, "three occurrences", || (here.done() >= 3).then_some(()));
    here.write("rowmill.toml", "workers = 1\n");
    signal(run.pid(), Signal::HUP);
    within(BOUND, "the schedule to be gone", || {
        here.json(&["status"])["schedules"].as_array().unwrap().is_empty().then_some(())
    });
    assert_eq!(here.workers(), workers);
}
