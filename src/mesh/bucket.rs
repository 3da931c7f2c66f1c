//! A token bucket: so much per second, so much at once. Pure.

use tokio::time::Instant;

/// What may be taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// Per second, in the long run.
    pub(super) per_s: u32,
    /// At once, after a pause.
    pub(super) burst: u32,
}

/// What is left of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// One that nothing was taken from.
    pub(super) fn full(rate: Rate, now: Instant) -> Self {
        Self {
            tokens: f64::from(rate.burst),
            at: now,
        }
    }

    /// When it was asked last.
    pub(super) const fn asked(&self) -> Instant {
        self.at
    }

    /// Whether so much can be taken now; takes nothing.
    pub(super) fn has(&mut self, count: u32, rate: Rate, now: Instant) -> bool {
        let grown = now.saturating_duration_since(self.at).as_secs_f64() * f64::from(rate.per_s);
        self.at = now;
        self.tokens = (self.tokens + grown).min(f64::from(rate.burst));
        self.tokens >= f64::from(count)
    }

    /// Takes so much; false, and nothing taken, when there is less.
    pub(super) fn take(&mut self, count: u32, rate: Rate, now: Instant) -> bool {
        let has = self.has(count, rate, now);
        if has {
            self.tokens -= f64::from(count);
        }
        has
    }
}
