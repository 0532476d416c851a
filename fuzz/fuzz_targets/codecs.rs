//! The codecs `json`, `text` and `bincode`: any bytes are read or refused in words; bincode claims no more memory than a row
//! can carry, and what it reads is written back as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rowmill::{Codec, NewTask, decode};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Param {
    uid: u64,
    uids: Vec<i64>,
    content: String,
    kind: Kind,
    tags: BTreeMap<String, Vec<u8>>,
    note: Option<char>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Plain,
    Gift { to: String },
    Pair(u8, bool),
}

fn read<T: DeserializeOwned>(codec: Codec, param: &[u8]) -> Option<T> {
    decode::<T>(codec, param).map_err(|reason| assert!(!reason.is_empty() && reason.len() <= 1_000, "{reason}")).ok()
}

fuzz_target!(|param: &[u8]| {
    for codec in [Codec::Json, Codec::Text] {
        let tree = read::<Value>(codec, param);
        read::<IgnoredAny>(codec, param);
        read::<Vec<Kind>>(codec, param);
        read::<(u8, String)>(codec, param);
        read::<Option<f64>>(codec, param);
        if let Some(tree) = tree {
            let again = tree.to_string();
            assert_eq!(read::<Value>(Codec::Json, again.as_bytes()), Some(tree));
        }
        if let Some(typed) = read::<Param>(codec, param) {
            let task = NewTask::json("j", &typed).expect("what was read can be written");
            assert_eq!(read::<Param>(Codec::Json, &task.param), Some(typed));
        }
    }
    read::<Vec<Vec<u64>>>(Codec::Bincode, param);
    read::<BTreeMap<String, Option<bool>>>(Codec::Bincode, param);
    if let Some(typed) = read::<Param>(Codec::Bincode, param) {
        let task = NewTask::bincode("j", &typed).expect("what was read can be written");
        assert_eq!(read::<Param>(Codec::Bincode, &task.param), Some(typed));
    }
});
