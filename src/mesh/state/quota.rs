//! How much a relay passes on, of each sender, and takes in, of each relay.
//!
//! Envelopes and bytes have a bucket each; what exceeds one takes from neither.
//! Pure.

use std::{collections::HashMap, time::Duration};

use libp2p_identity::PeerId;
use tokio::time::Instant;

use crate::mesh::bucket::{Bucket, Rate};

/// What one sender may have forwarded.
const SENT: Limits = Limits {
    envelopes: Rate {
        per_s: 200,
        burst: 400,
    },
    bytes: Rate {
        per_s: 2 << 20,
        burst: 4 << 20,
    },
};
/// What one relay may bring: it forwards for many.
const BROUGHT: Limits = Limits {
    envelopes: Rate {
        per_s: 1_000,
        burst: 2_000,
    },
    bytes: Rate {
        per_s: 10 << 20,
        burst: 20 << 20,
    },
};
/// How long an unused quota is kept.
const KEPT: Duration = Duration::from_secs(60);
const MAX_QUOTAS: usize = 4_096;

#[derive(Clone, Copy, Debug)]
struct Limits {
    envelopes: Rate,
    bytes: Rate,
}

#[derive(Clone, Copy, Debug)]
struct Quota {
    envelopes: Bucket,
    bytes: Bucket,
}

/// All of one kind.
#[derive(Debug)]
pub(super) struct Quotas {
    limits: Limits,
    by_peer: HashMap<PeerId, Quota>,
}

impl Quotas {
    /// Of those who have envelopes forwarded.
    pub(super) fn of_senders() -> Self {
        Self::within(SENT)
    }

    /// Of those who forward to us.
    pub(super) fn of_relays() -> Self {
        Self::within(BROUGHT)
    }

    fn within(limits: Limits) -> Self {
        Self {
            limits,
            by_peer: HashMap::new(),
        }
    }

    /// Takes one envelope of so many bytes; false when the quota is used up.
    pub(super) fn take(&mut self, peer: PeerId, bytes: usize, now: Instant) -> bool {
        self.make_room(now);
        let limits = self.limits;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let quota = self.by_peer.entry(peer).or_insert(Quota {
            envelopes: Bucket::full(limits.envelopes, now),
            bytes: Bucket::full(limits.bytes, now),
        });
        quota.bytes.has(bytes, limits.bytes, now)
            && quota.envelopes.take(1, limits.envelopes, now)
            && quota.bytes.take(bytes, limits.bytes, now)
    }

    fn make_room(&mut self, now: Instant) {
        if self.by_peer.len() >= MAX_QUOTAS {
            let is_used = |q: &Quota| now.saturating_duration_since(q.bytes.asked()) < KEPT;
            self.by_peer.retain(|_, quota| is_used(quota));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> PeerId {
        let key = libp2p_identity::Keypair::ed25519_from_bytes([number; 32]).unwrap();
        key.public().to_peer_id()
    }

    /// How many of many are taken at one moment.
    fn taken(quotas: &mut Quotas, peer: PeerId, bytes: usize, now: Instant) -> usize {
        (0..5_000).filter(|_| quotas.take(peer, bytes, now)).count()
    }

    #[test]
    fn a_sender_has_four_hundred_envelopes_at_once_and_two_hundred_a_second() {
        let (mut quotas, now) = (Quotas::of_senders(), Instant::now());
        assert_eq!(taken(&mut quotas, peer(1), 100, now), 400);
        let later = now + Duration::from_secs(1);
        assert_eq!(taken(&mut quotas, peer(1), 100, later), 200);
    }

    #[test]
    fn a_sender_has_four_mebibytes_at_once_and_two_a_second() {
        let (mut quotas, now) = (Quotas::of_senders(), Instant::now());
        assert_eq!(taken(&mut quotas, peer(1), 128 << 10, now), 32);
        let later = now + Duration::from_secs(1);
        assert_eq!(taken(&mut quotas, peer(1), 128 << 10, later), 16);
    }

    #[test]
    fn one_who_takes_too_much_leaves_others_theirs() {
        let (mut quotas, now) = (Quotas::of_senders(), Instant::now());
        taken(&mut quotas, peer(1), 1, now);
        assert!(!quotas.take(peer(1), 1, now) && quotas.take(peer(2), 1, now));
    }

    #[test]
    fn what_is_too_large_now_takes_nothing_from_what_is_small() {
        let (mut quotas, now) = (Quotas::of_senders(), Instant::now());
        assert_eq!(taken(&mut quotas, peer(1), (4 << 20) + 1, now), 0);
        assert_eq!(taken(&mut quotas, peer(1), 1, now), 400);
    }
}
