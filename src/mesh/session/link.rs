//! A living session: messages out until acknowledged, messages in once.
//!
//! Unordered, de-duplicated, windowed; acknowledgements wait up to 5 ms to ride
//! with something. Pure: the time is an argument, the caller carries the
//! frames, whichever way; they may come over both while the way changes.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use serde_bytes::ByteBuf;
use tokio::time::Instant;

use super::{
    Way,
    flight::Flight,
    received::{Frames, Received},
};
use crate::wire::{
    Refusal,
    body::{Ack, Frame, MAX_MESSAGES, SessionId},
};

/// Bytes of messages that a frame holds, unless one message is larger.
const FRAME_BYTES: usize = 64 << 10;
/// From one frame on a stream to the next, at least and at most: what comes
/// meanwhile rides together, and so shares the cost of sealing, carrying
/// and opening.
const GAP_MIN: Duration = Duration::from_micros(250);
const GAP_MAX: Duration = Duration::from_millis(6);
/// The gap for each message under way: the more callers there are, the less a
/// wait costs each of them.
const GAP_PER_MESSAGE: Duration = Duration::from_micros(250);
/// How long what nobody waits for may wait for something to ride with.
pub(crate) const RIDE_DELAY: Duration = Duration::from_millis(5);

/// One session's traffic.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) id: SessionId,
    flight: Flight,
    received: Received,
    frames: Frames,
    echoed_at: Instant,
    last_frame: u64,
    ack_due: Option<Instant>,
    waits_since: Option<Instant>,
    way: Way,
    /// New messages wait until then.
    not_before: Instant,
}

/// A frame to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Departing {
    pub(crate) session: SessionId,
    pub(crate) seq: u64,
    pub(crate) frame: Frame,
    /// Messages in it that go out for the second time.
    pub(crate) lost: usize,
    /// Messages in it that went out before.
    pub(crate) repeated: usize,
}

impl Link {
    pub(super) fn new(id: SessionId, way: Way, now: Instant) -> Self {
        Self {
            id,
            flight: Flight::over(way),
            received: Received::default(),
            frames: Frames::default(),
            echoed_at: now,
            last_frame: 0,
            ack_due: None,
            waits_since: None,
            way,
            not_before: now,
        }
    }

    /// Frames travel another way from now on.
    pub(super) fn set_way(&mut self, way: Way, now: Instant) {
        self.flight.set_way(way, now);
        (self.way, self.not_before) = (way, now);
        self.acknowledge_at(now);
    }

    pub(super) fn srtt(&self) -> Option<Duration> {
        self.flight.srtt()
    }

    pub(super) fn is_settled(&self) -> bool {
        self.flight.is_empty()
    }

    pub(super) fn unsettled_bytes(&self) -> usize {
        self.flight.bytes()
    }

    pub(super) fn most_tries(&self) -> u32 {
        self.flight.most_tries()
    }

    /// Since when something waits for an acknowledgement.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        self.waits_since
    }

    /// Starts that waiting anew, after time in which nothing could arrive.
    pub(super) fn excuse(&mut self, now: Instant) {
        self.waits_since = self.waits_since.map(|_| now);
    }

    /// Has a frame leave now, so that the other side knows that we are there.
    pub(super) fn acknowledge_at(&mut self, when: Instant) {
        self.ack_due = Some(self.ack_due.map_or(when, |due| due.min(when)));
    }

    /// Takes a frame in; gives up to `room` messages never seen before, others
    /// come again.
    pub(super) fn on_frame(
        &mut self,
        seq: u64,
        frame: Frame,
        room: usize,
        now: Instant,
    ) -> Result<Vec<Bytes>, Refusal> {
        if !self.frames.insert(seq) {
            return Err(Refusal::Replay);
        }
        if self.frames.newest() == seq {
            self.echoed_at = now;
        }
        self.flight.on_ack(&frame.ack, now);
        self.waits_since = (!self.flight.is_empty()).then_some(now);
        if !frame.messages.is_empty() {
            self.acknowledge_at(now + RIDE_DELAY);
        }
        let mut messages = Vec::new();
        for (number, bytes) in frame.messages {
            if messages.len() < room && !self.received.refuses(number) {
                self.received.insert(number);
                messages.push(Bytes::from(bytes.into_vec()));
            }
        }
        Ok(messages)
    }

    /// The frame that is due, if any: what goes out again first, then what
    /// waits in `queue`, of which the first is to leave at `waits`.
    pub(super) fn depart(
        &mut self,
        queue: &mut VecDeque<Bytes>,
        waits: Option<Instant>,
        now: Instant,
    ) -> Option<Departing> {
        if self.next_due(waits).is_none_or(|due| due > now) {
            return None;
        }
        self.last_frame += 1;
        let seq = self.last_frame;
        let mut load = Load::default();
        let (lost, repeated) = self.load_repeated(&mut load, now);
        while self.flight.has_room() && queue.front().is_some_and(|bytes| load.fits(bytes)) {
            let Some(bytes) = queue.pop_front() else {
                break;
            };
            let number = self.flight.send(bytes.clone(), seq, now);
            load.push(number, &bytes);
        }
        if !load.messages.is_empty() {
            self.flight.departed(seq, now);
            self.waits_since.get_or_insert(now);
            self.pause(now);
        }
        self.ack_due = None;
        let frame = Frame {
            messages: load.messages,
            ack: self.ack(now),
        };
        Some(Departing {
            session: self.id,
            seq,
            frame,
            lost,
            repeated,
        })
    }

    /// After a frame with messages. Over pubsub the publisher sets the pace:
    /// what waits for it rides together anyway.
    fn pause(&mut self, now: Instant) {
        self.not_before = match self.way {
            Way::Stream => now + gap(self.flight.len()),
            Way::Pubsub | Way::Relay => now,
        };
    }

    fn load_repeated(&mut self, load: &mut Load, now: Instant) -> (usize, usize) {
        let due: Vec<_> = self.flight.due(now).collect();
        let mut lost = 0;
        for (number, bytes) in due {
            if !load.fits(&bytes) {
                break;
            }
            lost += usize::from(self.flight.resend(number, self.last_frame, now));
            load.push(number, &bytes);
        }
        (lost, load.messages.len())
    }

    fn ack(&self, now: Instant) -> Ack {
        let held = now.saturating_duration_since(self.echoed_at);
        let held_us = u64::try_from(held.as_micros()).unwrap_or(u64::MAX);
        Ack {
            echo: self.frames.newest(),
            held_us,
            ..self.received.ack()
        }
    }

    /// When [`Self::depart`] has something to say.
    pub(super) fn next_due(&self, waits: Option<Instant>) -> Option<Instant> {
        let fresh = waits.filter(|_| self.flight.has_room());
        let fresh = fresh.map(|at| at.max(self.not_before));
        [fresh, self.ack_due, self.flight.next_due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Forgets what was received, as a receiver without de-duplication would.
    #[cfg(test)]
    pub(super) fn forget_received(&mut self) {
        self.received.forget();
    }
}

/// From one frame on a stream to the next, with so many messages under way.
fn gap(under_way: usize) -> Duration {
    let messages = u32::try_from(under_way).unwrap_or(u32::MAX);
    let gap = GAP_PER_MESSAGE.saturating_mul(messages);
    gap.clamp(GAP_MIN, GAP_MAX)
}

/// What a frame holds so far.
#[derive(Default)]
struct Load {
    messages: Vec<(u64, ByteBuf)>,
    bytes: usize,
}

impl Load {
    fn fits(&self, bytes: &Bytes) -> bool {
        let is_first = self.messages.is_empty();
        is_first || (self.bytes + bytes.len() <= FRAME_BYTES && self.messages.len() < MAX_MESSAGES)
    }

    fn push(&mut self, number: u64, bytes: &Bytes) {
        self.bytes += bytes.len();
        self.messages.push((number, ByteBuf::from(bytes.to_vec())));
    }
}

#[cfg(test)]
mod tests {
    use super::{super::flight::WINDOW, *};

    #[test]
    fn one_caller_waits_for_nothing_and_many_share_their_frames() {
        assert_eq!([0, 1].map(gap), [GAP_MIN; 2]);
        assert_eq!(gap(16), Duration::from_millis(4));
        assert_eq!(gap(WINDOW), GAP_MAX);
    }
}
