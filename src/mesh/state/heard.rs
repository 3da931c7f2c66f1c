//! What arrives, checked by [`crate::wire`], and what becomes of it.
//!
//! Takes contents with their senders and the way they came, changes sessions
//! and makes events. Pure.

use bytes::Bytes;
use libp2p_identity::PeerId;
use tokio::time::Instant;

use super::{MAX_EVENTS, State};
use crate::{
    mesh::{
        config::Carrier,
        directory::Statement,
        event::Event,
        session::{DownReason, Face, Notice, Party},
    },
    model::Message,
    wire::{
        Address, Refusal,
        binding::Bound,
        body::{Announcement, Hello},
        dagcbor,
        envelope::{Content, Sealed},
        forward::Forwarding,
        seal::Secret,
    },
};

/// Who said something, and how it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) from: &'a Address,
    pub(crate) via: Option<&'a Address>,
    /// Whose Kubo published it, where it came over pubsub.
    pub(crate) publisher: Option<PeerId>,
}

impl State {
    /// Takes in what somebody said; gives the envelopes that it brought for us
    /// on behalf of others. Only a greeting needs a fresh key.
    ///
    /// # Errors
    /// Why it was not believed.
    pub(crate) fn hear(
        &mut self,
        origin: Origin<'_>,
        content: Content,
        fresh: impl FnOnce() -> Secret,
        now: Instant,
    ) -> Result<Vec<Bytes>, Refusal> {
        match content {
            // Topics bring the own words too; nobody has a session with itself.
            Content::Advert(..) if *origin.from == self.own.me => {}
            Content::Hello(_) | Content::Frame(_) | Content::Bye(_)
                if *origin.from == self.own.me =>
            {
                return Err(Refusal::Malformed);
            }
            Content::Hello(said) => {
                let (hello, bound) = *said;
                self.on_hello(origin, hello, bound, fresh(), now)?;
            }
            Content::Frame(sealed) => return self.on_frame(origin, &sealed, now),
            Content::Bye(sealed) => self.on_bye(origin.from, &sealed, now)?,
            Content::Advert(said, at) => {
                let (said, bound) = *said;
                self.on_advert(said, &bound, at, now)?;
            }
            // Only our own Kubo brings our own words; an old one proves nothing.
            Content::Probe(number) if origin.publisher == Some(self.own.me.peer) => {
                self.probe.arrived(number);
            }
            Content::Probe(_) => return Err(Refusal::Replay),
        }
        Ok(Vec::new())
    }

    fn on_hello(
        &mut self,
        origin: Origin<'_>,
        hello: Hello,
        bound: Bound,
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
        let from = origin.from;
        let is_own_word = origin.publisher == Some(from.peer);
        let needs_stream = self.own.carrier == Carrier::Stream && origin.via.is_none();
        let peer = self.peer(from, now).ok_or(Refusal::Rate)?;
        let was_known = peer.is_with(&face);
        let heard = peer.on_hello(face.clone(), hello.echo, fresh.clone(), now);
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
        self.greeted(origin, now);
        self.came(origin, notices.contains(&Notice::Up), now);
        self.note(from, notices, now);
        self.nudge(from);
        Ok(())
    }

    /// New messages of a frame become events, but for those that are forwarded.
    fn on_frame(
        &mut self,
        origin: Origin<'_>,
        sealed: &Sealed,
        now: Instant,
    ) -> Result<Vec<Bytes>, Refusal> {
        let from = origin.from;
        let room = MAX_EVENTS.saturating_sub(self.events.len());
        let peer = self.peers.get_mut(from).ok_or(Refusal::Session)?;
        let frame = sealed.frame(&peer.keys(sealed.session)?)?;
        let place = (sealed.session, sealed.seq);
        let (notices, arrived) = peer.on_frame(place, frame, room, now)?;
        self.came(origin, true, now);
        self.note(from, notices, now);
        self.nudge(from);
        let for_us = arrived
            .into_iter()
            .filter_map(|bytes| self.on_message(origin, &bytes, now));
        Ok(for_us.collect())
    }

    /// Gives the envelope in it, if it holds one for us.
    fn on_message(&mut self, origin: Origin<'_>, bytes: &[u8], now: Instant) -> Option<Bytes> {
        match dagcbor::decode::<Message>(bytes) {
            Ok(message) => {
                self.counters.delivered += 1;
                self.events.push_back(Event::Message {
                    from: origin.from.clone(),
                    message,
                });
                None
            }
            Err(refusal) => match dagcbor::decode::<Forwarding>(bytes) {
                Ok(forwarding) => self.on_forwarding(origin, forwarding, now),
                Err(_) => {
                    self.counters.refuse(refusal);
                    None
                }
            },
        }
    }

    fn on_bye(&mut self, from: &Address, sealed: &Sealed, now: Instant) -> Result<(), Refusal> {
        let peer = self.peers.get_mut(from).ok_or(Refusal::Session)?;
        sealed.farewell(&peer.keys(sealed.session)?)?;
        let notice = peer.on_bye(sealed.session)?;
        self.note(from, vec![notice], now);
        Ok(())
    }

    fn on_advert(
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
    pub(crate) fn on_stranger(&mut self, origin: Origin<'_>, fresh: Secret, now: Instant) {
        if let Some(peer) = self.peer(origin.from, now) {
            peer.greet_once(fresh);
            self.greeted(origin, now);
            self.came(origin, false, now);
        }
    }

    pub(super) fn note(&mut self, from: &Address, notices: Vec<Notice>, now: Instant) {
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
                    self.relay_is_back(from, now);
                }
                Notice::Down(reason) => {
                    let had_begun = reason != DownReason::Unanswered;
                    self.counters.sessions_ended += u64::from(had_begun);
                    self.relay_is_gone(from, now);
                }
            }
        }
    }
}
