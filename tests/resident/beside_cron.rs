//! Cron's ticks and `run` at once.
//!
//! What would be found here: an occurrence that both enqueue, workers beyond their number, and workers of cron's that `run`
//! replaces, or does not see die.

use crate::installation::{BOUND, Installation, signal, within};
use rustix::process::Signal;

#[test]
fn an_occurrence_is_enqueued_once() {
    let here =
        Installation::new("workers = 2\n[[schedule]]\nname = \"often\"\ncron = \"* * * * * *\"\njob = \"noop\"\n");
    let _run = here.start(&["run"]);
    here.await_workers(2);
    let numbers = || -> [i64; 4] {
        let text =
            "SELECT count(*), count(DISTINCT due_at), count(DISTINCT task), max(due_at % 1000) FROM rowmill_occurrence";
        here.sql().query_row(text, [], |r| Ok([r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?])).unwrap()
    };
    within(BOUND, "the first occurrence", || {
        (here.sql().query_row("SELECT count(*) FROM rowmill_occurrence", [], |r| r.get::<_, i64>(0)).unwrap() > 0)
            .then_some(())
    });
    let enough = numbers()[0] + 8;
    while numbers()[0] < enough {
        let mut ticks = [here.start(&["tick"]), here.start(&["tick"]), here.start(&["tick"])];
        assert!(ticks.iter_mut().all(|tick| tick.code() == Some(0)));
    }
    let [count, due, tasks, _] = numbers();
    assert!(count == due && count == tasks, "{:?}", numbers());
    assert!(here.count("job = 'noop'") >= count);
    assert_eq!(
        here.sql()
            .query_row(
                "SELECT count(*) FROM rowmill_occurrence o LEFT JOIN queue q ON q.id = o.task WHERE q.id IS NULL AND o.outcome = 'fired'",
                [],
                |r| r.get::<_, i64>(0)
            )
            .unwrap(),
        0
    );
    within(BOUND, "surplus processes to end", || (here.processes().len() == 3).then_some(()));
    assert_eq!(here.lines("worker starts"), 2, "{}", here.log());
}

#[test]
fn workers_of_a_tick_are_left_alone_and_replaced_when_they_die() {
    let here = Installation::new("workers = 3\n");
    here.run(&["tick"]).well();
    let workers = here.await_workers(3);
    let _run = here.start(&["run"]);
    within(BOUND, "it to be there", || here.json(&["status"])["run"]["pid"].as_i64());
    here.run(&["tick"]).well();
    assert_eq!(here.await_workers(3), workers);
    signal(workers[&2], Signal::KILL);
    let again = within(BOUND, "another one", || Some(here.workers()).filter(|w| w.len() == 3 && w[&2] != workers[&2]));
    assert!([0, 1].iter().all(|index| again[index] == workers[index]), "{again:?}");
    let words = format!("worker 2 (pid {}) has ended; somebody else had started it", workers[&2]);
    assert_eq!(here.lines(&words), 1, "{}", here.log());
}
