use super::*;
use ::log::{Level, LevelFilter};
use proptest::prelude::*;

/// 2026-11-21 21:14:03.123 in Shanghai.
const NOW_MS: Millis = 1_795_266_843_123;
const HEAD: &str = "2026-11-21T21:14:03.123+08:00 INFO";

fn empty() -> Lines {
    Lines::new(LevelFilter::Info, Stamp::new(chrono_tz::Asia::Shanghai))
}

fn line_of(tags: &[(&str, &dyn fmt::Display)], text: &str) -> String {
    let mut lines = empty();
    lines.add(NOW_MS, Level::Info, tags, format_args!("{text}"));
    let line = String::from_utf8(lines.bytes().to_vec()).unwrap();
    line.strip_prefix(HEAD).and_then(|line| line.strip_suffix('\n')).unwrap().to_owned()
}

fn tags_in(line: &[u8]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    tags_of(line).unwrap().map(|(key, value)| (text(key), text(value))).collect()
}

#[test]
fn lines_are_written_as_promised() {
    let mut lines = empty();
    lines.set_tags(written(&[("worker", &"3/10")]));
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
    assert_eq!(tags_in(format!("{HEAD}  task=42").as_bytes()), []);
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
fn other_lines_have_no_tags() {
    for line in
        ["", "thread 'main' panicked", HEAD.trim_end_matches(" INFO"), "2026-11-21T21:14:03.123+08:00 INFOR a=b"]
    {
        assert!(tags_of(line.as_bytes()).is_none(), "{line}");
    }
    assert_eq!(tags_in(format!("{HEAD} a=\"open").as_bytes()), []);
    assert_eq!(tags_in(format!("{HEAD} a=\"open\\").as_bytes()), []);
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

/// Text in which the characters that matter are frequent.
fn nasty() -> impl Strategy<Value = String> {
    let special = " =\"\\\n\r\t\u{1b}\u{7f}\u{85}\u{9b}\u{2028}\u{202e}\u{2066}-_.a1".chars().collect::<Vec<_>>();
    let c = prop_oneof![3 => proptest::sample::select(special), 1 => any::<char>()];
    proptest::collection::vec(c, 0..12).prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #[test]
    fn no_input_makes_another_line_or_another_tag(
        tags in proptest::collection::vec((nasty(), nasty()), 0..4),
        pieces in (nasty(), nasty()),
        now_ms in any::<i64>(),
    ) {
        let given: Vec<(&str, &dyn fmt::Display)> = tags.iter().map(|(key, value)| (&**key, value as &dyn fmt::Display)).collect();
        let mut lines = empty();
        lines.add(now_ms, Level::Error, &given, format_args!("{}{}", pieces.0, pieces.1));
        let text = std::str::from_utf8(lines.bytes()).unwrap();
        let line = text.strip_suffix('\n').unwrap();
        prop_assert!(!line.contains(is_steering), "{:?}", line);
        let found = tags_in(line.as_bytes());
        prop_assert_eq!(found.len(), tags.len(), "{:?}", line);
        for ((_, value), (_, written)) in tags.iter().zip(&found) {
            if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                prop_assert_eq!(value, written);
            }
        }
    }
}
