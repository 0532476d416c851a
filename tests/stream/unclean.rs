//! Streams that do not keep to the protocol, each beside tasks that go well.
//!
//! What would be found here: an answer that is taken for another task's, one task that fails for what another did, a worker
//! that waits for ever or fills its memory, and words that do not say what to mend.

use crate::installation::{BOUND, Installation, within};
use crate::{error_of, lines_of, needs, plain, with_tokens};

/// A task of this param between two that go well, one attempt each; answers the error of it.
fn between_two_good_ones(per_task: &str, settings: &str) -> (Installation, String) {
    let case = format!("case $param in '\"good\"') ok ;; *) {per_task} ;; esac");
    let here = plain(1, &format!("max_attempts = 1\n{settings}"), &case);
    here.insert(2, "s", "\"good\"");
    here.insert(1, "s", "\"bad\"");
    here.insert(2, "s", "\"good\"");
    assert_eq!(here.run(&["drain"]).code, Some(1), "{}", here.log());
    assert_eq!(here.count("status = 'done' AND attempt = 1"), 4, "{}", here.log());
    assert_eq!(here.count("id = 3 AND status = 'dead' AND cause = 'error'"), 1, "{}", here.log());
    let error = error_of(&here, 3);
    (here, error)
}

#[test]
fn an_answer_to_a_task_that_it_was_not_given_ends_the_stream() {
    let (_, error) = between_two_good_ones("echo '{\"id\":99,\"ok\":true}'; sleep 600", "");
    assert_eq!(error, "it has answered task 99, and task 3 is the one that it was to run");
}

#[test]
fn an_answer_that_is_no_json_ends_the_stream() {
    let (_, error) = between_two_good_ones("echo '{\"id\":3,\"ok\":tru}'; sleep 600", "");
    assert!(error.starts_with("an answer of it is not JSON"), "{error}");
}

#[test]
fn an_answer_that_cannot_be_understood_is_a_failed_attempt_and_the_stream_goes_on() {
    let (here, error) = between_two_good_ones("echo $$ > pid; echo \"{\\\"id\\\":$id,\\\"ok\\\":\\\"yes\\\"}\"", "");
    assert!(error.starts_with("its answer cannot be understood: invalid type: string \"yes\""), "{error}");
    assert_eq!(lines_of(&here, "bye"), (1, 1), "there was one child");
}

#[test]
fn an_answer_without_an_end_ends_the_stream() {
    let endless = "printf '{\"id\":3,\"ok\":true,\"result\":\"'; head -c 20000000 /dev/zero | tr '\\0' x; sleep 600";
    let (_, error) = between_two_good_ones(endless, "");
    assert_eq!(error, "an answer of it is longer than 8388608 bytes");
}

#[test]
fn a_stream_that_closes_its_output_is_ended() {
    let (_, error) = between_two_good_ones("exec >&-; sleep 600", "");
    assert_eq!(error, "it has closed its standard input or output");
}

#[test]
fn a_second_answer_is_told_and_ignored() {
    let here = plain(1, "", "ok; ok");
    here.insert(20, "s", "1");
    here.run(&["drain"]).well();
    assert_eq!(here.count("status = 'done' AND attempt = 1"), 20, "{}", here.log());
    assert!(here.lines("the stream of the job `s` has answered task 7 twice") >= 1, "{}", here.log());
    assert_eq!(lines_of(&here, "bye"), (1, 1), "there was one child");
}

#[test]
fn what_is_no_answer_is_logged_and_bounded() {
    let noise = "echo hello $id; echo '{\"level\": \"info\"}'; head -c 3000000 /dev/zero | tr '\\0' x; echo; ok";
    let here = plain(1, "output = '100KB'", noise);
    here.insert(2, "s", "1");
    here.run(&["drain"]).well();
    assert_eq!(here.count("status = 'done'"), 2);
    for part in
        ["task=1 job=s from=stdout hello 1", "task=2 job=s from=stdout hello 2", "from=stdout {\"level\": \"info\"}"]
    {
        assert_eq!(here.lines(part), if part.contains("level") { 2 } else { 1 }, "{part}");
    }
    assert_eq!(here.lines("bytes of output above 102400 were dropped"), 2, "each task has the whole bound");
    assert!(here.log().len() < 300_000);
}

/// It writes the rest of its line when the beginning was read, in more bytes than are kept of output without an end.
#[test]
fn the_rest_of_a_long_line_of_output_is_no_answer() {
    if !needs::tool("python3") {
        return;
    }
    let here = crate::of(1, "[\"python3\", \"s.py\"]", "max_attempts = 1");
    here.write(
        "s.py",
        "import fcntl, json, os, sys, termios, time\n\
         def say(text):\n    os.write(1, text)\n    \
         while any(fcntl.ioctl(1, termios.FIONREAD, bytes(4))): time.sleep(0.002)\n\
         for line in sys.stdin:\n    \
         say(b'x' * 65536)\n    say(b'x')\n    say(b'{\"id\":99,\"ok\":true}\\n')\n    \
         say(b'{\"id\":%d,\"ok\":true}\\n' % json.loads(line)['id'])\n",
    );
    here.insert(2, "s", "1");
    assert_eq!(here.run(&["drain"]).code, Some(0), "{}", here.log());
    assert_eq!(here.lines("from=stdout x{\"id\":99,\"ok\":true}"), 2, "{}", here.log());
}

#[test]
fn a_stream_that_takes_no_tokens_though_it_should_is_told_so() {
    let here = plain(1, "in_flight = 8\nmax_attempts = 1", "ok");
    here.insert(3, "s", "1");
    assert_eq!(here.run(&["drain"]).code, Some(1));
    assert_eq!(here.count("status = 'dead' AND cause = 'error' AND attempt = 1"), 3, "{}", here.log());
    let words = "it has answered without taking the token of the task; with `in_flight` above 1 it has to";
    assert!(error_of(&here, 1).starts_with(words), "{}", error_of(&here, 1));
}

#[test]
fn a_param_that_is_no_json_is_parked_and_given_to_nobody() {
    let here = plain(1, "", "ok");
    here.insert(1, "s", "1");
    here.insert(1, "s", "{no json");
    here.insert(1, "s", "2");
    assert_eq!(here.run(&["drain"]).code, Some(75));
    assert_eq!(here.count("id = 2 AND status = 'parked' AND cause = 'undecodable'"), 1, "{}", here.log());
    assert_eq!(here.done(), 2);
    assert!(error_of(&here, 2).contains("at line 1 column 2"), "{}", error_of(&here, 2));
}

#[test]
fn a_redacted_stream_says_nothing_of_its_own() {
    let per_task = "echo secret; echo secret >&2; printf '{\"id\":%s,\"ok\":false,\"error\":\"secret\"}\\n' $id";
    let here = plain(1, "redact = true\nmax_attempts = 1", per_task);
    here.insert(1, "s", "1");
    assert_eq!(here.run(&["drain"]).code, Some(1));
    assert_eq!(error_of(&here, 1), "it failed; its words are not shown, since the job is redacted");
    assert!(!here.log().contains("secret") && here.lines("are not shown, since the job is redacted") >= 1);
}

#[test]
fn what_a_redacted_stream_says_in_an_answer_that_cannot_be_understood_is_not_shown_either() {
    for answer in [r#"{\"id\":$id,\"ok\":\"secret\"}"#, r#"{\"id\":$id,\"ok\":true,\"secret\":1}"#] {
        let here = plain(1, "redact = true\nmax_attempts = 1", &format!("echo \"{answer}\""));
        here.insert(1, "s", "1");
        assert_eq!(here.run(&["drain"]).code, Some(1));
        assert_eq!(error_of(&here, 1), "it failed; its words are not shown, since the job is redacted");
        assert!(!here.log().contains("secret"), "{}", here.log());
    }
}

#[test]
fn of_a_long_error_the_beginning_is_kept() {
    let fails =
        "printf '{\"id\":%s,\"ok\":false,\"error\":\"' $id; head -c 5000 /dev/zero | tr '\\0' x; printf '\"}\\n'";
    let here = plain(1, "max_attempts = 1", fails);
    here.insert(1, "s", "1");
    assert_eq!(here.run(&["drain"]).code, Some(1));
    assert_eq!(error_of(&here, 1), format!("{}…", "x".repeat(2_048)));
    assert!(here.log().len() < 5_000);
}

/// Its second answer comes when the next task is in hand already.
#[test]
fn a_late_second_answer_charges_nobody() {
    let late = "[ $id = 2 ] && printf '{\"id\":1,\"ok\":true}\\n'; echo $$ >> pids; ok";
    let here = plain(1, "max_attempts = 1", late);
    let _worker = here.start(&["work", "--index", "0"]);
    for n in 1..=2 {
        here.insert(1, "s", "1");
        within(BOUND, "the task to be done", || (here.done() == n).then_some(()));
    }
    assert_eq!(lines_of(&here, "pids"), (1, 2), "{}", here.log());
    assert_eq!(here.lines("has answered task 1 twice"), 1, "{}", here.log());
}

#[test]
fn large_params_and_results_pass_in_both_modes() {
    let echo = |here: &Installation| {
        let param = format!("\"{}\"", "ab\\n".repeat(250_000));
        here.insert(3, "s", &param);
        here.insert(3, "s", "\"x\"");
        here.run(&["drain"]).well();
        let full = "SELECT count(*) FROM task WHERE status = 'done' AND length(result) IN (750000, 1)";
        let count: i64 = here.sql().query_row(full, [], |row| row.get(0)).unwrap();
        assert_eq!(count, 6, "{}", here.log());
    };
    let back = "printf '{\"id\":%s,\"ok\":true,\"result\":%s}\\n' \"$id\" \"$param\"";
    echo(&plain(1, "", back));
    if needs::tool("python3") {
        echo(&with_tokens(1, 8, "", "return param"));
    }
}
