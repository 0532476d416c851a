//! How a param is written: the row's `codec`, and its way into a typed value.
//!
//! A param that does not decode is no failure of the engine and costs no attempt: the row is parked with the words
//! that are made here.

use serde::de::DeserializeOwned;
use std::fmt;

/// How a param is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codec {
    /// JSON; an empty param reads as `null`.
    #[default]
    Json,
    /// The array-to-string form of PHP applications.
    Form,
    /// Rust-to-Rust bytes.
    Bincode,
    /// The param as it is.
    Text,
}

impl Codec {
    /// The word in the row.
    pub fn word(self) -> &'static str {
        match self {
            Codec::Json => "json",
            Codec::Form => "form",
            Codec::Bincode => "bincode",
            Codec::Text => "text",
        }
    }

    /// The codec with this word, if there is one.
    pub fn from_word(word: &str) -> Option<Codec> {
        [Codec::Json, Codec::Form, Codec::Bincode, Codec::Text].into_iter().find(|c| c.word() == word)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Decodes a param into the type that its job wants. The error is what an admin reads in the parked row.
pub fn decode<T: DeserializeOwned>(codec: Codec, param: &[u8]) -> Result<T, String> {
    match codec {
        Codec::Json => {
            let text: &[u8] = if param.is_empty() { b"null" } else { param };
            serde_json::from_slice(text).map_err(|e| format!("param is not what the job takes: {e}"))
        }
        Codec::Text => {
            let text = std::str::from_utf8(param).map_err(|e| format!("param is not UTF-8: {e}"))?;
            T::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text))
                .map_err(|e| format!("param is not what the job takes: {e}"))
        }
        Codec::Form | Codec::Bincode => Err(format!("this version reads no {codec} params in Rust jobs")),
    }
}
