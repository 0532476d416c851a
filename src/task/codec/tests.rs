//! Codecs: one value, however it was written; words for what cannot be read; and nothing that panics.
//!
//! Three hands write forms here: tables of what people and PHP write, a writer in the manner of `http_build_query`, and
//! `serde_qs`. Real PHP writes in `tests/forms.rs`.

use super::{Codec, LONGEST_REASON, decode};
use crate::task::NewTask;
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::{Debug, Write};

/// A param with everything that a form can carry. What PHP leaves out (nulls, empty lists) has a default.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Order {
    uid: u64,
    uids: Vec<i64>,
    content: String,
    urgent: bool,
    ratio: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    kind: Kind,
    items: Vec<Item>,
    tags: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Kind {
    #[default]
    Plain,
    Gift,
}

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
struct Item {
    id: u32,
    name: String,
}

fn form<T: serde::de::DeserializeOwned>(param: &str) -> Result<T, String> {
    decode(Codec::Form, param.as_bytes())
}

/// What the form decodes to, against what the JSON decodes to.
#[track_caller]
fn same<T: serde::de::DeserializeOwned + PartialEq + Debug>(param: &str, json: &Value) {
    let wanted: T = decode(Codec::Json, json.to_string().as_bytes()).unwrap();
    assert_eq!(form::<T>(param).as_ref(), Ok(&wanted), "{param}");
}

#[test]
fn what_php_applications_write_is_what_json_says() {
    let message = json!({ "uid": 4, "uids": [6, 34], "content": "xxx" });
    for param in [
        "uid=4&uids[]=6&uids[]=34&content=xxx",
        "uid=4&uids[]=6&uids[]=34&content=xxx&",
        "&&uid=4&&uids[]=6&uids[]=34&content=xxx&&",
        "uid=4&uids%5B%5D=6&uids%5B%5D=34&content=xxx",
        "uid=4&uids%5b%5d=6&uids%5b%5d=34&content=xxx",
        "uid=4&uids%5B0%5D=6&uids%5B1%5D=34&content=xxx",
        "uid=4&uids[0]=6&uids[2]=34&content=xxx",
        "content=xxx&uids[2]=34&uids[0]=6&uid=4",
        "uid=4&uids[]=6&uids[7]=34&content=xxx",
        "uid=4&uids=6&uids=34&content=xxx",
        "uid=3&uid=4&uids[]=6&uids[1]=5&uids[1]=34&content=xxx",
        "%75id=4&uids[]=%36&uids[]=34&content=%78xx&someone=else&x[y]=%FF",
    ] {
        same::<Order>(param, &message);
    }
    same::<Order>("uids[]=6", &json!({ "uids": [6] }));
    same::<Order>("uids=6", &json!({ "uids": [6] }));
    same::<Order>("uids[9223372036854775807]=6&uids[0]=5", &json!({ "uids": [5, 6] }));
    same::<Order>("content=&note=", &json!({ "content": "", "note": "" }));
    same::<Order>("uids=&tags=&items=", &json!({ "uids": [], "tags": {}, "items": [] }));
    same::<Order>("content=a+b%2Bc%26d%3D%25+%5Bx%5D=%zz%4", &json!({ "content": "a b+c&d=% [x]=%zz%4" }));
    same::<Order>("urgent=1&kind=Gift", &json!({ "urgent": true, "kind": "Gift" }));
    same::<Order>("urgent=0&ratio=1.0E%2B25", &json!({ "urgent": false, "ratio": 1e25 }));
    for (word, truth) in [("", false), ("off", false), ("false", false), ("on", true), ("TRUE", true)] {
        same::<Order>(&format!("urgent={word}"), &json!({ "urgent": truth }));
    }
    let items = json!({ "items": [{ "id": 1, "name": "a" }, { "id": 2, "name": "b" }] });
    same::<Order>("items[0][id]=1&items[0][name]=a&items[1][id]=2&items[1][name]=b", &items);
    same::<Order>("items[4][name]=b&items[4][id]=2&items[3][id]=1&items[3][name]=a", &items);
    same::<Order>("tags[x][]=1&tags[01][]=2&tags[7][]=3", &json!({ "tags": { "x": ["1"], "01": ["2"], "7": ["3"] } }));
}

#[test]
fn the_type_decides_what_a_text_is() {
    same::<BTreeMap<u16, String>>("5=a&7=12", &json!({ "5": "a", "7": "12" }));
    same::<BTreeMap<String, u16>>("5=8&a=12", &json!({ "5": 8, "a": 12 }));
    same::<BTreeMap<String, String>>("a=12&b=012&c=1e3", &json!({ "a": "12", "b": "012", "c": "1e3" }));
    same::<BTreeMap<String, Option<(i8, char)>>>("a[]=-1&a[]=x", &json!({ "a": [-1, "x"] }));
    same::<BTreeMap<String, Vec<Vec<u8>>>>("a[0][]=1&a[0][]=2&a[1][]=3", &json!({ "a": [[1, 2], [3]] }));
    same::<BTreeMap<String, Vec<Vec<u8>>>>("a[][0]=1", &json!({ "a": [[1]] }));
    same::<BTreeMap<String, Vec<Item>>>(
        "a[0][id]=1&a[0][name]=x&a[][id]=2&a[1][name]=",
        &json!({ "a": [{ "id": 1, "name": "x" }, { "id": 2, "name": "" }] }),
    );
    same::<Vec<u64>>("0=5&1=6", &json!([5, 6]));
    same::<Value>(
        "a[]=x&a[]=1&b[1]=y&c[d][e]=",
        &json!({ "a": ["x", "1"], "b": { "1": "y" }, "c": { "d": { "e": "" } } }),
    );
    assert!(form::<()>("").is_ok() && form::<IgnoredAny>("a[b]=c&d").is_ok());
    #[derive(Debug, PartialEq, Deserialize)]
    enum Shape {
        Circle { radius: f32 },
        Line(i32, i32),
        Text(String),
    }
    let shapes: BTreeMap<String, Shape> = form("a[Circle][radius]=2&b[Line][]=1&b[Line][]=2&c[Text]=7").unwrap();
    let wanted = [("a", Shape::Circle { radius: 2.0 }), ("b", Shape::Line(1, 2)), ("c", Shape::Text("7".into()))];
    assert_eq!(shapes, wanted.into_iter().map(|(name, shape)| (name.to_string(), shape)).collect());
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    let deep = format!("a{}=1", "[x]".repeat(64));
    assert!(form::<IgnoredAny>(&deep).is_ok());
    let deeper = format!("a{}=1", "[x]".repeat(65));
    let deepest = format!("a{}=1", "[x]".repeat(100_000));
    let long = format!("uid={}", "9".repeat(5_000_000));
    for (param, words) in [
        ("uid=four", "`uid`: invalid type: string \"four\", expected u64"),
        ("uid=", "`uid`: invalid type: string \"\", expected u64"),
        ("uid=-1", "`uid`: invalid type: string \"-1\", expected u64"),
        ("uid[]=4", "`uid`: invalid type: sequence, expected u64"),
        ("uids[]=6&uids[]=6,34", "`uids[1]`: invalid type: string \"6,34\", expected i64"),
        ("uids[]=6&uids[x]=34", "`uids`: invalid type: map, expected a sequence"),
        ("items[3][id]=1", "`items[3]`: missing field `name`"),
        ("items[3][id]=x&items[3][name]=", "`items[3][id]`: invalid type: string \"x\", expected u32"),
        ("uids=6&uids[]=34", "`uids[]` is both a value and a list"),
        ("uids[]=6&uids=34", "`uids` is both a value and a list"),
        ("uids[=6", "`uids[` has a `[` that nothing closes"),
        ("uids[]x=6", "`uids[]x` goes on behind its last `]`"),
        ("=6", "a value has no name"),
        ("[]=6", "a value has no name"),
        ("%FF=6", "a name is not UTF-8"),
        ("content=%D6%D0", "`content`: is not UTF-8"),
        ("ratio=NAN", "`ratio`: invalid type: string \"NAN\", expected f64"),
        ("urgent=perhaps", "`urgent`: invalid type: string \"perhaps\", expected a boolean"),
        ("kind=Other", "`kind`: unknown variant `Other`, expected `Plain` or `Gift`"),
        (&deeper, "`a…` is nested more than 64 deep"),
        (&deepest, "`a…` is nested more than 64 deep"),
        (&long, "`uid`: invalid type: string \"999"),
    ] {
        let reason = form::<Order>(param).unwrap_err();
        let shown = param.get(..40).unwrap_or(param);
        let words = format!("param is not what the job takes: {words}");
        assert!(reason.starts_with(&words) && reason.len() <= LONGEST_REASON, "{shown}: {reason}");
    }
    let pair = form::<BTreeMap<String, (u8, u8)>>("a[]=1&a[]=2&a[]=3").unwrap_err();
    assert!(pair.ends_with("`a`: invalid length 3, expected 2 elements"), "{pair}");
    let many = form::<IgnoredAny>(&"a&".repeat(500_001)).unwrap_err();
    assert!(many.ends_with("it has more than 500000 names"), "{many}");
    let most: Order = form(&"uids[]=6&".repeat(250_000)).unwrap();
    assert_eq!(most.uids.len(), 250_000);
}

#[test]
fn text_is_what_the_type_wants() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Line(String);
    #[derive(Debug, PartialEq, Deserialize)]
    struct Bytes(Vec<u8>);
    let text = |param| decode::<Line>(Codec::Text, param);
    assert_eq!(text("a b&c=%20 \"ü\"\n".as_bytes()), Ok(Line("a b&c=%20 \"ü\"\n".into())));
    assert_eq!(text(b""), Ok(Line(String::new())));
    assert!(text(&[0xFF]).unwrap_err().starts_with("param is not what the job takes: is not UTF-8: "));
    assert_eq!(decode(Codec::Text, &[0, 0xFF, 10]), Ok(Bytes(vec![0, 0xFF, 10])));
    assert_eq!(decode(Codec::Text, b"500"), Ok(500_u64));
    assert_eq!(decode(Codec::Text, b"500"), Ok(json!("500")));
    assert_eq!(decode(Codec::Text, b"500"), Ok(Some("500".to_string())));
    let order = decode::<Order>(Codec::Text, "ü".repeat(5_000).as_bytes()).unwrap_err();
    assert!(order.contains("invalid type: string \"üü") && order.len() <= LONGEST_REASON && order.ends_with('…'));
}

#[test]
fn json_is_written_for_rust_callers() {
    let order = Order { uid: 4, uids: vec![6], ..Order::default() };
    let task = NewTask { priority: 3, ..NewTask::json("order", &order).unwrap() };
    assert_eq!((task.job.as_str(), task.codec, task.priority), ("order", Codec::Json, 3));
    assert_eq!(decode(task.codec, &task.param), Ok(order));
    assert_eq!(decode::<Option<u8>>(Codec::Json, b""), Ok(None));
    let wrong = NewTask::json("order", &BTreeMap::from([((1, 2), 3)])).unwrap_err();
    assert_eq!(wrong.to_string(), "the param of `order` cannot be json: key must be a string");
}

#[cfg(not(feature = "bincode"))]
#[test]
fn bincode_is_told_to_be_missing() {
    let reason = decode::<IgnoredAny>(Codec::Bincode, b"\x04").unwrap_err();
    assert_eq!(reason, "this program reads no bincode params: it was built without the feature `bincode`");
}

#[cfg(feature = "bincode")]
#[test]
fn bincode_is_read_whole_or_not_at_all() {
    let order =
        Order { uid: 4, uids: vec![6, -34], content: "ü".into(), note: Some(String::new()), ..Order::default() };
    let task = NewTask::bincode("order", &order).unwrap();
    assert_eq!((task.codec, decode::<Order>(task.codec, &task.param)), (Codec::Bincode, Ok(order)));
    let mut more = task.param.clone();
    more.push(0);
    let reason = decode::<Order>(Codec::Bincode, &more).unwrap_err();
    assert_eq!(reason, "param is not what the job takes: 1 bytes are left over");
    for end in 0..task.param.len() {
        assert!(decode::<Order>(Codec::Bincode, &task.param[..end]).is_err(), "{end}");
    }
    // A length that is a lie.
    let huge = [[253_u8].as_slice(), &(u64::MAX / 2).to_le_bytes()].concat();
    assert!(decode::<Vec<u64>>(Codec::Bincode, &huge).is_err());
}

/// Writes a value as PHP writes it: `http_build_query` when `encoded`, else as people do, with bare brackets.
fn build_query(out: &mut String, name: &str, value: &Value, style: Style) {
    let mut inner = |key: &str, value| {
        let (open, close) = if style.encoded { ("%5B", "%5D") } else { ("[", "]") };
        build_query(out, &format!("{name}{open}{key}{close}"), value, style);
    };
    match value {
        Value::Null => {}
        Value::Array(list) => {
            let mut index = 0;
            for value in list {
                // `[]` before another bracket would begin a new element each time.
                let bare = !style.encoded && !value.is_array() && !value.is_object();
                inner(&if bare { String::new() } else { index.to_string() }, value);
                index += style.stride;
            }
        }
        Value::Object(map) => map.iter().for_each(|(key, value)| inner(&escaped(key), value)),
        Value::Bool(truth) => write!(out, "{name}={}&", u8::from(*truth)).unwrap(),
        Value::Number(number) => write!(out, "{name}={}&", escaped(&number.to_string())).unwrap(),
        Value::String(text) => write!(out, "{name}={}&", escaped(text)).unwrap(),
    }
}

#[derive(Debug, Clone, Copy)]
struct Style {
    encoded: bool,
    stride: u64,
}

/// PHP's `urlencode`.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'_' | b'.' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => write!(out, "%{byte:02X}").unwrap(),
        }
    }
    out
}

/// Texts with everything that has a meaning in a form.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c0-9 &=+%\\[\\]_.;\"'\u{0}\n~-]{0,12}", "\\PC{0,8}", any::<String>()]
}

prop_compose! {
    fn any_order()(
        uid: u64,
        uids in prop::collection::vec(any::<i64>(), 0..5),
        content in any_text(),
        urgent: bool,
        ratio in prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL,
        note in prop::option::of(any_text()),
        gift: bool,
        items in prop::collection::vec((any::<u32>(), any_text()), 0..4),
        tags in prop::collection::btree_map("[^\\[\\]]{1,6}", prop::collection::vec(any_text(), 1..3), 0..4),
    ) -> Order {
        let kind = if gift { Kind::Gift } else { Kind::Plain };
        let items = items.into_iter().map(|(id, name)| Item { id, name }).collect();
        Order { uid, uids, content, urgent, ratio, note, kind, items, tags }
    }
}

/// Decodes bytes with every codec into types of every kind; only that it ends well is of interest.
fn decode_everything(param: &[u8]) {
    for codec in [Codec::Json, Codec::Form, Codec::Text, Codec::Bincode] {
        let reasons = [
            decode::<Order>(codec, param).err(),
            decode::<Vec<Item>>(codec, param).err(),
            decode::<BTreeMap<String, Vec<u8>>>(codec, param).err(),
            decode::<(u8, String)>(codec, param).err(),
            decode::<String>(codec, param).err(),
            decode::<Kind>(codec, param).err(),
        ];
        assert!(reasons.iter().flatten().all(|reason| reason.len() <= LONGEST_REASON));
        if codec != Codec::Bincode {
            drop((decode::<Value>(codec, param), decode::<IgnoredAny>(codec, param)));
        }
    }
}

proptest! {
    #[test]
    fn a_form_is_the_same_value_as_the_json(order in any_order(), encoded: bool, stride in 1_u64..9) {
        let json = serde_json::to_value(&order).unwrap();
        let mut param = String::new();
        for (name, value) in json.as_object().unwrap() {
            build_query(&mut param, name, value, Style { encoded, stride });
        }
        let by_json: Order = decode(Codec::Json, json.to_string().as_bytes()).unwrap();
        prop_assert_eq!(&form::<Order>(&param), &Ok(by_json), "{}", param);
        prop_assert_eq!(&form::<Order>(param.trim_end_matches('&')), &Ok(order), "{}", param);
    }

    #[test]
    fn what_serde_qs_writes_is_read(order in any_order()) {
        let param = serde_qs::Config::new().use_form_encoding(true).serialize_string(&order).unwrap();
        prop_assert_eq!(&form::<Order>(&param), &Ok(order), "{}", param);
    }

    #[test]
    fn no_bytes_panic(param in prop::collection::vec(any::<u8>(), 0..200)) {
        decode_everything(&param);
    }

    #[test]
    fn no_form_panics(param in "([ab]|uids?|items|id|tags|\\[|\\]|\\[\\]|=|&|%5B|%5D|%|[0-9]|\\+){0,40}") {
        decode_everything(param.as_bytes());
    }
}
