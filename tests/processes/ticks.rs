//! Many ticks: occurrences of schedules, and workers, whoever comes first.
//!
//! What would be found here: an occurrence that is enqueued twice or never, workers beyond their number, and a tick that
//! fails because another one is under way, in a folder without a database too.

use crate::installation::{BOUND, Installation, Running, statuses, within};
use rowmill::store::{Durability, Kept, Timetable};
use rowmill::task::NewTask;
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
        "SELECT count(*), count(DISTINCT due_at), count(DISTINCT task), max(due_at % 1000) FROM rowmill_occurrence
          WHERE outcome = 'fired'";
    let found: [i64; 4] = conn.query_row(numbers, [], |r| Ok([r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?])).unwrap();
    let due = i64::try_from(seen.iter().filter(|at| **at > 0).count()).unwrap();
    assert_eq!(found, [due, due, due, 0], "{seen:?}");
    within(BOUND, "the tasks to be done", || (here.done() == u64::try_from(due).unwrap()).then_some(()));
    assert_eq!(here.count("1"), due, "an occurrence is one task");
    assert_eq!(here.workers().len(), 2);
}

/// Half of them processes of the program, half threads of this one with connections of their own, who fire without the
/// scheduler's lock, as on another host.
#[test]
fn two_hundred_at_once_enqueue_every_occurrence_once() {
    const EACH: usize = 100;
    let schedule = |name: &str, more: &str| {
        format!(
            "[[schedule]]\nname = \"{name}\"\ncron = \"* * * * *\"\njob = \"noop\"\nparam = \"{{due_ms}}\"\n{more}\n"
        )
    };
    let config = ["workers = 2\n".to_string(), schedule("all", "catch_up = \"all\""), schedule("once", "")].concat()
        + &schedule("queue", "catch_up = \"all\"\noverlap = \"queue\"");
    let here = Installation::new(&config);
    here.run(&["tick"]).well();
    // As if nobody had called for ten hours.
    here.sql()
        .execute("UPDATE rowmill_schedule SET next_at = next_at - 36000000, seen_at = seen_at - 36000000", [])
        .unwrap();
    let start = |_| Running::start(here.command(&["tick"]).stdout(Stdio::null()).stderr(Stdio::null()));
    let mut ticks: Vec<Running> = (0..EACH).map(start).collect();
    let path = here.path("rowmill.db");
    std::thread::scope(|scope| {
        for _ in 0..EACH {
            scope.spawn(|| fire_all(&path));
        }
    });
    for tick in &mut ticks {
        assert_eq!(tick.code(), Some(0));
    }
    let conn = here.sql();
    let count = |sql: &str| -> i64 { conn.query_row(sql, [], |r| r.get(0)).unwrap() };
    for name in ["all", "queue"] {
        let rows = "SELECT count(*) FROM rowmill_occurrence WHERE outcome <> 'missed' AND schedule = ";
        let due = count(&format!("{rows}'{name}'"));
        assert!((600..=602).contains(&due), "{name}: {due}");
        let first_to_last =
            format!("SELECT (max(due_at) - min(due_at)) / 60000 + 1 FROM rowmill_occurrence WHERE schedule = '{name}'");
        assert_eq!(count(&first_to_last), due, "{name}: none is left out");
    }
    let once = "SELECT count(*) FROM rowmill_occurrence WHERE schedule = 'once' AND outcome = 'fired'";
    assert!((1..=3).contains(&count(once)), "{}", count(once));
    let tasks = "SELECT count(*) FROM queue";
    let of_occurrences = "SELECT count(DISTINCT task) FROM rowmill_occurrence WHERE outcome = 'fired'";
    assert_eq!(count(tasks), count(of_occurrences), "each task is one occurrence's, and each occurrence has one");
    assert_eq!(count(tasks), count("SELECT count(*) FROM rowmill_occurrence WHERE outcome = 'fired'"));
}

/// What a tick does about schedules, on a connection of its own and without asking whether another one is at it.
fn fire_all(path: &std::path::Path) {
    use rowmill::store::{Firing, sqlite::Create, sqlite::Sqlite};
    let mut store = Sqlite::open(path, Durability::Normal, Create::Never).unwrap();
    let now_ms = rowmill::clock::Clock::System.now_ms();
    let firing = |kept: Kept| {
        let next_at = kept.next_at.unwrap();
        let minutes = (next_at..=now_ms).step_by(60_000);
        let only_last = kept.schedule.name == "once";
        let from = if only_last { minutes.clone().count() - 1 } else { 0 };
        let task =
            |at: i64| NewTask { job: "noop".into(), param: format!("\"{at}\"").into_bytes(), ..NewTask::default() };
        Firing {
            name: kept.schedule.name.clone(),
            was: (next_at, kept.seen_at),
            due: minutes.clone().skip(from).map(|at| (at, task(at))).collect(),
            passed: Vec::new(),
            next_at: minutes.last().map(|last| last + 60_000),
            now_ms,
        }
    };
    let firings: Vec<Firing> = store.due_schedules(now_ms).unwrap().into_iter().map(firing).collect();
    for answer in store.fire(&firings).unwrap() {
        answer.unwrap();
    }
}

#[test]
fn what_has_waited_begins_when_the_task_before_it_ends_and_needs_no_tick() {
    let here = Installation::new(
        "workers = 2\nlinger = \"10m\"\n[[schedule]]\nname = \"often\"\nevery = \"1s\"\noverlap = \"queue\"\ncatch_up = \"all\"\n\
         job = \"gate\"\n",
    );
    here.script("gate", "while [ ! -e open ]; do sleep 0.02; done\n");
    let waiting = || {
        let sql = "SELECT count(*) FROM rowmill_occurrence WHERE outcome = 'waiting'";
        here.sql().query_row(sql, [], |r| r.get::<_, u64>(0)).unwrap()
    };
    within(BOUND, "three to wait", || {
        here.run(&["tick"]).well();
        (waiting() >= 3).then_some(())
    });
    let all = waiting() + 1;
    assert_eq!(here.count("job = 'gate'"), 1, "one at a time");
    // Nobody ticks any more.
    here.write("open", "");
    within(BOUND, "all of them to run", || (here.done() == all).then_some(()));
    let apart = "NOT EXISTS (SELECT 1 FROM task t WHERE t.id < task.id AND t.finished_at > task.started_at)";
    assert_eq!(here.count(apart), i64::try_from(all).unwrap(), "one after the other");
    let due = "SELECT group_concat(due_at) = (SELECT group_concat(due_at) FROM
                 (SELECT due_at FROM rowmill_occurrence ORDER BY due_at)) FROM (SELECT due_at FROM rowmill_occurrence ORDER BY task)";
    assert!(here.sql().query_row(due, [], |r| r.get::<_, bool>(0)).unwrap(), "in their order");
}
