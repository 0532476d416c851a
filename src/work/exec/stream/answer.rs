//! What a line on a stream's standard output is: the answer to a task, or something that was printed by the way.
//!
//! A line that is a JSON object with a number as its `id` is an answer; one that begins like an answer and is not JSON is
//! none, and nothing that comes after it can be trusted. All else is output, as of any other program.

use super::base64;
use crate::task::{Cause, Ending, Outcome};
use crate::work::exec::pipes::RESULT;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A line of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// How the task of this id ended. One that failed may not say why.
    Answer(i64, Answer),
    /// It should have been an answer: in these words.
    Garbled(String),
    /// It was printed by the way.
    Output,
}

/// How a task ended, in the words of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Plain(Ending),
    /// It failed, or is rejected if that is true, for the reason that it gives.
    Failed {
        reject: bool,
        error: Option<String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    id: i64,
    ok: bool,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    result_base64: Option<String>,
    error: Option<String>,
    #[serde(default)]
    reject: bool,
    snooze_ms: Option<u64>,
}

/// Which task is meant, whatever else is wrong with its answer.
#[derive(Deserialize)]
struct Id {
    id: i64,
}

/// Reads a line, without its end.
pub(super) fn read(line: &[u8]) -> Said {
    let line = line.trim_ascii();
    if !line.starts_with(b"{") {
        return Said::Output;
    }
    match serde_json::from_slice::<Wire<'_>>(line) {
        Ok(wire) => Said::Answer(wire.id, meaning(wire)),
        Err(wrong) => match serde_json::from_slice::<Id>(line) {
            Ok(Id { id }) => Said::Answer(id, misunderstood(&wrong.to_string())),
            // Where the JSON is right, the error would quote it.
            Err(e) if line.starts_with(b"{\"id\"") => Said::Garbled(match e.is_data() {
                true => "an answer of it has no `id` that is a number".to_string(),
                false => format!("an answer of it is not JSON: {e}"),
            }),
            Err(_) => Said::Output,
        },
    }
}

/// Why it cannot be understood may quote it: so these are its words as well.
fn misunderstood(why: &str) -> Answer {
    let words = format!("its answer cannot be understood: {why}; docs/stream.md says what it may be");
    Answer::Failed { reject: false, error: Some(words) }
}

fn meaning(wire: Wire<'_>) -> Answer {
    let Wire { ok, result, result_base64, error, reject, snooze_ms, .. } = wire;
    let has_result = result.is_some() || result_base64.is_some();
    if ok && (error.is_some() || reject || snooze_ms.is_some()) {
        return misunderstood("it is `ok`, and has an `error`, `reject` or `snooze_ms`");
    }
    if !ok && has_result {
        return misunderstood("it is not `ok`, and has a result");
    }
    if snooze_ms.is_some() && (reject || error.is_some()) {
        return misunderstood("it has `snooze_ms`, and an `error` or `reject`");
    }
    match (ok, snooze_ms) {
        (true, _) => done(result, result_base64),
        (false, Some(delay_ms)) => Answer::Plain(Ending::Answered(Outcome::Snooze { delay_ms })),
        (false, None) => Answer::Failed { reject, error },
    }
}

/// A text is kept as it is, any other value as the JSON that was written.
fn done(result: Option<&RawValue>, result_base64: Option<String>) -> Answer {
    let bytes = match (result.map(RawValue::get), result_base64) {
        (Some(_), Some(_)) => return misunderstood("it has two results"),
        (None, None) => return Answer::Plain(Ending::Answered(Outcome::done())),
        (None, Some(text)) => match base64::decode(&text) {
            Some(bytes) => bytes,
            None => return misunderstood("`result_base64` is not base64"),
        },
        (Some(raw), None) => match serde_json::from_str::<String>(raw) {
            Ok(text) => text.into_bytes(),
            Err(_) => raw.as_bytes().to_vec(),
        },
    };
    if bytes.len() > RESULT {
        let words = format!(
            "it ended well, but its result has {} bytes, and at most {RESULT} are kept; write it to a file, and the \
             file's name as the result",
            bytes.len()
        );
        return Answer::Plain(Ending::Failed(Cause::Error(words)));
    }
    Answer::Plain(Ending::Answered(Outcome::with_result(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(ending: Ending) -> Said {
        Said::Answer(7, Answer::Plain(ending))
    }

    fn with_result(text: &str) -> Said {
        plain(Ending::Answered(Outcome::with_result(text)))
    }

    #[test]
    fn every_answer_is_understood() {
        for (line, wanted) in [
            (r#"{"id":7,"ok":true}"#, plain(Ending::Answered(Outcome::done()))),
            (r#" {"ok": true, "id": 7, "result": null} "#, plain(Ending::Answered(Outcome::done()))),
            (r#"{"id":7,"ok":true,"result":"a\nü"}"#, with_result("a\nü")),
            (r#"{"id":7,"ok":true,"result":{"a": [1.50]}}"#, with_result(r#"{"a": [1.50]}"#)),
            (r#"{"id":7,"ok":true,"result_base64":"Zm8="}"#, with_result("fo")),
            (r#"{"id":7,"ok":false,"error":"no"}"#, failed(false, Some("no"))),
            (r#"{"id":7,"ok":false}"#, failed(false, None)),
            (r#"{"id":7,"ok":false,"reject":true,"error":"never"}"#, failed(true, Some("never"))),
            (r#"{"id":7,"ok":false,"snooze_ms":60000}"#, plain(Ending::Answered(Outcome::Snooze { delay_ms: 60_000 }))),
        ] {
            assert_eq!(read(line.as_bytes()), wanted, "{line}");
        }
    }

    fn failed(reject: bool, error: Option<&str>) -> Said {
        Said::Answer(7, Answer::Failed { reject, error: error.map(str::to_string) })
    }

    #[test]
    fn an_answer_that_says_too_much_or_too_little_is_a_failed_attempt() {
        for (line, words) in [
            (r#"{"id":7}"#, "missing field `ok`"),
            (r#"{"id":7,"ok":"yes"}"#, "invalid type: string \"yes\", expected a boolean"),
            (r#"{"id":7,"ok":true,"reult":1}"#, "unknown field `reult`"),
            (r#"{"id":7,"ok":true,"error":"x"}"#, "it is `ok`, and has an `error`"),
            (r#"{"id":7,"ok":false,"result":1}"#, "it is not `ok`, and has a result"),
            (r#"{"id":7,"ok":true,"result":1,"result_base64":""}"#, "it has two results"),
            (r#"{"id":7,"ok":true,"result_base64":"?"}"#, "`result_base64` is not base64"),
            (r#"{"id":7,"ok":false,"snooze_ms":1,"reject":true}"#, "it has `snooze_ms`, and"),
            (r#"{"id":7,"ok":false,"snooze_ms":-1}"#, "invalid value: integer `-1`"),
        ] {
            let Said::Answer(7, Answer::Failed { reject: false, error: Some(said) }) = read(line.as_bytes()) else {
                panic!("{line}: {:?}", read(line.as_bytes()))
            };
            assert!(said.contains(words), "{line}: {said}");
        }
        let full = format!("{{\"id\":7,\"ok\":true,\"result\":\"{}\"}}", "x".repeat(RESULT));
        assert_eq!(read(full.as_bytes()), with_result(&"x".repeat(RESULT)));
        let Said::Answer(_, Answer::Plain(Ending::Failed(cause))) = read(full.replacen('x', "xx", 1).as_bytes()) else {
            panic!("a result that is too long")
        };
        assert!(cause.text().contains("1048577 bytes, and at most 1048576 are kept"), "{}", cause.text());
    }

    #[test]
    fn what_is_no_answer_is_output_unless_it_began_as_one() {
        for line in ["", "hello", "[1]", "{", "{\"level\":\"info\"}", "{not json", "{ \"id\": \"x\" }", "7"] {
            assert_eq!(read(line.as_bytes()), Said::Output, "{line}");
        }
        for line in [
            "{\"id\":7,\"ok\":tr",
            "{\"id\":\"x\",\"ok\":true}",
            "{\"id\":7,\"ok\":true}{\"id\":8,\"ok\":true}",
            "{\"id\"",
        ] {
            assert!(matches!(read(line.as_bytes()), Said::Garbled(_)), "{line}");
        }
        let not_text = read(b"{\"id\":7,\"ok\":true,\"result\":\"\xff\"}");
        assert!(matches!(not_text, Said::Answer(7, Answer::Failed { reject: false, .. })), "{not_text:?}");
    }

    proptest! {
        #[test]
        fn no_line_is_too_strange(line in proptest::collection::vec(any::<u8>(), 0..80), tail in "[{}\\[\\]:,\"a-z0-9]{0,40}") {
            read(&line);
            read(format!("{{\"id\"{tail}").as_bytes());
        }
    }
}
