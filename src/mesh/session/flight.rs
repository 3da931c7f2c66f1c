//! What was sent and not yet acknowledged; when it goes out again.
//!
//! A message is due once its time-out passed (max(20 ms, 4 × srtt), doubled by
//! each try, at most 2 s), or at once when the other side saw a later frame and
//! not this message: Kubo's pubsub never delivers out of order. A stream loses
//! nothing, so there only a receiver without room is asked again, in its time;
//! through a relay two sessions repeat what is lost, so this one rarely has to.
//! Every frame has a number of its own, so a round trip is never ambiguous.
//! Pure.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use super::Way;
use crate::wire::body::Ack;

/// Messages that may be unacknowledged.
pub(super) const WINDOW: usize = 512;
/// From the first unacknowledged number to the next one.
const SPAN: u64 = 2_048;
const RTO_MIN: Duration = Duration::from_millis(20);
const RTO_STREAM: Duration = Duration::from_millis(200);
const RTO_RELAY: Duration = Duration::from_millis(500);
const RTO_MAX: Duration = Duration::from_secs(2);
const RTO_UNMEASURED: Duration = Duration::from_millis(200);
/// Beyond a first repetition, which is what counts as a sign of loss.
const TRIES_AFTER_PROGRESS: u32 = 2;
/// Departures remembered for measuring round trips.
const DEPARTURES: usize = 256;
/// Echoes held longer say little about the way.
const LONGEST_HOLD: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
struct Sent {
    bytes: Bytes,
    frame: u64,
    at: Instant,
    tries: u32,
}

/// The sending half of a session.
#[derive(Clone, Debug, Default)]
pub(super) struct Flight {
    last_number: u64,
    sent: BTreeMap<u64, Sent>,
    departures: VecDeque<(u64, Instant)>,
    echo: u64,
    srtt: Option<Duration>,
    way: Way,
}

impl Flight {
    pub(super) fn over(way: Way) -> Self {
        Self {
            way,
            ..Self::default()
        }
    }

    /// The round trip is another one, and what is under way counts as lost.
    pub(super) fn set_way(&mut self, way: Way, now: Instant) {
        (self.way, self.srtt) = (way, None);
        self.departures.clear();
        for sent in self.sent.values_mut() {
            sent.tries = 1;
            sent.at = now.checked_sub(RTO_MAX).unwrap_or(now);
        }
    }

    pub(super) fn srtt(&self) -> Option<Duration> {
        self.srtt
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// Messages that are unacknowledged.
    pub(super) fn len(&self) -> usize {
        self.sent.len()
    }

    /// Bytes of all that is unacknowledged.
    pub(super) fn bytes(&self) -> usize {
        self.sent.values().map(|sent| sent.bytes.len()).sum()
    }

    pub(super) fn has_room(&self) -> bool {
        let first = self.sent.keys().next().copied().unwrap_or(self.last_number);
        self.sent.len() < WINDOW && self.last_number - first < SPAN
    }

    /// The most tries that an unacknowledged message has behind it.
    pub(super) fn most_tries(&self) -> u32 {
        self.sent.values().map(|sent| sent.tries).max().unwrap_or(0)
    }

    /// Sends a new message in `frame`; gives its number.
    pub(super) fn send(&mut self, bytes: Bytes, frame: u64, now: Instant) -> u64 {
        self.last_number += 1;
        self.sent.insert(
            self.last_number,
            Sent {
                bytes,
                frame,
                at: now,
                tries: 1,
            },
        );
        self.last_number
    }

    /// Messages that are due again, oldest first.
    pub(super) fn due(&self, now: Instant) -> impl Iterator<Item = (u64, Bytes)> {
        let due = self
            .sent
            .iter()
            .filter(move |(_, sent)| self.due_at(sent) <= now);
        due.map(|(number, sent)| (*number, sent.bytes.clone()))
    }

    /// Notes that a message went out again; gives whether that was its first
    /// repetition, which is a sign of loss.
    pub(super) fn resend(&mut self, number: u64, frame: u64, now: Instant) -> bool {
        let Some(sent) = self.sent.get_mut(&number) else {
            return false;
        };
        sent.tries = sent.tries.saturating_add(1);
        (sent.frame, sent.at) = (frame, now);
        sent.tries == 2
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.sent.values().map(|sent| self.due_at(sent)).min()
    }

    fn due_at(&self, sent: &Sent) -> Instant {
        let (overtaken, least) = match self.way {
            Way::Pubsub => (sent.frame < self.echo, RTO_MIN),
            Way::Stream => (false, RTO_STREAM),
            Way::Relay => (false, RTO_RELAY),
        };
        if sent.tries == 1 && overtaken {
            return sent.at;
        }
        let first = self.srtt.map_or(RTO_UNMEASURED, |srtt| srtt * 4).max(least);
        let doubled = first.saturating_mul(1 << (sent.tries - 1).min(10));
        sent.at + doubled.min(RTO_MAX)
    }

    /// Notes when a frame left.
    pub(super) fn departed(&mut self, frame: u64, now: Instant) {
        self.departures.push_back((frame, now));
        if self.departures.len() > DEPARTURES {
            self.departures.pop_front();
        }
    }

    /// Takes an acknowledgement in. One that settles something ends the
    /// back-off of the rest: the other side had no room, and has some again.
    pub(super) fn on_ack(&mut self, ack: &Ack, now: Instant) {
        let before = self.sent.len();
        self.sent.retain(|number, _| {
            let is_above = *number > ack.upto;
            is_above
                && !ack
                    .ranges
                    .iter()
                    .any(|(first, last)| (first..=last).contains(&number))
        });
        if self.sent.len() < before {
            for sent in self.sent.values_mut() {
                sent.tries = sent.tries.min(TRIES_AFTER_PROGRESS);
            }
        }
        if ack.echo > self.echo {
            self.measure(ack, now);
            self.echo = ack.echo;
        }
    }

    fn measure(&mut self, ack: &Ack, now: Instant) {
        let held = Duration::from_micros(ack.held_us);
        let left = self
            .departures
            .iter()
            .find(|(frame, _)| *frame == ack.echo)
            .map(|(_, at)| *at);
        self.departures.retain(|(frame, _)| *frame > ack.echo);
        let Some(left) = left.filter(|_| held <= LONGEST_HOLD) else {
            return;
        };
        let sample = now.saturating_duration_since(left).saturating_sub(held);
        self.srtt = Some(self.srtt.map_or(sample, |srtt| (srtt * 7 + sample) / 8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn ack(upto: u64, echo: u64, held: Duration) -> Ack {
        let held_us = u64::try_from(held.as_micros()).unwrap();
        Ack {
            upto,
            ranges: Vec::new(),
            echo,
            held_us,
        }
    }

    #[test]
    fn a_round_trip_does_not_count_the_time_the_other_held_it() {
        let (mut flight, start) = (Flight::default(), Instant::now());
        flight.send(Bytes::new(), 1, start);
        flight.departed(1, start);
        flight.on_ack(&ack(1, 1, ms(5)), start + ms(12));
        assert_eq!(flight.srtt(), Some(ms(7)));
        assert!(flight.is_empty());
    }

    #[test]
    fn a_repeated_echo_measures_nothing() {
        let (mut flight, start) = (Flight::default(), Instant::now());
        flight.departed(1, start);
        flight.on_ack(&ack(0, 1, ms(0)), start + ms(4));
        flight.on_ack(&ack(0, 1, ms(0)), start + ms(400));
        assert_eq!(flight.srtt(), Some(ms(4)));
    }

    #[test]
    fn time_outs_double_up_to_two_seconds() {
        let (mut flight, start) = (Flight::default(), Instant::now());
        let number = flight.send(Bytes::new(), 1, start);
        let mut waits = Vec::new();
        let mut now = start;
        for frame in 2..8 {
            let due = flight.next_due().unwrap();
            waits.push(due - now);
            now = due;
            flight.resend(number, frame, now);
        }
        assert_eq!(waits, [200, 400, 800, 1_600, 2_000, 2_000].map(ms));
    }

    #[test]
    fn a_message_that_a_later_frame_overtook_is_due_at_once_and_only_once() {
        let (mut flight, start) = (Flight::default(), Instant::now());
        let lost = flight.send(Bytes::new(), 1, start);
        flight.send(Bytes::new(), 2, start);
        let mut seen = ack(0, 2, ms(0));
        seen.ranges = vec![(2, 2)];
        flight.on_ack(&seen, start + ms(4));
        assert_eq!(
            flight
                .due(start + ms(4))
                .map(|(number, _)| number)
                .collect::<Vec<_>>(),
            [lost]
        );
        assert!(flight.resend(lost, 3, start + ms(4)));
        assert_eq!(flight.due(start + ms(4)).count(), 0);
    }

    #[test]
    fn through_a_relay_nothing_is_repeated_hastily() {
        let (mut flight, start) = (Flight::over(Way::Relay), Instant::now());
        flight.send(Bytes::new(), 1, start);
        flight.send(Bytes::new(), 2, start);
        flight.departed(2, start);
        let mut seen = ack(0, 2, ms(0));
        seen.ranges = vec![(2, 2)];
        flight.on_ack(&seen, start + ms(20));
        assert_eq!(flight.next_due(), Some(start + RTO_RELAY));
    }

    #[test]
    fn progress_ends_the_back_off_of_the_rest() {
        let (mut flight, start) = (Flight::default(), Instant::now());
        flight.send(Bytes::new(), 1, start);
        let rest = flight.send(Bytes::new(), 1, start);
        for frame in 2..8 {
            flight.resend(rest, frame, start);
        }
        assert_eq!(flight.due(start + ms(500)).count(), 1);
        flight.on_ack(&ack(1, 0, ms(0)), start);
        assert_eq!(flight.due(start + ms(399)).count(), 0);
        assert_eq!(flight.due(start + ms(400)).count(), 1);
    }

    #[test]
    fn the_window_closes_when_it_is_full() {
        let (mut flight, start) = (Flight::default(), Instant::now());
        for _ in 0..WINDOW {
            assert!(flight.has_room());
            flight.send(Bytes::new(), 1, start);
        }
        assert!(!flight.has_room());
    }
}
