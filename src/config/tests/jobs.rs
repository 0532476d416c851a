//! Every message about a `[[job]]`, with its line and column.
//!
//! Each text is right but for one place, and the one problem that is found is that place. The hint says what to write
//! instead, where the message does not.

use super::*;

#[test]
fn what_is_wrong_in_a_job_is_said_with_its_place() {
    for (text, wanted, hint) in [
        ("\n[[job]]\ncommand = ['x']", "2:1: [[job]] has no `name`", "add name = "),
        ("[[job]]\nname = 'b'", "1:1: [[job]] has no `command`", "the program, then each of its arguments"),
        ("[[job]]\nname = ''\ncommand = ['x']", "2:8: `` cannot be a name", "1 to 200 characters"),
        ("[[job]]\nname = \"a\\tb\"\ncommand = ['x']", "2:8: `a\\tb` cannot be a name", "control character"),
        ("[[job]]\nname = 5\ncommand = ['x']", "2:8: `name` must be a name in quotes, not an integer", ""),
        ("[[job]]\nname = 'b'\ncommand = []", "3:11: `command` names no program", "[\"php\", \"jobs/mail.php\"]"),
        ("[[job]]\nname = 'b'\ncommand = ['', 'x']", "3:11: `command` names no program", ""),
        (
            "[[job]]\nname = 'b'\ncommand = 'x y'",
            "3:11: `command` must be a list of texts, such as [\"a\", \"b\"], not text",
            "",
        ),
        (
            "[[job]]\nname = 'b'\ncommand = ['x',\n  5]",
            "4:3: `command` must be a list of texts in quotes, not an integer",
            "",
        ),
        (
            "[[job]]\nname = 'b'\ncommand = ['bin/{param}']",
            "3:12: `{param}` may stand in arguments only: no row says what is run",
            "put `{param}` behind it",
        ),
        ("[[job]]\nname = 'b'\ncommand = ['x', \"\\u0000\"]", "3:17: `command` contains a NUL character", ""),
    ] {
        assert_only_problem(text, wanted, hint);
    }
    let twice = JOB.replace("'a'", "'b'").repeat(2);
    assert_only_problem(&twice, "5:8: there are two jobs with the name `b`", "the other is at rowmill.toml:2:8");
}

/// A job with one more line, which is its fourth. Its name is not `a`, which the program has in these tests.
fn assert_only_wrong_line(line: &str, wanted: &str, hint: &str) {
    assert_only_problem(&format!("{}{line}\n", JOB.replace("'a'", "'b'")), wanted, hint);
}

#[test]
fn what_is_wrong_with_the_attempts_of_a_job_is_said_with_its_place() {
    for (line, wanted, hint) in [
        ("timout = '5s'", "4:1: unknown key `timout` in [[job]]", "did you mean `timeout`?"),
        ("timeout = '0s'", "4:11: `timeout` must be longer than 0", "\"none\" lets the job run as long as it likes"),
        (
            "grace = 'soon'",
            "4:9: `soon` is not a span of time (a number is missing or too large); \
          write it like 500ms, 30s, 1h30m or 7d",
            "",
        ),
        ("max_attempts = 1001", "4:16: `max_attempts` must be from 1 to 1000, not 1001", ""),
        ("max_attempts = -1", "4:16: `max_attempts` must be from 1 to 1000, not -1", ""),
        (
            "max_attempts = 99999999999999999999",
            "4:16: `max_attempts` must be from 1 to 1000, not 99999999999999999999",
            "",
        ),
        ("backoff = '5s'", "4:11: `backoff` must be a table of first, factor, max, not text", ""),
        ("backoff = { factr = 2 }", "4:13: unknown key `factr` in backoff", "did you mean `factor`?"),
        ("backoff = { factor = 0.9 }", "4:22: `factor` must be 1 or more", ""),
        ("backoff = { factor = nan }", "4:22: `factor` must be 1 or more", ""),
        ("backoff = { factor = true }", "4:22: `factor` must be a number, not true or false", ""),
        (
            "backoff = { first = '2h' }",
            "4:11: backoff begins with 2h, which is longer than its longest, 1h",
            "set both `first` and `max`",
        ),
    ] {
        assert_only_wrong_line(line, wanted, hint);
    }
}

#[test]
fn what_is_wrong_with_the_process_of_a_job_is_said_with_its_place() {
    for (line, wanted, hint) in [
        ("env = ['A=b']", "4:7: `env` must be a table of texts, such as { NAME = \"value\" }, not a list", ""),
        ("env = { A = 5 }", "4:13: `A` must be text in quotes, not an integer", ""),
        ("env = { 'A=B' = 'c' }", "4:9: `A=B` cannot be the name of a variable", "contains no `=`"),
        ("env = { A = \"\\u0000\" }", "4:13: `A` contains a NUL character", ""),
        ("pass_env = ['A', '']", "4:18: `` cannot be the name of a variable", "not empty"),
        ("memory = 256", "4:10: `memory` must be a size in quotes, such as \"256MB\", not an integer", ""),
        (
            "memory = '256M'",
            "4:10: `256M` is not a size (the unit must be B, KB, MB or GB); write it like 64KB, 256MB or 1GB",
            "",
        ),
        ("memory = '1023KB'", "4:10: `memory` must be 1MB or more", ""),
        ("cpu = 5", "4:7: `cpu` must be a span of time in quotes, such as \"30s\", not an integer", ""),
        ("cpu = '999ms'", "4:7: `cpu` must be 1s or more, since it is counted in whole seconds", ""),
        ("output = true", "4:10: `output` must be a size in quotes, such as \"256MB\", not true or false", ""),
        ("nice = 20", "4:8: `nice` must be from -20 to 19, not 20", ""),
        ("nice = '5'", "4:8: `nice` must be an integer from -20 to 19, not text", ""),
        ("user = 33", "4:8: `user` must be \"name\" or \"name:group\", not an integer", ""),
        ("user = 'a:b:c'", "4:8: `a:b:c` is not a user; write \"name\" or \"name:group\"", ""),
        ("redact = 'yes'", "4:10: `redact` must be true or false, not text", ""),
        ("cwd = 5", "4:7: `cwd` must be a path in quotes, not an integer", ""),
    ] {
        assert_only_wrong_line(line, wanted, hint);
    }
}

#[test]
fn what_is_wrong_with_a_stream_is_said_with_its_place() {
    let only_for_streams = "is for `mode = \"stream\"` only";
    for (line, wanted, hint) in [
        ("mode = 'steam'", "4:8: there is no mode `steam`", "\"exec\": a process for each task"),
        ("mode = true", "4:8: `mode` must be a word in quotes, not true or false", ""),
        ("in_flight = 2", &format!("4:13: `in_flight` {only_for_streams}"), "set the mode as well"),
        ("mode = 'exec'\nrecycle = { max_tasks = 1 }", &format!("5:11: `recycle` {only_for_streams}"), ""),
        ("mode = 'stream'\nin_flight = 0", "5:13: `in_flight` must be from 1 to 64, not 0", ""),
        ("mode = 'stream'\nin_flight = 65", "5:13: `in_flight` must be from 1 to 64, not 65", ""),
        (
            "mode = 'stream'\nrecycle = 5",
            "5:11: `recycle` must be a table of max_tasks, max_age, max_rss, not an integer",
            "",
        ),
        ("mode = 'stream'\nrecycle = { tasks = 5 }", "5:13: unknown key `tasks` in recycle", "max_tasks"),
        (
            "mode = 'stream'\nrecycle = { max_tasks = 0 }",
            "5:25: `max_tasks` must be from 1 to 9223372036854775807, not 0",
            "",
        ),
        (
            "mode = 'stream'\nrecycle = { max_age = 5 }",
            "5:23: `max_age` must be a span of time in quotes, such as \"30s\", not an integer",
            "",
        ),
    ] {
        assert_only_wrong_line(line, wanted, hint);
    }
    let text = "[[job]]\nname = 'b'\ncommand = ['x', 'a{param}']\nmode = 'stream'";
    assert_only_problem(text, "3:11: a stream is given params as lines, so `{param}` cannot stand in its command", "");
}
