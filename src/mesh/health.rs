//! How the mesh does: what is ready, what was counted.

use std::collections::BTreeMap;

use crate::wire::{Address, Refusal, forward::NotForwarded};

/// Counts since the start; each only rises.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Envelopes that Kubo took.
    pub published: u64,
    /// Envelopes sent over streams.
    pub streamed: u64,
    /// Streams that broke or fell silent; their sessions went on over pubsub.
    pub streams_broken: u64,
    /// Envelopes offered to Kubo again: it had dropped them or not answered.
    pub publish_retries: u64,
    /// Envelopes that Kubo did not take at all.
    pub publish_failures: u64,
    /// Envelopes received and believed.
    pub received: u64,
    /// Envelopes dropped unread: more came than could be looked at.
    pub overflowed: u64,
    /// Sessions that began.
    pub sessions_begun: u64,
    /// Sessions that ended, for whatever reason.
    pub sessions_ended: u64,
    /// Messages of other sidecars handed on, each once.
    pub delivered: u64,
    /// Messages sent again for want of an acknowledgement.
    pub retransmitted: u64,
    /// Times that the inbox was subscribed to anew.
    pub resubscribed: u64,
    /// Envelopes refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Own envelopes given to relays.
    pub relayed: u64,
    /// Envelopes of others passed on.
    pub forwarded: u64,
    /// Envelopes of others not passed on, by reason.
    pub forward_refused: BTreeMap<&'static str, u64>,
}

/// What the mesh needs of Kubo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Duty {
    Publish,
    Subscribe,
}

/// How the mesh does now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Kubo answers.
    pub is_kubo_up: bool,
    /// The inbox is subscribed to.
    pub is_subscribed: bool,
    /// The last self-probe came back.
    pub is_probe_back: bool,
    /// What Kubo refuses to do, each with its cure.
    pub obstacles: Vec<String>,
    /// Peers that speak and hear nothing of us. The cure: fix our clock, or at
    /// theirs `ipfs pubsub reset --peer` with our peer ID.
    pub muted_by: Vec<Address>,
    /// Living sessions.
    pub sessions: usize,
    /// Kubo brings streams here.
    pub takes_streams: bool,
    /// Sessions whose traffic goes over a stream.
    pub streams: usize,
    /// Nodes whose adverts are listed.
    pub listed: usize,
    /// Counts since the start.
    pub counters: Counters,
}

impl Health {
    /// Whether messages can come and go.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_kubo_up && self.is_subscribed && self.is_probe_back
    }
}

impl Counters {
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        *self.refused.entry(refusal.as_str()).or_default() += 1;
    }

    pub(super) fn not_forwarded(&mut self, reason: NotForwarded) {
        *self.forward_refused.entry(reason.as_str()).or_default() += 1;
    }
}
