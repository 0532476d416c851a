use super::*;
use ::log::{Level, LevelFilter, Log, Record};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use std::io::Read;
use std::path::Path;
use tempfile::TempDir;

/// 2026-11-21 23:59:59.000 in Shanghai.
const LATE_MS: Millis = 1_795_276_799_000;
const FIRST_DAY: &str = "rowmill-2026-11-21.log";
const NEXT_DAY: &str = "rowmill-2026-11-22.log";

fn settings(dir: &Path) -> Settings {
    Settings {
        dir: dir.to_owned(),
        zone: chrono_tz::Asia::Shanghai,
        level: LevelFilter::Info,
        form: Form::Text,
        to_stderr: false,
    }
}

fn scratch() -> (TempDir, PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("a/logs");
    (scratch, dir)
}

fn onto(fd: impl Into<std::os::fd::OwnedFd>) -> Arc<Journal> {
    let sink = Sink::Stream(fd.into().into());
    Arc::new(Journal::onto(sink, settings(Path::new("/nowhere")), Clock::manual(LATE_MS)))
}

fn say(journal: &Journal, text: &str) {
    let mut lines = journal.lines();
    lines.add(LATE_MS, Level::Info, &[], format_args!("{text}"));
    journal.append(&lines);
}

/// What stands behind the level in each line of a file.
fn texts(path: PathBuf) -> Vec<String> {
    let all = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    all.lines().map(|line| line.splitn(3, ' ').last().unwrap().to_owned()).collect()
}

fn link_of(dir: &Path) -> PathBuf {
    std::fs::read_link(dir.join("rowmill.log")).unwrap()
}

#[test]
fn the_file_is_made_with_its_folder_and_its_link() {
    use std::os::unix::fs::PermissionsExt;
    let (_scratch, dir) = scratch();
    let journal = Journal::open(settings(&dir), Clock::manual(LATE_MS)).unwrap();
    assert_eq!(journal.file(), dir.join(FIRST_DAY));
    assert_eq!(link_of(&dir), Path::new(FIRST_DAY));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&dir) & !0o750, 0);
    assert_eq!(mode(&dir.join(FIRST_DAY)) & !0o640, 0);

    journal.append(&journal.lines());
    assert!(texts(dir.join(FIRST_DAY)).is_empty());
    say(&journal, "untagged");
    journal.tagged(&[("worker", &"3/10")]);
    say(&journal, "tagged");
    let all = std::fs::read_to_string(dir.join("rowmill.log")).unwrap();
    let head = "2026-11-21T23:59:59.000+08:00 INFO";
    assert_eq!(all, format!("{head} untagged\n{head} worker=3/10 tagged\n"));
}

#[test]
fn after_midnight_in_the_zone_lines_go_to_the_next_file() {
    let (_scratch, dir) = scratch();
    let clock = Clock::manual(LATE_MS);
    let journal = Journal::open(settings(&dir), clock.clone()).unwrap();
    say(&journal, "old");
    clock.set(LATE_MS + 999);
    say(&journal, "still old");
    clock.set(LATE_MS + 1000);
    say(&journal, "new");
    assert_eq!(texts(dir.join(FIRST_DAY)), ["old", "still old"]);
    assert_eq!(texts(dir.join(NEXT_DAY)), ["new"]);
    assert_eq!(journal.file(), dir.join(NEXT_DAY));
    assert_eq!(link_of(&dir), Path::new(NEXT_DAY));
}

#[test]
fn a_link_that_points_elsewhere_is_put_right() {
    let (_scratch, dir) = scratch();
    let clock = Clock::manual(LATE_MS - 5000);
    let journal = Journal::open(settings(&dir), clock.clone()).unwrap();
    std::fs::remove_file(dir.join("rowmill.log")).unwrap();
    std::os::unix::fs::symlink("rowmill-2026-11-20.log", dir.join("rowmill.log")).unwrap();
    // Whoever died between making the new link and moving it leaves this.
    std::os::unix::fs::symlink(FIRST_DAY, dir.join(format!(".{FIRST_DAY}.link"))).unwrap();
    clock.set(LATE_MS - 4000);
    say(&journal, "a second later");
    assert_eq!(link_of(&dir), Path::new(FIRST_DAY));
    assert!(!dir.join(format!(".{FIRST_DAY}.link")).exists());
}

#[test]
fn a_file_with_the_name_of_the_link_is_left_alone() {
    let (_scratch, dir) = scratch();
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("rowmill.log"), "somebody's").unwrap();
    let journal = Journal::open(settings(&dir), Clock::manual(LATE_MS)).unwrap();
    say(&journal, "hello");
    assert_eq!(std::fs::read_to_string(dir.join("rowmill.log")).unwrap(), "somebody's");
    assert_eq!(texts(dir.join(FIRST_DAY)), ["hello"]);
}

#[test]
fn what_is_deleted_or_moved_away_is_made_again() {
    let (_scratch, dir) = scratch();
    let clock = Clock::manual(LATE_MS - 5000);
    let journal = Journal::open(settings(&dir), clock.clone()).unwrap();
    say(&journal, "one");
    std::fs::remove_file(dir.join(FIRST_DAY)).unwrap();
    say(&journal, "two");
    assert_eq!(texts(dir.join(FIRST_DAY)), ["two"]);
    std::fs::remove_dir_all(dir.parent().unwrap()).unwrap();
    say(&journal, "three");
    assert_eq!(texts(dir.join(FIRST_DAY)), ["three"]);
    assert_eq!(link_of(&dir), Path::new(FIRST_DAY));
    std::fs::rename(dir.join(FIRST_DAY), dir.join("moved")).unwrap();
    clock.set(LATE_MS - 4000);
    say(&journal, "four");
    assert_eq!(texts(dir.join("moved")), ["three"]);
    assert_eq!(texts(dir.join(FIRST_DAY)), ["four"]);
    std::fs::rename(dir.join(FIRST_DAY), dir.join("moved")).unwrap();
    std::fs::write(dir.join(FIRST_DAY), "").unwrap();
    clock.set(LATE_MS - 3000);
    say(&journal, "five");
    assert_eq!(texts(dir.join(FIRST_DAY)), ["five"]);
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    let (_scratch, dir) = scratch();
    let journal = Journal::open(settings(&dir), Clock::manual(LATE_MS)).unwrap();
    journal.tagged(&[("worker", &"3/10")]);
    std::fs::remove_dir_all(&dir).unwrap();
    std::fs::write(&dir, "in the way").unwrap();
    let mut lines = journal.lines();
    (0..2).for_each(|i| lines.add(LATE_MS, Level::Info, &[], format_args!("lost {i}")));
    journal.append(&lines);
    say(&journal, "lost 2");
    assert!(journal.raw_handle().is_err());
    std::fs::remove_file(&dir).unwrap();
    say(&journal, "back");
    say(&journal, "as ever");
    let note = "worker=3/10 3 lines were dropped: Not a directory (os error 20)";
    assert_eq!(texts(dir.join(FIRST_DAY)), [note, "worker=3/10 back", "worker=3/10 as ever"]);
}

#[test]
fn a_batch_that_was_cut_short_is_accounted_for() {
    let (mut reader, writer) = pipe_with(PipeFlags::NONBLOCK).map(|(r, w)| (File::from(r), w)).unwrap();
    let journal = onto(writer);
    let mut lines = journal.lines();
    (0..5000).for_each(|i| lines.add(LATE_MS, Level::Info, &[], format_args!("line {i}")));
    journal.append(&lines);
    say(&journal, "lost as well");
    let mut all = Vec::new();
    let _ = reader.read_to_end(&mut all);
    say(&journal, "back");
    let _ = reader.read_to_end(&mut all);
    let all = String::from_utf8(all).unwrap();
    let is_whole = |(i, line): &(usize, &str)| line.ends_with(&format!(" INFO line {i}"));
    let whole = all.lines().enumerate().take_while(is_whole).count();
    // What came of the line that was torn stands alone in its line, and it is counted with those that were lost.
    let mut behind = all.lines().skip(whole).filter(|line| !line.ends_with(" INFO back"));
    let torn = behind.next().unwrap();
    assert!(!torn.contains("dropped"), "the pipe's size is a multiple of the line's: {torn}");
    let note = format!(" WARN {} lines were dropped: ", 5001 - whole);
    assert!(behind.next().unwrap().contains(&note), "{all:?}");
    assert_eq!(all.lines().count(), whole + 3);
    assert!(all.ends_with(" INFO back\n"));
}

#[test]
fn a_folder_that_cannot_be_is_said_on_opening() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join("file"), "").unwrap();
    let e = Journal::open(settings(&scratch.path().join("file/logs")), Clock::System).unwrap_err();
    assert!(e.to_string().contains("file/logs") && e.hint_text().is_some(), "{e}");
}

#[test]
fn writers_do_not_tear_each_others_lines() {
    let (_scratch, dir) = scratch();
    let (writers, batches, batch) = (4, 50, 100);
    std::thread::scope(|scope| {
        for writer in 0..writers {
            let dir = &dir;
            scope.spawn(move || {
                let journal = Journal::open(settings(dir), Clock::manual(LATE_MS)).unwrap();
                journal.tagged(&[("worker", &format_args!("{writer}/{writers}"))]);
                let mut lines = journal.lines();
                for first in (0..batches * batch).step_by(batch) {
                    lines.clear();
                    for i in first..first + batch {
                        lines.add(LATE_MS, Level::Info, &[("task", &i)], format_args!("{}", "x".repeat(i % 300)));
                    }
                    journal.append(&lines);
                }
            });
        }
    });
    assert_eq!(link_of(&dir), Path::new(FIRST_DAY));
    let mut next = vec![0; writers];
    for line in texts(dir.join(FIRST_DAY)) {
        let words: Vec<&str> = line.split(' ').collect();
        let writer: usize = words[0].strip_prefix("worker=").unwrap().strip_suffix("/4").unwrap().parse().unwrap();
        let i: usize = words[1].strip_prefix("task=").unwrap().parse().unwrap();
        assert_eq!(i, next[writer]);
        assert_eq!(words.get(2).map_or("", |text| text), "x".repeat(i % 300));
        next[writer] += 1;
    }
    assert_eq!(next, vec![batches * batch; writers]);
}

#[test]
fn many_that_open_at_once_agree_on_the_link() {
    for _ in 0..50 {
        let (_scratch, dir) = scratch();
        std::fs::create_dir_all(&dir).unwrap();
        std::os::unix::fs::symlink("rowmill-2026-11-20.log", dir.join("rowmill.log")).unwrap();
        let start = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    let journal = Journal::open(settings(&dir), Clock::manual(LATE_MS)).unwrap();
                    assert_eq!(link_of(&dir), Path::new(FIRST_DAY));
                    say(&journal, "hello");
                });
            }
        });
        assert_eq!(texts(dir.join("rowmill.log")).len(), 8);
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 2);
    }
}

#[test]
fn a_handle_for_others_appends() {
    let (_scratch, dir) = scratch();
    let journal = Journal::open(settings(&dir), Clock::manual(LATE_MS)).unwrap();
    let mut handle = journal.raw_handle().unwrap();
    say(&journal, "one");
    handle.write_all(b"this is of others\n").unwrap();
    say(&journal, "two");
    assert_eq!(texts(dir.join(FIRST_DAY)), ["one", "of others", "two"]);
}

#[test]
fn a_closed_standard_error_is_quiet_and_needs_no_folder() {
    let (_scratch, dir) = scratch();
    let journal = Journal::open(Settings { to_stderr: true, ..settings(&dir) }, Clock::manual(LATE_MS)).unwrap();
    journal.append(&journal.lines());
    assert!(!dir.exists());
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    drop(reader);
    let journal = onto(writer);
    say(&journal, "nobody reads this");
    say(&journal, "nor this");
}

/// A socket that keeps apart what was written at once.
fn packets() -> (Arc<Journal>, File) {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::NONBLOCK, None).unwrap();
    (onto(ours), theirs.into())
}

fn next_packet(packets: &mut File) -> Option<String> {
    let mut room = vec![0; 64 * 1024];
    let len = packets.read(&mut room).ok()?;
    room.truncate(len);
    String::from_utf8(room).ok()
}

#[test]
fn a_batch_is_one_write() {
    let (journal, mut packets) = packets();
    let mut lines = journal.lines();
    (0..500).for_each(|i| lines.add(LATE_MS, Level::Info, &[("task", &i)], format_args!("done")));
    journal.append(&lines);
    assert_eq!(next_packet(&mut packets).unwrap().lines().count(), 500);
    assert_eq!(next_packet(&mut packets), None);
}

#[test]
fn the_macros_become_lines_of_one_write() {
    let (journal, mut packets) = packets();
    journal.tagged(&[("worker", &"3/10")]);
    let logger = facade::logger(&journal);
    let log = |level, target: &str, text: &str| {
        logger.log(&Record::builder().level(level).target(target).args(format_args!("{text}")).build());
    };
    log(Level::Info, "tokio::runtime", "left out");
    log(Level::Debug, "shop", "left out");
    log(Level::Info, "shop", "two\nlines {}");
    log(Level::Warn, "mio::poll", "shown");
    let head = "2026-11-21T23:59:59.000+08:00";
    assert_eq!(next_packet(&mut packets).unwrap(), format!("{head} INFO worker=3/10 two\\nlines {{}}\n"));
    assert_eq!(next_packet(&mut packets).unwrap(), format!("{head} WARN worker=3/10 shown\n"));
    assert_eq!(next_packet(&mut packets), None);
}

#[test]
fn a_process_installs_one_journal() {
    let (journal, mut packets) = packets();
    journal.install().unwrap();
    ::log::info!(target: "shop", "from a macro");
    assert!(next_packet(&mut packets).unwrap().ends_with(" INFO from a macro\n"));
    assert!(journal.install().is_err());
}

#[test]
fn a_process_without_a_word_to_say_goes_over_to_the_next_day() {
    let (_scratch, dir) = scratch();
    let clock = Clock::manual(LATE_MS);
    let journal = Journal::open(settings(&dir), clock.clone()).unwrap();
    let alone = |name| {
        let file = File::open(dir.join(name)).unwrap();
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok()
    };
    assert!(!alone(FIRST_DAY), "it has the day's file open, and that is seen");
    clock.set(LATE_MS + 1000);
    journal.turn();
    assert!(alone(FIRST_DAY) && !alone(NEXT_DAY));
    assert_eq!(link_of(&dir), Path::new(NEXT_DAY));
}

#[test]
fn lines_of_json_are_led_by_the_tags_of_the_process() {
    let (_scratch, dir) = scratch();
    let journal = Journal::open(Settings { form: Form::Json, ..settings(&dir) }, Clock::manual(LATE_MS)).unwrap();
    journal.tagged(&[("worker", &"3/10")]);
    say(&journal, "a \"word\"");
    let head = "{\"time\":\"2026-11-21T23:59:59.000+08:00\",\"level\":\"INFO\",\"worker\":\"3/10\"";
    let all = std::fs::read_to_string(dir.join(FIRST_DAY)).unwrap();
    assert_eq!(all, format!("{head},\"text\":\"a \\\"word\\\"\"}}\n"));
}
