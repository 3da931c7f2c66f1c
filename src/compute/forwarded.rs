//! What does not pass between two nodes that a third one forwards for.
//!
//! Takes a failure and whose blocks were wanted, gives it with a hint. Messages
//! are forwarded, blocks are not: Kubo fetches them from those it is connected
//! to.

use super::Failure;
use crate::{
    mesh::Mesh,
    model::{Class, PeerId},
};

/// The failure; where blocks were missing because there is no direct way to
/// `peer`, with a hint that says so.
pub(crate) fn explained(failure: Failure, peer: &str, mesh: &Mesh) -> Failure {
    let relay = peer.parse().ok().and_then(|peer: PeerId| mesh.via(&peer));
    hinted(failure, peer, relay)
}

fn hinted(failure: Failure, peer: &str, relay: Option<PeerId>) -> Failure {
    let lacks_blocks = failure.class == Class::Missing || failure.code == "not_stored";
    match relay {
        Some(relay) if lacks_blocks => failure.with_hint(format!(
            "there is no direct way to {peer}: {relay} forwards messages, and blocks over 64 KiB cannot come; have a node hold them that both reach (on {relay}: ipfs pin add CID)"
        )),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> PeerId {
        let key = libp2p_identity::Keypair::ed25519_from_bytes([number; 32]).unwrap();
        key.public().to_peer_id()
    }

    #[test]
    fn blocks_that_are_missing_because_messages_are_forwarded_are_explained() {
        let missing = Failure::new(Class::Missing, "missing", "bafy is not to be had");
        let hint = hinted(missing.clone(), "far", Some(peer(1))).hint.unwrap();
        let relay = peer(1);
        assert!(
            hint.contains(&format!("{relay} forwards messages")),
            "{hint}"
        );
        assert_eq!(hinted(missing, "near", None).hint, None);
        let trap = Failure::new(Class::User, "user", "trap");
        assert_eq!(hinted(trap, "far", Some(peer(1))).hint, None);
    }
}
