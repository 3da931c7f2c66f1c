//! What the state tells: who is linked, where, how the mesh does.
//!
//! Takes nothing in and changes nothing.

use std::time::Duration;

use libp2p_identity::PeerId;
use tokio::time::Instant;

use super::{MAX_ADDRESSES, State, may_publish};
use crate::{
    mesh::{health::Health, session::Peer},
    wire::Address,
};

impl State {
    /// The sandboxes that the advert offers; none while nothing is advertised.
    pub(crate) fn offered(&self) -> Vec<String> {
        let runtimes = self.advert.iter().flat_map(|advert| advert.runtimes.keys());
        runtimes.cloned().collect()
    }

    pub(crate) fn own_addresses(&self) -> Vec<String> {
        self.addresses.iter().take(MAX_ADDRESSES).cloned().collect()
    }

    pub(crate) fn is_up(&self, address: &Address) -> bool {
        self.peers.get(address).is_some_and(Peer::is_up)
    }

    /// Whether any sidecar under a peer ID is linked.
    pub(crate) fn is_linked(&self, peer: &PeerId) -> bool {
        self.is_up(&Address::node(*peer))
            || self
                .peers
                .iter()
                .any(|(address, known)| address.peer == *peer && known.is_up())
    }

    pub(crate) fn srtt(&self, address: &Address) -> Option<Duration> {
        self.peers.get(address)?.srtt()
    }

    /// Where a peer can be dialled, as far as is known.
    pub(crate) fn addresses_of(&self, address: &Address) -> Vec<String> {
        let told = self.peers.get(address).map(|peer| peer.addresses.clone());
        let told = told.filter(|addresses| !addresses.is_empty());
        told.unwrap_or_else(|| self.directory.addresses(&address.peer))
    }

    /// Peers that something waits for and that nobody heard since `before`.
    pub(crate) fn unheard_since(&self, before: Instant) -> Vec<Address> {
        let unheard = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.is_unheard_since(before));
        unheard.map(|(address, _)| address.clone()).collect()
    }

    /// Peers with a living session.
    pub(crate) fn linked(&self) -> Vec<Address> {
        let linked = self.peers.iter().filter(|(_, peer)| peer.is_up());
        linked.map(|(address, _)| address.clone()).collect()
    }

    /// Whether every message sent was acknowledged.
    pub(crate) fn is_settled(&self) -> bool {
        self.peers
            .values()
            .all(|peer| !peer.is_up() || peer.is_settled())
    }

    /// Whether something that was published to a peer may still be on its way.
    pub(crate) fn is_under_way(&self) -> bool {
        self.peers
            .values()
            .any(|peer| may_publish(self.own.carrier, peer) && peer.is_under_way())
    }

    /// Whether everybody was told farewell.
    pub(crate) fn is_gone(&self) -> bool {
        !self.is_publishing && !self.peers.values().any(Peer::is_up)
    }

    pub(crate) fn health(&self, is_kubo_up: bool, now: Instant) -> Health {
        let muted = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.is_deaf_to_us(now));
        Health {
            is_kubo_up,
            is_subscribed: self.probe.is_subscribed(),
            is_probe_back: self.probe.is_back(),
            obstacles: self.obstacles.values().cloned().collect(),
            muted_by: muted.map(|(address, _)| address.clone()).collect(),
            sessions: self.peers.values().filter(|peer| peer.is_up()).count(),
            takes_streams: self.takes_streams,
            streams: self.streams.count(),
            listed: self.directory.len(),
            counters: self.counters.clone(),
        }
    }

    /// Whether a first greeting to a peer failed since it was asked for.
    pub(crate) fn is_given_up(&self, address: &Address) -> bool {
        self.peers.get(address).is_none_or(Peer::is_idle)
    }
}
