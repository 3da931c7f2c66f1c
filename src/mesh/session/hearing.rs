//! Whether the other side of a session hears us: a Kubo may let nothing of ours
//! through. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// A peer that does not hear us and speaks all the same, for so long, is deaf
/// to us; one that came back would have answered meanwhile.
const DEAF_AFTER: Duration = Duration::from_secs(5);
/// A peer that says no more is gone, not deaf.
const SPEAKING: Duration = Duration::from_secs(60);

/// Whether the other hears us.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hearing {
    /// Several tries in a row had no answer.
    pub(super) is_unheard: bool,
    /// When it spoke first after that.
    pub(super) deaf_since: Option<Instant>,
    /// When it spoke last, to us or to all.
    pub(super) spoke: Instant,
}

impl Hearing {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            is_unheard: false,
            deaf_since: None,
            spoke: now,
        }
    }

    /// It has spoken for a while and hears nothing.
    pub(super) fn is_deaf(&self, now: Instant) -> bool {
        let is_speaking = now.saturating_duration_since(self.spoke) < SPEAKING;
        let lasts = |since| now.saturating_duration_since(since) >= DEAF_AFTER;
        is_speaking && self.deaf_since.is_some_and(lasts)
    }
}
