//! The leases an executor holds: a pure table with tombstones.
//!
//! Takes what was offered, answered and acknowledged with the time, gives what
//! to send and what to end. Never runs anything.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{meter::Meter, tombs::Tombs};
use crate::{
    mesh::Address,
    model::{Delivery, Lease, LeaseId},
};

/// The ttl of a lease taken back after a restart; only heartbeats go by it.
const RESTORED_TTL: Duration = Duration::from_secs(20);

/// What became of an offer that was heard.
#[derive(Debug)]
pub(crate) enum Offered {
    /// It is new: run it, ending when the token says so.
    New(CancellationToken, Arc<Meter>),
    /// It runs already: say again that it was accepted.
    Held,
    /// It is done: deliver again.
    Done(Box<Delivery>),
    /// It was cancelled before it came.
    Buried,
}

#[derive(Debug)]
struct Held {
    owner: Address,
    meter: Arc<Meter>,
    ttl: Duration,
    expires: Instant,
    cancel: CancellationToken,
    delivery: Option<Delivery>,
    /// Its owner keeps it over restarts: its result waits as long as it takes.
    is_durable: bool,
}

/// All leases of one executor.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: HashMap<LeaseId, Held>,
    tombs: Tombs,
}

impl Leases {
    /// Hears an offer of `lease` by `owner`.
    pub(crate) fn offered(
        &mut self,
        lease: LeaseId,
        owner: &Address,
        ttl: Duration,
        is_durable: bool,
        now: Instant,
    ) -> Offered {
        if self.tombs.has(lease) {
            return Offered::Buried;
        }
        if let Some(held) = self.held.get(&lease) {
            return held
                .delivery
                .clone()
                .map_or(Offered::Held, |d| Offered::Done(Box::new(d)));
        }
        let cancel = CancellationToken::new();
        let meter = Arc::new(Meter::default());
        let held = Held {
            owner: owner.clone(),
            meter: Arc::clone(&meter),
            ttl,
            expires: now + ttl,
            cancel: cancel.clone(),
            delivery: None,
            is_durable,
        };
        self.held.insert(lease, held);
        Offered::New(cancel, meter)
    }

    /// Takes back a durable lease that was done when this node went down.
    pub(crate) fn restore(&mut self, owner: &Address, delivery: Delivery) {
        let held = Held {
            owner: owner.clone(),
            meter: Arc::default(),
            ttl: RESTORED_TTL,
            expires: Instant::now(),
            cancel: CancellationToken::new(),
            is_durable: true,
            delivery: Some(delivery.clone()),
        };
        self.held.insert(delivery.lease, held);
    }

    /// Keeps the result until its owner acknowledges it; gives the owner.
    pub(crate) fn finished(&mut self, lease: LeaseId, delivery: Delivery) -> Option<Address> {
        let held = self.held.get_mut(&lease)?;
        held.delivery = Some(delivery);
        Some(held.owner.clone())
    }

    /// The owner has the result, or gave the lease up. Gives whether the lease
    /// was durable.
    pub(crate) fn closed(&mut self, owner: &Address, lease: LeaseId, now: Instant) -> bool {
        let is_theirs = self
            .held
            .get(&lease)
            .is_none_or(|held| held.owner.peer == owner.peer);
        if !is_theirs {
            return false;
        }
        let held = self.held.remove(&lease);
        if let Some(held) = &held {
            held.cancel.cancel();
        }
        self.tombs.bury(lease, now);
        held.is_some_and(|held| held.is_durable)
    }

    /// Drops a lease that never ran.
    pub(crate) fn declined(&mut self, lease: LeaseId) {
        self.held.remove(&lease);
    }

    /// The owner knows these, by its answer to a heartbeat sent at `sent`.
    pub(crate) fn extended(&mut self, owner: &Address, known: &[LeaseId], sent: Instant) {
        for lease in known {
            if let Some(held) = self
                .held
                .get_mut(lease)
                .filter(|h| h.owner.peer == owner.peer)
            {
                held.expires = held.expires.max(sent + held.ttl);
            }
        }
    }

    /// The owner gave these up; gives the durable ones among them.
    pub(crate) fn cancelled(
        &mut self,
        owner: &Address,
        cancel: &[LeaseId],
        now: Instant,
    ) -> Vec<LeaseId> {
        let cancelled = cancel.iter().copied();
        cancelled
            .filter(|lease| self.closed(owner, *lease, now))
            .collect()
    }

    /// The owner counts on these: gives the results among them, and those that
    /// are not here. An offer of these that is still under way is refused when
    /// it comes, so that the answer stays true.
    pub(crate) fn asked(
        &mut self,
        owner: &Address,
        asked: &[LeaseId],
        now: Instant,
    ) -> (Vec<Delivery>, Vec<LeaseId>) {
        let (mut done, mut unknown) = (Vec::new(), Vec::new());
        for lease in asked {
            match self.held.get(lease) {
                Some(held) if held.owner.peer == owner.peer => done.extend(held.delivery.clone()),
                Some(_) => {}
                None => {
                    self.tombs.bury(*lease, now);
                    unknown.push(*lease);
                }
            }
        }
        (done, unknown)
    }

    /// Ends what nobody extended, but for durable results; gives which leases
    /// ended and whether each was durable.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<(LeaseId, bool)> {
        let waits = |h: &Held| h.is_durable && h.delivery.is_some();
        let silent = self
            .held
            .iter()
            .filter(|(_, h)| now >= h.expires && !waits(h));
        let silent: Vec<LeaseId> = silent.map(|(lease, _)| *lease).collect();
        let mut ended = Vec::with_capacity(silent.len());
        for lease in silent {
            if let Some(held) = self.held.remove(&lease) {
                held.cancel.cancel();
                ended.push((lease, held.is_durable));
            }
            self.tombs.bury(lease, now);
        }
        ended
    }

    /// One heartbeat per owner.
    pub(crate) fn heartbeats(&self) -> Vec<(Address, Vec<Lease>)> {
        let mut by_owner: HashMap<&Address, Vec<Lease>> = HashMap::new();
        for (lease, held) in &self.held {
            by_owner.entry(&held.owner).or_default().push(Lease {
                lease: *lease,
                progress: held.meter.progress(),
            });
        }
        by_owner
            .into_iter()
            .map(|(owner, leases)| (owner.clone(), leases))
            .collect()
    }

    /// Results that wait for their acknowledgement, to be sent again.
    pub(crate) fn undelivered(&self) -> Vec<(Address, Delivery)> {
        self.held
            .values()
            .filter_map(|h| Some((h.owner.clone(), h.delivery.clone()?)))
            .collect()
    }

    /// The shortest ttl of any lease: a quarter of it is the heartbeat's period.
    pub(crate) fn shortest_ttl(&self) -> Option<Duration> {
        self.held.values().map(|h| h.ttl).min()
    }

    /// How far a lease of `owner` is, while it runs.
    pub(crate) fn running_for(&self, owner: &Address, lease: LeaseId) -> Option<Arc<Meter>> {
        let held = self.held.get(&lease)?;
        let is_theirs = held.owner.peer == owner.peer && held.delivery.is_none();
        is_theirs.then(|| Arc::clone(&held.meter))
    }

    /// Leases without a result.
    pub(crate) fn running(&self) -> usize {
        self.held.values().filter(|h| h.delivery.is_none()).count()
    }
}

#[cfg(test)]
mod tests {
    use libp2p_identity::PeerId;

    use super::*;

    const TTL: Duration = Duration::from_secs(20);

    fn owner() -> Address {
        Address::from(PeerId::random())
    }

    fn lease(n: u64) -> LeaseId {
        LeaseId::new(n, 1)
    }

    #[tokio::test(start_paused = true)]
    async fn an_offer_heard_twice_runs_once() {
        let (mut leases, owner, now) = (Leases::default(), owner(), Instant::now());
        assert!(matches!(
            leases.offered(lease(1), &owner, TTL, false, now),
            Offered::New(..)
        ));
        assert!(matches!(
            leases.offered(lease(1), &owner, TTL, false, now),
            Offered::Held
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancel_that_comes_before_its_offer_wins() {
        let (mut leases, owner, now) = (Leases::default(), owner(), Instant::now());
        leases.closed(&owner, lease(1), now);
        assert!(matches!(
            leases.offered(lease(1), &owner, TTL, false, now),
            Offered::Buried
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_nobody_extends_ends_at_its_ttl() {
        let (mut leases, owner, now) = (Leases::default(), owner(), Instant::now());
        let Offered::New(cancel, _) = leases.offered(lease(1), &owner, TTL, false, now) else {
            panic!("it is new")
        };
        leases.extended(&owner, &[lease(1)], now + TTL / 2);
        assert_eq!(leases.expire(now + TTL), []);
        assert_eq!(leases.expire(now + TTL + TTL / 2), [(lease(1), false)]);
        assert!(cancel.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn what_its_owner_asks_for_is_sent_again_or_will_never_be() {
        let (mut leases, owner, now) = (Leases::default(), owner(), Instant::now());
        leases.offered(lease(1), &owner, TTL, false, now);
        leases.offered(lease(2), &owner, TTL, false, now);
        let delivery = Delivery {
            lease: lease(2),
            receipt: vec![1],
            blocks: Vec::new(),
            sources: Vec::new(),
        };
        leases.finished(lease(2), delivery.clone());
        let (done, unknown) = leases.asked(&owner, &[lease(1), lease(2), lease(3)], now);
        assert_eq!((done, unknown), (vec![delivery], vec![lease(3)]));
        let late = leases.offered(lease(3), &owner, TTL, false, now);
        assert!(matches!(late, Offered::Buried), "{late:?}");
        let (done, unknown) = leases.asked(&self::owner(), &[lease(2)], now);
        assert_eq!((done, unknown), (vec![], vec![]), "not another's");
    }

    #[tokio::test(start_paused = true)]
    async fn only_its_owner_ends_a_lease() {
        let (mut leases, now) = (Leases::default(), Instant::now());
        let Offered::New(cancel, _) = leases.offered(lease(1), &owner(), TTL, false, now) else {
            panic!("it is new")
        };
        leases.closed(&owner(), lease(1), now);
        assert!(!cancel.is_cancelled());
    }
}
