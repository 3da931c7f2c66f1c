//! What the state does for streams: whose traffic goes where, and when.
//!
//! Takes what became of dials and conversations, gives whom to dial and what a
//! conversation has to do. Pure, like the rest of the state.

use tokio::time::Instant;

use super::{Item, LONGEST_SLEEP, Route, State, Stream, streams::dials};
use crate::{
    mesh::{SILENCE, session::Way},
    wire::{Address, seal::Secret},
};

/// What a stream has to do.
#[derive(Debug)]
pub(crate) enum StreamTurn {
    /// Carry this.
    Send(Box<Item>),
    /// Ask again then, if nothing happens before.
    Wait(Instant),
    /// End: another stream took its place.
    Replaced,
    /// End: the other side fell silent on it.
    Silent,
}

impl State {
    /// What a stream to `peer` says first, so that the other end knows whose it
    /// is.
    pub(crate) fn introduce(&mut self, peer: &Address, now: Instant) -> Option<Item> {
        let counterpart = self.peers.get_mut(peer)?;
        counterpart.speak(now);
        let outgoing = counterpart.traffic(now)?;
        Some(self.item(peer.clone(), outgoing))
    }

    /// A stream was proven to lead to `peer`: its traffic goes there now.
    pub(crate) fn begin_stream(&mut self, peer: &Address, now: Instant) -> Stream {
        if let Some(counterpart) = self.peers.get_mut(peer) {
            counterpart.set_way(Way::Stream, now);
        }
        self.routes.entry(peer.clone()).and_modify(Route::lost);
        self.streams.begin(peer)
    }

    /// A stream broke; its traffic goes back to pubsub. Gives whether it
    /// carried the peer's.
    pub(crate) fn end_stream(&mut self, peer: &Address, stream: &Stream, now: Instant) -> bool {
        let was_current = self.streams.end(peer, stream, now);
        let counterpart = self.peers.get_mut(peer).filter(|p| p.way() == Way::Stream);
        if was_current && let Some(counterpart) = counterpart {
            counterpart.set_way(Way::Pubsub, now);
        }
        was_current
    }

    /// What the stream of `peer` has to do now.
    pub(crate) fn stream_turn(
        &mut self,
        peer: &Address,
        stream: &Stream,
        now: Instant,
    ) -> StreamTurn {
        let is_current = self.streams.is_current(peer, stream);
        let Some(counterpart) = self.peers.get_mut(peer).filter(|_| is_current) else {
            return StreamTurn::Replaced;
        };
        if counterpart.way() == Way::Relay {
            // The other speaks through a relay: nothing reaches it here.
            return StreamTurn::Silent;
        }
        let silent_at = counterpart.silent_at(SILENCE);
        if silent_at.is_some_and(|at| at <= now) {
            return StreamTurn::Silent;
        }
        if let Some(outgoing) = counterpart.traffic(now) {
            if !self.routes.is_empty() {
                // There may be room again for what goes through this peer.
                self.wake.notify_one();
            }
            return StreamTurn::Send(Box::new(self.item(peer.clone(), outgoing)));
        }
        let wakes = [counterpart.next_traffic(now), silent_at];
        let wakes = wakes.into_iter().flatten();
        StreamTurn::Wait(wakes.min().unwrap_or(now + LONGEST_SLEEP))
    }

    /// Peers that are to be dialled for a stream now.
    pub(crate) fn dials_due(&mut self, now: Instant) -> Vec<Address> {
        let wanted = self.peers.iter().filter(|(address, peer)| {
            let is_near = peer.is_up() && peer.way() != Way::Relay;
            is_near && peer.takes_streams && dials(&self.own.me, address)
        });
        let wanted = wanted.map(|(address, _)| address.clone()).collect();
        self.streams.dials_due(wanted, now)
    }

    /// A dial for a stream came to nothing.
    pub(crate) fn not_dialled(&mut self, peer: &Address, now: Instant) {
        self.streams.pause(peer, now);
    }

    /// Whether Kubo brings streams here; told to everybody who is linked.
    pub(crate) fn set_takes_streams(&mut self, takes: bool, mut fresh: impl FnMut() -> Secret) {
        if std::mem::replace(&mut self.takes_streams, takes) != takes {
            for peer in self.peers.values_mut().filter(|peer| peer.is_up()) {
                peer.greet_once(fresh());
            }
        }
    }

    /// Whether Kubo brings streams here.
    pub(crate) fn takes_streams(&self) -> bool {
        self.takes_streams
    }

    /// Whether a peer's traffic goes over a stream.
    pub(crate) fn is_streaming(&self, peer: &Address) -> bool {
        self.streams.of(peer).is_some()
    }
}
