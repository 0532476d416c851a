//! `[[schedule]]`: what the keys become, what is refused and where, what is only remarked on.

use super::*;
use std::ffi::OsString;

#[test]
fn what_is_wrong_in_a_schedule_is_said_with_its_place() {
    for (text, wanted, hint) in [
        ("[[schedule]]\njob = 'a'\ncron = '@daily'", "1:1: [[schedule]] has no `name`", "add name = "),
        ("[[schedule]]\nname = 's'\ncron = '@daily'", "1:1: [[schedule]] has no `job`", "add job = "),
        ("[[schedule]]\nname = 's'\njob = 'a'", "1:1: [[schedule]] has no `cron`", "minute, hour"),
        (
            "[[schedule]]\nname = 's'\njob = 'a'\ncron = '0 24 * * *'",
            "4:11: cron `0 24 * * *`: `24` is not an hour (0 to 23); midnight is 0",
            "",
        ),
        (
            "[[schedule]]\nname = 's'\njob = 'a'\ncron = \"0 \\u0032\\u0034 * * *\"",
            "4:8: cron `0 24 * * *`: `24` is not an hour (0 to 23); midnight is 0",
            "",
        ),
        (
            "[[schedule]]\nname = 's'\njob = 'a'\ncron = '61 * * * *'",
            "4:9: cron `61 * * * *`: `61` is not a minute (0 to 59)",
            "",
        ),
        (
            "[[schedule]]\nname = 's'\njob = 'a'\ncron = '0 0 30 2 *'",
            "4:13: cron `0 0 30 2 *`: it is never due: no month has such a day",
            "",
        ),
        (
            "[[schedule]]\nname = 's'\njob = 'a'\nat = '2027-02-30 03:00'",
            "4:15: at `2027-02-30 03:00`: 2027-02 has no day 30",
            "",
        ),
        (
            "[[schedule]]\nname = 's'\njob = 'a'\nevery = '15x'",
            "4:12: every `15x`: `x` is not a unit: s, m, h, d or w; write it like 90s, 15m, 6h or 1h30m",
            "",
        ),
    ] {
        assert_only_problem(text, wanted, hint);
    }
}

#[test]
fn what_is_wrong_with_a_key_is_said_with_its_place() {
    for (line, wanted, hint) in [
        ("enable = true", "5:1: unknown key `enable` in [[schedule]]", "did you mean `enabled`?"),
        ("enabled = 1", "5:11: `enabled` must be true or false, not an integer", ""),
        ("timezone = 'Berlin'", "5:12: `Berlin` is not a time zone", ""),
        ("priority = 2147483648", "5:12: `priority` must be from -2147483648 to 2147483647, not 2147483648", ""),
        (
            "at = '2027-01-31 03:00'",
            "5:6: a [[schedule]] has one of `cron`, `at` and `every`; this has `cron` too",
            "two",
        ),
        ("command = ['x']", "5:11: a [[schedule]] has a `job` or a `command`, not both", "one of them"),
        ("timeout = '5s'", "5:11: `timeout` says how a command runs, and this [[schedule]] has none", "[[job]]"),
        ("unique_key = ''", "5:14: `unique_key` must have 1 to 400 characters", ""),
        (
            "catch_up = 'often'",
            "5:12: `catch_up`: `often` is not \"skip\", \"once\", \"all\" or \"window 2h\"",
            "skip: ",
        ),
        (
            "catch_up = 'window 2x'",
            "5:12: `catch_up`: `2x` is not a span of time (the unit must be ms, s, m, h, d or w); \
             write it like 500ms, 30s, 1h30m or 7d",
            "window 2h",
        ),
        (
            "catch_up = 'window 0'",
            "5:12: `catch_up`: a window is longer than 0; \"skip\" leaves out whatever is late",
            "",
        ),
        ("overlap = 'wait'", "5:11: there is no overlap `wait`", "\"queue\""),
        ("only_if = 'test'", "5:11: `only_if` must be a list of texts, such as [\"a\", \"b\"], not text", ""),
        ("only_if = []", "5:11: `only_if` names no program", "only_if is a list"),
        (
            "only_if = ['test', '{param}']",
            "5:11: `{param}` has no meaning in `only_if`: it is asked before there is a task",
            "",
        ),
        (
            "jitter = '5'",
            "5:10: `5` is not a span of time (the unit must be ms, s, m, h, d or w); \
             write it like 500ms, 30s, 1h30m or 7d",
            "",
        ),
        ("until = '01-31'", "5:9: `until`: `01-31` has no year; write it like 2027-01-31, or 2027-01-31 18:00", ""),
        ("until = '2027-02-30'", "5:9: `until`: 2027-02 has no day 30 (at character 9)", ""),
        ("param = [1, nan]", "5:13: `param` is passed on as JSON, which has no such number", ""),
        ("param = { a = 9223372036854775808 }", "5:15: an integer in `param` has at most 64 bits", ""),
    ] {
        assert_only_problem(&format!("{SCHEDULE}{line}\n"), wanted, hint);
    }
    let twice = format!("{SCHEDULE}{SCHEDULE}");
    assert_only_problem(&twice, "6:8: there are two schedules with the name `s`", "the other is at rowmill.toml:2:8");
}

#[test]
fn every_key_of_a_schedule_is_read() {
    let text = "timezone = 'Asia/Shanghai'\n[[schedule]]\nname = 'x'\nevery = '15m'\njob = 'a'\nunique_key = 'x-{date}'\n\
        catch_up = 'window 90m'\noverlap = 'queue'\nonly_if = ['bin/ready', '-q']\njitter = '30s'\nuntil = 2027-01-31\n";
    let dir = written(text);
    let config = Config::load(None, dir.path(), &no_env).unwrap();
    let [entry] = &config.schedules[..] else { panic!("{:?}", config.schedules) };
    let wanted = Schedule {
        origin: Origin::File,
        zone: Tz::Asia__Shanghai,
        unique_key: Some("x-{date}".to_string()),
        catch_up: CatchUp::Window(5_400_000),
        overlap: Overlap::Queue,
        guarded: true,
        jitter_ms: 30_000,
        // The last millisecond of that day in Shanghai, eight hours ahead of UTC.
        until_ms: Some(1_801_411_199_999),
        ..Schedule::new("x", "every 15m", "a")
    };
    assert_eq!(entry.schedule, wanted);
    let only_if = entry.only_if.as_ref().unwrap();
    assert_eq!(only_if.argv, [dir.path().join("bin/ready").into_os_string(), OsString::from("-q")]);
    assert_eq!((only_if.cwd.as_path(), only_if.env.contains_key("PATH")), (dir.path(), true));
    let at = "[[schedule]]\nname = 'x'\nat = '11-09 02:01'\njob = 'a'\nuntil = '2027-01-31 18:00'\n";
    let schedule = load(at).unwrap().schedules.remove(0).schedule;
    assert_eq!((schedule.timing.as_str(), schedule.until_ms), ("at 11-09 02:01", Some(1_801_418_400_000)));
}

#[test]
fn a_schedule_with_a_command_is_a_job_of_its_name() {
    let text = "[[schedule]]\nname = 'backup'\ncron = '@daily'\ncommand = ['bin/backup', '-v']\ntimeout = '2h'\nmax_attempts = 1\n";
    let dir = written(text);
    let config = Config::load(None, dir.path(), &no_env).unwrap();
    assert_eq!(config.schedules[0].schedule.job, "backup");
    let [job] = &config.jobs[..] else { panic!("{:?}", config.jobs) };
    assert_eq!((job.name.as_str(), job.policy.timeout_ms, job.policy.max_attempts), ("backup", Some(7_200_000), 1));
    assert_eq!(job.command.argv, [dir.path().join("bin/backup").into_os_string(), OsString::from("-v")]);
    let taken = format!("{JOB}[[schedule]]\nname = 'a'\ncron = '@daily'\ncommand = ['y']\n");
    let wanted = "5:8: the command of this [[schedule]] is a job `a`, and there is one of that name";
    assert_only_problem(&taken, wanted, "the other is at rowmill.toml:1:1");
}

#[test]
fn keys_that_make_no_sense_together_are_remarked_on_and_refuse_nothing() {
    let once = "[[schedule]]\nname = 's'\njob = 'a'\nat = '2027-01-31 03:00'\n";
    let every = "[[schedule]]\nname = 's'\njob = 'a'\nevery = '1m'\n";
    for (text, wanted) in [
        (format!("{once}overlap = 'skip'"), "5:11: `overlap` says nothing about a schedule that is due once"),
        (format!("{once}until = '2028-01-01'"), "5:9: `until` says nothing about a schedule that is due once"),
        (
            format!("{every}timezone = 'Europe/Berlin'"),
            "5:12: `every` counts from 1970 in UTC, so that `timezone` changes nothing",
        ),
        (
            format!("{every}jitter = '1m'"),
            "5:10: with a `jitter` as long as the interval, occurrences run in another order",
        ),
        (
            format!("{SCHEDULE}unique_key = 'k'\ncatch_up = 'all'"),
            "5:14: of all that are made up for, only the first gets a key that is the same for each",
        ),
    ] {
        let dir = written(&text);
        let found = problems(None, dir.path(), &no_env, &["a"]);
        let words: Vec<(String, bool)> = found.iter().map(|p| (p.to_string(), p.remark)).collect();
        assert_eq!(words, [(format!("rowmill.toml:{wanted}"), true)]);
        Config::load(None, dir.path(), &no_env).unwrap();
    }
    for fine in [
        format!("{once}overlap = 'allow'"),
        format!("{every}timezone = 'Europe/Berlin'\nparam = '{{due}}'"),
        format!("{every}jitter = '59s'"),
        format!("{SCHEDULE}unique_key = 'k-{{due_ms}}'\ncatch_up = 'all'"),
    ] {
        assert_eq!(problems(None, written(&fine).path(), &no_env, &["a"]), [], "{fine}");
    }
}
