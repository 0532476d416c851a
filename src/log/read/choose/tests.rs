use super::*;

const TEXT: &str = "2026-11-21T21:14:03.123+08:00 WARN worker=3/10 task=4 job=mail from=stderr a\\tb\\u{1b}[31m c\\\\n";
const JSON: &str = "{\"time\":\"2026-11-21T21:14:03.123+08:00\",\"level\":\"WARN\",\"worker\":\"3/10\",\"task\":4,\
                    \"job\":\"mail\",\"from\":\"stderr\",\"text\":\"a\\tb\\u001b[31m c\\\\n\"}";

fn put(view: View, line: &str, only_output: bool) -> String {
    let mut page = Vec::new();
    view.put(&mut page, line.as_bytes(), only_output);
    String::from_utf8(page).unwrap()
}

#[test]
fn both_forms_are_chosen_alike() {
    let all = Choice {
        task: Some(4),
        worker: Some(3),
        job: Some("mail".into()),
        level: Some(::log::Level::Warn),
        output: true,
    };
    for line in [TEXT, JSON] {
        assert!(all.takes(line.as_bytes()), "{line}");
        for choice in [
            Choice { task: Some(3), ..all.clone() },
            Choice { worker: Some(10), ..all.clone() },
            Choice { job: Some("mai".into()), ..all.clone() },
            Choice { level: Some(::log::Level::Error), ..all.clone() },
        ] {
            assert!(!choice.takes(line.as_bytes()), "{choice:?} takes {line}");
        }
        assert!(!all.takes(line.replace("from", "for").as_bytes()), "that is a word of the engine");
    }
    assert!(!all.takes(b"raw") && Choice::default().takes(b"raw"));
}

#[test]
fn a_line_is_shown_in_the_form_that_is_asked_for() {
    for line in [TEXT, JSON] {
        assert_eq!(put(View::default(), line, false), format!("{line}\n"));
        assert_eq!(put(View { form: Some(Form::Text), ..View::default() }, line, false), format!("{TEXT}\n"));
        assert_eq!(put(View { form: Some(Form::Json), ..View::default() }, line, false), format!("{JSON}\n"));
    }
    let raw = "raw \"\x1b[31m";
    assert_eq!(put(View { form: Some(Form::Text), ..View::default() }, raw, false), "raw \"\\u{1b}[31m\n");
    assert_eq!(
        put(View { form: Some(Form::Json), ..View::default() }, raw, false),
        "{\"text\":\"raw \\\"\\u001b[31m\"}\n"
    );
}

#[test]
fn output_is_raw_but_for_what_steers_a_terminal() {
    for line in [TEXT, JSON] {
        assert_eq!(put(View::default(), line, true), "a\tb\x1b[31m c\\n\n");
        assert_eq!(put(View { terminal: true, ..View::default() }, line, true), "a\tb\\u{1b}[31m c\\n\n");
    }
}

#[test]
fn colours_are_those_of_the_level_word_alone() {
    let view = View { colours: true, ..View::default() };
    let head = "2026-11-21T21:14:03.123+08:00";
    assert_eq!(put(view, &format!("{head} ERROR task=1 x"), false), format!("{head} \x1b[31mERROR\x1b[0m task=1 x\n"));
    assert_eq!(put(view, &format!("{head} WARN x"), false), format!("{head} \x1b[33mWARN\x1b[0m x\n"));
    for plain in [format!("{head} INFO WARN x"), JSON.to_string(), "ERROR".to_string()] {
        assert_eq!(put(view, &plain, false), format!("{plain}\n"));
    }
    let painted = put(View { form: Some(Form::Text), ..view }, JSON, false);
    assert!(painted.starts_with(&format!("{head} \x1b[33mWARN\x1b[0m worker=3/10 ")), "{painted}");
}
