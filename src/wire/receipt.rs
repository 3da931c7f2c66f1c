//! Receipts: signed by the executor, checked by anyone, without a network.

use ed25519_dalek::SigningKey;
use libp2p_identity::PeerId;

use super::{
    KeyId, Refusal,
    binding::{self, Bound},
    dagcbor, key,
};
use crate::model::{Binding, RECEIPT_TAG, Receipt};

const DOMAIN: &[u8] = b"timerose/receipt/1\0";

/// Who stands for a receipt that was checked. The time in it is the executor's
/// own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The executor.
    pub executor: PeerId,
    /// The key that signed.
    pub kid: KeyId,
}

/// Fills in `sig`. The binding in the receipt must be the key's own.
///
/// # Errors
/// [`Refusal::Unencodable`], in theory only.
pub fn sign(mut receipt: Receipt, signer: &SigningKey) -> Result<Receipt, Refusal> {
    receipt.sig.clear();
    receipt.sig = key::sign(signer, DOMAIN, &dagcbor::encode(&receipt)?);
    Ok(receipt)
}

/// Checks that the executor named in a receipt signed it with a key that its
/// node had bound for the time at which the attempt began.
///
/// # Errors
/// [`Refusal::Version`], [`Refusal::Binding`], [`Refusal::Expired`] or
/// [`Refusal::Signature`].
pub fn verify(receipt: &Receipt) -> Result<Verified, Refusal> {
    verify_with(receipt, binding::verify_ever)
}

/// The same, where `bound` checks bindings, or knows some that were checked.
///
/// # Errors
/// As [`verify`].
pub fn verify_with(
    receipt: &Receipt,
    bound: impl FnOnce(&Binding) -> Result<Bound, Refusal>,
) -> Result<Verified, Refusal> {
    if receipt.timerose != RECEIPT_TAG {
        return Err(Refusal::Version);
    }
    let bound = bound(&receipt.binding)?;
    if receipt.executor != receipt.binding.body.peer {
        return Err(Refusal::Binding);
    }
    let body = &receipt.binding.body;
    if !(body.not_before..=body.expires).contains(&(receipt.started / 1_000)) {
        return Err(Refusal::Expired);
    }
    let unsigned = Receipt {
        sig: Vec::new(),
        ..receipt.clone()
    };
    key::verify(
        &bound.key,
        DOMAIN,
        &dagcbor::encode(&unsigned)?,
        &receipt.sig,
    )?;
    Ok(Verified {
        executor: bound.peer,
        kid: bound.kid,
    })
}

/// Reads a receipt's canonical bytes and checks it.
///
/// # Errors
/// As [`dagcbor::decode`] and [`verify`].
pub fn open(bytes: &[u8]) -> Result<(Receipt, Verified), Refusal> {
    let receipt: Receipt = dagcbor::decode(bytes)?;
    let verified = verify(&receipt)?;
    Ok((receipt, verified))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{Node, receipt};

    #[test]
    fn a_signed_receipt_verifies_and_names_its_executor() {
        let node = Node::new(1);
        let signed = sign(receipt(&node), &node.key).unwrap();
        assert_eq!(
            verify(&signed),
            Ok(Verified {
                executor: node.peer,
                kid: node.kid()
            })
        );
    }

    #[test]
    fn a_receipt_with_any_one_bit_changed_is_refused() {
        let node = Node::new(1);
        let bytes = dagcbor::encode(&sign(receipt(&node), &node.key).unwrap()).unwrap();
        assert!(open(&bytes).is_ok());
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(
                open(&changed).is_err(),
                "bit {bit} changed and nobody noticed"
            );
        }
    }

    #[test]
    fn a_run_outside_the_binding_is_refused() {
        let node = Node::new(1);
        let mut late = receipt(&node);
        late.started = (node.binding.body.expires + 1) * 1_000;
        assert_eq!(
            verify(&sign(late, &node.key).unwrap()),
            Err(Refusal::Expired)
        );
    }

    #[test]
    fn nobody_signs_for_another_executor() {
        let (node, other) = (Node::new(1), Node::new(2));
        let mut forged = receipt(&node);
        forged.executor = other.peer.to_string();
        assert_eq!(
            verify(&sign(forged, &node.key).unwrap()),
            Err(Refusal::Binding)
        );
        let by_other = sign(receipt(&node), &other.key).unwrap();
        assert_eq!(verify(&by_other), Err(Refusal::Signature));
    }
}
