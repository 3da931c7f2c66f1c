//! All that the mesh knows at one moment: peers, adverts, what is to be sent.
//!
//! Takes what arrived and the time, gives the next [`Item`] to publish and
//! events. Synchronous; held under a lock that no await crosses. Whose turn it
//! is goes round robin, one frame per receiver.

#[cfg(test)]
mod adverts;
mod forward;
#[cfg(test)]
mod forward_tests;
mod heard;
mod item;
mod obstacles;
mod probe;
mod quota;
mod relay;
mod rhythm;
mod route;
mod streams;
mod traffic;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use libp2p_identity::PeerId;
use tokio::{sync::Notify, time::Instant};

pub(crate) use self::{
    forward::{FORWARD_AFTER, Paths},
    heard::Origin,
    item::{Item, Said},
    rhythm::Crowd,
    streams::Stream,
    traffic::StreamTurn,
};
use self::{probe::Probe, quota::Quotas, rhythm::Rhythm, route::Route, streams::Streams};
use super::{
    clock,
    config::Carrier,
    directory::{Directory, Remembered},
    event::Event,
    health::{Counters, Duty},
    session::{Notice, Outgoing, Party, Patience, Peer, RIDE_DELAY, Way},
};
use crate::{
    model::Advert,
    wire::{Address, seal::Secret},
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
    /// It passes on what others send to those who are linked with it.
    pub(crate) forwards: bool,
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
    routes: HashMap<Address, Route>,
    /// What others had forwarded here, and what relays brought.
    sent: Quotas,
    brought: Quotas,
    to_meet: BTreeSet<Address>,
    /// There may be something to publish.
    pub(crate) wake: Arc<Notify>,
    /// There may be a peer to be met.
    pub(crate) errand: Arc<Notify>,
    advert: Option<Advert>,
    rhythm: Rhythm,
    is_publishing: bool,
    /// What Kubo refuses to do, and why.
    obstacles: BTreeMap<Duty, String>,
}

/// What [`State::turn`] wants done.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) item: Option<(Item, Paths)>,
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
            routes: HashMap::new(),
            sent: Quotas::of_senders(),
            brought: Quotas::of_relays(),
            to_meet: BTreeSet::new(),
            wake: Arc::default(),
            errand: Arc::default(),
            advert: None,
            is_publishing: false,
            obstacles: BTreeMap::new(),
        }
    }

    /// The next thing to publish.
    pub(crate) fn turn(&mut self, mut fresh: impl FnMut() -> Secret, now: Instant) -> Turn {
        let resubscribe = self.probe.is_overdue(now);
        self.tick(now);
        let own = self.own_item(now).map(|item| (item, Paths::PUBLISHED));
        let item = own.or_else(|| self.next_outgoing(&mut fresh, now));
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

    fn next_outgoing(
        &mut self,
        fresh: &mut dyn FnMut() -> Secret,
        now: Instant,
    ) -> Option<(Item, Paths)> {
        for _ in 0..self.turn.len() {
            let address = self.turn.pop_front()?;
            if !self.peers.contains_key(&address) {
                continue;
            }
            let outgoing = self.outgoing(&address, fresh, now);
            self.turn.push_back(address.clone());
            if let Some((outgoing, paths)) = outgoing {
                return Some((self.item(address, outgoing), paths));
            }
        }
        None
    }

    /// What is to be said to a peer now, other than over a stream.
    fn outgoing(
        &mut self,
        to: &Address,
        fresh: &mut dyn FnMut() -> Secret,
        now: Instant,
    ) -> Option<(Outgoing, Paths)> {
        if let Some(greeting) = self.peers.get_mut(to)?.greeting(fresh, now) {
            return Some((greeting, self.greeting_paths(to, now)));
        }
        let is_due = |at: Instant| at <= now;
        if !self.peers.get(to)?.next_traffic(now).is_some_and(is_due) {
            return None;
        }
        let paths = self.traffic_paths(to, now);
        if paths.is_none() {
            return None;
        }
        Some((self.peers.get_mut(to)?.traffic(now)?, paths))
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
        let peers = self.peers.iter().flat_map(|(address, peer)| {
            let traffic = peer.next_traffic(now);
            let traffic = traffic.filter(|_| self.has_path(address, peer, now));
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
        let ended = self
            .peers
            .iter_mut()
            .filter_map(|(address, peer)| Some((address.clone(), peer.tick(now)?)));
        let ended: Vec<(Address, Notice)> = ended.collect();
        for (address, notice) in ended {
            self.note(&address, vec![notice], now);
        }
        self.seek_the_silent(now);
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
            self.routes.remove(&address);
            self.turn.retain(|other| *other != address);
        }
    }

    /// Queues a message, greeting the peer first where need be; false when its
    /// queue is full, none when there are too many peers. One that may wait
    /// leaves a moment later, unless something else leaves before.
    pub(crate) fn enqueue(
        &mut self,
        to: &Address,
        (bytes, may_wait): (&Bytes, bool),
        now: Instant,
    ) -> Option<bool> {
        let peer = self.peer(to, now)?;
        peer.greet(now);
        let by = if may_wait { now + RIDE_DELAY } else { now };
        let has_room = peer.enqueue(bytes.clone(), by);
        self.nudge(to);
        Some(has_room)
    }

    /// There may be something to send to a peer.
    fn nudge(&self, peer: &Address) {
        match self.streams.of(peer) {
            Some(stream) => stream.wake.notify_one(),
            None => self.wake.notify_one(),
        }
    }

    /// Greets a peer until it answers; none when there are too many peers.
    pub(crate) fn greet(&mut self, to: &Address, now: Instant) -> Option<()> {
        self.peer(to, now).map(|peer| peer.greet(now))
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
