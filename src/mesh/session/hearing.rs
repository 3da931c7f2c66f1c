//! Whether the other hears us: one that speaks and never answers is deaf to us.
//!
//! Pure.

use std::time::Duration;

use tokio::time::Instant;

/// A peer that does not hear us and speaks all the same, for so long, is deaf
/// to us; one that came back would have answered meanwhile.
const DEAF_AFTER: Duration = Duration::from_secs(5);
/// A peer that says no more is gone, not deaf.
const SPEAKING: Duration = Duration::from_secs(60);

/// What is known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hearing {
    /// Several tries in a row had no answer.
    is_unheard: bool,
    /// When it spoke first after that.
    deaf_since: Option<Instant>,
    /// When it spoke last, to us or to all.
    spoke: Instant,
}

impl Hearing {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            is_unheard: false,
            deaf_since: None,
            spoke: now,
        }
    }

    /// Several tries in a row had no answer.
    pub(super) const fn unheard(&mut self) {
        self.is_unheard = true;
    }

    /// The other said something; gives whether it does not hear us.
    pub(super) fn on_speech(&mut self, now: Instant) -> bool {
        self.spoke = now;
        if self.is_unheard {
            self.deaf_since.get_or_insert(now);
        }
        self.is_unheard
    }

    /// Whether it has spoken for a while and not heard us.
    pub(super) fn is_deaf(&self, now: Instant) -> bool {
        let is_speaking = now.saturating_duration_since(self.spoke) < SPEAKING;
        let lasts = |since| now.saturating_duration_since(since) >= DEAF_AFTER;
        is_speaking && self.deaf_since.is_some_and(lasts)
    }
}
