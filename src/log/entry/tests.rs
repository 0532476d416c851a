use super::*;
use crate::log::Lines;
use crate::log::line::is_steering;
use crate::log::stamp::Stamp;
use ::log::{Level, LevelFilter};
use proptest::prelude::*;

const HEAD: &str = "2026-11-21T21:14:03.123+08:00 INFO";

fn written(form: Form, now_ms: Millis, tags: &[(&str, &dyn fmt::Display)], text: &str) -> Vec<u8> {
    let mut lines = Lines::new(LevelFilter::Info, form, Stamp::new(chrono_tz::Asia::Shanghai));
    let (begin, end) = text.split_at(text.char_indices().nth(3).map_or(text.len(), |(at, _)| at));
    // In two pieces, as a format string gives it.
    lines.add(now_ms, Level::Warn, tags, format_args!("{begin}{end}"));
    lines.bytes().to_vec()
}

#[test]
fn what_is_not_a_line_is_no_entry() {
    for line in [
        "",
        "thread 'main' panicked",
        HEAD.trim_end_matches(" INFO"),
        "2026-11-21T21:14:03.123+08:00 INFOR a=b",
        "2026-13-21T21:14:03.123+08:00 INFO a=b",
        r#"{"time":"yesterday","level":"INFO","text":""}"#,
        r#"{"time":"2026-11-21T21:14:03.123+08:00","level":"LOUD","text":""}"#,
        r#"{"time":"2026-11-21T21:14:03.123+08:00","text":""}"#,
        r#"{"time":"2026-11-21T21:14:03.123+08:00","level":"INFO","text":"#,
        r#"{"time":"2026-11-21T21:14:03.123+08:00","level":"INFO","text":""} more"#,
        r#"{"time":"2026-11-21T21:14:03.123+08:00","level":"INFO","task":[42],"text":""}"#,
        r#"{"level":"INFO","time":"2026-11-21T21:14:03.123+08:00","text":""}"#,
    ] {
        assert_eq!(Entry::read(line.as_bytes()), None, "{line}");
    }
    for open in [" a=\"open", " a=\"open\\"] {
        let line = format!("{HEAD}{open}");
        let entry = Entry::read(line.as_bytes()).unwrap();
        assert!(entry.tags.is_empty() && entry.text == open[1..], "{entry:?}");
    }
}

#[test]
fn the_time_is_read_from_the_head_alone() {
    let at = Some(1_795_266_843_123);
    assert_eq!(time_of(HEAD.as_bytes()), at);
    let json = written(Form::Json, 1_795_266_843_123, &[], "x");
    assert_eq!(time_of(&json[..HEAD_LEN]), at);
    assert_eq!(time_of(&json[..HEAD_LEN - 1]), None);
}

/// Text in which the characters that matter are frequent.
fn nasty() -> impl Strategy<Value = String> {
    let special = " =\"\\\n\r\t\u{1b}\u{7f}\u{85}\u{9b}\u{2028}\u{202e}\u{2066}-_.a1nrtu{}".chars().collect::<Vec<_>>();
    let c = prop_oneof![3 => proptest::sample::select(special), 1 => any::<char>()];
    let chars = proptest::collection::vec(c, 0..12).prop_map(|chars| chars.into_iter().collect());
    let begins = ["", "- ", "- - ", "task=4", "- task=4 ", "\\u{1b}", "{\"time\":\""];
    let bytes = proptest::collection::vec(any::<u8>(), 0..40).prop_map(|b| String::from_utf8_lossy(&b).into_owned());
    prop_oneof![4 => (proptest::sample::select(begins.to_vec()), chars).prop_map(|(b, c): (_, String)| b.to_string() + &c), 1 => bytes]
}

proptest! {
    #[test]
    fn one_record_is_one_line_that_reads_back(
        values in proptest::collection::vec(nasty(), 0..4),
        text in nasty(),
        now_ms in 0..4_000_000_000_000_i64,
    ) {
        let keys = ["worker", "task", "job", "a.b"];
        let tags: Vec<(&str, &dyn fmt::Display)> = keys.into_iter().zip(values.iter().map(|value| value as _)).collect();
        for form in [Form::Text, Form::Json] {
            let bytes = written(form, now_ms, &tags, &text);
            let whole = std::str::from_utf8(&bytes).unwrap();
            let line = whole.strip_suffix('\n').unwrap();
            prop_assert!(!line.contains(is_steering), "{:?}", line);
            let entry = Entry::read(line.as_bytes()).expect("a line of this log");
            prop_assert_eq!(time_of(line.as_bytes()), Some(now_ms));
            prop_assert_eq!(entry.level, Level::Warn);
            prop_assert_eq!(&*entry.text, text.as_str(), "{}", line);
            let found: Vec<(&str, &str)> = entry.tags.iter().map(|(key, value)| (&**key, &**value)).collect();
            let given: Vec<(&str, &str)> = keys.into_iter().zip(values.iter().map(String::as_str)).collect();
            prop_assert_eq!(found, given, "{}", line);
            // Said again, in whichever form, it is what it would have been.
            for other in [Form::Text, Form::Json] {
                let mut again = Vec::new();
                entry.put(&mut again, other);
                prop_assert_eq!(again, written(other, now_ms, &tags, &text));
            }
        }
    }

    #[test]
    fn keys_of_any_kind_make_no_other_line(key in nasty(), value in nasty(), text in nasty()) {
        for form in [Form::Text, Form::Json] {
            let bytes = written(form, 0, &[(key.as_str(), &value)], &text);
            let line = bytes.strip_suffix(b"\n").unwrap();
            let entry = Entry::read(line).expect("a line of this log");
            prop_assert!(!line.contains(&b'\n') && entry.text == text.as_str());
            prop_assert!(entry.tags.len() == 1 && entry.tags[0].1 == value.as_str());
        }
    }

    #[test]
    fn whatever_stands_in_a_file_can_be_looked_at(bytes in proptest::collection::vec(any::<u8>(), 0..80), cut in 0..60_usize) {
        let _ = (Entry::read(&bytes), time_of(&bytes));
        for form in [Form::Text, Form::Json] {
            let line = written(form, 0, &[("task", &1)], "x");
            let _ = Entry::read(&[&line[..cut.min(line.len())], &bytes].concat());
        }
    }
}
