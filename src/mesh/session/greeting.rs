//! Greeting a peer until it answers, and what its greetings say of it.
//!
//! Takes what arrived and the time, gives the HELLO that is to be said. Pure,
//! as the rest of a session.

use std::time::Duration;

use tokio::time::Instant;

use super::{Face, Heard, Notice, Outgoing, Peer, Way};
use crate::wire::{Refusal, body::Nonce, seal::Secret};

const FIRST_GREETING: Duration = Duration::from_millis(100);
const LAST_GREETING: Duration = Duration::from_secs(1);
/// Through relays, which may have to link up first.
const LAST_FORWARDED_GREETING: Duration = Duration::from_millis(250);
/// The least time between two greetings that answer one.
pub(super) const REPLY_GAP: Duration = Duration::from_millis(20);

/// What a greeting said of its sender that counts once it is proven.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) by: Face,
    pub(super) addresses: Vec<String>,
    pub(super) streams: bool,
}

/// Greetings until somebody answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) began: Instant,
    pub(super) until: Instant,
    pub(super) next: Instant,
    pub(super) gap: Duration,
    pub(super) tries: u32,
    /// No relay is to be asked for help.
    pub(super) is_direct: bool,
}

impl Peer {
    /// Greets until somebody answers, where no session lives.
    pub(crate) fn greet(&mut self, now: Instant) {
        self.begin_attempt(false, now);
    }

    /// The same, of a neighbour: no relay is asked for help.
    pub(crate) fn greet_neighbour(&mut self, now: Instant) {
        self.begin_attempt(true, now);
    }

    fn begin_attempt(&mut self, is_direct: bool, now: Instant) {
        if self.link.is_none() {
            let until = now + self.patience.greeting;
            let attempt = self.attempt.get_or_insert(Attempt {
                began: now,
                until,
                next: now,
                gap: FIRST_GREETING,
                tries: 0,
                is_direct,
            });
            attempt.until = until;
            attempt.is_direct &= is_direct;
        }
    }

    /// Since when it is greeted in vain, if relays may help.
    pub(crate) fn greeted_since(&self) -> Option<Instant> {
        let attempt = self.attempt.filter(|attempt| !attempt.is_direct);
        attempt.map(|attempt| attempt.began)
    }

    /// Greets now rather than after the pause: there is a new way to it.
    pub(crate) fn greet_anew(&mut self, now: Instant) {
        if let Some(attempt) = &mut self.attempt {
            (attempt.next, attempt.gap) = (now, FIRST_GREETING);
        }
    }

    /// Says one HELLO: of the living session with new addresses, or to tell
    /// somebody that its session is not known here.
    pub(crate) fn greet_once(&mut self, fresh: Secret) {
        self.owed = Some(self.handshake.greeting(fresh));
    }

    /// A HELLO arrived, checked.
    ///
    /// # Errors
    /// [`Refusal::Session`] for one of an earlier session; the living one is
    /// said to its sender all the same.
    pub(crate) fn on_hello(
        &mut self,
        from: Face,
        echo: Option<Nonce>,
        fresh: Secret,
        now: Instant,
    ) -> Result<Vec<Notice>, Refusal> {
        match self.handshake.on_hello(from, echo, fresh) {
            Heard::Greet(greeting) => {
                self.owed = Some(greeting);
                Ok(Vec::new())
            }
            Heard::Stale(greeting) => {
                self.owed = Some(greeting);
                Err(Refusal::Session)
            }
            heard => Ok(self.act_on(heard, now)),
        }
    }

    /// Whether the living session is with this very side.
    pub(crate) fn is_with(&self, face: &Face) -> bool {
        self.handshake.remote() == Some(face)
    }

    /// What the HELLO of `by` said of its Kubo. It counts with the session that
    /// comes of it.
    pub(crate) fn on_told(&mut self, by: Face, addresses: Vec<String>, streams: bool) {
        if self.addresses.is_empty() {
            self.addresses.clone_from(&addresses);
        }
        self.told = Some(Told {
            by,
            addresses,
            streams,
        });
        self.believe_told();
    }

    /// Takes over what the living session's other side said of itself.
    pub(super) fn believe_told(&mut self) {
        let remote = self.handshake.remote();
        if let Some(told) = self.told.take_if(|told| remote == Some(&told.by)) {
            self.addresses = told.addresses;
            self.takes_streams = told.streams;
        }
    }

    /// The greeting that is to be said now, if any.
    pub(crate) fn greeting(
        &mut self,
        fresh: &mut dyn FnMut() -> Secret,
        now: Instant,
    ) -> Option<Outgoing> {
        if self.is_leaving {
            return None;
        }
        if self.owed.is_some() && self.owed_after <= now {
            self.owed_after = now + REPLY_GAP;
            return self.owed.take().map(Outgoing::Hello);
        }
        if let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.next <= now) {
            attempt.next = now + attempt.gap;
            let last = match self.way {
                Way::Relay => LAST_FORWARDED_GREETING,
                Way::Pubsub | Way::Stream => LAST_GREETING,
            };
            attempt.gap = (attempt.gap * 3 / 2).min(last);
            attempt.tries = attempt.tries.saturating_add(1);
            return Some(Outgoing::Hello(self.handshake.greeting(fresh())));
        }
        None
    }
}
