//! What every further try passes: the brake, then a budget.
//!
//! Takes what one owner's lives want to do with the time, gives whether they
//! may. One gate for all of them; decides, never waits.

use std::time::Duration;

use tokio::time::Instant;

pub(crate) use super::brake::Silence;
use super::{brake::Brake, budget::Budget};
use crate::model::PeerId;

/// Which try of a call is to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The first.
    First,
    /// One beside another that may still be alive.
    Hedge {
        /// The link to the other's executor ended: it is most likely dead.
        is_broken: bool,
    },
    /// One after all others came to nothing.
    Retry,
}

/// The gate of one owner.
#[derive(Debug)]
pub(crate) struct Gate {
    brake: Brake,
    hedges: Budget,
    retries: Budget,
}

impl Gate {
    /// An open gate, for leases of this ttl.
    pub(crate) fn new(ttl: Duration) -> Self {
        Self {
            brake: Brake::new(ttl),
            hedges: Budget::of_hedges(),
            retries: Budget::of_retries(),
        }
    }

    /// `peer` holds one lease more.
    pub(crate) fn leased(&mut self, peer: PeerId, now: Instant) {
        self.brake.leased(peer, now);
    }

    /// `peer` holds one lease less.
    pub(crate) fn freed(&mut self, peer: &PeerId) {
        self.brake.freed(peer);
    }

    /// `peer` spoke.
    pub(crate) fn heard(&mut self, peer: &PeerId, now: Instant) {
        self.brake.heard(peer, now);
    }

    /// The link to `peer` broke.
    pub(crate) fn broke(&mut self, peer: &PeerId, now: Instant) {
        self.brake.broke(peer, now);
    }

    /// Whether this node's own message came back.
    pub(crate) const fn probed(&mut self, is_back: bool) {
        self.brake.probed(is_back);
    }

    /// What it means that a link to `peer` is silent since then.
    pub(crate) fn silence(&self, peer: &PeerId, since: Instant, now: Instant) -> Silence {
        self.brake.silence(peer, since, now)
    }

    /// Whether a heartbeat of `peer` is missing.
    pub(crate) fn is_overdue(&self, peer: &PeerId, now: Instant) -> bool {
        self.brake.is_overdue(peer, now)
    }

    /// A lease fell silent, of which nothing was heard `since` (none where the
    /// link itself ended): until when that is not believed, if it is not.
    pub(crate) fn hold(&mut self, since: Option<Instant>, now: Instant) -> Option<Instant> {
        let was_pulled = self.brake.is_pulled(now);
        let held = self.brake.hold(since, now);
        if self.brake.is_pulled(now) && !was_pulled {
            tracing::warn!("most executors fell silent at once: this node suspects itself");
        }
        held
    }

    /// Whether this node suspects itself to be cut off.
    pub(crate) fn suspects_self(&self, now: Instant) -> bool {
        self.brake.is_pulled(now)
    }

    /// Lets a try pass, or says when to ask again. A hedge of a broken link
    /// may also use what retries have: the lease it doubles is most likely lost.
    pub(crate) fn admit(&mut self, kind: Kind, now: Instant) -> Result<(), Instant> {
        match kind {
            Kind::First => {
                self.hedges.called();
                self.retries.called();
                Ok(())
            }
            Kind::Hedge { is_broken: false } => self.hedges.take(now),
            Kind::Hedge { is_broken: true } => {
                self.hedges.take(now).or_else(|_| self.retries.take(now))
            }
            Kind::Retry => self.retries.take(now),
        }
    }
}
