//! The executor's journal: which durable leases it took, what they came to.
//!
//! Takes leases and deliveries, puts them on disk before anybody is told;
//! gives them back after a restart. Results are resent until their owner
//! answers; what ran when this node died is reported lost, not run again.

use tokio::time::Instant;
use tracing::{info, warn};

use super::Executor;
use crate::{
    compute::clock,
    mesh::Address,
    model::{Delivery, LeaseId, Message},
    store::{JournalRow, Ledger, Store},
    wire::dagcbor,
};

/// Writes the journal. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    ledger: Ledger,
    store: Store,
}

/// What an earlier start left.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) lease: LeaseId,
    pub(super) owner: Address,
    pub(super) delivery: Option<Delivery>,
}

impl Journal {
    /// A journal in `ledger`, read from `store`.
    pub(crate) const fn new(ledger: Ledger, store: Store) -> Self {
        Self { ledger, store }
    }

    /// Notes a lease, or its delivery; gives whether that is on disk.
    pub(super) async fn note(
        &self,
        lease: LeaseId,
        owner: &Address,
        delivery: Option<&Delivery>,
    ) -> bool {
        let Ok(delivery) = delivery.map(dagcbor::encode).transpose() else {
            return false;
        };
        let row = JournalRow {
            lease: lease.to_string(),
            owner: owner.to_string(),
            delivery,
        };
        let kept = self.ledger.journal(row, clock::unix_ms()).await;
        kept.inspect_err(|error| warn!(%lease, %error, "a lease is not journalled"))
            .is_ok()
    }

    /// Forgets a lease whose owner knows how it ended.
    pub(super) async fn settled(&self, lease: LeaseId) {
        if let Err(error) = self.ledger.settled(lease.to_string()).await {
            warn!(%lease, %error, "a settled lease stays in the journal");
        }
    }

    fn left(&self) -> Vec<Left> {
        let rows = self.store.journalled().unwrap_or_else(|error| {
            warn!(%error, "the journal cannot be read");
            Vec::new()
        });
        let left = rows.into_iter().filter_map(|row| {
            Some(Left {
                lease: row.lease.parse().ok()?,
                owner: row.owner.parse().ok()?,
                delivery: row.delivery.and_then(|bytes| dagcbor::decode(&bytes).ok()),
            })
        });
        left.collect()
    }
}

impl Executor {
    /// Takes up what an earlier start left: results wait for their owners
    /// again, what was running is reported lost.
    pub(super) fn take_up(&self) {
        let Some(journal) = &self.inner.parts.journal else {
            return;
        };
        let left = journal.left();
        if !left.is_empty() {
            info!(
                leases = left.len(),
                "leases of an earlier start are taken up"
            );
        }
        for Left {
            lease,
            owner,
            delivery,
        } in left
        {
            match delivery {
                Some(delivery) => {
                    self.with_leases(|leases| leases.restore(&owner, delivery.clone()));
                    self.send(owner, Message::Result(delivery));
                }
                None => self.lost(owner, lease),
            }
        }
    }

    /// Tells the owner that a lease came to nothing, and forgets it. Its owner
    /// may offer it again before it hears of that: then it is refused.
    fn lost(&self, owner: Address, lease: LeaseId) {
        self.with_leases(|leases| leases.closed(&owner, lease, Instant::now()));
        let reason = "its node was restarted in the middle of it".to_owned();
        self.send(owner, Message::Decline { lease, reason });
        self.settle(lease);
    }

    /// Forgets a settled lease on disk too.
    pub(super) fn settle(&self, lease: LeaseId) {
        if let Some(journal) = self.inner.parts.journal.clone() {
            self.beside(
                "settle",
                move |_| async move { journal.settled(lease).await },
            );
        }
    }
}
