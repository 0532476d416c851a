use super::*;
use crate::log::{Form, Journal, Settings};
use ::log::{Level, LevelFilter};
use rustix::pipe::{PipeFlags, pipe_with};
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tempfile::TempDir;

/// 2026-11-21 23:59:59.000 in Shanghai.
const LATE_MS: i64 = 1_795_276_799_000;
const DAY_MS: i64 = 86_400_000;
const HEAD: &str = "2026-11-21T23:59:59.000+08:00 INFO ";
const PATIENCE: Duration = Duration::from_secs(20);

struct Scene {
    scratch: TempDir,
    clock: Clock,
    journal: Arc<Journal>,
}

impl Scene {
    fn new() -> Scene {
        let scratch = tempfile::tempdir().unwrap();
        let clock = Clock::manual(LATE_MS);
        let zone = chrono_tz::Asia::Shanghai;
        let (dir, level) = (scratch.path().join("logs"), LevelFilter::Info);
        let settings = Settings { dir, zone, level, form: Form::Text, to_stderr: false };
        let journal = Journal::open(settings, clock.clone()).unwrap();
        Scene { scratch, clock, journal }
    }

    fn query(&self) -> Query {
        let dir = self.scratch.path().join("logs");
        Query {
            dir,
            zone: chrono_tz::Asia::Shanghai,
            date: None,
            since_ms: None,
            until_ms: None,
            choice: Choice::default(),
            last: None,
            view: View::default(),
        }
    }

    fn of(&self, task: Option<i64>, worker: Option<u32>) -> Query {
        Query { choice: Choice { task, worker, ..Choice::default() }, ..self.query() }
    }

    fn say(&self, tags: &[(&str, &dyn fmt::Display)], text: &str) {
        let mut lines = self.journal.lines();
        lines.add(LATE_MS, Level::Info, tags, format_args!("{text}"));
        self.journal.append(&lines);
    }

    fn shown(&self, query: &Query) -> Vec<String> {
        let mut out = Vec::new();
        show(query, &self.clock, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(|line| line.replace(HEAD, "")).collect()
    }
}

/// An output that hands each line on, and can be closed.
struct Wire(Sender<String>);

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for line in String::from_utf8(bytes.to_vec()).unwrap().lines() {
            self.0.send(line.replace(HEAD, "")).map_err(|_| ErrorKind::BrokenPipe)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs `follow` beside `act`, which gets the lines and what stops it.
fn following(scene: &Scene, query: &Query, act: impl FnOnce(Receiver<String>, OwnedFd)) {
    let (stop, stopper) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let (wire, lines) = channel();
    std::thread::scope(|scope| {
        let follower = scope.spawn(|| {
            let ends = Ends { stop: Some(stop.as_fd()), output: None };
            follow(query, &scene.clock, ends, &mut Wire(wire))
        });
        act(lines, stopper);
        follower.join().unwrap().unwrap();
    });
}

fn next(lines: &Receiver<String>) -> String {
    lines.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn all_lines_are_shown_and_raw_output_is_harmless() {
    let scene = Scene::new();
    scene.say(&[("task", &1)], "a");
    let mut raw = scene.journal.raw_handle().unwrap();
    raw.write_all(b"thread 'main' panicked: \x1b[2J\n\xff\x1b\n\nno end of line").unwrap();
    let raw = [r"thread 'main' panicked: \u{1b}[2J", "\u{fffd}\\u{1b}", "", "no end of line"];
    let shown = scene.shown(&scene.query());
    assert_eq!(shown[0], "task=1 a");
    assert_eq!(shown[1..], raw);
    assert!(scene.shown(&scene.of(Some(2), None)).is_empty());
}

#[test]
fn filters_ask_the_tags_and_nothing_else() {
    let scene = Scene::new();
    scene.say(&[("worker", &"3/10"), ("task", &4)], "a");
    scene.say(&[("worker", &"3/10"), ("task", &42)], "b");
    scene.say(&[("worker", &"13/20"), ("task", &4)], "task=9 worker=3/10");
    scene.say(&[("worker", &3)], "task=4");
    scene.say(&[("job", &"x task=4")], "about task=4");
    scene.say(&[("subtask", &4), ("tasks", &4), ("from", &"\" task=4")], "");
    let third = "worker=13/20 task=4 - task=9 worker=3/10";
    assert_eq!(scene.shown(&scene.of(Some(4), None)), ["worker=3/10 task=4 a", third]);
    assert_eq!(scene.shown(&scene.of(Some(42), None)), ["worker=3/10 task=42 b"]);
    assert!(scene.shown(&scene.of(Some(9), None)).is_empty());
    let of_worker = scene.shown(&scene.of(None, Some(3)));
    assert_eq!(of_worker, ["worker=3/10 task=4 a", "worker=3/10 task=42 b", "worker=3 - task=4"]);
    assert_eq!(scene.shown(&scene.of(Some(4), Some(13))), [third]);
    assert!(scene.shown(&scene.of(None, Some(1))).is_empty());
}

#[test]
fn a_long_file_is_shown_whole() {
    let scene = Scene::new();
    let mut lines = scene.journal.lines();
    (0..5000).for_each(|i| lines.add(LATE_MS, Level::Info, &[("task", &i)], format_args!("done")));
    lines.add(LATE_MS, Level::Info, &[], format_args!("{}", "x".repeat(200_000)));
    scene.journal.append(&lines);
    let shown = scene.shown(&scene.query());
    assert_eq!(shown.len(), 5001);
    assert!(shown.iter().take(5000).enumerate().all(|(i, line)| *line == format!("task={i} done")));
    assert_eq!(shown[5000].len(), 200_000);
    assert_eq!(scene.shown(&scene.of(Some(4711), None)), ["task=4711 done"]);
}

#[test]
fn a_day_is_chosen_and_a_missing_one_is_explained() {
    let scene = Scene::new();
    scene.say(&[], "first");
    scene.clock.set(LATE_MS + DAY_MS);
    scene.say(&[], "second");
    std::fs::write(scene.query().dir.join("rowmill-2026-11-2.log"), "another file").unwrap();
    let date = |day| NaiveDate::from_ymd_opt(2026, 11, day);
    assert_eq!(scene.shown(&scene.query()), ["second"]);
    assert_eq!(scene.shown(&Query { date: date(21), ..scene.query() }), ["first"]);
    let error = |query: &Query| show(query, &scene.clock, &mut Vec::new()).unwrap_err();
    let e = error(&Query { date: date(20), ..scene.query() });
    assert!(e.to_string().starts_with("there is no log of 2026-11-20: "), "{e}");
    assert_eq!(e.hint_text(), Some("there are logs of 2026-11-22, 2026-11-21"));
    let nowhere = Query { dir: scene.scratch.path().join("nowhere"), ..scene.query() };
    assert!(error(&nowhere).hint_text().unwrap().ends_with("nowhere holds no logs at all"));
    let ends = Ends::default();
    assert!(follow(&nowhere, &scene.clock, ends, &mut Vec::new()).is_err());
    assert!(follow(&Query { date: date(20), ..scene.query() }, &scene.clock, ends, &mut Vec::new()).is_err());
}

#[test]
fn a_closed_output_is_a_quiet_end() {
    let scene = Scene::new();
    scene.say(&[], "unread");
    let (wire, lines) = channel();
    drop(lines);
    show(&scene.query(), &scene.clock, &mut Wire(wire.clone())).unwrap();
    follow(&scene.query(), &scene.clock, Ends::default(), &mut Wire(wire)).unwrap();
}

#[test]
fn following_shows_what_comes_and_goes_on_with_the_next_day() {
    let scene = Scene::new();
    scene.say(&[], "before");
    following(&scene, &scene.query(), |lines, _stopper| {
        assert_eq!(next(&lines), "before");
        scene.say(&[("task", &1)], "one");
        assert_eq!(next(&lines), "task=1 one");
        let mut late = scene.journal.raw_handle().unwrap();
        late.write_all(b"half ").unwrap();
        scene.clock.set(LATE_MS + 1000);
        scene.say(&[], "the next day");
        assert_eq!(next(&lines), "the next day");
        late.write_all(b"and half\n").unwrap();
        assert_eq!(next(&lines), "half and half");
        scene.clock.set(LATE_MS + 1000 + DAY_MS);
        scene.say(&[], "a day further");
        assert_eq!(next(&lines), "a day further");
    });
}

#[test]
fn following_begins_at_the_day_that_is_asked_for() {
    let scene = Scene::new();
    for day in 0..4 {
        scene.clock.set(LATE_MS + day * DAY_MS);
        scene.say(&[("task", &day)], "");
    }
    let query = Query { date: NaiveDate::from_ymd_opt(2026, 11, 22), ..scene.query() };
    following(&scene, &query, |lines, _stopper| {
        assert_eq!([next(&lines), next(&lines), next(&lines)], ["task=1", "task=2", "task=3"]);
        scene.say(&[("task", &4)], "");
        assert_eq!(next(&lines), "task=4");
    });
}

#[test]
fn following_waits_for_a_day_that_has_no_line_yet_and_filters() {
    let scene = Scene::new();
    scene.clock.set(LATE_MS + DAY_MS);
    following(&scene, &scene.of(None, Some(7)), |lines, _stopper| {
        scene.say(&[("worker", &"6/8")], "not this one");
        scene.say(&[("worker", &"7/8")], "this one");
        assert_eq!(next(&lines), "worker=7/8 this one");
    });
}

#[test]
fn following_survives_what_befalls_the_files() {
    let scene = Scene::new();
    let dir = scene.query().dir;
    following(&scene, &scene.query(), |lines, _stopper| {
        scene.say(&[], "one");
        assert_eq!(next(&lines), "one");
        std::fs::remove_file(scene.journal.file()).unwrap();
        scene.say(&[], "a new file");
        assert_eq!(next(&lines), "a new file");
        std::fs::write(scene.journal.file(), "").unwrap();
        scene.say(&[], "short");
        assert_eq!(next(&lines), "short");
        std::fs::remove_dir_all(&dir).unwrap();
        scene.say(&[], "a new folder");
        assert_eq!(next(&lines), "a new folder");
        scene.say(&[], "and on");
        assert_eq!(next(&lines), "and on");
    });
}

#[test]
fn following_ends_when_told_and_when_nobody_reads() {
    let scene = Scene::new();
    following(&scene, &scene.query(), |lines, stopper| {
        drop(stopper);
        assert!(lines.recv_timeout(PATIENCE).is_err());
    });
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    std::thread::scope(|scope| {
        let follower = scope.spawn(|| {
            let mut out = std::fs::File::from(writer.try_clone().unwrap());
            let ends = Ends { stop: None, output: Some(writer.as_fd()) };
            follow(&scene.query(), &scene.clock, ends, &mut out)
        });
        drop(reader);
        follower.join().unwrap().unwrap();
    });
}
