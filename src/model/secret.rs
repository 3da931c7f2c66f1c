//! What makes a private invocation readable. Shown in no log, kept in no
//! journal; wiped when it is dropped.

use std::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Whoever has it reads input, output and logs of one private invocation.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentKey(#[serde(with = "serde_bytes")] [u8; 32]);

impl ContentKey {
    /// The key of these bits, which nobody else may know.
    #[must_use]
    pub const fn of(bits: [u8; 32]) -> Self {
        Self(bits)
    }

    /// The bits, to derive keys from.
    #[must_use]
    pub const fn bits(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for ContentKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl PartialEq for ContentKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey")
    }
}

/// What the executors of a private invocation are told beside the call; only
/// ever within a sealed session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Private {
    /// Opens the input, seals output and logs.
    pub key: ContentKey,
    /// The input is sealed; one that was named by its CID is as it is.
    pub is_input_sealed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_key_is_never_shown() {
        let private = Private {
            key: ContentKey::of([0xab; 32]),
            is_input_sealed: true,
        };
        let shown = "Private { key: ContentKey, is_input_sealed: true }";
        assert_eq!(format!("{private:?}"), shown);
    }
}
