//! The log while processes work and die: a folder that vanishes or cannot be written, days that are packed.
//!
//! What would be found here: work that stops for want of a log, lines that do not come back when they can, a day that a
//! killed tick has lost a part of or doubled.

use crate::installation::{BOUND, Installation, Running, pause, statuses, within};
use rowmill::clock::Clock;
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// Asks for so many short tasks, and waits until they are done.
fn work(here: &Installation, count: u64) {
    let done = here.done();
    here.insert(count as usize, "sleep", "5");
    within(BOUND, "the work to go on", || (here.done() == done + count).then_some(()));
}

#[test]
fn a_log_folder_that_is_deleted_comes_back_and_nothing_stops() {
    let here = Installation::new("workers = 2\n");
    here.run(&["tick"]).well();
    work(&here, 50);
    // A worker may make it again while it is being removed.
    within(BOUND, "the folder to go", || match fs::remove_dir_all(here.path("logs")) {
        Err(e) if e.kind() == ErrorKind::DirectoryNotEmpty => None,
        gone => gone.map(Some).unwrap(),
    });
    work(&here, 50);
    assert_eq!(here.truth(), statuses([("done", 100)]));
    within(BOUND, "lines in the new folder", || (here.lines(" job=sleep attempt=1 done ") > 0).then_some(()));
    // Also what a worker writes past the log, its last words say, has a place again.
    let place = |path: &Path| path.metadata().map(|there| (there.dev(), there.ino())).ok();
    for pid in here.await_workers(2).into_values() {
        let log = here.path("logs/rowmill.log");
        let stderr = format!("/proc/{pid}/fd/2");
        within(BOUND, "its words to go there", || {
            here.insert(4, "noop", "");
            (place(Path::new(&stderr)) == place(&log)).then_some(())
        });
    }
}

#[test]
fn a_log_that_cannot_be_written_stops_no_worker_and_says_what_is_missing() {
    let here = Installation::new("workers = 2\n");
    here.run(&["tick"]).well();
    work(&here, 20);
    fs::rename(here.path("logs"), here.path("moved")).unwrap();
    here.write("logs", "in the way");
    // Who writes looks once a second whether its file is still the one of that name.
    within(BOUND, "a look", || {
        work(&here, 20);
        let before = here.read("moved/rowmill.log");
        work(&here, 20);
        (before == here.read("moved/rowmill.log")).then_some(())
    });
    let tick = here.run(&["tick"]);
    assert!(tick.code == Some(1) && tick.err.contains("the log ") && tick.err.contains("hint: "), "{tick:?}");
    fs::remove_file(here.path("logs")).unwrap();
    within(BOUND, "the lines to come back, with the number of those that did not", || {
        work(&here, 20);
        let is_note = |line: &str| line.contains(" were dropped: Not a directory");
        here.log().lines().any(is_note).then_some(())
    });
    assert!(here.lines(" job=sleep attempt=1 done ") > 0);
    here.run(&["tick"]).well();
}

/// The name of the log of the day before yesterday: over, and far from the end of its time.
fn an_old_day() -> String {
    let at_ms = Clock::System.now_ms() - 2 * 86_400_000;
    let day = chrono::DateTime::from_timestamp_millis(at_ms).unwrap().date_naive();
    format!("rowmill-{day}.log")
}

#[test]
fn ticks_that_are_killed_while_they_pack_lose_and_double_no_line() {
    let here = Installation::new("workers = 1\nlinger = \"1s\"\n");
    let name = an_old_day();
    let mut noise = 1_u64;
    let mut line = |i: usize| {
        let mut word = || {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{noise:x}")
        };
        format!("{i} {} {} {} {}\n", word(), word(), word(), word())
    };
    let text: String = (0..300_000).map(&mut line).collect();
    here.write(&format!("logs/{name}"), &text);
    let part = here.path(&format!("logs/.{name}.gz.part"));
    let part_len = || part.metadata().map_or(0, |part| part.len());
    for kill in 0..6 {
        let before = part_len();
        let mut tick = here.start(&["tick"]);
        within(BOUND, "a piece, or the end", || {
            (part_len() > before || !here.path(&format!("logs/{name}")).exists()).then_some(())
        });
        pause(Duration::from_millis(kill * 3));
        tick.0.kill().unwrap();
        tick.end();
        let date = &name["rowmill-".len()..name.len() - ".log".len()];
        assert!(here.run(&["logs", "--date", date]).well() == text, "after {kill} kills");
    }
    within(BOUND, "the day to be packed", || {
        here.run(&["tick"]).well();
        (!here.path(&format!("logs/{name}")).exists()).then_some(())
    });
    let packed = fs::File::open(here.path(&format!("logs/{name}.gz"))).unwrap();
    let mut unpacked = String::new();
    flate2::read::MultiGzDecoder::new(packed).read_to_string(&mut unpacked).unwrap();
    assert!(unpacked == text && !part.exists());
}

#[test]
fn a_day_that_a_process_still_writes_to_is_not_packed() {
    let here = Installation::new("workers = 1\nlinger = \"1s\"\n");
    let name = an_old_day();
    here.write(&format!("logs/{name}"), "a line\n");
    let path = here.path(&format!("logs/{name}"));
    // What every process has that has a day's file open to write.
    let holder = fs::File::open(&path).unwrap();
    rustix::fs::flock(&holder, rustix::fs::FlockOperation::LockShared).unwrap();
    here.run(&["tick"]).well();
    here.run(&["prune", "--older-than", "0"]).well();
    assert_eq!(here.read(&format!("logs/{name}")), "a line\n");
    drop(holder);
    within(BOUND, "the day to be packed", || {
        here.run(&["tick"]).well();
        here.path(&format!("logs/{name}.gz")).exists().then_some(())
    });
}

#[test]
fn the_lines_of_tasks_that_settle_together_are_one_write() {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    let here = Installation::new("workers = 1\n");
    here.insert(300, "noop", "");
    // A socket that keeps apart what was written at once.
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    let mut command = here.command(&["work", "--index", "0", "--drain", "--log", "stderr"]);
    let mut worker = Running::start(command.stdout(Stdio::null()).stderr(theirs));
    drop(command);
    let (mut packets, mut ours) = (Vec::new(), fs::File::from(ours));
    loop {
        let mut room = vec![0; 1 << 20];
        let len = ours.read(&mut room).unwrap();
        if len == 0 {
            break;
        }
        room.truncate(len);
        packets.push(String::from_utf8(room).unwrap());
    }
    assert_eq!(worker.code(), Some(0));
    let done = |packet: &String| packet.lines().filter(|line| line.contains(" job=noop attempt=1 done ")).count();
    assert!(packets.iter().all(|packet| packet.ends_with('\n')));
    assert_eq!(packets.iter().map(done).sum::<usize>(), 300);
    assert!(packets.iter().map(done).max() > Some(1), "{packets:?}");
}
