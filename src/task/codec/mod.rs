//! How a param is written: the row's `codec`, and its way into a typed value.
//!
//! A param that does not decode is no failure of the engine and costs no attempt: the row is parked with the words
//! that are made here. They name the place in the param, and are bounded: what is wrong may be megabytes long.

#[cfg(feature = "bincode")]
mod bincode;
mod form;
mod json;
mod text;
mod typed;
mod wrong;

#[cfg(test)]
mod tests;

use super::NewTask;
use crate::error::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;

/// The longest reason that [`decode`] gives, in bytes. An admin reads it in the row and in the log.
const LONGEST_REASON: usize = 1_000;

/// How a param is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codec {
    /// JSON; an empty param reads as `null`.
    #[default]
    Json,
    /// The array-to-string form of PHP applications: `uid=4&uids[]=6&uids[]=34&content=xxx`.
    Form,
    /// Rust-to-Rust bytes. Rust jobs read them when the library is built with the feature `bincode`.
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

/// Decodes a param into the type that its job wants. The error is what an admin reads in the parked row: at most a
/// thousand bytes, whatever the param.
pub fn decode<T: DeserializeOwned>(codec: Codec, param: &[u8]) -> std::result::Result<T, String> {
    let decoded = match codec {
        Codec::Json => json::decode(param),
        Codec::Form => typed::decode(param),
        Codec::Text => text::decode(param),
        #[cfg(feature = "bincode")]
        Codec::Bincode => bincode::decode(param),
        #[cfg(not(feature = "bincode"))]
        Codec::Bincode => {
            return Err("this program reads no bincode params: it was built without the feature `bincode`".to_string());
        }
    };
    decoded.map_err(|reason| short(format!("param is not what the job takes: {reason}")))
}

impl NewTask {
    /// A task whose param is this value, as JSON. An error says that the value has no JSON: a map whose keys are neither
    /// text nor numbers, or a type whose `Serialize` refuses. Numbers that are not finite become `null`.
    ///
    /// ```
    /// # use rowmill::NewTask;
    /// let task = NewTask { priority: 5, ..NewTask::json("echo", &("a", 1))? };
    /// assert_eq!(task.param, br#"["a",1]"#);
    /// # Ok::<(), rowmill::Error>(())
    /// ```
    pub fn json<T: Serialize + ?Sized>(job: impl Into<String>, param: &T) -> Result<NewTask> {
        NewTask::encoded(job.into(), Codec::Json, json::encode(param))
    }

    /// A task whose param is this value, as bincode: smaller and faster than JSON, and unreadable as soon as the type
    /// changes in any way. So it is for tasks that the same build of the program reads soon, and for nothing that has to
    /// outlive a deploy. An error says that the type's `Serialize` refuses.
    #[cfg(feature = "bincode")]
    pub fn bincode<T: Serialize + ?Sized>(job: impl Into<String>, param: &T) -> Result<NewTask> {
        NewTask::encoded(job.into(), Codec::Bincode, bincode::encode(param))
    }

    fn encoded(job: String, codec: Codec, param: std::result::Result<Vec<u8>, String>) -> Result<NewTask> {
        match param {
            Ok(param) => Ok(NewTask { job, codec, param, ..NewTask::default() }),
            Err(reason) => Err(Error::usage(short(format!("the param of `{job}` cannot be {codec}: {reason}")))),
        }
    }
}

/// The reason, cut where it is too long to be read.
fn short(mut reason: String) -> String {
    if reason.len() > LONGEST_REASON {
        let room = LONGEST_REASON - '…'.len_utf8();
        reason.truncate((0..=room).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0));
        reason.push('…');
    }
    reason
}
