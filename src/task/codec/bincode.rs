//! The codec `bincode`, for params that one Rust program writes and the same build of it reads.
//!
//! The crate is finished and nobody maintains it (RUSTSEC-2025-0141; `deny.toml` says why it is here all the same), so
//! all that knows it is this file, behind the feature `bincode`. Its bytes carry no names: a field that is added, removed
//! or moved makes old rows undecodable or, worse, decodable into something else.
//! Lengths in the bytes are believed up to [`LIMIT`] and no further. Nesting is not bounded: a type that contains itself
//! does not belong here.

use bincode::config::{Configuration, Limit, LittleEndian, Varint, standard};
use bincode::serde::{decode_from_slice, encode_to_vec};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a value may claim of memory, in bytes: as much as a row can carry.
const LIMIT: usize = 16 * 1024 * 1024;

const CONFIG: Configuration<LittleEndian, Varint, Limit<LIMIT>> = standard().with_limit::<LIMIT>();

/// Decodes a param. Bytes that are left over are an error: they tell that another type was written.
pub(super) fn decode<T: DeserializeOwned>(param: &[u8]) -> Result<T, String> {
    let (value, read) = decode_from_slice(param, CONFIG).map_err(|e| e.to_string())?;
    if read == param.len() { Ok(value) } else { Err(format!("{} bytes are left over", param.len() - read)) }
}

/// Encodes a value.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, String> {
    encode_to_vec(value, CONFIG).map_err(|e| e.to_string())
}
