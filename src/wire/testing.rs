//! Nodes with fixed keys, for the tests of this folder.

use ed25519_dalek::SigningKey;
use libp2p_identity::{Keypair, PeerId};

use super::{
    KeyId,
    binding::{BINDING_TAG, signing_bytes},
    cid_of, key,
};
use crate::model::{
    Binding, BindingBody, BootId, InvocationId, LeaseId, Outcome, RECEIPT_TAG, Receipt, Usage,
};

/// The time of all tests, Unix seconds.
pub(crate) const NOW: u64 = 1_800_000_000;

/// A node whose keys follow from a number.
pub(crate) struct Node {
    pub(crate) node_key: Keypair,
    pub(crate) key: SigningKey,
    pub(crate) peer: PeerId,
    pub(crate) binding: Binding,
}

impl Node {
    pub(crate) fn new(number: u8) -> Self {
        let node_key = Keypair::ed25519_from_bytes([number; 32]).unwrap();
        let key = SigningKey::from_bytes(&[number.wrapping_add(100); 32]);
        let peer = node_key.public().to_peer_id();
        let body = BindingBody {
            timerose: BINDING_TAG.to_owned(),
            peer: peer.to_string(),
            key: key.verifying_key().as_bytes().to_vec(),
            prekeys: Vec::new(),
            boot: BootId::new(NOW * 1_000, u128::from(number)),
            not_before: NOW - 3_600,
            expires: NOW + 3_600,
            serial: 1,
        };
        let sig = key::sign_as_node(&node_key, &signing_bytes(&body).unwrap());
        Self {
            node_key,
            key,
            peer,
            binding: Binding { body, sig },
        }
    }

    pub(crate) fn kid(&self) -> KeyId {
        KeyId::of(&self.key.verifying_key())
    }

    /// Another binding by the same node key.
    pub(crate) fn bind(&self, change: impl FnOnce(&mut BindingBody)) -> Binding {
        let mut body = self.binding.body.clone();
        change(&mut body);
        let sig = key::sign_as_node(&self.node_key, &signing_bytes(&body).unwrap());
        Binding { body, sig }
    }
}

/// An unsigned receipt of a run on `node`.
pub(crate) fn receipt(node: &Node) -> Receipt {
    Receipt {
        timerose: RECEIPT_TAG.to_owned(),
        call: cid_of(super::block::DAG_CBOR, b"call"),
        invocation: InvocationId::new(NOW, 1),
        replica: 0,
        attempt: 1,
        lease: LeaseId::new(NOW, 2),
        fence: 1,
        executor: node.peer.to_string(),
        private: false,
        outcome: Outcome::Ok {
            output: cid_of(super::block::RAW, b"output"),
            digest: vec![7; 32],
            archive: false,
            logs: None,
            exit: 0,
        },
        usage: Usage::default(),
        runtime: "wasm/wasi wasmtime-48.0.8".to_owned(),
        started: NOW * 1_000,
        elapsed_ms: 5,
        binding: node.binding.clone(),
        sig: Vec::new(),
    }
}
