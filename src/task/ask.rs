//! Asking for a task: what the row contract takes, and its form as JSON.
//!
//! An object has the names of the row's columns. What is left out, or null, has the column's default. Names that are no
//! columns, or belong to the engine, are refused, so that a slip of the pen is not lost.

use super::{Codec, NewTask};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The columns that an application may set.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked<'a> {
    job: String,
    #[serde(default, borrow, deserialize_with = "as_written")]
    param: Option<&'a RawValue>,
    codec: Option<String>,
    priority: Option<i64>,
    run_at: Option<i64>,
    unique_key: Option<String>,
    max_attempts: Option<u32>,
}

/// A null that stands there is a param.
fn as_written<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

impl NewTask {
    /// Reads a JSON object with the names of the row contract: `job`, `param`, `codec`, `priority`, `run_at`, `unique_key`,
    /// `max_attempts`. With the codec `json` the param is any value, kept as it is written; with the others it is a
    /// string. The error says what is wrong, refusals of the row contract's CHECKs included.
    pub fn from_json(text: &[u8]) -> Result<NewTask, String> {
        let asked: Asked<'_> = serde_json::from_slice(text).map_err(|e| words(&e))?;
        let codec = match &asked.codec {
            None => Codec::default(),
            Some(word) => Codec::from_word(word).ok_or("codec must be json, form, bincode or text")?,
        };
        let param = match asked.param {
            None => Vec::new(),
            Some(value) if codec == Codec::Json => value.get().as_bytes().to_vec(),
            Some(value) => serde_json::from_str::<String>(value.get())
                .map_err(|_| format!("with the codec {codec} the param must be a string"))?
                .into_bytes(),
        };
        let task = NewTask {
            job: asked.job,
            param,
            codec,
            priority: asked.priority.unwrap_or(0),
            run_at_ms: asked.run_at,
            unique_key: asked.unique_key,
            max_attempts: asked.max_attempts,
        };
        match task.refusal() {
            Some(words) => Err(words.to_string()),
            None => Ok(task),
        }
    }

    /// What the row contract's CHECKs would say of it, in their words; `None` when they would take it. The database has
    /// the last word: this is for whoever wants to know before.
    pub fn refusal(&self) -> Option<&'static str> {
        // As SQLite counts: characters, up to the first NUL.
        let length = |text: &str| text.chars().take_while(|c| *c != '\0').count();
        let refusals = [
            (!(1..=200).contains(&length(&self.job)), "job must be a name of 1 to 200 characters"),
            (self.param.len() > 16_777_216, "param must be text or bytes of at most 16777216 bytes"),
            (i32::try_from(self.priority).is_err(), "priority must be an integer from -2147483648 to 2147483647"),
            (
                self.run_at_ms.is_some_and(|at| !(100_000_000_000..=253_402_300_799_999).contains(&at)),
                "run_at must be UTC milliseconds, an integer from 100000000000 on (smaller looks like seconds)",
            ),
            (
                self.unique_key.as_ref().is_some_and(|key| !(1..=500).contains(&length(key))),
                "unique_key must be a text of 1 to 500 characters",
            ),
            (
                self.max_attempts.is_some_and(|n| !(1..=1000).contains(&n)),
                "max_attempts must be an integer from 1 to 1000",
            ),
        ];
        refusals.into_iter().find_map(|(refused, words)| refused.then_some(words))
    }
}

/// The most characters of words that quote what somebody wrote.
const LONGEST: usize = 300;

/// The words of an error, with the column in place of a line that is always the first. They are one line, and not long,
/// though names that nobody knows stand in them.
fn words(e: &serde_json::Error) -> String {
    let text = e.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    let mut said = String::new();
    for (count, c) in what.chars().enumerate() {
        if count == LONGEST {
            said.push('…');
            break;
        }
        if c.is_control() { said.extend(c.escape_default()) } else { said.push(c) }
    }
    format!("{said} (column {})", e.column())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_object_says_what_a_row_would() {
        let full = r#"{"job":"j","param":{"b": 1,"a":[ ]},"codec":"json","priority":-3,"run_at":100000000000,
            "unique_key":"k","max_attempts":7}"#;
        let task = NewTask {
            job: "j".into(),
            param: br#"{"b": 1,"a":[ ]}"#.to_vec(),
            codec: Codec::Json,
            priority: -3,
            run_at_ms: Some(100_000_000_000),
            unique_key: Some("k".into()),
            max_attempts: Some(7),
        };
        assert_eq!(NewTask::from_json(full.as_bytes()), Ok(task));
        let plain = NewTask { job: "j".into(), ..NewTask::default() };
        assert_eq!(NewTask::from_json(br#"{"job":"j"}"#), Ok(plain.clone()));
        let nulls = br#"{"job":"j","codec":null,"priority":null,"run_at":null,"unique_key":null,"max_attempts":null}"#;
        assert_eq!(NewTask::from_json(nulls), Ok(plain));
    }

    #[test]
    fn a_param_is_its_json_text_or_with_other_codecs_a_string() {
        let param = |text: &str| NewTask::from_json(text.as_bytes()).map(|task| String::from_utf8(task.param).unwrap());
        assert_eq!(param(r#"{"job":"j","param":"a\u00e9\n"}"#), Ok(r#""a\u00e9\n""#.to_string()));
        assert_eq!(param(r#"{"job":"j","param":null}"#), Ok("null".to_string()));
        assert_eq!(param(r#"{"job":"j","param":12345678901234567890.50}"#), Ok("12345678901234567890.50".to_string()));
        assert_eq!(param(r#"{"job":"j","codec":"text","param":"a\u00e9\n"}"#), Ok("aé\n".to_string()));
        assert_eq!(param(r#"{"param":"uid=4&","codec":"form","job":"j"}"#), Ok("uid=4&".to_string()));
        for value in ["null", "1", "{}", "[\"a\"]"] {
            let text = format!(r#"{{"job":"j","codec":"text","param":{value}}}"#);
            assert_eq!(param(&text), Err("with the codec text the param must be a string".to_string()));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, words) in [
            ("", "EOF while parsing a value (column 0)"),
            ("{}", "missing field `job` (column 2)"),
            ("[]", "invalid length 0, expected struct Asked with 7 elements (column 2)"),
            ("{\"job\":\"j\"} x", "trailing characters (column 13)"),
            ("{\"job\":\"j\",\"id\":4}", "unknown field `id`, expected one of"),
            ("{\"job\":\"j\",\"job\":\"k\"}", "duplicate field `job`"),
            ("{\"job\":7}", "invalid type: integer `7`, expected a string (column 8)"),
            ("{\"job\":\"j\",\"param\":{bad}}", "key must be a string (column "),
            ("{\"job\":\"j\",\"codec\":\"xml\"}", "codec must be json, form, bincode or text"),
            ("{\"job\":\"j\",\"priority\":1.5}", "invalid type: floating point `1.5`, expected i64"),
            ("{\"job\":\"j\",\"priority\":2147483648}", "priority must be an integer from -2147483648 to 2147483647"),
            ("{\"job\":\"j\",\"run_at\":1796086800}", "run_at must be UTC milliseconds"),
            ("{\"job\":\"\"}", "job must be a name of 1 to 200 characters"),
            ("{\"job\":\"j\",\"max_attempts\":0}", "max_attempts must be an integer from 1 to 1000"),
            ("{\"job\":\"j\",\"unique_key\":\"\"}", "unique_key must be a text of 1 to 500 characters"),
        ] {
            let said = NewTask::from_json(text.as_bytes()).unwrap_err();
            assert!(said.starts_with(words), "{text}: {said}");
        }
        assert!(NewTask::from_json(b"{\"job\":\"\xff\"}").unwrap_err().starts_with("invalid unicode code point"));
    }

    #[test]
    fn an_unknown_name_with_a_line_end_in_it_makes_no_second_line() {
        let said = NewTask::from_json(br#"{"job":"j","para\u000ara\u0000": 0}"#).unwrap_err();
        assert!(said.starts_with(r"unknown field `para\nra\u{0}`, expected one of") && !said.contains('\n'), "{said}");
        let endless = format!(r#"{{"job":"j","{}":1}}"#, "ü".repeat(1_000_000));
        let said = NewTask::from_json(endless.as_bytes()).unwrap_err();
        assert!(said.contains("üü… (column ") && said.chars().count() < 340, "{} bytes", said.len());
    }

    /// What a client writes for a task whose param is that text.
    fn line(task: &NewTask, param: &str) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let param = if task.codec == Codec::Json { param.to_string() } else { quoted(param) };
        let optional = |n: Option<i64>| n.map_or("null".to_string(), |n| n.to_string());
        format!(
            r#"{{"job":{},"param":{param},"codec":"{}","priority":{},"run_at":{},"unique_key":{},"max_attempts":{}}}"#,
            quoted(&task.job),
            task.codec,
            task.priority,
            optional(task.run_at_ms),
            task.unique_key.as_ref().map_or("null".to_string(), |key| quoted(key)),
            optional(task.max_attempts.map(i64::from)),
        )
    }

    /// JSON values of every kind, as text with odd blanks.
    fn any_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
            any::<i64>().prop_map(|n| n.to_string()),
            "-?[1-9][0-9]{0,30}(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
            proptest::sample::select(vec!["null", "true", "false", "{}", "[ ]", "-0"]).prop_map(str::to_string),
        ];
        leaf.prop_recursive(4, 16, 4, |inner| {
            let list = proptest::collection::vec(inner.clone(), 0..4).prop_map(|all| format!("[{}]", all.join(" , ")));
            let map = proptest::collection::vec((any::<String>(), inner), 0..4).prop_map(|all| {
                let pairs = all.iter().map(|(key, value)| format!("{}\t:{value}", serde_json::Value::from(&**key)));
                format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
            });
            prop_oneof![list, map]
        })
    }

    proptest! {
        #[test]
        fn what_a_client_means_is_what_is_read(
            (job, json, text) in (any::<String>(), any_json(), any::<String>()),
            codec in proptest::sample::select(vec![Codec::Json, Codec::Form, Codec::Bincode, Codec::Text]),
            priority in prop_oneof![any::<i64>(), -3_000_000_000..3_000_000_000_i64],
            run_at_ms in proptest::option::of(prop_oneof![any::<i64>(), 99_999_999_990..100_000_000_010_i64]),
            unique_key in any::<Option<String>>(),
            max_attempts in proptest::option::of(0..1_002_u32),
        ) {
            let param = if codec == Codec::Json { json } else { text };
            let bytes = param.clone().into_bytes();
            let task = NewTask { job, param: bytes, codec, priority, run_at_ms, unique_key, max_attempts };
            let wanted = task.refusal().map_or(Ok(task.clone()), |words| Err(words.to_string()));
            let line = line(&task, &param);
            prop_assert_eq!(NewTask::from_json(line.as_bytes()), wanted, "{}", line);
            // Nothing that was cut off is a task.
            for at in 0..line.len().min(200) {
                prop_assert!(NewTask::from_json(&line.as_bytes()[..at]).is_err());
            }
        }

        #[test]
        fn any_bytes_are_a_task_or_refused_in_words(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            text in "(\\{|\\}|\"(job|param|codec|priority|run_at|unique_key|max_attempts|text|x)\"|[:,0-9\\[\\]]|null|\\PC){0,30}",
        ) {
            for bytes in [&bytes, text.as_bytes()] {
                match NewTask::from_json(bytes) {
                    Ok(task) => prop_assert!(task.refusal().is_none()),
                    Err(words) => prop_assert!(!words.is_empty() && !words.contains(char::is_control), "{:?}", words),
                }
            }
        }
    }
}
