//! The binding: the node key's word that a sidecar key speaks for the node.

use serde::{Deserialize, Serialize};

use super::BootId;

/// What the node key signs, at most every half day.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BindingBody {
    /// Always `binding/1`.
    pub timerose: String,
    /// The Kubo peer ID, base58.
    pub peer: String,
    /// The sidecar's Ed25519 public key, 32 bytes.
    #[serde(with = "serde_bytes")]
    pub key: Vec<u8>,
    /// X25519 prekeys for sealing, 32 bytes each, newest first.
    pub prekeys: Vec<serde_bytes::ByteBuf>,
    /// The sidecar's start that made it.
    pub boot: BootId,
    /// Unix seconds from which it holds.
    pub not_before: u64,
    /// Unix seconds at which it ends, at most a day after `not_before`.
    pub expires: u64,
    /// Rises with every binding of this node.
    pub serial: u64,
}

/// A binding with the node key's signature; verifies offline, since an Ed25519
/// peer ID contains its public key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// What is signed.
    pub body: BindingBody,
    /// Kubo's `key/sign` over `"timerose/bind/1\n" ‖ canonical body`.
    #[serde(with = "serde_bytes")]
    pub sig: Vec<u8>,
}
