//! A line of `enqueue --from`: any bytes are a task or refused in words; a task passes the row contract's checks, and its own
//! words give the same task again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rowmill::{Codec, NewTask};
use serde_json::{Value, json, value::RawValue};

/// The task as a line, which can be said only of params that are text.
fn line(task: &NewTask) -> Option<String> {
    let text = std::str::from_utf8(&task.param).ok()?;
    let mut object = json!({
        "job": task.job, "codec": task.codec.word(), "priority": task.priority, "run_at": task.run_at_ms,
        "unique_key": task.unique_key, "max_attempts": task.max_attempts,
    });
    if task.codec != Codec::Json {
        object["param"] = Value::from(text);
        return Some(object.to_string());
    }
    if text.is_empty() {
        return Some(object.to_string());
    }
    serde_json::from_str::<&RawValue>(text).expect("a JSON param is JSON");
    let object = object.to_string();
    Some(format!("{},\"param\":{text}}}", object.strip_suffix('}')?))
}

fuzz_target!(|bytes: &[u8]| match NewTask::from_json(bytes) {
    Err(words) => assert!(!words.is_empty() && words.len() < 2_000 && !words.contains(char::is_control), "{words:?}"),
    Ok(task) => {
        assert_eq!(task.refusal(), None);
        if let Some(line) = line(&task) {
            assert_eq!(NewTask::from_json(line.as_bytes()), Ok(task), "{line}");
        }
    }
});
