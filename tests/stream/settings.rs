//! What the configuration says about streams: when they are replaced, what they find around them, what `try` does.
//!
//! What would be found here: a child that is never replaced, or for each task; one that inherits what it should not.

use crate::installation::{BOUND, within};
use crate::{lines_of, plain};

#[test]
fn one_child_does_all_that_comes_while_its_worker_lives() {
    let here = plain(1, "", "echo $$ >> pids; ok");
    let _worker = here.start(&["work", "--index", "0"]);
    for n in 1..=3 {
        here.insert(20, "s", "1");
        within(BOUND, "the tasks to be done", || (here.done() == n * 20).then_some(()));
    }
    assert_eq!(lines_of(&here, "pids"), (1, 60));
}

#[test]
fn a_stream_is_replaced_after_so_many_tasks() {
    let here = plain(1, "recycle = { max_tasks = 3 }", "echo $$ >> pids; ok");
    here.insert(9, "s", "1");
    here.run(&["drain"]).well();
    assert_eq!((lines_of(&here, "pids"), lines_of(&here, "bye").1), ((3, 9), 3), "{}", here.log());
    assert_eq!(here.count("status = 'done' AND attempt = 1"), 9);
}

#[test]
fn a_stream_is_replaced_when_it_is_old_or_has_grown() {
    for recycle in ["max_age = '1ms'", "max_rss = '100KB'"] {
        let here = plain(1, &format!("recycle = {{ {recycle} }}"), "echo $$ >> pids; ok");
        let _worker = here.start(&["work", "--index", "0"]);
        for n in 1..=3 {
            here.insert(1, "s", "1");
            within(BOUND, "the task to be done", || (here.done() == n).then_some(()));
        }
        assert_eq!(lines_of(&here, "pids"), (3, 3), "{recycle}: {}", here.log());
    }
}

#[test]
fn a_stream_finds_around_it_what_a_program_finds() {
    let says = "ok \"$ROWMILL_STREAM $ROWMILL_JOB $ROWMILL_WORKER ${ROWMILL_TASK_ID-none} $KIND $PASSED $(pwd) \
                $(ulimit -v) $(nice) ${SECRET-none}\"";
    let settings = "cwd = '/'\nenv = { KIND = 'x' }\npass_env = ['PASSED']\nmemory = '512MB'\nnice = 5";
    let here = plain(1, settings, says);
    let script = here.path("s.sh");
    let config = here.read("rowmill.toml").replace("\"s.sh\"", &format!("\"{}\"", script.display()));
    here.write("rowmill.toml", &config);
    here.insert(1, "s", "1");
    let mut drain = here.command(&["drain"]);
    drain.env("PASSED", "y").env("SECRET", "z");
    crate::installation::to_its_end(drain).well();
    assert_eq!(here.json(&["task", "1"])["result"], "plain s 0 none x y / 524288 5 none", "{}", here.log());
}

#[test]
fn a_try_runs_one_task_through_a_stream() {
    let here = plain(1, "", "echo by the way; echo >&2 oh; [ $param = 1 ] && ok fine || exit 9");
    let said = here.run(&["try", "s", "1"]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), "by the way\n"));
    assert!(said.err.contains("oh\n") && said.err.contains("done, with the result fine"), "{}", said.err);
    assert_eq!(here.run(&["try", "s", "2"]).code, Some(9));
    assert_eq!(lines_of(&here, "bye").1, 1, "it was let finish");
}
