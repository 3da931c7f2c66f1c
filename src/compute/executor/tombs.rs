//! The leases that ended: remembered for a while, forgotten in their order.
//!
//! Takes leases with the time, says whether one ended. A burial costs the same
//! however many lie there. Pure.

use std::collections::{HashMap, VecDeque};

use tokio::time::{Duration, Instant};

use crate::model::LeaseId;

/// How long a cancelled or finished lease is remembered, so that a repeated
/// offer neither runs it nor is taken for new.
const TTL: Duration = Duration::from_secs(600);
/// Leases remembered at most; the oldest go first.
const MAX: usize = 10_000;

/// Ended leases.
#[derive(Debug, Default)]
pub(super) struct Tombs {
    /// Which burial of a lease is its last.
    last: HashMap<LeaseId, Instant>,
    /// Every burial, oldest first; one that was repeated counts no more.
    burials: VecDeque<(LeaseId, Instant)>,
}

impl Tombs {
    /// Whether a lease ended.
    pub(super) fn has(&self, lease: LeaseId) -> bool {
        self.last.contains_key(&lease)
    }

    /// A lease ended, or was said to have ended once more.
    pub(super) fn bury(&mut self, lease: LeaseId, now: Instant) {
        self.last.insert(lease, now);
        self.burials.push_back((lease, now));
        while self.burials.front().is_some_and(|(_, at)| {
            self.burials.len() > MAX || now.saturating_duration_since(*at) >= TTL
        }) {
            self.forget_the_oldest();
        }
    }

    fn forget_the_oldest(&mut self) {
        let Some((lease, at)) = self.burials.pop_front() else {
            return;
        };
        if self.last.get(&lease) == Some(&at) {
            self.last.remove(&lease);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(n: usize) -> LeaseId {
        LeaseId::new(n as u64, 1)
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_are_forgotten_when_there_are_too_many() {
        let (mut tombs, now) = (Tombs::default(), Instant::now());
        (0..=MAX).for_each(|n| tombs.bury(lease(n), now));
        assert!(!tombs.has(lease(0)));
        assert!(tombs.has(lease(1)) && tombs.has(lease(MAX)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_forgotten_after_its_time_and_buried_anew_later() {
        let (mut tombs, now) = (Tombs::default(), Instant::now());
        tombs.bury(lease(1), now);
        tombs.bury(lease(2), now);
        tombs.bury(lease(1), now + TTL / 2);
        tombs.bury(lease(3), now + TTL);
        assert_eq!([1, 2, 3].map(|n| tombs.has(lease(n))), [true, false, true]);
        tombs.bury(lease(3), now + TTL + TTL / 2);
        assert!(!tombs.has(lease(1)));
    }
}
