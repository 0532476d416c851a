//! The codec `json`.
//!
//! Nesting is bounded by serde_json (128 levels), size by the row (16 MiB). Unknown keys are the type's business: serde
//! passes them over unless the type says `deny_unknown_fields`.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Decodes a param; one that is empty reads as `null`.
pub(super) fn decode<T: DeserializeOwned>(param: &[u8]) -> Result<T, String> {
    let param: &[u8] = if param.is_empty() { b"null" } else { param };
    serde_json::from_slice(param).map_err(|e| e.to_string())
}

/// Encodes a value.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, String> {
    serde_json::to_vec(value).map_err(|e| e.to_string())
}
