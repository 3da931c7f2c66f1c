//! Signatures of the node key.
//!
//! Takes data, gives Kubo's signature; verifies such signatures offline from
//! the peer ID alone. The private key stays in Kubo.

use libp2p_identity::{KeyType, PeerId, PublicKey};
use serde::Deserialize;

use super::{Client, Error, command, pubsub::from_multibase, rpc::Request, upload::Upload};

/// What Kubo puts before the data that it signs.
pub const SIGN_PREFIX: &[u8] = b"libp2p-key signed message:";

/// Multihash code of a peer ID that holds its key.
const IDENTITY: u64 = 0;

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Signature")]
    signature: String,
}

impl Client {
    /// Signs `data`, prefixed with [`SIGN_PREFIX`], with the node's own key.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn sign(&self, data: &[u8]) -> Result<Vec<u8>, Error> {
        let request = Request::new(&command::KEY_SIGN).upload(Upload::bytes(data));
        let answer: Answer = self.json(request).await?;
        from_multibase(command::KEY_SIGN.path, &answer.signature)
    }
}

/// Checks a signature made by [`Client::sign`] on the node `peer`, offline.
///
/// # Errors
/// [`Error::BadSignature`], or [`Error::UnsupportedKey`] for a peer ID that
/// does not hold an Ed25519 key.
pub fn verify_signature(peer: &PeerId, data: &[u8], signature: &[u8]) -> Result<(), Error> {
    let key = ed25519_key(peer).ok_or_else(|| Error::UnsupportedKey {
        peer: peer.to_string(),
    })?;
    let signed = [SIGN_PREFIX, data].concat();
    let good = key.verify(&signed, signature);
    if good {
        Ok(())
    } else {
        Err(Error::BadSignature {
            peer: peer.to_string(),
        })
    }
}

fn ed25519_key(peer: &PeerId) -> Option<PublicKey> {
    let hash = peer.as_ref();
    let key = (hash.code() == IDENTITY)
        .then(|| PublicKey::try_decode_protobuf(hash.digest()))?
        .ok()?;
    (key.key_type() == KeyType::Ed25519).then_some(key)
}

#[cfg(test)]
mod tests {
    use libp2p_identity::Keypair;

    use super::*;

    #[test]
    fn a_signature_verifies_from_the_peer_id_alone() {
        let keys = Keypair::generate_ed25519();
        let peer = keys.public().to_peer_id();
        let signature = keys.sign(&[SIGN_PREFIX, b"data"].concat()).unwrap();
        verify_signature(&peer, b"data", &signature).unwrap();
        let wrong = verify_signature(&peer, b"datA", &signature).unwrap_err();
        assert!(matches!(wrong, Error::BadSignature { .. }));
        let bare = keys.sign(b"data").unwrap();
        assert!(
            verify_signature(&peer, b"data", &bare).is_err(),
            "the prefix is part of it"
        );
    }

    #[test]
    fn an_rsa_peer_id_is_refused_by_type() {
        let peer: PeerId = "QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN"
            .parse()
            .unwrap();
        let error = verify_signature(&peer, b"data", b"x").unwrap_err();
        assert!(matches!(error, Error::UnsupportedKey { .. }));
    }
}
