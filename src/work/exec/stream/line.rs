//! A task as the line that a stream is given: one JSON object, its keys always in the same order, `id` first, then the
//! token where there are such, and `param` last, so that a shell can take it apart as well.
//!
//! A param of the codec `json` stands there as it is in the row, but for line ends between its parts; one that is not JSON
//! is not given to anybody. Of any other codec it is a text, or base64 where it is not UTF-8.

use super::base64;
use crate::task::{Codec, Task};
use crate::work::Context;
use serde_json::value::RawValue;

/// The line of a task, its end included. The error is that of a param that is not JSON though it should be.
pub(super) fn of(task: &Task, cx: &Context, token: Option<u8>, line: &mut Vec<u8>) -> Result<(), String> {
    let start = line.len();
    number(line, b"{\"id\":", cx.task_id());
    if let Some(token) = token {
        number(line, b",\"token\":", token.into());
    }
    text(line, b",\"job\":", cx.job());
    number(line, b",\"attempt\":", cx.attempt().into());
    number(line, b",\"max_attempts\":", cx.max_attempts().into());
    number(line, b",\"priority\":", cx.priority());
    number(line, b",\"worker\":", cx.worker().into());
    text(line, b",\"idempotency_key\":", &cx.idempotency_key());
    text(line, b",\"codec\":", task.codec.word());
    let param = param(task, line);
    if param.is_err() {
        line.truncate(start);
    }
    line.extend_from_slice(if param.is_ok() { b"}\n" } else { b"" });
    param
}

fn number(line: &mut Vec<u8>, key: &[u8], value: i64) {
    line.extend_from_slice(key);
    line.extend_from_slice(value.to_string().as_bytes());
}

fn text(line: &mut Vec<u8>, key: &[u8], value: &str) {
    line.extend_from_slice(key);
    // A text always has a JSON, and a Vec takes it.
    let _ = serde_json::to_writer(line, value);
}

fn param(task: &Task, line: &mut Vec<u8>) -> Result<(), String> {
    match (task.codec, std::str::from_utf8(&task.param)) {
        (Codec::Json, _) if task.param.is_empty() => line.extend_from_slice(b",\"param\":null"),
        (Codec::Json, _) => {
            let wrong = |e| format!("the param is not the JSON that its codec says: {e}");
            let raw: &RawValue = serde_json::from_slice(&task.param).map_err(wrong)?;
            line.extend_from_slice(b",\"param\":");
            // Within JSON's texts there are no line ends, so these stand between its parts.
            line.extend(raw.get().bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
        }
        (_, Ok(readable)) => text(line, b",\"param\":", readable),
        (_, Err(_)) => {
            line.extend_from_slice(b",\"param_base64\":\"");
            line.extend_from_slice(base64::encode(&task.param).as_bytes());
            line.push(b'"');
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn line_of(codec: Codec, param: &[u8], token: Option<u8>) -> Result<String, String> {
        let task = Task {
            id: 7,
            job: "it's \"j\"\n".into(),
            param: param.to_vec(),
            codec,
            priority: -3,
            attempts_charged: 1,
            max_attempts: None,
            careful: false,
        };
        let cx = Context { task: 7, job: task.job.clone(), attempt: 2, max_attempts: 5, priority: -3, worker: 4 };
        let mut line = b"before\n".to_vec();
        let said = of(&task, &cx, token, &mut line);
        let line = String::from_utf8(line).unwrap().strip_prefix("before\n").unwrap().to_string();
        assert_eq!(said.is_err(), line.is_empty(), "{line}");
        said.map(|()| line)
    }

    fn object(line: Result<String, String>) -> Value {
        serde_json::from_str(&line.unwrap()).unwrap()
    }

    #[test]
    fn a_line_says_all_about_its_task() {
        let line = line_of(Codec::Json, b"{\"a\": [1,\r\n2.50]}", Some(200)).unwrap();
        assert_eq!(
            line,
            "{\"id\":7,\"token\":200,\"job\":\"it's \\\"j\\\"\\n\",\"attempt\":2,\"max_attempts\":5,\"priority\":-3,\"worker\":4,\
             \"idempotency_key\":\"rowmill-7\",\"codec\":\"json\",\"param\":{\"a\": [1,  2.50]}}\n"
        );
    }

    #[test]
    fn params_of_every_codec_arrive() {
        let param = |codec, bytes: &[u8]| object(line_of(codec, bytes, None))["param"].clone();
        assert_eq!(param(Codec::Json, b""), Value::Null);
        let long = line_of(Codec::Json, b" 12345678901234567890123 ", None).unwrap();
        assert!(long.ends_with(",\"param\":12345678901234567890123}\n"), "as it is written: {long}");
        assert_eq!(param(Codec::Form, b"a=1&b[]=2"), json!("a=1&b[]=2"));
        assert_eq!(param(Codec::Text, b"a\n\"b\"\0"), json!("a\n\"b\"\0"));
        let binary = object(line_of(Codec::Bincode, b"\xff\x00\xfe", None));
        assert_eq!((binary["param_base64"].clone(), binary.get("param")), (json!("/wD+"), None));
    }

    #[test]
    fn what_is_not_json_is_given_to_nobody() {
        for wrong in [&b"{"[..], b"{} {}", b"\xff", b"nul", b"\"\n\""] {
            let reason = line_of(Codec::Json, wrong, None).unwrap_err();
            assert!(reason.starts_with("the param is not the JSON that its codec says: "), "{reason}");
        }
    }

    proptest! {
        #[test]
        fn it_is_one_line_whatever_the_param(
            bytes in proptest::collection::vec(any::<u8>(), 0..60), text in "[\\[\\]{}:,\"\n\r a0]{0,12}",
        ) {
            for codec in [Codec::Json, Codec::Form, Codec::Text, Codec::Bincode] {
                for param in [&bytes[..], text.as_bytes()] {
                    if let Ok(line) = line_of(codec, param, None) {
                        prop_assert!(line.ends_with("}\n") && line.matches('\n').count() == 1, "{line}");
                        prop_assert!(serde_json::from_str::<Value>(&line).is_ok(), "{line}");
                    }
                }
            }
        }
    }
}
