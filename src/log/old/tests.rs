use super::*;
use crate::clock::Clock;
use crate::log::Settings;
use crate::log::read::{Choice, Query, View, show};
use crate::log::{Form, Journal};
use std::io::Read;
use tempfile::TempDir;

const NAME: &str = "rowmill-2026-11-01.log";

fn date(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, day).unwrap()
}

/// A folder with a day of a few megabytes.
fn with_a_day(lines: usize) -> (TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let line = |i: usize| format!("2026-11-01T12:00:00.000+00:00 INFO task={i} {}\n", "x".repeat(i % 97));
    let text: String = (0..lines).map(line).collect();
    std::fs::write(dir.path().join(NAME), &text).unwrap();
    (dir, text.into_bytes())
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The day, as anybody unpacks it.
fn unpacked(dir: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let packed = File::open(dir.join(NAME.to_string() + ".gz")).unwrap();
    flate2::read::MultiGzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    bytes
}

fn query(dir: &Path) -> Query {
    Query {
        dir: dir.to_owned(),
        zone: chrono_tz::UTC,
        date: Some(date(1)),
        since_ms: None,
        until_ms: None,
        choice: Choice::default(),
        last: None,
        view: View::default(),
    }
}

/// What `logs` shows.
fn answer(query: &Query) -> Vec<u8> {
    let mut out = Vec::new();
    show(query, &Clock::manual(0), &mut out).unwrap();
    out
}

/// The day, as `logs` shows it.
fn shown(dir: &Path) -> Vec<u8> {
    answer(&query(dir))
}

fn pack(dir: &Path) -> Vec<NaiveDate> {
    compress_old(dir, date(2), &mut || true).unwrap()
}

#[test]
fn only_files_of_old_days_go() {
    let dir = tempfile::tempdir().unwrap();
    let names = [
        "rowmill-2026-11-01.log",
        "rowmill-2026-10-31.log.gz",
        ".rowmill-2026-10-31.log.gz.part",
        "rowmill-2026-11-02.log",
        "rowmill-2026-11-02.log.gz",
        "rowmill-2026-11-01.txt",
        "other.log",
    ];
    for name in names {
        std::fs::write(dir.path().join(name), "x").unwrap();
    }
    assert_eq!((remove_old(dir.path(), date(2), true), remove_old(dir.path(), date(2), false)), (2, 2));
    let left: Vec<bool> = names.iter().map(|name| dir.path().join(name).exists()).collect();
    assert_eq!(left, [false, false, false, true, true, true, true]);
    assert_eq!(remove_old(&dir.path().join("nowhere"), date(2), false), 0);
}

#[test]
fn a_day_is_packed_with_its_mode_and_its_time() {
    let (dir, text) = with_a_day(40_000);
    let plain = dir.path().join(NAME);
    std::fs::set_permissions(&plain, Permissions::from_mode(0o604)).unwrap();
    std::fs::write(dir.path().join("rowmill-2026-11-02.log"), "today\n").unwrap();
    std::fs::write(dir.path().join("rowmill-2026-10-31.log"), "").unwrap();
    let time = plain.metadata().unwrap().modified().unwrap();
    assert_eq!(pack(dir.path()), [NaiveDate::from_ymd_opt(2026, 10, 31).unwrap(), date(1)]);
    let all = ["rowmill-2026-10-31.log.gz", "rowmill-2026-11-01.log.gz", "rowmill-2026-11-02.log"];
    assert_eq!(names(dir.path()), all);
    assert!(unpacked(dir.path()) == text && shown(dir.path()) == text);
    let packed = dir.path().join(all[1]).metadata().unwrap();
    assert_eq!((packed.permissions().mode() & 0o7777, packed.modified().unwrap()), (0o604, time));
    assert!(packed.len() < text.len() as u64 / 4, "{}", packed.len());
    assert_eq!(pack(dir.path()), []);
}

#[test]
fn whoever_dies_at_any_point_loses_and_doubles_nothing() {
    let (dir, text) = with_a_day(40_000);
    assert!(text.len() > 3 * MEMBER);
    let part = dir.path().join(format!(".{NAME}.gz.part"));
    let mut steps = 0;
    loop {
        // A tick that has time for one piece.
        let finished = compress_old(dir.path(), date(2), &mut || false).unwrap();
        assert!(shown(dir.path()) == text, "after {steps} steps");
        if !finished.is_empty() {
            break;
        }
        steps += 1;
        // One that dies within the next: the first bytes of a piece are there, or a piece of nothing, or the head of one and
        // nothing of the rest.
        let mut torn = pack::member(&text[..MEMBER / 2]).unwrap();
        match steps % 3 {
            0 => torn.truncate(torn.len() / 2),
            1 => torn.fill(0),
            _ => torn[30..].fill(0),
        }
        OpenOptions::new().append(true).open(&part).unwrap().write_all(&torn).unwrap();
    }
    assert!(steps >= 3 && !part.exists() && unpacked(dir.path()) == text);
    // One that died between the end of packing and the removal.
    std::fs::write(dir.path().join(NAME), &text).unwrap();
    assert!(shown(dir.path()) == text);
    assert_eq!(pack(dir.path()), [date(1)]);
    assert!(names(dir.path()) == [format!("{NAME}.gz")] && unpacked(dir.path()) == text);
}

#[test]
fn what_a_part_holds_of_another_file_is_not_used() {
    let (dir, text) = with_a_day(40_000);
    let part = dir.path().join(format!(".{NAME}.gz.part"));
    std::fs::write(&part, pack::member(b"another day\n").unwrap()).unwrap();
    assert_eq!(pack(dir.path()), [date(1)]);
    assert!(unpacked(dir.path()) == text);
    // The day of a part is gone: so is what it was good for.
    std::fs::write(&part, pack::member(&text[..1_000]).unwrap()).unwrap();
    assert_eq!(pack(dir.path()), []);
    assert_eq!(names(dir.path()), [format!("{NAME}.gz")]);
}

#[test]
fn a_file_that_a_process_has_open_is_left_alone() {
    let (dir, text) = with_a_day(10);
    // 2026-11-01 23:00.
    let clock = Clock::manual(1_793_574_000_000);
    let settings = Settings {
        dir: dir.path().to_owned(),
        zone: chrono_tz::UTC,
        level: ::log::LevelFilter::Info,
        form: Form::Text,
        to_stderr: false,
    };
    let journal = Journal::open(settings, clock.clone()).unwrap();
    assert_eq!(pack(dir.path()), []);
    assert_eq!(remove_old(dir.path(), date(2), false), 0);
    // What a worker that is started then writes to; the journal's own handle goes, this one stays.
    let handle = journal.raw_handle().unwrap();
    clock.set(1_793_574_000_000 + 7_200_000);
    journal.turn();
    assert_eq!(pack(dir.path()), []);
    drop(handle);
    assert_eq!(pack(dir.path()), [date(1)]);
    assert!(unpacked(dir.path()) == text);
}

#[test]
fn lines_that_come_when_a_day_is_packed_already_are_kept() {
    let (dir, text) = with_a_day(10);
    assert_eq!(pack(dir.path()), [date(1)]);
    // Of a process whose clock was set back: another file of the same day.
    let late = b"2026-11-01T12:00:00.000+00:00 INFO late\n";
    std::fs::write(dir.path().join(NAME), late).unwrap();
    for _ in 0..2 {
        assert!(shown(dir.path()) == [&text[..], late].concat());
        assert_eq!(pack(dir.path()), []);
    }
    // To the file that was just packed, in the instant before it is removed.
    let whole = [&text[..], late].concat();
    std::fs::write(dir.path().join(NAME), &whole).unwrap();
    assert!(shown(dir.path()) == whole);
    assert_eq!(pack(dir.path()), [date(1)]);
    assert!(unpacked(dir.path()) == whole);
    // In the very last instant.
    let plain = File::open(dir.path().join(NAME.to_string() + ".gz")).unwrap();
    put_back(&plain, &dir.path().join("elsewhere"), 10).unwrap();
    let rest = std::fs::read(dir.path().join("elsewhere")).unwrap();
    assert_eq!(rest.len() as u64, plain.metadata().unwrap().len() - 10);
}

#[test]
fn files_of_others_are_read_and_left() {
    let (dir, text) = with_a_day(100);
    let mut foreign = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    foreign.write_all(&text).unwrap();
    std::fs::write(dir.path().join(NAME.to_string() + ".gz"), foreign.finish().unwrap()).unwrap();
    assert!(shown(dir.path()) == text, "a day that an admin packed, and kept, is shown once");
    assert_eq!(pack(dir.path()), []);
    std::fs::remove_file(dir.path().join(NAME)).unwrap();
    assert!(shown(dir.path()) == text);
    assert_eq!(remove_old(dir.path(), date(2), false), 1);
}

#[test]
fn the_packed_day_is_in_its_place_before_the_day_itself_goes() {
    use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
    let (dir, _) = with_a_day(10);
    let seen = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
    add_watch(&seen, dir.path(), WatchFlags::MOVED_TO | WatchFlags::DELETE).unwrap();
    assert_eq!(pack(dir.path()), [date(1)]);
    let mut room = [std::mem::MaybeUninit::uninit(); 4096];
    let mut events = Reader::new(&seen, &mut room);
    let mut name = || events.next().unwrap().file_name().unwrap().to_str().unwrap().to_string();
    assert_eq!([name(), name()], [format!("{NAME}.gz"), NAME.to_string()]);
}

#[test]
fn a_packed_day_is_asked_like_a_plain_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut lines =
        crate::log::Lines::new(::log::LevelFilter::Info, Form::Json, crate::log::Stamp::new(chrono_tz::UTC));
    // From 2026-11-01 00:00 on, two a second.
    let first_ms = 1_793_491_200_000;
    for i in 0..30_000_i64 {
        lines.add(
            first_ms + i * 500,
            ::log::Level::Info,
            &[("task", &(i % 1_000))],
            format_args!("{}", "x".repeat(50)),
        );
    }
    std::fs::write(dir.path().join(NAME), lines.bytes()).unwrap();
    let all = query(dir.path());
    let queries = [
        Query { since_ms: Some(first_ms + 14_000_000), ..all.clone() },
        Query { since_ms: Some(first_ms + 7_000_000), until_ms: Some(first_ms + 7_010_000), ..all.clone() },
        Query { last: Some(5), ..all.clone() },
        Query { last: Some(25), choice: Choice { task: Some(7), ..Choice::default() }, ..all.clone() },
        Query { last: Some(3), until_ms: Some(first_ms + 60_000), ..all.clone() },
    ];
    let plain: Vec<Vec<u8>> = queries.iter().map(answer).collect();
    let counts = plain.iter().map(|out| out.iter().filter(|byte| **byte == b'\n').count());
    assert_eq!(counts.collect::<Vec<_>>(), [2_000, 20, 5, 25, 3]);
    assert_eq!(pack(dir.path()), [date(1)]);
    assert!(
        super::pack::contents(&File::open(dir.path().join(NAME.to_string() + ".gz")).unwrap()).unwrap().len > 3 << 20
    );
    assert!(queries.iter().map(answer).eq(plain));
}

#[test]
fn what_lies_in_the_place_of_a_part_is_not_written_to() {
    let (dir, text) = with_a_day(10);
    let part = dir.path().join(format!(".{NAME}.gz.part"));
    let victim = dir.path().join("victim");
    std::fs::write(&victim, "mine").unwrap();
    for by_symlink in [true, false] {
        let planted =
            if by_symlink { std::os::unix::fs::symlink(&victim, &part) } else { std::fs::hard_link(&victim, &part) };
        planted.unwrap();
        assert!(compress_old(dir.path(), date(2), &mut || true).is_err());
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "mine");
        std::fs::remove_file(&part).unwrap();
    }
    // Nor is a link taken for a day.
    std::fs::rename(dir.path().join(NAME), dir.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", dir.path().join(NAME)).unwrap();
    assert_eq!(pack(dir.path()), []);
    assert!(std::fs::read(dir.path().join("elsewhere")).unwrap() == text);
}
