//! Everything between this sidecar and one other: greeting, link, what waits.
//!
//! Sans-IO: takes what arrived and the time, gives what is to be sent
//! ([`Outgoing`]) and what happened ([`Notice`]). Never looks at a clock, never
//! publishes, never checks a signature or a seal: [`crate::wire`] does that.
//! A session's traffic goes over one [`Way`], greetings never over a stream.

mod flight;
mod greeting;
mod handshake;
mod hearing;
mod link;
mod received;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use self::{
    greeting::{Attempt, REPLY_GAP, Told},
    handshake::{Handshake, Heard},
    hearing::Hearing,
    link::Link,
};
pub(crate) use self::{
    handshake::{Face, Greeting, Party},
    link::{Departing, RIDE_DELAY},
};
use crate::wire::{
    Refusal,
    body::{Frame, SessionId},
    seal::Keys,
};

/// Messages that may wait for the window, per peer.
pub(crate) const MAX_QUEUE: usize = 512;
/// The number of the last that a session's side seals.
const FAREWELL: u64 = u64::MAX;
/// Tries without an answer after which a peer counts as not hearing us.
const UNHEARD_TRIES: u32 = 5;

/// How patient a session is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Silence, while something waits for an acknowledgement, that ends it.
    pub(crate) silence: Duration,
    /// Greetings without an answer that end the attempt.
    pub(crate) greeting: Duration,
    /// Time without any envelope after which an idle session is dropped.
    pub(crate) idle: Duration,
}

/// Why a session ended or did not come to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DownReason {
    /// Nothing was heard while something waited for an acknowledgement.
    #[error("fell silent")]
    Silent,
    /// Nobody said anything for long; a message begins a new one.
    #[error("was idle")]
    Idle,
    /// The other sidecar said farewell.
    #[error("left")]
    Left,
    /// The other sidecar began anew; what it had not acknowledged is void.
    #[error("restarted")]
    Restarted,
    /// No greeting was answered.
    #[error("did not answer a greeting")]
    Unanswered,
}

/// How a session's traffic travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    /// In messages that Kubo may lose.
    #[default]
    Pubsub,
    /// In order and without loss, until it breaks.
    Stream,
    /// In messages of another session, with a member that passes them on.
    Relay,
}

/// What is to be sent.
#[derive(Clone, Debug)]
pub(crate) enum Outgoing {
    Hello(Greeting),
    Frame(Box<Departing>, Box<Keys>),
    Bye(SessionId, u64, Box<Keys>),
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Up,
    Down(DownReason),
}

/// One counterpart.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    handshake: Handshake,
    link: Option<Link>,
    queue: VecDeque<Bytes>,
    /// When the first of what waits is to leave.
    leave_by: Option<Instant>,
    /// Swarm addresses it told us.
    pub(crate) addresses: Vec<String>,
    /// It takes streams.
    pub(crate) takes_streams: bool,
    /// When anything valid was heard last.
    pub(crate) heard: Instant,
    /// When anything valid came without a relay.
    pub(crate) heard_directly: Option<Instant>,
    /// Its Kubo has no connection with ours, so it is not to blame for silence.
    is_hidden: bool,
    hearing: Hearing,
    attempt: Option<Attempt>,
    owed: Option<Greeting>,
    owed_after: Instant,
    confirmed_after: Instant,
    told: Option<Told>,
    is_leaving: bool,
    way: Way,
    patience: Patience,
}

impl Peer {
    pub(crate) fn new(me: Party, patience: Patience, now: Instant) -> Self {
        Self {
            handshake: Handshake::new(me),
            link: None,
            queue: VecDeque::new(),
            leave_by: None,
            addresses: Vec::new(),
            takes_streams: false,
            heard: now,
            heard_directly: None,
            is_hidden: false,
            hearing: Hearing::new(now),
            attempt: None,
            owed: None,
            owed_after: now,
            confirmed_after: now,
            told: None,
            is_leaving: false,
            way: Way::default(),
            patience,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.link.is_some()
    }

    /// How its traffic travels.
    pub(crate) const fn way(&self) -> Way {
        self.way
    }

    /// From now on traffic travels another way; what the old one may have lost
    /// goes out again.
    pub(crate) fn set_way(&mut self, way: Way, now: Instant) {
        self.way = way;
        if let Some(link) = &mut self.link {
            link.set_way(way, now);
        }
    }

    /// Has a frame leave now, so that the other side hears us.
    pub(crate) fn speak(&mut self, now: Instant) {
        if let Some(link) = &mut self.link {
            link.acknowledge_at(now);
        }
    }

    /// The smoothed round trip, once measured.
    pub(crate) fn srtt(&self) -> Option<Duration> {
        self.link.as_ref().and_then(Link::srtt)
    }

    /// Whether everything sent was acknowledged.
    pub(crate) fn is_settled(&self) -> bool {
        self.queue.is_empty() && !self.is_under_way()
    }

    /// Whether something that was sent may still be on its way.
    pub(crate) fn is_under_way(&self) -> bool {
        self.link.as_ref().is_some_and(|link| !link.is_settled())
    }

    /// Nothing lives here and nothing is tried.
    pub(crate) fn is_idle(&self) -> bool {
        self.link.is_none() && self.attempt.is_none() && self.owed.is_none()
    }

    /// Something waits for the other and nothing has been heard since `before`.
    pub(crate) fn is_unheard_since(&self, before: Instant) -> bool {
        let waits = self
            .link
            .as_ref()
            .and_then(Link::waits_since)
            .is_some_and(|at| at < before);
        (waits || self.attempt.is_some()) && self.heard < before
    }

    /// The other speaks and has heard nothing of us for several tries.
    pub(crate) fn is_deaf_to_us(&self, now: Instant) -> bool {
        self.hearing.is_deaf(now)
    }

    /// The other said something, to us or to all. Whoever did not hear us is
    /// greeted, in case it does now.
    pub(crate) fn on_speech(&mut self, now: Instant) {
        if self.hearing.on_speech(now) {
            self.greet(now);
        }
    }

    /// Queues a message that leaves at `by`, or with what leaves before; false
    /// when the queue is full.
    pub(crate) fn enqueue(&mut self, bytes: Bytes, by: Instant) -> bool {
        let has_room = self.queue.len() < MAX_QUEUE;
        if has_room {
            self.leave_by = Some(self.waits().map_or(by, |before| before.min(by)));
            self.queue.push_back(bytes);
        }
        has_room
    }

    /// Whether its Kubo is seen to have no connection with ours.
    pub(crate) fn set_hidden(&mut self, is_hidden: bool, now: Instant) {
        self.is_hidden = is_hidden;
        if is_hidden {
            self.hearing = Hearing::new(now);
        }
    }

    /// Messages that wait for the window.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Bytes that are not acknowledged yet, sent or not.
    pub(crate) fn unsettled_bytes(&self) -> usize {
        let queued: usize = self.queue.iter().map(Bytes::len).sum();
        queued + self.link.as_ref().map_or(0, Link::unsettled_bytes)
    }

    /// Farewell: said once, at the next turn.
    pub(crate) fn leave(&mut self) {
        self.is_leaving = true;
    }

    /// Starts every measure of silence anew, after time without a Kubo.
    pub(crate) fn excuse(&mut self, now: Instant) {
        self.heard = now;
        if let Some(link) = &mut self.link {
            link.excuse(now);
        }
        if let Some(attempt) = &mut self.attempt {
            attempt.until = now + self.patience.greeting;
        }
    }

    /// What opens a session's traffic.
    ///
    /// # Errors
    /// [`Refusal::Session`], or that the other's key is none.
    pub(crate) fn keys(&self, session: SessionId) -> Result<Keys, Refusal> {
        self.handshake.keys(session)
    }

    /// A frame arrived, opened and checked; up to `room` new messages are taken.
    ///
    /// # Errors
    /// [`Refusal::Session`] or [`Refusal::Replay`].
    pub(crate) fn on_frame(
        &mut self,
        (session, seq): (SessionId, u64),
        frame: Frame,
        room: usize,
        now: Instant,
    ) -> Result<(Vec<Notice>, Vec<Bytes>), Refusal> {
        let heard = self.handshake.on_session(session);
        if heard == Heard::Unknown {
            return Err(Refusal::Session);
        }
        let is_new = heard != Heard::Confirm;
        let notices = if is_new {
            self.act_on(heard, now)
        } else {
            Vec::new()
        };
        let link = self.link.as_mut().ok_or(Refusal::Session)?;
        let messages = link.on_frame(seq, frame, room, now)?;
        let is_heard = link.most_tries() < UNHEARD_TRIES;
        self.heard = now;
        self.on_speech(now);
        if is_heard {
            self.hearing = Hearing::new(now);
        }
        Ok((notices, messages))
    }

    /// A farewell arrived, checked.
    ///
    /// # Errors
    /// [`Refusal::Session`].
    pub(crate) fn on_bye(&mut self, session: SessionId) -> Result<Notice, Refusal> {
        if self.handshake.session() != Some(session) {
            return Err(Refusal::Session);
        }
        Ok(self.end(DownReason::Left))
    }

    fn act_on(&mut self, heard: Heard, now: Instant) -> Vec<Notice> {
        let mut notices = Vec::new();
        if let Heard::Established(id) = heard {
            if self.link.is_some() {
                self.queue.clear();
                notices.push(Notice::Down(DownReason::Restarted));
            }
            notices.push(Notice::Up);
            let link = Link::new(id, self.way, now);
            (self.link, self.attempt, self.owed) = (Some(link), None, None);
            self.hearing = Hearing::new(now);
            self.heard = now;
            self.believe_told();
            self.speak(now);
        } else {
            self.confirm(now);
        }
        notices
    }

    /// Has the other side hear of the living session, as often as greetings are
    /// answered. Whoever asks proves nothing by it, so it was not heard.
    fn confirm(&mut self, now: Instant) {
        let when = self.confirmed_after.max(now);
        self.speak(when);
        if when == now {
            self.confirmed_after = now + REPLY_GAP;
        }
    }

    fn end(&mut self, reason: DownReason) -> Notice {
        self.handshake.end();
        self.queue.clear();
        (self.link, self.attempt, self.owed) = (None, None, None);
        Notice::Down(reason)
    }

    /// What time alone brings about.
    pub(crate) fn tick(&mut self, now: Instant) -> Option<Notice> {
        let frames = self.link.as_ref().map_or(0, Link::most_tries);
        let greetings = self.attempt.map_or(0, |attempt| attempt.tries);
        if !self.is_hidden && frames.max(greetings) >= UNHEARD_TRIES {
            self.hearing.unheard();
        }
        let unheard = |since: Instant, limit| now.saturating_duration_since(since) >= limit;
        if self.attempt.is_some_and(|attempt| attempt.until <= now) {
            return Some(self.end(DownReason::Unanswered));
        }
        let link = self.link.as_ref()?;
        let waits = link.waits_since().map(|since| since.max(self.heard));
        if waits.is_some_and(|since| unheard(since, self.patience.silence)) {
            return Some(self.end(DownReason::Silent));
        }
        let is_idle = waits.is_none() && unheard(self.heard, self.patience.idle);
        is_idle.then(|| self.end(DownReason::Idle))
    }

    /// What the session has to send now, if anything.
    pub(crate) fn traffic(&mut self, now: Instant) -> Option<Outgoing> {
        if self.is_leaving {
            self.is_leaving = false;
            let session = self.handshake.session()?;
            let keys = self.handshake.keys(session);
            self.end(DownReason::Left);
            return Some(Outgoing::Bye(session, FAREWELL, Box::new(keys.ok()?)));
        }
        let waits = self.waits();
        let link = self.link.as_mut()?;
        let keys = self.handshake.keys(link.id).ok()?;
        let departing = link.depart(&mut self.queue, waits, now)?;
        Some(Outgoing::Frame(Box::new(departing), Box::new(keys)))
    }

    /// When [`Self::greeting`] or [`Self::tick`] has something to do.
    pub(crate) fn next_greeting(&self) -> Option<Instant> {
        let owed = self.owed.map(|_| self.owed_after);
        let attempt = self.attempt.map(|attempt| attempt.next.min(attempt.until));
        let silence = self.silent_at(self.patience.silence);
        [owed, attempt, silence].into_iter().flatten().min()
    }

    /// When [`Self::traffic`] has something to do, `now` if it has at once.
    pub(crate) fn next_traffic(&self, now: Instant) -> Option<Instant> {
        let link = self.link.as_ref();
        let frame = link.and_then(|link| link.next_due(self.waits()));
        let leave = self.is_leaving.then_some(now);
        [frame, leave].into_iter().flatten().min()
    }

    /// When the first of what waits is to leave, where anything waits.
    fn waits(&self) -> Option<Instant> {
        self.leave_by.filter(|_| !self.queue.is_empty())
    }

    /// When the other has been silent for so long while something waits.
    pub(crate) fn silent_at(&self, patience: Duration) -> Option<Instant> {
        let since = self.link.as_ref()?.waits_since()?;
        Some(since.max(self.heard) + patience)
    }
}
