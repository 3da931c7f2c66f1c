//! DAG-JSON, the text form of the same values: for people, scripts, logs.

use serde::{Serialize, de::DeserializeOwned};

use super::{MAX_BYTES, Refusal};

/// A value as DAG-JSON, on one line.
///
/// # Errors
/// [`Refusal::Unencodable`] where the value has no such form.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Refusal> {
    serde_ipld_dagjson::to_vec(value).map_err(|_| Refusal::Unencodable)
}

/// The value of a DAG-JSON text of at most [`MAX_BYTES`]. People write it, so
/// white space and the order of fields are free.
///
/// # Errors
/// [`Refusal::Oversized`] or [`Refusal::Malformed`].
pub fn decode<T: DeserializeOwned>(text: &[u8]) -> Result<T, Refusal> {
    if text.len() > MAX_BYTES {
        return Err(Refusal::Oversized);
    }
    serde_ipld_dagjson::from_slice(text).map_err(|_| Refusal::Malformed)
}
