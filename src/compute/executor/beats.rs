//! When each heartbeat left, so that a late answer extends no lease too far.
//!
//! Takes the numbers of heartbeats with the time, gives the time of a number.
//! Never sends anything.

use std::collections::VecDeque;

use tokio::time::Instant;

/// Heartbeats remembered: older ones extend nothing any more.
const REMEMBERED: usize = 16;

/// The heartbeats that left.
#[derive(Debug)]
pub(super) struct Beats {
    number: u64,
    newest: Instant,
    sent: VecDeque<(u64, Instant)>,
}

impl Beats {
    /// None yet.
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            number: 0,
            newest: now,
            sent: VecDeque::new(),
        }
    }

    /// The number of one that leaves now.
    pub(super) fn leave(&mut self, now: Instant) -> u64 {
        self.number += 1;
        self.newest = now;
        self.sent.push_back((self.number, now));
        if self.sent.len() > REMEMBERED {
            self.sent.pop_front();
        }
        self.number
    }

    /// When the newest left.
    pub(super) const fn newest(&self) -> Instant {
        self.newest
    }

    /// When this one left.
    pub(super) fn sent(&self, number: u64) -> Option<Instant> {
        let of_number = self.sent.iter().find(|(of, _)| *of == number);
        of_number.map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_told_by_its_number_until_it_is_too_old() {
        let now = Instant::now();
        let mut beats = Beats::new(now);
        let second = Duration::from_secs(1);
        let first = beats.leave(now);
        let next = beats.leave(now + second);
        assert_eq!(beats.sent(first), Some(now));
        assert_eq!(beats.sent(next), Some(now + second));
        assert_eq!(beats.sent(0), None, "nothing was answered");
        for _ in 0..REMEMBERED {
            beats.leave(now + second * 2);
        }
        assert_eq!(beats.sent(next), None);
    }
}
