//! The self-probe: an envelope to the own inbox must come back.
//!
//! Kubo can drop a subscription without a word; this notices. Pure.

use std::time::Duration;

use tokio::time::Instant;

const INTERVAL: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(5);

/// The state of probing one subscription.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Probe {
    number: u64,
    due: Option<Instant>,
    sent: Option<Instant>,
    is_back: bool,
}

impl Probe {
    /// The inbox was subscribed to: probe at once.
    pub(crate) fn begin(&mut self, now: Instant) {
        (self.due, self.sent) = (Some(now), None);
    }

    /// The inbox is not subscribed to.
    pub(crate) fn end(&mut self) {
        (self.due, self.sent, self.is_back) = (None, None, false);
    }

    /// Whether there was a subscription before.
    pub(crate) fn has_begun(&self) -> bool {
        self.number > 0
    }

    pub(crate) fn is_subscribed(&self) -> bool {
        self.due.is_some()
    }

    pub(crate) fn is_back(&self) -> bool {
        self.is_back
    }

    /// The number of the probe to send now.
    pub(crate) fn depart(&mut self, now: Instant) -> Option<u64> {
        self.due.filter(|due| *due <= now)?;
        self.number += 1;
        (self.due, self.sent) = (Some(now + INTERVAL), Some(now));
        Some(self.number)
    }

    /// A probe came back.
    pub(crate) fn arrived(&mut self, number: u64) {
        if number == self.number {
            (self.sent, self.is_back) = (None, true);
        }
    }

    /// Whether the subscription is dead; said once.
    pub(crate) fn is_overdue(&mut self, now: Instant) -> bool {
        let is_overdue = self
            .sent
            .is_some_and(|sent| now.saturating_duration_since(sent) >= ANSWER);
        if is_overdue {
            self.end();
        }
        is_overdue
    }

    pub(crate) fn next_wake(&self) -> Option<Instant> {
        let answer = self.sent.map(|sent| sent + ANSWER);
        [self.due, answer].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_that_does_not_come_back_condemns_the_subscription_once() {
        let (mut probe, now) = (Probe::default(), Instant::now());
        probe.begin(now);
        assert_eq!(probe.depart(now), Some(1));
        assert!(!probe.is_overdue(now + Duration::from_millis(4_999)));
        assert!(probe.is_overdue(now + ANSWER));
        assert!(!probe.is_overdue(now + ANSWER));
        assert!(!probe.is_subscribed());
    }

    #[test]
    fn a_probe_that_comes_back_is_followed_by_the_next_ten_seconds_later() {
        let (mut probe, now) = (Probe::default(), Instant::now());
        probe.begin(now);
        probe.depart(now);
        probe.arrived(1);
        assert!(probe.is_back() && !probe.is_overdue(now + ANSWER));
        assert_eq!(probe.depart(now + Duration::from_secs(9)), None);
        assert_eq!(probe.depart(now + INTERVAL), Some(2));
    }
}
