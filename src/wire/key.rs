//! Keys: the sidecar's Ed25519 key and its short name, and what a node key
//! signed through Kubo's `key/sign`.

use std::{fmt, str::FromStr};

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use libp2p_identity::{PeerId, PublicKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Refusal;

/// What Kubo puts before everything that `key/sign` signs.
const KUBO_PREFIX: &[u8] = b"libp2p-key signed message:";
const KEY_ID_BYTES: usize = 10;

/// The short name of a sidecar key: ten bytes of its sha2-256 in base32. It
/// names, it proves nothing: the key itself comes with the binding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl KeyId {
    /// The name of a key.
    #[must_use]
    pub fn of(key: &VerifyingKey) -> Self {
        let digest = Sha256::digest(key.as_bytes());
        let (short, _) = digest.split_at(KEY_ID_BYTES);
        Self(multibase::Base::Base32Lower.encode(short))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyId {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let bytes = multibase::Base::Base32Lower
            .decode(text)
            .map_err(|_| Refusal::Malformed)?;
        if bytes.len() == KEY_ID_BYTES {
            Ok(Self(text.to_owned()))
        } else {
            Err(Refusal::Malformed)
        }
    }
}

impl TryFrom<String> for KeyId {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

/// Signs `domain ‖ message`.
#[must_use]
pub fn sign(key: &SigningKey, domain: &[u8], message: &[u8]) -> Vec<u8> {
    key.sign(&[domain, message].concat()).to_bytes().to_vec()
}

/// Checks a signature of `domain ‖ message`; weak keys and malleable
/// signatures are refused.
///
/// # Errors
/// [`Refusal::Signature`].
pub fn verify(
    key: &VerifyingKey,
    domain: &[u8],
    message: &[u8],
    sig: &[u8],
) -> Result<(), Refusal> {
    let sig = Signature::from_slice(sig).map_err(|_| Refusal::Signature)?;
    key.verify_strict(&[domain, message].concat(), &sig)
        .map_err(|_| Refusal::Signature)
}

/// Reads the sidecar key of a binding.
///
/// # Errors
/// [`Refusal::Malformed`] where the bytes are no point of the curve.
pub fn verifying_key(bytes: &[u8]) -> Result<VerifyingKey, Refusal> {
    let bytes = <&[u8; 32]>::try_from(bytes).map_err(|_| Refusal::Malformed)?;
    VerifyingKey::from_bytes(bytes).map_err(|_| Refusal::Malformed)
}

/// Checks what a node key signed through Kubo. The key is read from the peer
/// ID, so only Ed25519 identities can be checked.
///
/// # Errors
/// [`Refusal::Binding`].
pub fn verify_node(peer: &PeerId, message: &[u8], sig: &[u8]) -> Result<(), Refusal> {
    let key = node_key(peer).ok_or(Refusal::Binding)?;
    verify(&key, KUBO_PREFIX, message, sig).map_err(|_| Refusal::Binding)
}

fn node_key(peer: &PeerId) -> Option<VerifyingKey> {
    let public = PublicKey::try_decode_protobuf(peer.as_ref().digest()).ok()?;
    let is_inline = PeerId::from_public_key(&public) == *peer;
    let key = public.try_into_ed25519().ok().filter(|_| is_inline)?;
    VerifyingKey::from_bytes(&key.to_bytes()).ok()
}

/// Signs as Kubo's `key/sign` does, for tests that have a node's key in hand.
#[cfg(test)]
pub(crate) fn sign_as_node(key: &libp2p_identity::Keypair, message: &[u8]) -> Vec<u8> {
    key.sign(&[KUBO_PREFIX, message].concat())
        .expect("an Ed25519 key signs")
}
