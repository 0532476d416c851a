//! `logs`: the lines of a day, some of them, and those that are still to come.
//!
//! What would be found here: a filter that takes other tasks' lines, a follower that misses what another process writes,
//! one that stays when nobody reads it any more, or says so.

use crate::installation::{BOUND, Installation, Running, pause, to_its_end, within};
use crate::needs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::Duration;

#[test]
fn lines_of_a_task_and_of_a_worker() {
    let here = Installation::new("workers = 3\n");
    here.script("talk", "echo \"I am task $ROWMILL_TASK_ID\"; echo careful >&2\n");
    here.insert(12, "talk", "");
    here.run(&["drain"]).well();
    let all = here.run(&["logs"]).well();
    assert_eq!(all, here.log());

    let two = here.run(&["logs", "--task", "2"]).well();
    let ends: Vec<&str> = two.lines().map(|line| line.split_once(" task=2 job=talk ").unwrap().1).collect();
    assert_eq!(ends.len(), 3, "{two}");
    assert!(ends[..2].contains(&"from=stdout I am task 2") && ends[..2].contains(&"from=stderr careful"), "{two}");
    assert!(ends[2].starts_with("attempt=1 done run_ms="), "{two}");
    assert!(two.lines().all(|line| all.contains(line)));

    let of = |index: usize| here.run(&["logs", "--worker", &index.to_string()]).well();
    let parts: Vec<String> = (0..3).map(of).collect();
    for (index, part) in parts.iter().enumerate() {
        assert!(part.lines().all(|line| line.contains(&format!(" worker={index}/3 "))), "{part}");
    }
    assert_eq!(parts.iter().map(|part| part.lines().count()).sum::<usize>(), all.lines().count(), "{all}");
    assert_eq!(here.run(&["logs", "--task", "99"]).well(), "");
}

#[test]
fn a_follower_sees_what_a_drain_writes_and_goes_with_its_reader() {
    let here = Installation::new("workers = 2\n");
    here.insert(1, "noop", "");
    here.run(&["drain"]).well();
    let mut command = here.command(&["logs", "-f", "--task", "2"]);
    let mut follower = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut reader = BufReader::new(follower.0.stdout.take().unwrap());
    here.insert(1, "noop", "");
    here.run(&["drain"]).well();
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        // The reader goes with this closure, and its end of the pipe with it.
        sender.send(line).unwrap();
    });
    let line = lines.recv_timeout(BOUND).expect("a line");
    assert!(line.contains(" task=2 job=noop attempt=1 done run_ms="), "{line}");
    // Nothing more is written: it notices all the same.
    assert_eq!(follower.code(), Some(0));
    assert_eq!(std::io::read_to_string(follower.0.stderr.take().unwrap()).unwrap(), "");
}

#[test]
fn a_follower_waits_for_the_first_line_of_the_day() {
    let here = Installation::new("workers = 2\n");
    std::fs::create_dir(here.path("logs")).unwrap();
    let mut command = here.command(&["logs", "-f"]);
    let said = std::fs::File::create(here.path("said")).unwrap();
    let follower = Running::start(command.stdout(said).stderr(Stdio::null()));
    pause(Duration::from_millis(50));
    here.insert(5, "noop", "");
    here.run(&["drain"]).well();
    within(BOUND, "the follower to catch up", || (here.read("said") == here.log()).then_some(()));
    drop(follower);
}

#[test]
fn lines_of_both_forms_are_chosen_alike() {
    let here = Installation::new("workers = 2\n");
    here.script("talk", "printf 'a\\tb\\n'; echo careful >&2; exit 3\n");
    let rows = || {
        here.insert(3, "noop", "");
        here.sql().execute("INSERT INTO queue (job, max_attempts) VALUES ('talk', 1)", []).unwrap();
        assert_eq!(here.run(&["drain"]).code, Some(1));
    };
    rows();
    here.write("rowmill.toml", "workers = 2\nlog_format = \"json\"\n");
    rows();
    let logs = |args: &[&str]| here.run(&[&["logs"], args].concat()).well();
    assert_eq!(logs(&[]), here.log(), "as it stands in the file");
    let dead = logs(&["--level", "error"]);
    let [text, json] = dead.lines().collect::<Vec<_>>()[..] else { panic!("{dead}") };
    assert!(text.contains(" ERROR worker=") && text.contains(" task=4 job=talk attempt=1 dead "), "{text}");
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!((&json["level"], &json["task"], &json["job"]), (&"ERROR".into(), &8.into(), &"talk".into()));
    assert!(json["text"].as_str().unwrap().ends_with("cause=exit exit code 3: careful"), "{json}");

    assert_eq!(logs(&["--job", "talk"]).lines().count(), 6);
    assert_eq!(logs(&["--job", "talk", "--level", "warn", "--task", "8"]).lines().count(), 2);
    let mut said: Vec<String> = logs(&["--output"]).lines().map(str::to_string).collect();
    said.sort();
    assert_eq!(said, ["a\tb", "a\tb", "careful", "careful"]);
    let last = here.log().lines().rev().take(3).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
    assert_eq!(logs(&["-n", "3"]), last + "\n");
    for line in logs(&["--format", "json"]).lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["time"].is_string() && line["worker"].is_string() && line["text"].is_string(), "{line}");
    }
    assert_eq!(logs(&["--format", "text"]).lines().filter(|line| line.contains(" INFO worker=")).count(), {
        here.log().lines().filter(|line| line.contains(" INFO ") || line.contains("\"INFO\"")).count()
    });
}

#[test]
fn a_range_of_time_reaches_over_days_and_packed_ones() {
    let here = Installation::new("timezone = \"Asia/Kolkata\"\n");
    let line =
        |day: u32, hour: u32| format!("2026-11-{day:02}T{hour:02}:00:00.000+05:30 INFO task={day} hour {hour}\n");
    for day in [1, 2, 3] {
        let text: String = (0..24).map(|hour| line(day, hour)).collect();
        here.write(&format!("logs/rowmill-2026-11-{day:02}.log"), &text);
    }
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(here.read("logs/rowmill-2026-11-02.log").as_bytes()).unwrap();
    std::fs::write(here.path("logs/rowmill-2026-11-02.log.gz"), packed.finish().unwrap()).unwrap();
    std::fs::remove_file(here.path("logs/rowmill-2026-11-02.log")).unwrap();
    let logs = |args: &[&str]| here.run(&[&["logs"], args].concat());
    let hours = |range: &[(u32, u32)]| range.iter().map(|(day, hour)| line(*day, *hour)).collect::<String>();
    let range = ["--since", "2026-11-01 22:00", "--until", "2026-11-02T02:00"];
    assert_eq!(logs(&range).well(), hours(&[(1, 22), (1, 23), (2, 0), (2, 1)]));
    let range = ["--date", "2026-11-02", "--since", "22:30"];
    assert_eq!(logs(&range).well(), hours(&[(2, 23)]));
    assert_eq!(logs(&["--until", "2026-11-03", "-n", "26"]).well().lines().next(), Some(line(2, 22).trim_end()));
    assert_eq!(logs(&["--task", "2", "--since", "2026-11-01", "--until", "2026-11-03"]).well().lines().count(), 24);
    assert_eq!(logs(&["--since", "2026-11-02T17:00:00Z", "--until", "2026-11-02"]).well(), hours(&[(2, 23)]));

    let missing = logs(&["--since", "2026-11-05", "--until", "2026-11-06"]);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.err.contains("hint: there are logs of 2026-11-03, 2026-11-02, 2026-11-01"), "{missing:?}");
    for wrong in [&["--since", "soon"][..], &["--since", "12:00", "--until", "11:00"], &["-f", "--until", "today"]] {
        let said = logs(wrong);
        assert!(said.code == Some(2) && said.out.is_empty() && said.err.starts_with("error: "), "{said:?}");
    }
}

#[test]
fn a_follower_begins_with_the_last_lines_and_goes_on_when_the_form_changes() {
    let here = Installation::new("workers = 2\n");
    here.insert(9, "noop", "");
    here.run(&["drain"]).well();
    let mut command = here.command(&["logs", "-f", "-n", "2", "--job", "noop"]);
    let said = std::fs::File::create(here.path("said")).unwrap();
    let _follower = Running::start(command.stdout(said).stderr(Stdio::null()));
    within(BOUND, "the last lines", || (here.read("said").lines().count() == 2).then_some(()));
    here.write("rowmill.toml", "workers = 2\nlog_format = \"json\"\n");
    here.insert(1, "noop", "");
    here.run(&["drain"]).well();
    within(BOUND, "the new line", || here.read("said").contains("\"task\":10,\"job\":\"noop\"").then_some(()));
    assert_eq!(here.read("said").lines().count(), 3, "{}", here.read("said"));
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    if !needs::tool("script") {
        return;
    }
    let here = Installation::new("workers = 2\n");
    here.sql().execute("INSERT INTO queue (job, param, max_attempts) VALUES ('fail', '\"x\"', 1)", []).unwrap();
    assert_eq!(here.run(&["drain"]).code, Some(1));
    let on_a_terminal = |variables: &str| {
        let program = env!("CARGO_BIN_EXE_rowmill");
        let mut command = std::process::Command::new("script");
        command.args(["-qec", &format!("env {variables} '{program}' logs --level error"), "/dev/null"]);
        command.current_dir(here.folder()).stdin(Stdio::null());
        let out = to_its_end(command);
        assert!(out.code == Some(0) && out.out.contains(" dead "), "{out:?}");
        out.out.contains("\x1b[31mERROR\x1b[0m")
    };
    assert!(on_a_terminal("-u NO_COLOR TERM=xterm"));
    assert!(!on_a_terminal("NO_COLOR=1 TERM=xterm") && !on_a_terminal("-u NO_COLOR TERM=dumb"));
    assert!(!here.run(&["logs"]).well().contains('\x1b'));
}
