//! Streams whose worker is told to stop, whose tasks run long or hang, and what was called back from them.
//!
//! What would be found here: a task that begins after it was called back, one that runs in two places, a partition that waits
//! for a long task, a child that outlives its timeout or its worker, and one that is not let finish.

use crate::installation::{BOUND, Installation, alive, pause, statuses, terminate, within};
use crate::{error_of, lines_of, needs, plain, with_tokens};
use rustix::io::ioctl_fionread;
use std::time::Duration;

/// Waits for a file, if it is the first task that says so.
const HOLDS: &str = "if param == 'hold':\n    note('held', os.getpid())\n    await_file('go')";

/// Waits until the rest is called back from the child that holds: its tokens are taken out of the pipe that is its
/// descriptor 3.
fn await_recall(here: &Installation) {
    let tokens = std::fs::File::open(format!("/proc/{}/fd/3", here.read("held").trim())).unwrap();
    within(BOUND, "the rest to be called back", || (ioctl_fionread(&tokens).unwrap() == 0).then_some(()));
}

/// Tells the only worker to stop while the first of 41 tasks runs and others are in flight; that one goes on when they are
/// called back.
fn stop_while_the_first_is_held(here: &Installation) {
    here.insert(1, "s", "\"hold\"");
    here.insert(40, "s", "1");
    let mut worker = here.start(&["work", "--index", "0"]);
    within(BOUND, "the first task to begin", || (!here.read("held").is_empty()).then_some(()));
    terminate(worker.pid());
    await_recall(here);
    here.write("go", "");
    assert_eq!(worker.code(), Some(0));
}

#[test]
fn a_worker_that_is_told_to_stop_finishes_what_had_begun_and_calls_the_rest_back() {
    if !needs::tool("python3") {
        return;
    }
    let here = with_tokens(1, 16, "", HOLDS);
    stop_while_the_first_is_held(&here);
    assert_eq!((here.read("begun").as_str(), here.done()), ("1\n", 1), "{}", here.log());
    assert_eq!(here.truth(), statuses([("done", 1), ("ready", 40)]));
    assert_eq!(here.read("bye"), "bye\n", "its standard input was closed, and it was let finish");
    here.run(&["drain"]).well();
    assert_eq!(here.count("status = 'done' AND attempt = 1"), 41);
    assert_eq!(lines_of(&here, "begun"), (41, 41));
}

#[test]
fn a_long_task_is_claimed_and_what_was_in_flight_behind_it_goes_on_elsewhere() {
    if !needs::tool("python3") {
        return;
    }
    let here = with_tokens(2, 16, "", HOLDS);
    here.insert(1, "s", "\"hold\"");
    here.insert(40, "s", "1");
    here.run(&["tick"]).well();
    within(BOUND, "the others to be done", || (here.done() == 40).then_some(()));
    assert_eq!(here.count("id = 1 AND status = 'running'"), 1, "{}", here.log());
    here.write("go", "");
    within(BOUND, "the long one to be done", || (here.done() == 41).then_some(()));
    assert_eq!(here.count("status = 'done' AND attempt = 1"), 41, "{}", here.log());
    assert_eq!(lines_of(&here, "begun"), (41, 41), "none was begun twice");
}

#[test]
fn a_task_that_hangs_is_ended_at_its_timeout_with_all_that_it_has_started() {
    if !needs::tool("python3") {
        return;
    }
    // It does not mind TERM, and would begin the next task if it could.
    let hangs = "if param == 'hang':\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    \
                 note('pids', os.getpid())\n    note('pids', subprocess.Popen(['sleep', '600']).pid)\n    time.sleep(600)";
    for in_flight in [1, 8] {
        let here = with_tokens(1, in_flight, "max_attempts = 1\ntimeout = '3s'\ngrace = '200ms'", hangs);
        here.insert(5, "s", "1");
        here.insert(1, "s", "\"hang\"");
        here.insert(20, "s", "1");
        assert_eq!(here.run(&["drain"]).code, Some(1));
        assert_eq!(here.truth(), statuses([("dead", 1), ("done", 25)]), "{}", here.log());
        assert_eq!(error_of(&here, 6), "ran longer than 3s");
        assert_eq!(lines_of(&here, "begun"), (26, 26), "what was behind it began once");
        let pids = here.read("pids");
        assert!(pids.lines().count() == 2 && pids.lines().all(|pid| !alive(pid.parse().unwrap())), "{pids}");
    }
}

#[test]
fn a_second_term_ends_what_runs_and_charges_nothing() {
    let here = plain(1, "grace = '100ms'", "[ $param = 1 ] && ok || { trap '' TERM; echo $$ > pid; sleep 600; }");
    here.insert(2, "s", "1");
    here.insert(1, "s", "2");
    let mut worker = here.start(&["work", "--index", "0"]);
    let pid = within(BOUND, "the task to begin", || here.read("pid").strip_suffix('\n')?.parse().ok());
    within(BOUND, "the task to be claimed", || (here.count("status = 'running'") == 1).then_some(()));
    terminate(worker.pid());
    terminate(worker.pid());
    assert_eq!(worker.code(), Some(0));
    assert!(!alive(pid));
    assert_eq!(here.count("id = 3 AND status = 'ready' AND attempt = 0"), 1, "{}", here.log());
}

#[test]
fn a_stream_that_does_not_end_when_there_is_no_more_is_ended() {
    let here = crate::of(1, "[\"sh\", \"s.sh\"]", "grace = '100ms'");
    here.write(
        "s.sh",
        "trap '' TERM\necho $$ > pid\nread -r line\nid=${line#*:}\necho \"{\\\"id\\\":${id%%,*},\\\"ok\\\":true}\"\n\
         while :; do sleep 600; done\n",
    );
    here.insert(1, "s", "1");
    here.run(&["drain"]).well();
    let pid = here.read("pid").trim().parse().unwrap();
    assert!(!alive(pid), "the worker is gone, and its stream with it");
    here.await_silence();
}

/// The first ends when the worker has killed and reaped the others, which mind nothing else.
#[test]
fn streams_are_seen_off_side_by_side() {
    let job = |name| format!("[[job]]\nname = '{name}'\nmode = 'stream'\ncommand = ['sh', 's.sh']\ngrace = '100ms'\n");
    let here = crate::of(1, "[\"sh\", \"s.sh\"]", &format!("grace = '10s'\n{}{}", job("t"), job("u")));
    here.write(
        "s.sh",
        "trap '' TERM\necho $$ > $ROWMILL_JOB\nread -r line\nid=${line#*:}\n\
         echo \"{\\\"id\\\":${id%%,*},\\\"ok\\\":true}\"\n\
         while [ $ROWMILL_JOB != s ]; do sleep 600; done\n\
         cat\nwhile kill -0 $(cat t) || kill -0 $(cat u); do sleep 0.01; done 2> /dev/null\necho bye >> bye\n",
    );
    for name in ["s", "t", "u"] {
        here.insert(1, name, "1");
    }
    here.run(&["drain"]).well();
    assert_eq!(here.done(), 3, "{}", here.log());
    assert_eq!(here.read("bye"), "bye\n", "the others were ended while it had its grace");
    here.await_silence();
}

#[test]
fn nothing_is_started_for_tasks_that_are_called_back() {
    if !needs::tool("python3") {
        return;
    }
    let here = with_tokens(1, 16, "max_attempts = 1", &format!("{HOLDS}\n    os.kill(os.getpid(), 9)"));
    here.write("s.py", &format!("open('started', 'a').write('one\\n')\n{}", here.read("s.py")));
    stop_while_the_first_is_held(&here);
    assert_eq!(here.truth(), statuses([("dead", 1), ("ready", 40)]), "{}", here.log());
    assert_eq!(here.read("started"), "one\n", "there is nothing to do for another one");
}

#[test]
fn a_stream_that_closes_its_output_when_there_is_no_more_may_finish_what_it_does() {
    let here = plain(1, "grace = '60s'", "ok");
    // Far longer than one has that closes its output while it has a task.
    here.write("s.sh", &here.read("s.sh").replace("echo bye", "exec >&-\nsleep 2\necho bye"));
    here.insert(1, "s", "1");
    here.run(&["drain"]).well();
    assert_eq!((here.done(), here.read("bye").as_str()), (1, "bye\n"), "{}", here.log());
}

#[test]
fn an_idle_stream_costs_a_worker_nothing() {
    let here = plain(1, "", "ok");
    here.insert(1, "s", "1");
    let mut worker = here.start(&["work", "--index", "0"]);
    within(BOUND, "the task to be done", || (here.done() == 1).then_some(()));
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", worker.pid())).unwrap();
        let fields: Vec<u64> = stat.rsplit_once(") ").unwrap().1.split(' ').filter_map(|f| f.parse().ok()).collect();
        // utime and stime are the fields 14 and 15; the state is no number.
        fields[10] + fields[11]
    };
    pause(Duration::from_millis(300));
    let before = ticks();
    pause(Duration::from_millis(700));
    assert!(ticks() - before < 20, "it spins");
    terminate(worker.pid());
    assert_eq!(worker.code(), Some(0));
}
