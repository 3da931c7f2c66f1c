//! Whether an executor whose link broke is gone, or this node is cut off.
//!
//! Takes how a link ended, tells the drivers of its leases once that is
//! believed. A link that its other end closed says much; one that fell silent
//! says nothing as long as all others are silent too. The brake decides.

use tokio::time::{Instant, sleep_until};

use super::{Scheduler, gate::Silence};
use crate::mesh::{Address, SILENCE};

impl Scheduler {
    /// The link to a peer ended. If a heartbeat is missing already, its Kubo or
    /// the own one gave up on a silent connection.
    pub(crate) fn unlinked(&self, peer: &Address) {
        let is_overdue = self.open.gate().is_overdue(&peer.peer, Instant::now());
        match is_overdue {
            true => self.fell_silent(peer),
            false => self.open.unlinked(peer),
        }
    }

    /// Nothing comes over the link to a peer.
    pub(crate) fn fell_silent(&self, peer: &Address) {
        self.open.muted(peer);
        let now = Instant::now();
        let since = now.checked_sub(SILENCE).unwrap_or(now);
        let (scheduler, peer) = (self.clone(), peer.clone());
        self.tasks
            .spawn("doubt", async move { scheduler.doubt(&peer, since).await });
    }

    /// Waits until it is clear whose silence it is.
    async fn doubt(&self, peer: &Address, since: Instant) {
        loop {
            let silence = self.open.gate().silence(&peer.peer, since, Instant::now());
            match silence {
                Silence::Theirs => return self.open.unlinked(peer),
                Silence::Settled => return,
                Silence::Unclear(until) => sleep_until(until).await,
            }
        }
    }
}
