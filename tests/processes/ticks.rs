//! Many ticks: occurrences of schedules, and workers, whoever comes first.
//!
//! What would be found here: an occurrence that is enqueued twice or never, workers beyond their number, and a tick that
//! fails because another one is under way, in a folder without a database too.

use crate::installation::{BOUND, Installation, Running, statuses, within};
use std::process::Stdio;

/// As many ticks at once as an impatient machine could start.
const TICKS: usize = 30;

/// Starts all of them before it waits for any. Each must end well and silently.
fn at_once(here: &Installation) {
    let start = |_| {
        let mut command = here.command(&["tick"]);
        Running::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
    };
    let mut ticks: Vec<Running> = (0..TICKS).map(start).collect();
    for tick in &mut ticks {
        let code = tick.code();
        let out = std::io::read_to_string(tick.0.stdout.take().unwrap()).unwrap();
        let err = std::io::read_to_string(tick.0.stderr.take().unwrap()).unwrap();
        assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "", ""));
    }
}

#[test]
fn all_at_once_start_each_worker_once() {
    let here = Installation::new("workers = 3\n");
    for _ in 0..3 {
        at_once(&here);
        here.await_workers(3);
        within(BOUND, "surplus processes to end", || (here.processes().len() == 3).then_some(()));
    }
    assert_eq!(here.lines("worker starts"), 3, "{}", here.log());
}

#[test]
fn all_at_once_make_one_database() {
    let here = Installation::empty();
    here.write("rowmill.toml", "workers = 2\n");
    at_once(&here);
    here.await_workers(2);
    within(BOUND, "surplus processes to end", || (here.processes().len() == 2).then_some(()));
    assert_eq!(here.json(&["status"])["partitions"], 2);
}

#[test]
fn all_at_once_enqueue_an_occurrence_once() {
    let yearly = "workers = 2\n[[schedule]]\nname = \"yearly\"\ncron = \"0 0 3 1 1 *\"\njob = \"echo\"\nparam = { n = 1 }\npriority = 7\n";
    let here = Installation::new(yearly);
    here.run(&["tick"]).well();
    assert_eq!(here.truth(), statuses([]), "nothing is due before its first time");
    let next = here.json(&["status"])["schedules"][0]["next_at"].as_i64().unwrap();
    for missed in 1..=3 {
        // As if nobody had called for three years: several times are due, and the latest of them is asked for.
        let years_ms = 3 * 366 * 86_400_000_i64;
        here.sql().execute("UPDATE rowmill_schedule SET next_at = ?1", [next - years_ms]).unwrap();
        here.sql().execute("DELETE FROM rowmill_occurrence", []).unwrap();
        at_once(&here);
        let status = here.json(&["status"]);
        let schedule = &status["schedules"][0];
        assert_eq!((&schedule["name"], schedule["next_at"].as_i64()), (&"yearly".into(), Some(next)));
        let last = schedule["last_at"].as_i64().unwrap();
        assert!(last < next && next - last <= 366 * 86_400_000, "the latest one: {schedule}");
        assert_eq!(here.count("job = 'echo'"), missed);
    }
    within(BOUND, "the tasks to be done", || (here.done() == 3).then_some(()));
    assert_eq!(here.count("priority = 7 AND param = '{\"n\":1}' AND result = CAST(param AS BLOB)"), 3);
}

#[test]
fn a_schedule_of_seconds_is_kept_by_ticks() {
    let here =
        Installation::new("workers = 2\n[[schedule]]\nname = \"often\"\ncron = \"* * * * * *\"\njob = \"noop\"\n");
    let last_at = || here.json(&["status"])["schedules"][0]["last_at"].as_i64().unwrap_or(0);
    here.run(&["tick"]).well();
    let mut seen = vec![last_at()];
    while seen.len() < 4 {
        // Between two seconds a tick has nothing to enqueue; it is called all the same.
        here.run(&["tick"]).well();
        let last = last_at();
        if seen.last() != Some(&last) {
            seen.push(last);
        }
    }
    let conn = here.sql();
    let numbers =
        "SELECT count(*), count(DISTINCT due_at), count(DISTINCT task), max(due_at % 1000) FROM rowmill_occurrence";
    let found: [i64; 4] = conn.query_row(numbers, [], |r| Ok([r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?])).unwrap();
    let due = i64::try_from(seen.iter().filter(|at| **at > 0).count()).unwrap();
    assert_eq!(found, [due, due, due, 0], "{seen:?}");
    within(BOUND, "the tasks to be done", || (here.done() == u64::try_from(due).unwrap()).then_some(()));
    assert_eq!(here.count("1"), due, "an occurrence is one task");
    assert_eq!(here.workers().len(), 2);
}
