//! What a panic leaves behind: a line of the log like any other, with who it was.

use super::trial::installed;
use serde_json::Value;

#[test]
fn a_panic_is_one_line_of_the_log() {
    let here = installed("workers = 2\nlog_format = \"json\"\n");
    here.sql().execute("INSERT INTO queue (job, param, max_attempts) VALUES ('break', '1', 1)", []).unwrap();
    assert_eq!(here.run(&["drain"]).code, Some(1));
    let lines: Vec<Value> = here.log().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let text = |line: &Value| line["text"].as_str().unwrap().to_string();
    let panics: Vec<&Value> =
        lines.iter().filter(|line| text(line).starts_with("thread runner panicked at ")).collect();
    let [panic] = panics[..] else { panic!("{lines:?}") };
    assert!(
        panic["level"] == "ERROR"
            && panic["worker"].as_str().unwrap().ends_with("/2")
            && text(panic).contains("trial.rs:"),
        "{panic}"
    );
    assert!(text(panic).contains(": two\nlines"), "{panic}");
}
