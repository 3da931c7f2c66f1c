//! What bounds the life of an invocation: tries, silence, time.

use std::time::Duration;

use tokio::time::Instant;

/// What bounds a life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Tries before it is given up.
    pub(crate) max_attempts: u32,
    /// Silence a lease survives on its executor.
    pub(crate) lease_ttl: Duration,
    /// Silence after which a repeatable call is tried elsewhere as well.
    pub(crate) suspect_after: Duration,
    /// How long an offer may stay unanswered.
    pub(crate) offer_timeout: Duration,
    /// When the invocation ends, whatever happens.
    pub(crate) deadline: Instant,
    /// A late result of an older lease is as good as a new one.
    pub(crate) is_pure: bool,
    /// The code may run again although it has effects.
    pub(crate) may_repeat: bool,
    /// Who may run it is looked for again as long as there are tries and time.
    pub(crate) is_durable: bool,
}

impl Bounds {
    pub(super) const fn may_run_twice(&self) -> bool {
        self.is_pure || self.may_repeat
    }

    /// How long an offer may stay unanswered. Where the code must not run
    /// twice at once, the executor may have begun although its answer was
    /// lost: it ends itself a ttl after the offer reached it at the latest.
    pub(super) fn unanswered(&self) -> Duration {
        match self.may_run_twice() {
            true => self.offer_timeout,
            false => self.offer_timeout + self.lease_ttl + self.lease_ttl / 2,
        }
    }
}
