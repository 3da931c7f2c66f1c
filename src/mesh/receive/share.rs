//! A share of attention for every sender: what exceeds it is not looked at.
//!
//! Linked peers have one each, all strangers have one together. Pure.

use std::{collections::HashMap, time::Duration};

use libp2p_identity::PeerId;
use tokio::time::Instant;

use crate::mesh::bucket::{Bucket, Rate};

/// Envelopes per second and at once, of a linked peer.
const LINKED: Rate = Rate {
    per_s: 1_000,
    burst: 2_000,
};
/// Of all strangers together: greetings and adverts.
const STRANGERS: Rate = Rate {
    per_s: 100,
    burst: 400,
};
/// How long an unused share is kept.
const KEPT: Duration = Duration::from_secs(60);
const MAX_SHARES: usize = 4_096;

/// The shares.
#[derive(Debug, Default)]
pub(super) struct Shares {
    linked: HashMap<PeerId, Bucket>,
    strangers: Option<Bucket>,
}

impl Shares {
    /// Takes one envelope off the sender's share; false when it is used up.
    pub(super) fn take(&mut self, linked: Option<PeerId>, now: Instant) -> bool {
        let Some(peer) = linked else {
            return self
                .strangers
                .get_or_insert(Bucket::full(STRANGERS, now))
                .take(1, STRANGERS, now);
        };
        if self.linked.len() >= MAX_SHARES {
            self.linked
                .retain(|_, bucket| now.saturating_duration_since(bucket.asked()) < KEPT);
        }
        self.linked
            .entry(peer)
            .or_insert(Bucket::full(LINKED, now))
            .take(1, LINKED, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_share_one_bucket_and_leave_linked_peers_alone() {
        let (mut shares, now) = (Shares::default(), Instant::now());
        let taken = (0..1_000).filter(|_| shares.take(None, now)).count();
        assert_eq!(taken, 400);
        let peer = libp2p_identity::Keypair::generate_ed25519()
            .public()
            .to_peer_id();
        assert!(shares.take(Some(peer), now));
        assert!(shares.take(None, now + Duration::from_millis(10)));
        assert!(!shares.take(None, now + Duration::from_millis(10)));
    }
}
