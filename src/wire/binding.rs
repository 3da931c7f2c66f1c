//! Bindings: the node key's word that a sidecar key speaks for the node.
//!
//! Whether a serial fell is the directory's to judge, which remembers.

use ed25519_dalek::VerifyingKey;
use libp2p_identity::PeerId;

use super::{KeyId, Refusal, SKEW_S, dagcbor, key};
use crate::model::{Binding, BindingBody, BootId};

/// The value of a binding's `timerose` field.
pub const BINDING_TAG: &str = "binding/1";
/// The longest a binding may hold, in seconds.
pub const MAX_LIFE_S: u64 = 86_400;
/// Prekeys that a binding may name, and the bytes of each.
const MAX_PREKEYS: usize = 4;
const PREKEY_BYTES: usize = 32;
const DOMAIN: &[u8] = b"timerose/bind/1\n";

/// A binding that was checked.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The node.
    pub peer: PeerId,
    /// The key that speaks for it.
    pub key: VerifyingKey,
    /// That key's short name.
    pub kid: KeyId,
    /// The sidecar's start.
    pub boot: BootId,
    /// Rises with every binding of the node.
    pub serial: u64,
    /// Unix seconds.
    pub expires: u64,
}

/// The bytes that go to Kubo's `key/sign`.
///
/// # Errors
/// [`Refusal::Unencodable`], in theory only.
pub fn signing_bytes(body: &BindingBody) -> Result<Vec<u8>, Refusal> {
    Ok([DOMAIN, &dagcbor::encode(body)?].concat())
}

/// Checks a binding at `now` (Unix seconds), allowing for an hour's skew.
///
/// # Errors
/// [`Refusal::Expired`] outside its time, [`Refusal::Binding`] otherwise.
pub fn verify(binding: &Binding, now: u64) -> Result<Bound, Refusal> {
    let bound = verify_ever(binding)?;
    let begins = binding.body.not_before.saturating_sub(SKEW_S);
    let ends = binding.body.expires.saturating_add(SKEW_S);
    if (begins..=ends).contains(&now) {
        Ok(bound)
    } else {
        Err(Refusal::Expired)
    }
}

/// Checks all of a binding but that it holds now.
///
/// # Errors
/// [`Refusal::Binding`].
pub fn verify_ever(binding: &Binding) -> Result<Bound, Refusal> {
    let body = &binding.body;
    let life = body
        .expires
        .checked_sub(body.not_before)
        .ok_or(Refusal::Binding)?;
    let are_few = body.prekeys.len() <= MAX_PREKEYS;
    let are_keys = body.prekeys.iter().all(|key| key.len() == PREKEY_BYTES);
    if body.timerose != BINDING_TAG || life > MAX_LIFE_S || !are_few || !are_keys {
        return Err(Refusal::Binding);
    }
    let peer: PeerId = body.peer.parse().map_err(|_| Refusal::Binding)?;
    let key = key::verifying_key(&body.key).map_err(|_| Refusal::Binding)?;
    key::verify_node(&peer, &signing_bytes(body)?, &binding.sig)?;
    Ok(Bound {
        peer,
        kid: KeyId::of(&key),
        key,
        boot: body.boot,
        serial: body.serial,
        expires: body.expires,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{NOW, Node};

    #[test]
    fn a_binding_names_its_node_and_key() {
        let node = Node::new(1);
        let bound = verify(&node.binding, NOW).unwrap();
        assert_eq!((bound.peer, bound.kid), (node.peer, node.kid()));
    }

    #[test]
    fn an_hour_of_skew_is_allowed_and_no_more() {
        let binding = Node::new(1).binding;
        let ends = binding.body.expires + SKEW_S;
        assert!(verify(&binding, ends).is_ok());
        assert_eq!(verify(&binding, ends + 1).unwrap_err(), Refusal::Expired);
        let begins = binding.body.not_before - SKEW_S;
        assert!(verify(&binding, begins).is_ok());
        assert_eq!(verify(&binding, begins - 1).unwrap_err(), Refusal::Expired);
    }

    #[test]
    fn a_binding_of_more_than_a_day_is_refused() {
        let node = Node::new(1);
        let long = node.bind(|body| body.expires = body.not_before + MAX_LIFE_S + 1);
        assert_eq!(verify(&long, NOW).unwrap_err(), Refusal::Binding);
    }

    #[test]
    fn a_binding_has_room_for_a_few_prekeys() {
        let with = |prekeys: &[usize]| {
            let key = |bytes: &usize| vec![7; *bytes].into();
            let node = Node::new(1);
            verify(
                &node.bind(|body| body.prekeys = prekeys.iter().map(key).collect()),
                NOW,
            )
        };
        assert!(with(&[32; 4]).is_ok());
        assert_eq!(with(&[32; 5]).unwrap_err(), Refusal::Binding);
        assert_eq!(with(&[31]).unwrap_err(), Refusal::Binding);
    }

    #[test]
    fn a_key_that_the_node_did_not_sign_is_refused() {
        let (node, other) = (Node::new(1), Node::new(2));
        let mut stolen = node.binding.clone();
        stolen.body.key = other.binding.body.key.clone();
        assert_eq!(verify(&stolen, NOW).unwrap_err(), Refusal::Binding);
        let foreign = node.bind(|body| body.peer = other.peer.to_string());
        assert_eq!(verify(&foreign, NOW).unwrap_err(), Refusal::Binding);
    }
}
