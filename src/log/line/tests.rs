use super::*;
use crate::log::entry::Entry;
use ::log::{Level, LevelFilter};

/// 2026-11-21 21:14:03.123 in Shanghai.
const NOW_MS: Millis = 1_795_266_843_123;
const HEAD: &str = "2026-11-21T21:14:03.123+08:00 INFO";

fn empty() -> Lines {
    Lines::new(LevelFilter::Info, Form::Text, Stamp::new(chrono_tz::Asia::Shanghai))
}

fn line_of(tags: &[(&str, &dyn fmt::Display)], text: &str) -> String {
    let mut lines = empty();
    lines.add(NOW_MS, Level::Info, tags, format_args!("{text}"));
    let line = String::from_utf8(lines.bytes().to_vec()).unwrap();
    line.strip_prefix(HEAD).and_then(|line| line.strip_suffix('\n')).unwrap().to_owned()
}

fn tags_in(line: &str) -> Vec<(String, String)> {
    let tags = Entry::read(line.as_bytes()).unwrap().tags;
    tags.into_iter().map(|(key, value)| (key.into_owned(), value.into_owned())).collect()
}

#[test]
fn lines_are_written_as_promised() {
    let mut lines = empty();
    lines.set_tags(written(Form::Text, &[("worker", &"3/10")]));
    let tags: [(&str, &dyn fmt::Display); 3] = [("task", &42), ("job", &"send_message"), ("attempt", &1)];
    lines.add(NOW_MS, Level::Info, &tags, format_args!("done run_ms={}", 12));
    lines.add(NOW_MS + 877, Level::Warn, &[], format_args!("the next second"));
    lines.add(NOW_MS, Level::Debug, &[], format_args!("below the level"));
    let expected = "2026-11-21T21:14:03.123+08:00 INFO worker=3/10 task=42 job=send_message attempt=1 done run_ms=12\n\
                    2026-11-21T21:14:04.000+08:00 WARN worker=3/10 the next second\n";
    assert_eq!(std::str::from_utf8(lines.bytes()).unwrap(), expected);
    assert_eq!(lines.len(), 2);
    lines.clear();
    assert!(lines.is_empty() && lines.bytes().is_empty());
}

#[test]
fn values_that_would_run_on_are_quoted() {
    assert_eq!(
        line_of(&[("a", &"b c"), ("d", &"e=f"), ("g", &"h\"i\\j k")], "x"),
        r#" a="b c" d="e=f" g="h\"i\\j k" x"#
    );
    assert_eq!(line_of(&[("empty", &""), ("class", &"App\\Mail")], ""), r#" empty="" class=App\Mail"#);
    assert_eq!(line_of(&[("a key=", &1), ("", &2)], ""), " a_key_=1 _=2");
    assert_eq!(line_of(&[("end", &"\\ ")], "task=1"), r#" end="\\ " - task=1"#);
}

#[test]
fn a_text_does_not_pass_for_a_tag() {
    assert_eq!(line_of(&[], "task=42 mine"), " - task=42 mine");
    assert_eq!(line_of(&[("task", &4)], "level=info"), " task=4 - level=info");
    assert_eq!(line_of(&[], " task=42"), "  task=42");
    assert_eq!(line_of(&[], "a task=42"), " a task=42");
    assert_eq!(line_of(&[], "=42"), " =42");
    assert_eq!(tags_in(&format!("{HEAD}  task=42")), []);
}

#[test]
fn what_steers_is_escaped() {
    assert_eq!(
        line_of(&[("k", &"a\nb")], "c\r\n\t\u{1b}[31m\u{7f}\u{9b}\u{0}"),
        r" k=a\nb c\r\n\t\u{1b}[31m\u{7f}\u{9b}\u{0}"
    );
    assert_eq!(line_of(&[], "\u{2028}\u{2029}\u{202e}\u{2066}\u{61c}"), r" \u{2028}\u{2029}\u{202e}\u{2066}\u{61c}");
    assert_eq!(line_of(&[("name", &"a b\n")], "你好, Ünïcode 🦀"), " name=\"a b\\n\" 你好, Ünïcode 🦀");
}

#[test]
fn a_backslash_is_doubled_where_it_would_be_misread() {
    assert_eq!(line_of(&[("class", &"App\\new")], r"C:\temp\x"), r" class=App\\new C:\\temp\x");
    assert_eq!(line_of(&[], "a\\\n"), r" a\\\n");
    assert_eq!(line_of(&[], "at the end \\"), r" at the end \");
}

#[test]
fn json_is_written_as_promised() {
    let mut lines = Lines::new(LevelFilter::Info, Form::Json, Stamp::new(chrono_tz::Asia::Shanghai));
    lines.set_tags(written(Form::Json, &[("worker", &"3/10")]));
    let tags: [(&str, &dyn fmt::Display); 3] = [("task", &42), ("job", &"42"), ("attempt", &1)];
    lines.add(NOW_MS, Level::Info, &tags, format_args!("done run_ms={}", 12));
    lines.add(NOW_MS, Level::Warn, &[("task", &"007"), ("text", &"x")], format_args!("\"\\\n\t\u{1b}\u{9b}\u{202e}ü"));
    let expected = "{\"time\":\"2026-11-21T21:14:03.123+08:00\",\"level\":\"INFO\",\"worker\":\"3/10\",\"task\":42,\
                    \"job\":\"42\",\"attempt\":1,\"text\":\"done run_ms=12\"}\n\
                    {\"time\":\"2026-11-21T21:14:03.123+08:00\",\"level\":\"WARN\",\"worker\":\"3/10\",\"task\":\"007\",\
                    \"_text\":\"x\",\"text\":\"\\\"\\\\\\n\\t\\u001b\\u009b\\u202eü\"}\n";
    assert_eq!(std::str::from_utf8(lines.bytes()).unwrap(), expected);
}

#[test]
fn a_line_whose_writing_panics_leaves_nothing() {
    struct Panics;
    impl fmt::Display for Panics {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half")?;
            panic!("within a line")
        }
    }
    let mut lines = empty();
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        lines.add(NOW_MS, Level::Info, &[], format_args!("{Panics}"));
    }));
    assert!(unwound.is_err() && lines.bytes().is_empty());
    lines.add(NOW_MS, Level::Info, &[], format_args!("whole"));
    assert_eq!(lines.bytes(), format!("{HEAD} whole\n").as_bytes());
}
