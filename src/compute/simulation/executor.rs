//! A simulated executor: its leases in memory, its journal on disk.

use std::{collections::BTreeMap, time::Duration};

use libp2p_identity::PeerId;
use tokio_util::sync::CancellationToken;

use super::{
    Bug,
    world::{Happening, TTL, Word, World},
};
use crate::{
    compute::executor::leases::{Leases, Offered},
    mesh::Address,
    model::{Delivery, LeaseId},
};

/// One executor.
pub(super) struct Executor {
    peer: PeerId,
    /// Its owner's address, as the machine wants one.
    owner: Address,
    leases: Leases,
    runs: BTreeMap<LeaseId, CancellationToken>,
    /// On disk: leases, and what they came to.
    journal: BTreeMap<LeaseId, Option<Delivery>>,
    pub(super) is_up: bool,
    /// What its wall clock is ahead of the owner's.
    pub(super) skew: Duration,
    /// Rises with every start.
    pub(super) life: u64,
}

impl Executor {
    pub(super) fn new() -> Self {
        Self {
            peer: PeerId::random(),
            owner: Address::from(PeerId::random()),
            leases: Leases::default(),
            runs: BTreeMap::new(),
            journal: BTreeMap::new(),
            is_up: true,
            skew: Duration::ZERO,
            life: 0,
        }
    }

    /// Its name, as its owner's machine wants one.
    pub(super) const fn peer(&self) -> PeerId {
        self.peer
    }
}

/// What a run comes to, by its invocation and lease: mostly its result.
pub(super) fn outcome(lease: LeaseId) -> u8 {
    match lease.unix_ms() % 20 {
        0 => b'n',
        1 => b'u',
        _ => b'k',
    }
}

impl World {
    pub(super) fn executor_hears(&mut self, which: usize, word: Word) {
        if !self.executors[which].is_up {
            return;
        }
        let now = self.instant();
        match word {
            Word::Offer { lease, is_durable } => self.offered(which, lease, is_durable),
            Word::HeartbeatAck {
                known,
                cancel,
                sent,
            } => {
                let sent = self.at_instant(sent);
                let node = &mut self.executors[which];
                let owner = node.owner.clone();
                node.leases.extended(&owner, &known, sent);
                let settled = node.leases.cancelled(&owner, &cancel, now);
                self.settle(which, settled);
            }
            Word::Asked(asked) => {
                let node = &mut self.executors[which];
                let owner = node.owner.clone();
                let (done, unknown) = node.leases.asked(&owner, &asked, now);
                for delivery in done {
                    self.tell_owner(which, Word::Result(delivery));
                }
                for lease in unknown {
                    self.tell_owner(which, Word::Decline(lease));
                }
            }
            Word::ResultAck(lease) | Word::Cancel(lease) => {
                let node = &mut self.executors[which];
                let owner = node.owner.clone();
                if node.leases.closed(&owner, lease, now) {
                    self.settle(which, vec![lease]);
                }
            }
            _ => {}
        }
        self.reap(which);
    }

    fn offered(&mut self, which: usize, lease: LeaseId, is_durable: bool) {
        let now = self.instant();
        let is_known = self.executors[which].runs.contains_key(&lease);
        let node = &mut self.executors[which];
        let owner = node.owner.clone();
        let offered = node.leases.offered(lease, &owner, TTL, is_durable, now);
        match offered {
            Offered::New(cancel, _) => {
                if self.dies_here() {
                    return self.kill_executor(which);
                }
                self.executors[which].journal.insert(lease, None);
                if self.dies_here() {
                    return self.kill_executor(which);
                }
                self.start(which, lease, cancel);
            }
            Offered::Held if is_known && self.bug == Some(Bug::NoDeduplication) => {
                self.overlap(lease);
            }
            Offered::Held => self.tell_owner(which, Word::Accept(lease)),
            Offered::Done(delivery) => self.tell_owner(which, Word::Result(*delivery)),
            Offered::Buried => self.tell_owner(which, Word::Decline(lease)),
        }
    }

    fn start(&mut self, which: usize, lease: LeaseId, cancel: CancellationToken) {
        self.tell(format!("executor {which} runs {lease}"));
        self.executors[which].runs.insert(lease, cancel);
        self.enter_run(which, lease);
        self.tell_owner(which, Word::Accept(lease));
        let takes = Duration::from_millis(50 + self.below(6_000));
        self.after(takes, Happening::RunEnds(which, lease));
    }

    pub(super) fn run_ends(&mut self, which: usize, lease: LeaseId) {
        self.reap(which);
        if self.executors[which].runs.remove(&lease).is_none() {
            return;
        }
        self.leave_run(which, lease);
        let delivery = Delivery {
            lease,
            receipt: vec![outcome(lease)],
            blocks: Vec::new(),
            sources: Vec::new(),
        };
        if self.dies_here() {
            return self.kill_executor(which);
        }
        self.executors[which]
            .journal
            .insert(lease, Some(delivery.clone()));
        if self.dies_here() {
            return self.kill_executor(which);
        }
        let node = &mut self.executors[which];
        if node.leases.finished(lease, delivery.clone()).is_some() {
            self.tell_owner(which, Word::Result(delivery));
        }
    }

    /// Ends what nobody extended, says what is alive.
    pub(super) fn beat(&mut self, which: usize) {
        self.after(TTL / 4, Happening::Beat(which));
        if !self.executors[which].is_up {
            return;
        }
        let mut by = self.instant();
        if self.bug == Some(Bug::WallClockLease) {
            by = by.checked_sub(self.executors[which].skew).unwrap_or(by);
        }
        let node = &mut self.executors[which];
        let mut ended = node.leases.expire(by);
        ended.sort_unstable();
        let beats = node.leases.heartbeats();
        let durable = ended.iter().filter(|(_, is_durable)| *is_durable);
        let durable = durable.map(|(lease, _)| *lease).collect();
        self.settle(which, durable);
        self.reap(which);
        for (_, mut leases) in beats {
            leases.sort_by_key(|lease| lease.lease);
            self.tell_owner(which, Word::Heartbeat(leases, self.now));
        }
    }

    /// A link came up.
    pub(super) fn executor_linked(&mut self, which: usize) {
        if !self.executors[which].is_up {
            return;
        }
        let mut waiting = self.executors[which].leases.undelivered();
        waiting.sort_by_key(|(_, delivery)| delivery.lease);
        for (_, delivery) in waiting {
            self.tell_owner(which, Word::Result(delivery));
        }
    }

    pub(super) fn kill_executor(&mut self, which: usize) {
        if !self.executors[which].is_up {
            return;
        }
        self.tell(format!("executor {which} dies"));
        let node = &mut self.executors[which];
        node.is_up = false;
        node.leases = Leases::default();
        let runs: Vec<LeaseId> = std::mem::take(&mut node.runs).into_keys().collect();
        for lease in runs {
            self.leave_run(which, lease);
        }
        self.break_session(which);
        let down = Duration::from_millis(200 + self.below(10_000));
        self.after(down, Happening::ExecutorStarts(which));
    }

    pub(super) fn executor_starts(&mut self, which: usize) {
        self.tell(format!("executor {which} starts"));
        let node = &mut self.executors[which];
        node.is_up = true;
        node.life += 1;
        let owner = node.owner.clone();
        let left = node.journal.clone();
        for (lease, delivery) in left {
            match delivery {
                Some(delivery) => {
                    self.executors[which]
                        .leases
                        .restore(&owner, delivery.clone());
                    self.tell_owner(which, Word::Result(delivery));
                }
                None => {
                    let now = self.instant();
                    self.executors[which].leases.closed(&owner, lease, now);
                    self.tell_owner(which, Word::Decline(lease));
                    self.settle(which, vec![lease]);
                }
            }
        }
        self.break_session(which);
    }

    fn settle(&mut self, which: usize, leases: Vec<LeaseId>) {
        for lease in leases {
            self.executors[which].journal.remove(&lease);
        }
    }

    /// Runs whose token was cancelled are over.
    fn reap(&mut self, which: usize) {
        let runs = self.executors[which].runs.iter();
        let over: Vec<LeaseId> = runs
            .filter(|(_, cancel)| cancel.is_cancelled())
            .map(|(lease, _)| *lease)
            .collect();
        for lease in over {
            self.executors[which].runs.remove(&lease);
            self.leave_run(which, lease);
        }
    }

    fn enter_run(&mut self, which: usize, lease: LeaseId) {
        let Some(id) = self.owner.invocation_of(lease) else {
            return;
        };
        if self.running.iter().any(|(other, ..)| *other == id) {
            self.overlap(lease);
        }
        self.running.insert((id, lease, which as u64));
    }

    fn leave_run(&mut self, which: usize, lease: LeaseId) {
        self.running
            .retain(|(_, held, on)| *held != lease || *on != which as u64);
    }

    fn overlap(&mut self, lease: LeaseId) {
        if let Some(id) = self.owner.invocation_of(lease) {
            self.tell(format!("two runs of {id} at once"));
            self.overlaps.insert(id);
        }
    }
}
