//! The codec `form`: any bytes are read or refused in words that are not too long; what is read says the same as the JSON
//! that it is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rowmill::{Codec, decode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(default)]
struct Param {
    uid: u64,
    uids: Vec<i64>,
    content: String,
    urgent: Option<bool>,
    ratio: f32,
    kind: Kind,
    items: Vec<Item>,
    tags: BTreeMap<String, Vec<String>>,
}

impl Default for Param {
    fn default() -> Param {
        let (uids, items, tags) = (Vec::new(), Vec::new(), BTreeMap::new());
        Param { uid: 0, uids, content: String::new(), urgent: None, ratio: 0.0, kind: Kind::Plain, items, tags }
    }
}

#[derive(Debug, PartialEq, Deserialize)]
enum Kind {
    Plain,
    Gift { to: String },
}

#[derive(Debug, PartialEq, Deserialize)]
struct Item {
    id: u32,
    name: (char, String),
}

fn bounded<T>(decoded: Result<T, String>) -> Option<T> {
    decoded.map_err(|reason| assert!(!reason.is_empty() && reason.len() <= 1_000, "{reason}")).ok()
}

fuzz_target!(|param: &[u8]| {
    let tree = bounded(decode::<Value>(Codec::Form, param));
    bounded(decode::<IgnoredAny>(Codec::Form, param));
    bounded(decode::<BTreeMap<String, Vec<u8>>>(Codec::Form, param));
    bounded(decode::<(u8, String)>(Codec::Form, param));
    bounded(decode::<Kind>(Codec::Form, param));
    let typed = bounded(decode::<Param>(Codec::Form, param));
    let Some(tree) = tree else { return };
    let json = tree.to_string();
    assert_eq!(bounded(decode::<Value>(Codec::Json, json.as_bytes())), Some(tree));
    // Once more gives the same: nothing depends on what was read before.
    assert_eq!(bounded(decode::<Param>(Codec::Form, param)).map(|p| format!("{p:?}")), typed.map(|p| format!("{p:?}")));
});
