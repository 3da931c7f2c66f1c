//! All that the mesh knows at one moment: peers, adverts, what is to be sent.
//!
//! Takes what arrived and the time, gives the next [`Item`] to publish and
//! events. Synchronous; held under a lock that no await crosses. Whose turn it
//! is goes round robin, one frame per receiver.

#[cfg(test)]
mod adverts;
mod item;
mod obstacles;
mod probe;
mod rhythm;
mod streams;
mod traffic;
mod view;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use bytes::Bytes;
use libp2p_identity::PeerId;
use tokio::time::Instant;

pub(crate) use self::{
    item::{Item, Said},
    rhythm::Crowd,
    streams::Stream,
    traffic::StreamTurn,
};
use self::{probe::Probe, rhythm::Rhythm, streams::Streams};
use super::{
    clock,
    config::Carrier,
    directory::{Directory, Remembered, Statement},
    event::Event,
    health::{Counters, Duty},
    session::{DownReason, Face, Notice, Outgoing, Party, Patience, Peer, Way},
};
use crate::{
    model::{Advert, Message},
    wire::{
        Address, Refusal,
        binding::Bound,
        body::{Announcement, Hello, SessionId},
        dagcbor,
        envelope::Sealed,
        seal::Secret,
    },
};

/// Counterparts kept at most.
const MAX_PEERS: usize = 4_096;
/// Events that may wait for the roles; beyond, messages are left to come again.
pub(crate) const MAX_EVENTS: usize = 1_024;
/// The latest time at which anything is looked at again.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
const MAX_ADDRESSES: usize = 8;

/// Who this sidecar is and how patient.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    pub(crate) me: Address,
    pub(crate) party: Party,
    pub(crate) carrier: Carrier,
    pub(crate) patience: Patience,
    pub(crate) advert_interval: Duration,
}

/// The state itself.
#[derive(Debug)]
pub(crate) struct State {
    own: Own,
    peers: HashMap<Address, Peer>,
    turn: VecDeque<Address>,
    pub(crate) directory: Directory,
    pub(crate) counters: Counters,
    pub(crate) probe: Probe,
    pub(crate) events: VecDeque<Event>,
    /// The own Kubo's swarm addresses.
    pub(crate) addresses: Vec<String>,
    streams: Streams,
    takes_streams: bool,
    advert: Option<Advert>,
    rhythm: Rhythm,
    is_publishing: bool,
    /// What Kubo refuses to do, and why.
    obstacles: BTreeMap<Duty, String>,
}

/// What [`State::turn`] wants done.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) item: Option<Item>,
    /// When to ask again, if nothing happens before.
    pub(crate) wake: Instant,
    /// The own subscription is dead.
    pub(crate) resubscribe: bool,
}

impl State {
    pub(crate) fn new(own: Own) -> Self {
        Self {
            rhythm: Rhythm::new(own.advert_interval, seed(&own.party)),
            own,
            peers: HashMap::new(),
            turn: VecDeque::new(),
            directory: Directory::default(),
            counters: Counters::default(),
            probe: Probe::default(),
            events: VecDeque::new(),
            addresses: Vec::new(),
            streams: Streams::default(),
            takes_streams: false,
            advert: None,
            is_publishing: false,
            obstacles: BTreeMap::new(),
        }
    }

    /// The next thing to publish.
    pub(crate) fn turn(&mut self, mut fresh: impl FnMut() -> Secret, now: Instant) -> Turn {
        let resubscribe = self.probe.is_overdue(now);
        self.tick(now);
        let item = self
            .own_item(now)
            .or_else(|| self.next_outgoing(&mut fresh, now));
        self.is_publishing = item.is_some();
        let wake = if item.is_some() {
            now
        } else {
            self.next_wake(now)
        };
        Turn {
            item,
            wake,
            resubscribe,
        }
    }

    fn own_item(&mut self, now: Instant) -> Option<Item> {
        if let Some(number) = self.probe.depart(now) {
            return Some(Item::Probe(number));
        }
        let is_subscribed = self.probe.is_subscribed();
        let advert = self.advert.as_ref().filter(|_| is_subscribed)?.clone();
        let crowd = self.directory.crowd(now);
        if !self.rhythm.depart(crowd, now) {
            return None;
        }
        let period = self.rhythm.period(crowd);
        let period_ms = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
        let advert = Advert {
            addresses: self.own_addresses(),
            period_ms,
            ..advert
        };
        Some(Item::Advert(Box::new(advert), clock::unix_s()))
    }

    fn next_outgoing(&mut self, fresh: &mut dyn FnMut() -> Secret, now: Instant) -> Option<Item> {
        for _ in 0..self.turn.len() {
            let address = self.turn.pop_front()?;
            let Some(peer) = self.peers.get_mut(&address) else {
                continue;
            };
            let may_publish = may_publish(self.own.carrier, peer);
            let mut outgoing = peer.greeting(fresh, now);
            if outgoing.is_none() && may_publish {
                outgoing = peer.traffic(now);
            }
            self.turn.push_back(address.clone());
            if let Some(outgoing) = outgoing {
                return Some(self.item(address, outgoing));
            }
        }
        None
    }

    fn item(&mut self, to: Address, outgoing: Outgoing) -> Item {
        if let Outgoing::Frame(departing, _) = &outgoing {
            self.counters.retransmitted += departing.repeated as u64;
        }
        let said = Said {
            addresses: self.own_addresses(),
            streams: self.takes_streams,
        };
        Item::To(to, outgoing, said)
    }

    fn next_wake(&self, now: Instant) -> Instant {
        let peers = self.peers.values().flat_map(|peer| {
            let traffic = peer.next_traffic(now);
            let traffic = traffic.filter(|_| may_publish(self.own.carrier, peer));
            [peer.next_greeting(), traffic].into_iter().flatten()
        });
        let is_advertising = self.advert.is_some() && self.probe.is_subscribed();
        let due = || self.rhythm.due(self.directory.crowd(now));
        let advert = is_advertising.then(due).flatten();
        let others = [self.probe.next_wake(), advert, Some(now + LONGEST_SLEEP)];
        peers
            .chain(others.into_iter().flatten())
            .min()
            .unwrap_or(now)
    }

    /// What time alone brings about.
    fn tick(&mut self, now: Instant) {
        let peers = self.peers.iter_mut();
        let over = peers.filter_map(|(address, peer)| Some((address.clone(), peer.tick(now)?)));
        for (address, notice) in over.collect::<Vec<_>>() {
            self.note(&address, vec![notice]);
        }
    }

    /// The counterpart at an address, made where there is none and room is.
    fn peer(&mut self, address: &Address, now: Instant) -> Option<&mut Peer> {
        if !self.peers.contains_key(address) {
            self.make_room();
            if self.peers.len() >= MAX_PEERS {
                return None;
            }
            let peer = Peer::new(self.own.party.clone(), self.own.patience, now);
            self.peers.insert(address.clone(), peer);
            self.turn.push_back(address.clone());
        }
        self.peers.get_mut(address)
    }

    /// Forgets the counterpart without a session that was heard longest ago.
    fn make_room(&mut self) {
        if self.peers.len() < MAX_PEERS {
            return;
        }
        let idle = self.peers.iter().filter(|(_, peer)| peer.is_idle());
        let oldest = idle
            .min_by_key(|(_, peer)| peer.heard)
            .map(|(address, _)| address.clone());
        if let Some(address) = oldest {
            self.peers.remove(&address);
            self.turn.retain(|other| *other != address);
        }
    }

    /// Queues a message, greeting the peer first where need be; false when its
    /// queue is full, none when there are too many peers.
    pub(crate) fn enqueue(&mut self, to: &Address, bytes: &Bytes, now: Instant) -> Option<bool> {
        let peer = self.peer(to, now)?;
        peer.greet(now);
        let has_room = peer.enqueue(bytes.clone());
        self.nudge(to);
        Some(has_room)
    }

    /// The stream of a peer may have something to send.
    fn nudge(&self, peer: &Address) {
        if let Some(stream) = self.streams.of(peer) {
            stream.wake.notify_one();
        }
    }

    /// Greets a peer until it answers; none when there are too many peers.
    pub(crate) fn greet(&mut self, to: &Address, now: Instant) -> Option<()> {
        self.peer(to, now).map(|peer| peer.greet(now))
    }

    /// A HELLO, checked; `is_own_word` where its sender's own Kubo published it.
    pub(crate) fn on_hello(
        &mut self,
        from: &Address,
        (hello, bound): (Hello, Bound),
        is_own_word: bool,
        fresh: Secret,
        now: Instant,
    ) -> Result<(), Refusal> {
        let party = Party {
            peer: bound.peer,
            kid: bound.kid,
            boot: bound.boot,
        };
        let face = Face {
            party,
            nonce: hello.nonce,
        };
        let needs_stream = self.own.carrier == Carrier::Stream;
        let peer = self.peer(from, now).ok_or(Refusal::Rate)?;
        let was_known = peer.is_with(&face);
        let heard = peer.on_hello(face.clone(), bound.key, hello.echo, fresh.clone(), now);
        if is_own_word {
            peer.on_speech(now);
        }
        let notices = heard?;
        // Of a living session anybody may say an old greeting again.
        if is_own_word || !was_known {
            peer.on_told(face, hello.addresses, hello.streams);
        }
        if needs_stream && notices.contains(&Notice::Up) {
            // No frame over pubsub will tell the other side that it has a session.
            peer.greet_once(fresh);
        }
        self.note(from, notices);
        self.nudge(from);
        Ok(())
    }

    /// A frame, checked; its new messages become events.
    pub(crate) fn on_frame(
        &mut self,
        from: &Address,
        place: (SessionId, u64),
        sealed: &Sealed,
        now: Instant,
    ) -> Result<(), Refusal> {
        let room = MAX_EVENTS.saturating_sub(self.events.len());
        let peer = self.peers.get_mut(from).ok_or(Refusal::Session)?;
        let frame = sealed.open(&peer.keys(place.0)?)?;
        let (notices, arrived) = peer.on_frame(place, frame, room, now)?;
        self.note(from, notices);
        self.nudge(from);
        for bytes in arrived {
            match dagcbor::decode::<Message>(&bytes) {
                Ok(message) => {
                    self.counters.delivered += 1;
                    self.events.push_back(Event::Message {
                        from: from.clone(),
                        message,
                    });
                }
                Err(refusal) => self.counters.refuse(refusal),
            }
        }
        Ok(())
    }

    /// A farewell, checked.
    pub(crate) fn on_bye(&mut self, from: &Address, session: SessionId) -> Result<(), Refusal> {
        let peer = self.peers.get_mut(from).ok_or(Refusal::Session)?;
        let notice = peer.on_bye(session)?;
        self.note(from, vec![notice]);
        Ok(())
    }

    /// An advert, checked.
    pub(crate) fn on_advert(
        &mut self,
        said: Announcement,
        bound: &Bound,
        at: u64,
        now: Instant,
    ) -> Result<(), Refusal> {
        let (peer, serial) = (bound.peer, bound.serial);
        self.directory.hear(
            Statement {
                peer,
                advert: said.advert,
                serial,
                said: at,
            },
            now,
        )?;
        if let Some(known) = self.peers.get_mut(&Address::node(peer)) {
            known.on_speech(now);
        }
        Ok(())
    }

    /// Somebody speaks in a session that is not known here: it may have missed
    /// our restart, so it is greeted.
    pub(crate) fn on_stranger(&mut self, from: &Address, fresh: Secret, now: Instant) {
        if let Some(peer) = self.peer(from, now) {
            peer.greet_once(fresh);
        }
    }

    fn note(&mut self, from: &Address, notices: Vec<Notice>) {
        for notice in notices {
            self.events.push_back(match notice {
                Notice::Up => Event::Up(from.clone()),
                Notice::Down(reason) => Event::Down(from.clone(), reason),
            });
            match notice {
                Notice::Up => {
                    self.counters.sessions_begun += 1;
                    // A newcomer should not wait a period for our advert.
                    self.rhythm.want();
                }
                Notice::Down(DownReason::Unanswered) => {}
                Notice::Down(_) => self.counters.sessions_ended += 1,
            }
        }
    }

    /// The inbox is subscribed to: probe it, advertise, and tell every linked
    /// peer where we are now.
    pub(crate) fn on_subscribed(&mut self, mut fresh: impl FnMut() -> Secret, now: Instant) {
        self.counters.resubscribed += u64::from(self.probe.has_begun());
        self.probe.begin(now);
        self.rhythm.begin(now);
        for peer in self.peers.values_mut().filter(|peer| peer.is_up()) {
            peer.greet_once(fresh());
        }
    }

    /// Starts every measure of silence anew.
    pub(crate) fn excuse(&mut self, now: Instant) {
        self.peers.values_mut().for_each(|peer| peer.excuse(now));
    }

    /// Replaces the advert; none says nothing.
    pub(crate) fn set_advert(&mut self, advert: Option<Advert>) {
        if advert.is_some() && self.advert.is_none() {
            self.rhythm.want();
        }
        self.advert = advert;
    }

    /// Remembers a good executor.
    pub(crate) fn remember(&mut self, peer: PeerId) {
        let addresses = self.addresses_of(&Address::node(peer));
        self.directory.remember(Remembered { peer, addresses });
    }

    /// Says farewell to everybody, in turn.
    pub(crate) fn leave(&mut self) {
        self.advert = None;
        for (address, peer) in &mut self.peers {
            peer.leave();
            if let Some(stream) = self.streams.of(address) {
                stream.wake.notify_one();
            }
        }
    }
}

/// A session whose traffic is on a stream, or may only be, is not published.
fn may_publish(carrier: Carrier, peer: &Peer) -> bool {
    peer.way() == Way::Pubsub && carrier != Carrier::Stream
}

/// Differs from node to node and from start to start.
fn seed(party: &Party) -> u64 {
    let mut hasher = DefaultHasher::new();
    (party.peer, party.boot.to_string()).hash(&mut hasher);
    hasher.finish()
}
