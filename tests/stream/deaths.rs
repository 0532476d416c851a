//! Deaths of streams, and of their workers: only what had begun is charged, and nothing lives on beside the next run.
//!
//! What would be found here: innocent tasks that are charged for a neighbour, a poison that is never caught, tasks that are
//! lost with the child's pipes, and what a dead worker's stream had started beside the next run of its task.

use crate::installation::{BOUND, Installation, alive, signal, statuses, within};
use crate::{error_of, lines_of, needs, plain, with_tokens};
use rustix::process::Signal;

#[test]
fn a_death_is_charged_to_the_task_that_had_begun_and_to_no_other() {
    if !needs::tool("python3") {
        return;
    }
    for in_flight in [1, 16] {
        let die = "if param == 'die': os.kill(os.getpid(), 9)";
        let here = with_tokens(1, in_flight, "max_attempts = 1", die);
        here.insert(10, "s", "1");
        here.insert(1, "s", "\"die\"");
        here.insert(30, "s", "1");
        assert_eq!(here.run(&["drain"]).code, Some(1));
        assert_eq!(here.truth(), statuses([("dead", 1), ("done", 40)]), "{}", here.log());
        assert_eq!(here.count("id = 11 AND status = 'dead' AND cause = 'signal' AND attempt = 1"), 1);
        assert_eq!(error_of(&here, 11), "ended by SIGKILL");
        assert_eq!(lines_of(&here, "begun"), (41, 41), "each was begun once");
    }
}

#[test]
fn exit_codes_mean_for_a_task_what_they_mean_for_a_program() {
    let die = "case $param in 0) ok ;; *) echo last words >&2; exit ${param#9} ;; esac";
    let here = plain(1, "max_attempts = 1", die);
    for param in ["0", "3", "65", "0", "90", "0"] {
        here.insert(1, "s", param);
    }
    assert_eq!(here.run(&["drain"]).code, Some(1));
    assert_eq!(here.done(), 3, "{}", here.log());
    let came_to = |id: i64, cause: &str, error: &str| {
        assert_eq!(here.count(&format!("id = {id} AND status = 'dead' AND cause = '{cause}'")), 1, "{}", here.log());
        assert_eq!(error_of(&here, id), error);
    };
    came_to(2, "exit", "exit code 3: last words");
    came_to(3, "rejected", "exit code 65: last words");
    came_to(5, "error", "it ended with exit code 0, and had not answered");
}

#[test]
fn a_stream_that_ends_between_two_tasks_is_started_again_and_nobody_is_charged() {
    for leaves in ["ok; exit 0", "ok; exit 7", "ok; kill -9 $$"] {
        let here = plain(1, "", leaves);
        here.insert(12, "s", "1");
        here.run(&["drain"]).well();
        assert_eq!(here.count("status = 'done' AND attempt = 1"), 12, "{leaves}: {}", here.log());
    }
}

#[test]
fn one_that_ends_before_it_begins_a_task_could_not_be_started() {
    for in_flight in ["", "in_flight = 4"] {
        let here = crate::of(1, "[\"sh\", \"s.sh\"]", in_flight);
        here.write("s.sh", "echo broken >&2\nexit 3\n");
        here.insert(6, "s", "1");
        here.insert(6, "noop", "");
        assert_eq!(here.run(&["drain"]).code, Some(0), "{}", here.log());
        assert_eq!(here.truth(), statuses([("delayed", 6), ("done", 6)]), "{}", here.log());
        // The first is charged; those for which it is not started again yet are not.
        assert!(here.count("job = 's' AND attempt = 1 AND cause = 'not_started'") >= 1);
        assert!(here.count("job = 's' AND attempt = 0 AND cause = 'not_started'") >= 1);
        assert_eq!(error_of(&here, 1), "it ended before it began a task: exit code 3: broken");
        assert!(error_of(&here, 6).ends_with("exit code 3: broken"), "{}", error_of(&here, 6));
    }
}

/// Whatever the worker is doing: the grandchild of the first run is gone when the task runs again.
const LEAVES_A_GRANDCHILD: &str = "if [ -e pid ]; then\n\
    grep -qs '^State:.[^Z]' /proc/$(cat pid)/status && exit 1\nok again; continue\nfi\n\
    sleep 600 <&- >&- 2>&- & echo $! > pid; echo $PPID > worker; sleep 600";

#[test]
fn what_a_dead_workers_stream_had_started_is_gone_before_its_task_runs_again() {
    let here = plain(2, "", LEAVES_A_GRANDCHILD);
    here.run(&["tick"]).well();
    here.await_workers(2);
    here.insert(1, "s", "1");
    let number = |file: &str| here.read(file).strip_suffix('\n').and_then(|text| text.parse().ok());
    let worker: i32 = within(BOUND, "the task to begin", || number("worker"));
    let grandchild: i32 = number("pid").unwrap();
    assert!(alive(grandchild));
    signal(worker, Signal::KILL);
    within(BOUND, "the task to be done", || (here.done() == 1).then_some(()));
    assert_eq!(here.count("attempt = 2 AND CAST(result AS TEXT) = 'again'"), 1, "{}", here.log());
    assert!(!alive(grandchild));
}

fn poisoned(in_flight: u32) -> Installation {
    let poison = "if param == 'poison':\n    note('runs', 'run')\n    os.kill(os.getppid(), 9)\n    time.sleep(600)";
    let here = with_tokens(2, in_flight, "max_attempts = 3", poison);
    here.run(&["tick"]).well();
    here.await_workers(2);
    let mut conn = here.sql();
    let transaction = conn.transaction().unwrap();
    for n in 0..60 {
        let param = if n == 30 { "\"poison\"" } else { "1" };
        transaction.execute("INSERT INTO queue (job, param) VALUES ('s', ?1)", [param]).unwrap();
    }
    transaction.commit().unwrap();
    here
}

#[test]
fn a_task_that_kills_its_worker_is_caught_and_those_in_hand_with_it_are_charged_nothing() {
    if !needs::tool("python3") {
        return;
    }
    for in_flight in [1, 16] {
        let here = poisoned(in_flight);
        within(BOUND, "the poison to be dead, and all others done", || {
            here.run(&["tick"]).well();
            (here.truth() == statuses([("dead", 1), ("done", 59)])).then_some(())
        });
        assert_eq!(here.count("status = 'dead' AND attempt = 3 AND cause = 'worker_died'"), 1, "{}", here.log());
        assert_eq!(here.count("status = 'done' AND attempt = 1"), 59, "{}", here.log());
        // One of several in hand is not charged for the first death; a lone one is.
        let runs = lines_of(&here, "runs").1;
        assert!((3..=4).contains(&runs), "{runs}");
    }
}

#[test]
fn what_runs_at_most_once_runs_once_in_a_stream_too() {
    let per_task = "echo $id >> begun; [ $param = 1 ] && ok || { kill -9 $PPID; sleep 600; }";
    let here = plain(1, "delivery = 'at_most_once'", per_task);
    here.insert(3, "s", "1");
    here.insert(1, "s", "2");
    here.insert(3, "s", "1");
    here.run(&["drain"]);
    here.run(&["drain"]);
    assert_eq!(here.truth(), statuses([("dead", 1), ("done", 6)]), "{}", here.log());
    assert_eq!(here.count("id = 4 AND cause = 'worker_died' AND attempt = 1"), 1);
    assert_eq!(lines_of(&here, "begun"), (7, 7));
}
