//! FORWARD, as the relay: whether an envelope is passed on.
//!
//! Its size, its sender's quota and the link with its receiver decide, nothing
//! else: a relay can read nothing of it. Pure.

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Origin, State,
    forward::{MAX_RELAY_QUEUE, is_direct},
};
use crate::wire::{
    Address, Refusal, dagcbor,
    forward::{Forwarding, MAX_FORWARDED_BYTES, NotForwarded},
};

/// Bytes that a relay keeps for one receiver.
const MAX_UNSETTLED_BYTES: usize = 8 << 20;
/// Receivers that a relay looks for at once, on behalf of others.
const MAX_TO_MEET: usize = 4;

impl State {
    /// One step of a forwarded envelope; gives the envelope, if it is for us.
    /// What came through a relay itself goes no further.
    pub(super) fn on_forwarding(
        &mut self,
        origin: Origin<'_>,
        forwarding: Forwarding,
        now: Instant,
    ) -> Option<Bytes> {
        if origin.via.is_some() {
            self.counters.refuse(Refusal::Malformed);
            return None;
        }
        match forwarding {
            Forwarding::Forward { to, envelope } => {
                self.forward(origin.from, to, envelope, now);
                None
            }
            Forwarding::Forwarded { envelope } => {
                let is_within = self.brought.take(origin.from.peer, envelope.len(), now);
                if !is_within {
                    self.counters.refuse(Refusal::Rate);
                }
                is_within.then(|| envelope.into())
            }
            Forwarding::NotForwarded { to, reason } => {
                if let Some(route) = self.routes.get_mut(&to) {
                    route.refused(origin.from, reason, now);
                }
                self.wake.notify_one();
                None
            }
        }
    }

    /// Passes an envelope on, or says why not.
    fn forward(&mut self, from: &Address, to: Address, envelope: Vec<u8>, now: Instant) {
        let refused = self.why_not_forward(from, &to, envelope.len(), now);
        let Some(reason) = refused else {
            let is_taken = self.say(&to, &Forwarding::Forwarded { envelope }, now);
            self.counters.forwarded += u64::from(is_taken);
            return;
        };
        self.counters.not_forwarded(reason);
        if reason == NotForwarded::Unlinked && self.to_meet.len() < MAX_TO_MEET {
            self.to_meet.insert(to.clone());
            self.errand.notify_one();
        }
        // A sender beyond its share is owed no words either.
        if reason != NotForwarded::Rate {
            self.say(from, &Forwarding::NotForwarded { to, reason }, now);
        }
    }

    fn why_not_forward(
        &mut self,
        from: &Address,
        to: &Address,
        bytes: usize,
        now: Instant,
    ) -> Option<NotForwarded> {
        if !self.own.forwards {
            return Some(NotForwarded::Off);
        }
        if bytes > MAX_FORWARDED_BYTES {
            return Some(NotForwarded::Size);
        }
        if !self.sent.take(from.peer, bytes, now) {
            return Some(NotForwarded::Rate);
        }
        let receiver = self.peers.get(to).filter(|peer| is_direct(peer));
        let Some(receiver) = receiver.filter(|_| to != from) else {
            return Some(NotForwarded::Unlinked);
        };
        let is_full = receiver.queued() >= MAX_RELAY_QUEUE
            || receiver.unsettled_bytes() + bytes > MAX_UNSETTLED_BYTES;
        is_full.then_some(NotForwarded::Full)
    }

    /// Those whom others want to reach through this node.
    pub(crate) fn take_to_meet(&mut self) -> Vec<Address> {
        std::mem::take(&mut self.to_meet).into_iter().collect()
    }

    /// Queues for a living session; false where there is none or no room.
    pub(super) fn say(&mut self, to: &Address, forwarding: &Forwarding, now: Instant) -> bool {
        let Ok(bytes) = dagcbor::encode(forwarding) else {
            return false;
        };
        let peer = self.peers.get_mut(to).filter(|peer| peer.is_up());
        let is_taken = peer.is_some_and(|peer| peer.enqueue(bytes.into(), now));
        self.nudge(to);
        is_taken
    }
}
