//! The way around to one peer: through a member that is linked with both.
//!
//! Takes what relays answered, gives which to use and when the direct way is
//! tried again. Pure.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::wire::{Address, forward::NotForwarded};

/// How long a relay that forwards nothing is not asked again.
const OFF_FOR: Duration = Duration::from_secs(60);
/// How long an answer goes back the way that its greeting came.
const GREETED: Duration = Duration::from_secs(2);
/// After the direct way fell silent: how long not even what comes over it
/// counts, and how long Kubo's word for it does not.
const SILENCE_HOLDS: Duration = Duration::from_secs(2);
const KUBO_IS_DOUBTED: Duration = Duration::from_secs(15);
/// Pauses between dials of a peer that is spoken to through a relay.
const FIRST_DIAL: Duration = Duration::from_secs(2);
const LAST_DIAL: Duration = Duration::from_secs(20);

/// What is known of it.
#[derive(Debug)]
pub(super) struct Route {
    via: Option<Address>,
    greeted: Option<(Address, Instant)>,
    refusals: HashMap<Address, (NotForwarded, Instant)>,
    round: usize,
    silent_since: Option<Instant>,
    /// Neighbours that may forward, once somebody looked.
    pub(super) neighbours: Option<usize>,
    dial_at: Instant,
    dial_pause: Duration,
}

impl Route {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            via: None,
            greeted: None,
            refusals: HashMap::new(),
            round: 0,
            silent_since: None,
            neighbours: None,
            dial_at: now + FIRST_DIAL,
            dial_pause: FIRST_DIAL,
        }
    }

    /// The relay through which the other was heard last.
    pub(super) const fn via(&self) -> Option<&Address> {
        self.via.as_ref()
    }

    /// The other is there, through this relay.
    pub(super) fn found(&mut self, relay: &Address) {
        self.via = Some(relay.clone());
        self.refusals.remove(relay);
    }

    /// The relay is of no use any more, or the direct way is there again.
    pub(super) fn lost(&mut self) {
        self.via = None;
    }

    /// A greeting came, through a relay or directly.
    pub(super) fn greeted(&mut self, via: Option<&Address>, now: Instant) {
        self.greeted = via.map(|relay| (relay.clone(), now));
    }

    /// Where an answer to a greeting goes, if it came through a relay just now.
    pub(super) fn greeted_via(&self, now: Instant) -> Option<&Address> {
        let (relay, at) = self.greeted.as_ref()?;
        (now.saturating_duration_since(*at) < GREETED).then_some(relay)
    }

    /// A relay did not forward.
    pub(super) fn refused(&mut self, relay: &Address, reason: NotForwarded, now: Instant) {
        self.refusals.insert(relay.clone(), (reason, now));
        if self.via.as_ref() == Some(relay) && reason != NotForwarded::Rate {
            self.via = None;
        }
    }

    /// A relay began anew; what it said before does not count.
    pub(super) fn forgive(&mut self, relay: &Address) {
        self.refusals.remove(relay);
    }

    /// Whether a relay may be asked.
    pub(super) fn may_ask(&self, relay: &Address, now: Instant) -> bool {
        let is_off = |(reason, at): &(NotForwarded, Instant)| {
            *reason == NotForwarded::Off && now.saturating_duration_since(*at) < OFF_FOR
        };
        !self.refusals.get(relay).is_some_and(is_off)
    }

    /// The refusal that says most, and whose it is.
    pub(super) fn refusal(&self) -> Option<(&Address, NotForwarded)> {
        let refusals = self
            .refusals
            .iter()
            .map(|(relay, (reason, _))| (relay, *reason));
        refusals.min_by_key(|(relay, reason)| (*reason, *relay))
    }

    /// Some of these, others each time.
    pub(super) fn some_of(&mut self, mut all: Vec<Address>, count: usize) -> Vec<Address> {
        if all.len() > count {
            let shift = self.round % all.len();
            all.rotate_left(shift);
            all.truncate(count);
            self.round = self.round.wrapping_add(count);
        }
        all
    }

    /// The direct way fell silent.
    pub(super) fn fell_silent(&mut self, now: Instant) {
        self.silent_since = Some(now);
    }

    /// Whether what came directly proves that there is a direct way.
    pub(super) fn believes_it(&self, now: Instant) -> bool {
        let passed = |since| now.saturating_duration_since(since) >= SILENCE_HOLDS;
        self.silent_since.is_none_or(passed)
    }

    /// Whether Kubo's word proves it.
    pub(super) fn believes_kubo(&self, now: Instant) -> bool {
        let passed = |since| now.saturating_duration_since(since) >= KUBO_IS_DOUBTED;
        self.silent_since.is_none_or(passed)
    }

    /// Whether to dial the peer now; the next dial waits longer.
    pub(super) fn dial_is_due(&mut self, now: Instant) -> bool {
        let is_due = self.dial_at <= now;
        if is_due {
            self.dial_pause = (self.dial_pause * 2).min(LAST_DIAL);
            self.dial_at = now + self.dial_pause;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(number: u8) -> Address {
        let key = libp2p_identity::Keypair::ed25519_from_bytes([number; 32]).unwrap();
        Address::node(key.public().to_peer_id())
    }

    #[test]
    fn of_many_relays_all_are_tried_in_turn() {
        let mut route = Route::new(Instant::now());
        let all: Vec<_> = (1..=7).map(relay).collect();
        let mut tried: Vec<_> = (0..3).flat_map(|_| route.some_of(all.clone(), 3)).collect();
        tried.sort();
        tried.dedup();
        assert_eq!(tried.len(), 7);
    }

    #[test]
    fn a_relay_that_forwards_nothing_is_asked_again_after_a_minute_or_a_restart() {
        let (mut route, now) = (Route::new(Instant::now()), Instant::now());
        route.refused(&relay(1), NotForwarded::Off, now);
        assert!(!route.may_ask(&relay(1), now) && route.may_ask(&relay(2), now));
        assert!(route.may_ask(&relay(1), now + OFF_FOR));
        route.forgive(&relay(1));
        assert!(route.may_ask(&relay(1), now));
    }

    #[test]
    fn a_relay_that_lost_the_other_is_left_and_one_that_is_busy_is_not() {
        let (mut route, now) = (Route::new(Instant::now()), Instant::now());
        route.found(&relay(1));
        route.refused(&relay(1), NotForwarded::Rate, now);
        assert_eq!(route.via(), Some(&relay(1)));
        route.refused(&relay(1), NotForwarded::Unlinked, now);
        assert_eq!(route.via(), None);
    }

    #[test]
    fn dials_wait_longer_each_time_up_to_twenty_seconds() {
        let start = Instant::now();
        let (mut route, mut now) = (Route::new(start), start);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            let before = now;
            while !route.dial_is_due(now) {
                now += Duration::from_millis(500);
            }
            pauses.push((now - before).as_secs());
        }
        assert_eq!(pauses, [2, 4, 8, 16, 20, 20]);
    }
}
