//! `logs`: the lines of a day, some of them, and those that are still to come.
//!
//! What would be found here: a filter that takes other tasks' lines, a follower that misses what another process writes,
//! one that stays when nobody reads it any more, or says so.

use crate::installation::{BOUND, Installation, Running, pause, within};
use std::io::{BufRead, BufReader};
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
