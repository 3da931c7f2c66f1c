//! Which peers are on a stream, and which are to be dialled for one.
//!
//! Takes what dials and conversations came to, gives whose turn it is. Of two
//! nodes the one with the lesser peer ID dials, so that they do not meet on
//! two streams; an attached command, which nobody can dial, always does. Pure.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::Notify, time::Instant};

use crate::wire::Address;

/// Pauses between dials that failed.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);
/// Dials at once.
const MAX_DIALS: usize = 8;

/// A stream that carries a session's traffic. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    id: u64,
    /// There may be something to send, or another stream took its place.
    pub(crate) wake: Arc<Notify>,
}

#[derive(Clone, Copy, Debug)]
struct Dial {
    is_under_way: bool,
    next: Instant,
    pause: Duration,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    last_id: u64,
    live: HashMap<Address, Stream>,
    dials: HashMap<Address, Dial>,
}

impl Streams {
    /// How many carry traffic.
    pub(crate) fn count(&self) -> usize {
        self.live.len()
    }

    /// The peer's stream.
    pub(crate) fn of(&self, peer: &Address) -> Option<&Stream> {
        self.live.get(peer)
    }

    /// Whether this very stream is the peer's.
    pub(crate) fn is_current(&self, peer: &Address, stream: &Stream) -> bool {
        self.of(peer).is_some_and(|live| live.id == stream.id)
    }

    /// A stream was proven to lead to `peer`; an older one gives way.
    pub(crate) fn begin(&mut self, peer: &Address) -> Stream {
        self.last_id += 1;
        let stream = Stream {
            id: self.last_id,
            wake: Arc::default(),
        };
        self.dials.remove(peer);
        if let Some(older) = self.live.insert(peer.clone(), stream.clone()) {
            older.wake.notify_one();
        }
        stream
    }

    /// A stream broke; gives whether it was the peer's. It is dialled again
    /// after a pause.
    pub(crate) fn end(&mut self, peer: &Address, stream: &Stream, now: Instant) -> bool {
        let was_current = self.is_current(peer, stream);
        if was_current {
            self.live.remove(peer);
            self.pause(peer, now);
        }
        was_current
    }

    /// Whom of `wanted` to dial now; each counts as under way.
    pub(crate) fn dials_due(&mut self, wanted: Vec<Address>, now: Instant) -> Vec<Address> {
        self.dials.retain(|peer, _| wanted.contains(peer));
        let under_way = self.dials.values().filter(|dial| dial.is_under_way).count();
        let mut due = wanted;
        due.retain(|peer| {
            let dial = self.dials.get(peer);
            !self.live.contains_key(peer)
                && dial.is_none_or(|dial| !dial.is_under_way && dial.next <= now)
        });
        due.truncate(MAX_DIALS.saturating_sub(under_way));
        for peer in &due {
            let dial = self.dials.entry(peer.clone()).or_insert(Dial {
                is_under_way: true,
                next: now,
                pause: FIRST_PAUSE,
            });
            dial.is_under_way = true;
        }
        due
    }

    /// A dial came to nothing, or what it led to broke.
    pub(crate) fn pause(&mut self, peer: &Address, now: Instant) {
        let dial = self.dials.entry(peer.clone()).or_insert(Dial {
            is_under_way: false,
            next: now,
            pause: FIRST_PAUSE,
        });
        dial.is_under_way = false;
        dial.next = now + dial.pause;
        dial.pause = (dial.pause * 2).min(LAST_PAUSE);
    }
}

/// Whether `me` is the one of both that dials.
pub(crate) fn dials(me: &Address, other: &Address) -> bool {
    me.kid.is_some() || (other.kid.is_none() && me.peer < other.peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u8) -> Address {
        let key = libp2p_identity::Keypair::ed25519_from_bytes([number; 32]).unwrap();
        Address::node(key.public().to_peer_id())
    }

    #[test]
    fn of_two_nodes_exactly_one_dials() {
        let (a, b) = (address(1), address(2));
        assert_ne!(dials(&a, &b), dials(&b, &a));
    }

    #[test]
    fn a_dial_that_fails_is_repeated_after_pauses_that_grow_to_a_minute() {
        let (mut streams, peer, mut now) = (Streams::default(), address(1), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert_eq!(streams.dials_due(vec![peer.clone()], now).len(), 1);
            assert!(streams.dials_due(vec![peer.clone()], now).is_empty());
            streams.pause(&peer, now);
            let failed = now;
            while streams.dials_due(vec![peer.clone()], now).is_empty() {
                now += Duration::from_secs(1);
            }
            pauses.push((now - failed).as_secs());
            streams.dials.get_mut(&peer).unwrap().is_under_way = false;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn the_newest_stream_counts_and_the_end_of_an_older_one_changes_nothing() {
        let (mut streams, peer, now) = (Streams::default(), address(1), Instant::now());
        let older = streams.begin(&peer);
        let newer = streams.begin(&peer);
        assert!(!streams.end(&peer, &older, now) && streams.is_current(&peer, &newer));
        assert!(streams.end(&peer, &newer, now) && streams.count() == 0);
    }
}
