//! FORWARD, as one end: envelopes that travel inside another session's messages.
//!
//! When a peer is to be spoken to around, through whom, and when directly
//! again. Pure.
//!
//! Answers go back the way they came. Only what proves that the other is there
//! now (a frame, or a greeting that makes a session) moves a living session's
//! traffic, so that nobody draws it to himself with a recording.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{Origin, State, may_publish, route::Route};
use crate::{
    mesh::{
        SILENCE,
        config::Carrier,
        session::{MAX_QUEUE, Peer, Way},
    },
    wire::{
        Address, Refusal,
        forward::{Forwarding, MAX_FORWARDED_BYTES},
    },
};

/// Greetings without an answer, for so long, go through relays as well.
pub(crate) const FORWARD_AFTER: Duration = Duration::from_millis(200);
/// Relays that are tried at once.
const RELAYS_AT_ONCE: usize = 3;
/// What was heard directly so lately is reason enough to answer directly.
const DIRECT_LATELY: Duration = Duration::from_secs(1);
/// A relay to which more messages wait is not given another.
pub(super) const MAX_RELAY_QUEUE: usize = MAX_QUEUE / 2;

/// Where an envelope goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Paths {
    /// To Kubo, on the receiver's inbox topic.
    pub(crate) is_published: bool,
    /// To these, to be passed on.
    pub(crate) relays: Vec<Address>,
}

/// What a relay is good for now.
enum Lead<'a> {
    /// Traffic goes through it.
    Through(&'a Address),
    /// It carries the traffic, and has too much waiting to be given more.
    Wait,
    /// There is none.
    Seek,
}

impl Paths {
    pub(super) const PUBLISHED: Self = Self {
        is_published: true,
        relays: Vec::new(),
    };

    pub(super) fn is_none(&self) -> bool {
        !self.is_published && self.relays.is_empty()
    }
}

impl State {
    /// Speaks to a peer that no direct way is known to.
    pub(crate) fn seek(&mut self, to: &Address, now: Instant) {
        let Some(peer) = self.peer(to, now) else {
            return;
        };
        if !peer.is_up() {
            peer.set_hidden(true, now);
            peer.greet(now);
            peer.greet_anew(now);
            self.go_around(to, now);
        }
    }

    /// What time alone brings about: who is silent is spoken to around.
    pub(super) fn seek_the_silent(&mut self, now: Instant) {
        let is_silent = |peer: &Peer| {
            let greeted = peer.greeted_since().map(|since| since + FORWARD_AFTER);
            let spoken_to = peer.silent_at(SILENCE);
            let since = [greeted, spoken_to].into_iter().flatten().min();
            peer.way() == Way::Pubsub && since.is_some_and(|at| at <= now)
        };
        let silent = self.peers.iter().filter(|(_, peer)| is_silent(peer));
        let silent: Vec<Address> = silent.map(|(address, _)| address.clone()).collect();
        for address in silent {
            let is_up = self.is_up(&address);
            if !is_up || self.relays(&address, now).next().is_some() {
                self.go_around(&address, now);
                if is_up && let Some(route) = self.routes.get_mut(&address) {
                    route.fell_silent(now);
                }
            }
        }
    }

    fn go_around(&mut self, to: &Address, now: Instant) {
        let route = self.routes.entry(to.clone());
        route.or_insert_with(|| Route::new(now)).lost();
        if let Some(peer) = self.peers.get_mut(to) {
            peer.set_way(Way::Relay, now);
        }
        self.errand.notify_one();
        self.wake.notify_one();
    }

    /// Members that may pass something on to `to`, the nearest first.
    fn relays(&self, to: &Address, now: Instant) -> impl Iterator<Item = &Address> {
        let route = self.routes.get(to);
        let may_ask = move |relay: &Address| route.is_none_or(|route| route.may_ask(relay, now));
        let mut relays: Vec<_> = self
            .peers
            .iter()
            .filter(|(relay, peer)| *relay != to && may_forward(relay, peer) && may_ask(relay))
            .collect();
        relays.sort_by_key(|(relay, peer)| (peer.srtt().unwrap_or(Duration::MAX), *relay));
        relays.into_iter().map(|(relay, _)| relay)
    }

    fn is_relay(&self, relay: &Address) -> bool {
        self.peers
            .get(relay)
            .is_some_and(|peer| may_forward(relay, peer))
    }

    /// The relay that carries a peer's traffic, as long as it does.
    fn lead(&self, to: &Address, now: Instant) -> Lead<'_> {
        let via = self.routes.get(to).and_then(Route::via);
        let silent_at = self.peers.get(to).and_then(|peer| peer.silent_at(SILENCE));
        let is_silent = silent_at.is_some_and(|at| at <= now);
        match via.filter(|_| !is_silent) {
            Some(via) if self.is_relay(via) => Lead::Through(via),
            Some(via) if self.peers.get(via).is_some_and(is_direct) => Lead::Wait,
            _ => Lead::Seek,
        }
    }

    /// Whether a peer's traffic has anywhere to go.
    pub(super) fn has_path(&self, to: &Address, peer: &Peer, now: Instant) -> bool {
        if peer.way() != Way::Relay {
            return may_publish(self.own.carrier, peer);
        }
        match self.lead(to, now) {
            Lead::Through(_) => true,
            Lead::Wait => false,
            Lead::Seek => {
                self.own.carrier != Carrier::Stream || self.relays(to, now).next().is_some()
            }
        }
    }

    /// Where a peer's traffic goes now.
    pub(super) fn traffic_paths(&mut self, to: &Address, now: Instant) -> Paths {
        let Some(peer) = self.peers.get(to) else {
            return Paths::default();
        };
        if peer.way() != Way::Relay {
            let is_published = may_publish(self.own.carrier, peer);
            return Paths {
                is_published,
                ..Paths::default()
            };
        }
        match self.lead(to, now) {
            Lead::Through(relay) => Paths {
                is_published: false,
                relays: vec![relay.clone()],
            },
            Lead::Wait => Paths::default(),
            Lead::Seek => Paths {
                is_published: self.own.carrier != Carrier::Stream,
                relays: self.relays_to_try(to, now),
            },
        }
    }

    /// Where a greeting to a peer goes.
    pub(super) fn greeting_paths(&mut self, to: &Address, now: Instant) -> Paths {
        let back = self.routes.get(to).and_then(|r| r.greeted_via(now));
        let back = back.filter(|relay| self.is_relay(relay)).cloned();
        let Some(peer) = self.peers.get(to) else {
            return Paths::default();
        };
        let is_attempt = peer.greeted_since().is_some();
        match back {
            Some(relay) if !is_attempt => Paths {
                is_published: false,
                relays: vec![relay],
            },
            back if peer.way() == Way::Relay => {
                let mut relays = self.relays_to_try(to, now);
                relays.extend(back.filter(|relay| !relays.contains(relay)));
                Paths {
                    is_published: true,
                    relays,
                }
            }
            _ => Paths::PUBLISHED,
        }
    }

    fn relays_to_try(&mut self, to: &Address, now: Instant) -> Vec<Address> {
        let all = self.relays(to, now).cloned().collect();
        match self.routes.get_mut(to) {
            Some(route) => route.some_of(all, RELAYS_AT_ONCE),
            None => Vec::new(),
        }
    }

    /// Gives an envelope to a relay.
    pub(crate) fn hand_over(
        &mut self,
        relay: &Address,
        to: &Address,
        envelope: &Bytes,
        now: Instant,
    ) {
        if envelope.len() > MAX_FORWARDED_BYTES {
            return self.counters.refuse(Refusal::Oversized);
        }
        let forwarding = Forwarding::Forward {
            to: to.clone(),
            envelope: envelope.to_vec(),
        };
        let is_taken = self.say(relay, &forwarding, now);
        self.counters.relayed += u64::from(is_taken);
    }

    /// Somebody greeted us.
    pub(super) fn greeted(&mut self, origin: Origin<'_>, now: Instant) {
        let route = match origin.via {
            Some(_) => Some(self.route(origin.from, now)),
            None => self.routes.get_mut(origin.from),
        };
        if let Some(route) = route {
            route.greeted(origin.via, now);
        }
    }

    fn route(&mut self, to: &Address, now: Instant) -> &mut Route {
        let route = self.routes.entry(to.clone());
        route.or_insert_with(|| Route::new(now))
    }

    /// A peer was heard; where that `proves` that it is there now, or where no
    /// session lives yet, answers go the way it came.
    pub(super) fn came(&mut self, origin: Origin<'_>, proves: bool, now: Instant) {
        let from = origin.from;
        let Some(peer) = self.peers.get_mut(from) else {
            return;
        };
        let counts = proves || !peer.is_up();
        let Some(relay) = origin.via else {
            peer.heard_directly = Some(now);
            if counts && peer.way() == Way::Relay {
                self.go_straight(from, now);
            }
            return;
        };
        let lately = |at| now.saturating_duration_since(at) < DIRECT_LATELY;
        let is_direct = peer.way() != Way::Relay && peer.heard_directly.is_some_and(lately);
        if !counts || is_direct {
            return;
        }
        if peer.way() != Way::Relay {
            peer.set_way(Way::Relay, now);
        }
        self.route(from, now).found(relay);
        self.nudge(from);
        self.errand.notify_one();
    }

    /// The direct way is there again, unless it fell silent just now.
    fn go_straight(&mut self, to: &Address, now: Instant) {
        let route = self.routes.get_mut(to);
        if route.as_ref().is_none_or(|route| route.believes_it(now)) {
            if let Some(route) = route {
                route.lost();
            }
            self.publish_to(to, now);
        }
    }

    fn publish_to(&mut self, to: &Address, now: Instant) {
        if let Some(peer) = self.peers.get_mut(to) {
            peer.set_hidden(false, now);
            peer.set_way(Way::Pubsub, now);
        }
        self.wake.notify_one();
    }

    /// A member began a session: those who are sought may be found through it.
    pub(super) fn relay_is_back(&mut self, relay: &Address, now: Instant) {
        for (address, route) in &mut self.routes {
            route.forgive(relay);
            let sought = self.peers.get_mut(address);
            if let Some(peer) = sought.filter(|p| address != relay && p.way() == Way::Relay) {
                peer.greet_anew(now);
            }
        }
    }

    /// A member is gone: what went through it goes another way.
    pub(super) fn relay_is_gone(&mut self, relay: &Address, now: Instant) {
        let led = |route: &Route| route.via() == Some(relay);
        let stranded = self.routes.iter().filter(|(_, route)| led(route));
        let stranded: Vec<Address> = stranded.map(|(address, _)| address.clone()).collect();
        for address in stranded {
            self.go_around(&address, now);
        }
    }

    /// Kubo sees a peer on its inbox topic, or does not.
    pub(crate) fn on_seen(&mut self, to: &Address, is_there: bool, now: Instant) {
        let believes = |route: &Route| route.believes_kubo(now);
        let is_believed = self.routes.get(to).is_none_or(believes);
        let Some(peer) = self.peers.get_mut(to) else {
            return;
        };
        let is_around = peer.way() == Way::Relay;
        if !is_there && is_around {
            peer.set_hidden(true, now);
        }
        if is_there {
            peer.set_hidden(false, now);
        }
        // Without a session greetings go both ways, and an answer tells.
        if is_there && is_around && is_believed && peer.is_up() {
            self.routes.entry(to.clone()).and_modify(Route::lost);
            self.publish_to(to, now);
        }
    }

    /// Peers that are spoken to around, or tried to be.
    pub(crate) fn around(&self) -> Vec<Address> {
        let around = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.way() == Way::Relay && !peer.is_idle());
        around.map(|(address, _)| address.clone()).collect()
    }

    /// Whether somebody is sought and more relays would help.
    pub(crate) fn wants_relays(&self, now: Instant) -> bool {
        let is_silent = |peer: &Peer| peer.silent_at(SILENCE).is_some_and(|at| at <= now);
        let is_sought = |to: &Address, peer: &Peer| match peer.way() {
            Way::Relay => !peer.is_idle() && matches!(self.lead(to, now), Lead::Seek),
            Way::Pubsub => is_silent(peer),
            Way::Stream => false,
        };
        let mut sought = self.peers.iter().filter(|(to, peer)| is_sought(to, peer));
        sought.any(|(to, _)| self.relays(to, now).count() < RELAYS_AT_ONCE)
    }

    /// Greets neighbours that may forward, those first that were not heard
    /// lately; gives nobody a relay's help.
    pub(crate) fn meet(&mut self, neighbours: &[Address], now: Instant) {
        for to in self.around() {
            let others = neighbours.iter().filter(|other| **other != to).count();
            self.route(&to, now).neighbours = Some(others);
        }
        let is_unmet = |other: &Address| self.peers.get(other).is_none_or(Peer::is_idle);
        let unmet = neighbours.iter().filter(|other| is_unmet(other));
        let mut unmet: Vec<Address> = unmet.cloned().collect();
        let heard = |address: &Address| self.peers.get(address).map(|peer| peer.heard);
        unmet.sort_by_key(heard);
        for address in unmet.into_iter().take(RELAYS_AT_ONCE) {
            self.greet_neighbour(&address, now);
        }
    }

    /// Greets a peer that Kubo sees.
    pub(crate) fn greet_neighbour(&mut self, to: &Address, now: Instant) {
        if let Some(peer) = self.peer(to, now) {
            peer.greet_neighbour(now);
        }
        self.wake.notify_one();
    }

    /// Addresses of peers that are spoken to through a relay and are to be
    /// dialled now.
    pub(crate) fn redials_due(&mut self, now: Instant) -> Vec<String> {
        let mut due = self.around();
        due.retain(|to| self.route(to, now).dial_is_due(now));
        due.iter().flat_map(|to| self.addresses_of(to)).collect()
    }

    /// The relay that a linked peer's traffic goes through.
    pub(crate) fn via(&self, to: &Address) -> Option<&Address> {
        let peer = self.peers.get(to)?;
        let is_around = peer.is_up() && peer.way() == Way::Relay;
        self.routes.get(to).filter(|_| is_around)?.via()
    }

    /// Whether no relay can help, as far as is known.
    pub(crate) fn is_hopeless(&self, to: &Address, now: Instant) -> bool {
        let nobody = |route: &Route| match (route.neighbours, self.relays(to, now).count()) {
            (Some(neighbours), 0) => neighbours == 0 || route.refusal().is_some(),
            _ => false,
        };
        self.routes.get(to).is_some_and(nobody)
    }

    /// Why relays did not help, if one said so.
    pub(crate) fn why_not_around(&self, to: &Address) -> Option<String> {
        let (relay, reason) = self.routes.get(to)?.refusal()?;
        Some(format!("{relay} {}", reason.in_words()))
    }
}

/// A session that is not itself carried by a relay: one hop is all.
pub(super) fn is_direct(peer: &Peer) -> bool {
    peer.is_up() && peer.way() != Way::Relay
}

fn may_forward(relay: &Address, peer: &Peer) -> bool {
    relay.kid.is_none() && is_direct(peer) && peer.queued() < MAX_RELAY_QUEUE
}
