//! A simulated owner: lives in memory, rows on disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Bug,
    world::{EXECUTORS, Happening, TTL, Word, World},
};
use crate::{
    compute::{
        Failure,
        scheduler::{
            gate::Gate,
            lifecycle::{Action, Bounds, Event, Kept, Lifecycle},
        },
    },
    model::{Class, Delivery, LeaseId, PeerId},
};

/// Submit to close.
pub(super) const DEADLINE: Duration = Duration::from_secs(200);

/// The owner.
pub(super) struct Owner {
    pub(super) is_down: bool,
    pub(super) gate: Gate,
    lives: BTreeMap<u64, Lifecycle>,
    /// Which invocation a lease is of, of those that are open, and whose it is.
    leases: BTreeMap<LeaseId, Leased>,
    /// Results that verified, by lease.
    results: BTreeMap<LeaseId, u8>,
    pub(super) disk: Disk,
    /// Submissions that were answered.
    pub(super) answered: BTreeSet<u64>,
    /// When each life is looked at next.
    ticks: BTreeMap<u64, Duration>,
    /// Of which invocation each lease ever offered is: the observer's.
    offered: BTreeMap<LeaseId, u64>,
}

/// A lease of an open invocation.
#[derive(Clone, Copy)]
pub(super) struct Leased {
    id: u64,
    peer: PeerId,
    pub(super) since: Duration,
    is_under_way: bool,
}

/// What survives a crash.
#[derive(Default)]
pub(super) struct Disk {
    open: BTreeMap<u64, Row>,
    /// Every end that was committed, in order.
    pub(super) ends: BTreeMap<u64, Vec<Ended>>,
}

#[derive(Clone)]
struct Row {
    submitted: Duration,
    attempts: Vec<Kept>,
}

/// A committed end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) at: Duration,
    /// The winning lease and what it came to; none for a failure.
    pub(super) result: Option<(LeaseId, u8)>,
    /// The winner was the newest try.
    pub(super) is_newest: bool,
    /// Its time ran out, long after the last fault.
    pub(super) is_late: bool,
}

impl Owner {
    pub(super) fn new() -> Self {
        Self {
            is_down: false,
            gate: Gate::new(TTL),
            lives: BTreeMap::new(),
            leases: BTreeMap::new(),
            results: BTreeMap::new(),
            disk: Disk::default(),
            answered: BTreeSet::new(),
            ticks: BTreeMap::new(),
            offered: BTreeMap::new(),
        }
    }

    /// How many offers were ever made.
    pub(super) fn offers(&self) -> usize {
        self.offered.len()
    }

    pub(super) fn invocation_of(&self, lease: LeaseId) -> Option<u64> {
        self.offered.get(&lease).copied()
    }
}

/// Every second invocation is of code with effects, every fourth may repeat
/// them.
pub(super) const fn is_pure(id: u64) -> bool {
    id.is_multiple_of(2)
}

pub(super) const fn may_repeat(id: u64) -> bool {
    id % 4 == 1
}

impl World {
    fn bounds(&self, id: u64, submitted: Duration) -> Bounds {
        Bounds {
            max_attempts: 5,
            lease_ttl: TTL,
            suspect_after: TTL / 2 + TTL / 20,
            offer_timeout: Duration::from_secs(5),
            deadline: self.at_instant(submitted + DEADLINE),
            is_pure: is_pure(id) || self.bug == Some(Bug::NoFence),
            may_repeat: may_repeat(id),
            is_durable: true,
        }
    }

    pub(super) fn submit(&mut self, id: u64) {
        if self.owner.is_down {
            return self.after(Duration::from_secs(1), Happening::Submit(id));
        }
        if self.bug == Some(Bug::AnswerBeforeCommit) {
            self.owner.answered.insert(id);
        }
        if self.dies_here() {
            return self.kill_owner();
        }
        let row = Row {
            submitted: self.now,
            attempts: Vec::new(),
        };
        self.owner.disk.open.insert(id, row.clone());
        if self.dies_here() {
            return self.kill_owner();
        }
        self.owner.answered.insert(id);
        self.tell(format!("submitted {id}"));
        self.take_up(id, row);
    }

    fn take_up(&mut self, id: u64, row: Row) {
        for held in row.attempts.iter().filter(|held| held.is_open) {
            self.leased(id, &held.executor, held.lease);
        }
        let bounds = self.bounds(id, row.submitted);
        let (life, offers) = Lifecycle::resumed(bounds, row.attempts, self.instant());
        self.owner.lives.insert(id, life);
        self.act(id, offers);
        self.handle(id, Event::Tick);
    }

    pub(super) fn tick(&mut self, id: u64) {
        if self.owner.ticks.get(&id) == Some(&self.now) {
            self.owner.ticks.remove(&id);
            self.handle(id, Event::Tick);
        }
    }

    /// A search is over: those who are up, in some order.
    pub(super) fn found(&mut self, id: u64) {
        let first = match self.is_quiet {
            true => id as usize % EXECUTORS,
            false => self.below(EXECUTORS as u64) as usize,
        };
        let order = (0..EXECUTORS).map(|n| (first + n) % EXECUTORS);
        let up = order.filter(|which| self.executors[*which].is_up);
        let peers = up.map(|which| which.to_string()).collect();
        self.handle(id, Event::Ranked(peers));
    }

    fn handle(&mut self, id: u64, event: Event) {
        let (now, fresh) = (self.instant(), self.fresh_lease());
        let Some(life) = self.owner.lives.get_mut(&id) else {
            return;
        };
        if self.bug == Some(Bug::NoBrake) {
            self.owner.gate = Gate::new(TTL);
        }
        let actions = life.handle(event, now, fresh, &mut self.owner.gate);
        self.act(id, actions);
        if let Some(life) = self.owner.lives.get(&id) {
            assert!(life.next_tick() > now, "a life that never rests");
            let soonest = self.now + Duration::from_millis(1);
            let due = self.since_base(life.next_tick()).max(soonest);
            if self.owner.ticks.insert(id, due) != Some(due) {
                self.at(due, Happening::Tick(id));
            }
        }
    }

    fn act(&mut self, id: u64, actions: Vec<Action>) {
        let mut is_over = false;
        for action in actions {
            if self.owner.is_down {
                return;
            }
            match action {
                Action::Offer {
                    executor, lease, ..
                } => self.offer(id, executor, lease),
                Action::Lost { lease, .. } => self.close_attempt(id, lease),
                Action::Revoke { executor, lease } => {
                    self.tell_executor(number(&executor), Word::Cancel(lease));
                }
                Action::Acknowledge {
                    executor, lease, ..
                } => {
                    self.tell_executor(number(&executor), Word::ResultAck(lease));
                }
                Action::Find => {
                    let takes = Duration::from_millis(5 + self.below(200));
                    self.after(takes, Happening::Found(id));
                }
                Action::Finish(end) => {
                    self.commit_end(id, end);
                    is_over = true;
                }
                Action::Placed { .. } | Action::Report(_) => {}
            }
        }
        if is_over && !self.owner.is_down {
            self.owner.lives.remove(&id);
            self.freed(id);
        }
    }

    fn offer(&mut self, id: u64, executor: String, lease: LeaseId) {
        self.leased(id, &executor, lease);
        self.owner.offered.insert(lease, id);
        if self.dies_here() {
            return self.kill_owner();
        }
        if let Some(row) = self.owner.disk.open.get_mut(&id)
            && !row.attempts.iter().any(|kept| kept.lease == lease)
        {
            row.attempts.push(Kept {
                executor: executor.clone(),
                lease,
                is_open: true,
            });
        }
        if self.dies_here() {
            return self.kill_owner();
        }
        self.tell(format!("offer {lease} of {id} to {executor}"));
        let is_durable = true;
        self.tell_executor(number(&executor), Word::Offer { lease, is_durable });
    }

    /// Notes whose lease is of which invocation.
    fn leased(&mut self, id: u64, executor: &str, lease: LeaseId) {
        let (peer, now) = (self.peer(number(executor)), self.instant());
        let leased = Leased {
            id,
            peer,
            since: self.now,
            is_under_way: true,
        };
        if self.owner.leases.insert(lease, leased).is_none() {
            self.owner.gate.leased(peer, now);
        }
    }

    fn freed(&mut self, id: u64) {
        let gate = &mut self.owner.gate;
        self.owner.leases.retain(|_, leased| {
            if leased.id == id {
                gate.freed(&leased.peer);
            }
            leased.id != id
        });
    }

    /// The owner asks an executor for the leases that are `wanted`.
    pub(super) fn owner_asks(&mut self, which: usize, wanted: impl Fn(&Leased) -> bool) {
        if self.owner.is_down || self.bug == Some(Bug::NoReconcile) {
            return;
        }
        let peer = self.peer(which);
        let leases = self.owner.leases.iter();
        let asked: Vec<LeaseId> = leases
            .filter(|(_, leased)| leased.peer == peer && wanted(leased))
            .map(|(lease, _)| *lease)
            .collect();
        if !asked.is_empty() {
            self.tell_executor(which, Word::Asked(asked));
        }
    }

    /// A link came up.
    pub(super) fn owner_linked(&mut self, which: usize) {
        self.owner_asks(which, |leased| !leased.is_under_way);
    }

    fn close_attempt(&mut self, id: u64, lease: LeaseId) {
        if let Some(row) = self.owner.disk.open.get_mut(&id) {
            for kept in row.attempts.iter_mut().filter(|kept| kept.lease == lease) {
                kept.is_open = false;
            }
        }
    }

    fn commit_end(&mut self, id: u64, end: Result<LeaseId, Failure>) {
        if self.dies_here() {
            return self.kill_owner();
        }
        let is_unique = self.bug != Some(Bug::NoUniqueResult);
        let row = self.owner.disk.open.get(&id).cloned();
        if is_unique && self.owner.disk.open.remove(&id).is_none() {
            return;
        }
        let won = end.ok();
        let result = won.and_then(|lease| Some((lease, *self.owner.results.get(&lease)?)));
        let submitted = row.as_ref().map_or(Duration::ZERO, |row| row.submitted);
        let newest = row.and_then(|row| row.attempts.last().map(|kept| kept.lease));
        let ended = Ended {
            at: self.now,
            result,
            is_newest: won == newest,
            is_late: self.now >= submitted + DEADLINE,
        };
        self.tell(format!("{id} ends: {ended:?}"));
        self.owner.disk.ends.entry(id).or_default().push(ended);
        if self.dies_here() {
            self.kill_owner();
        }
    }

    pub(super) fn owner_hears(&mut self, from: usize, word: Word) {
        if self.owner.is_down {
            return;
        }
        let (peer, now) = (self.peer(from), self.instant());
        self.owner.gate.heard(&peer, now);
        match word {
            Word::Accept(lease) => self.lease_event(lease, Event::Accepted(lease)),
            Word::Decline(lease) => {
                self.lease_event(lease, Event::Declined(lease, "declined".to_owned()));
            }
            Word::Heartbeat(leases, sent) => {
                let (mut known, mut cancel) = (Vec::new(), Vec::new());
                for lease in leases {
                    match self.owner.leases.contains_key(&lease.lease) {
                        true => known.push(lease.lease),
                        false => cancel.push(lease.lease),
                    }
                    self.lease_event(lease.lease, Event::Heard(lease.lease, lease.progress));
                }
                self.tell_executor(
                    from,
                    Word::HeartbeatAck {
                        known,
                        cancel,
                        sent,
                    },
                );
            }
            Word::Result(delivery) => self.result(from, &delivery),
            _ => {}
        }
    }

    fn result(&mut self, from: usize, delivery: &Delivery) {
        let (lease, said) = (delivery.lease, delivery.receipt[0]);
        if !self.owner.leases.contains_key(&lease) {
            return self.tell_executor(from, Word::ResultAck(lease));
        }
        self.owner.results.insert(lease, said);
        let failed = |class, word: &str| Err(Failure::new(class, word, word));
        let outcome = match said {
            b'k' => Ok(()),
            b'u' => failed(Class::User, "trap"),
            _ => failed(Class::Node, "disk"),
        };
        self.lease_event(lease, Event::Result(lease, outcome));
    }

    fn lease_event(&mut self, lease: LeaseId, event: Event) {
        let Some(leased) = self.owner.leases.get_mut(&lease) else {
            return;
        };
        leased.is_under_way = false;
        let id = leased.id;
        match self.is_full() {
            true => self.tell(format!("a word of {lease} is lost")),
            false => self.handle(id, event),
        }
    }

    /// The session with an executor broke.
    pub(super) fn owner_unlinked(&mut self, which: usize) {
        if self.owner.is_down {
            return;
        }
        let (peer, now) = (self.peer(which), self.instant());
        self.owner.gate.broke(&peer, now);
        let leases = self.owner.leases.values_mut();
        for leased in leases.filter(|leased| leased.peer == peer) {
            leased.is_under_way = false;
        }
        let open: Vec<u64> = self.owner.lives.keys().copied().collect();
        for id in open {
            self.handle(id, Event::Down(which.to_string()));
        }
    }

    pub(super) fn kill_owner(&mut self) {
        if self.owner.is_down {
            return;
        }
        self.tell("the owner dies".to_owned());
        self.owner.is_down = true;
        self.owner.lives.clear();
        self.owner.leases.clear();
        self.owner.gate = Gate::new(TTL);
        self.owner.results.clear();
        let down = Duration::from_millis(200 + self.below(5_000));
        self.after(down, Happening::OwnerStarts);
    }

    pub(super) fn owner_starts(&mut self) {
        self.tell("the owner starts".to_owned());
        self.owner.is_down = false;
        for which in 0..EXECUTORS {
            self.break_session(which);
        }
        for (id, row) in self.owner.disk.open.clone() {
            self.take_up(id, row);
        }
    }
}

fn number(executor: &str) -> usize {
    executor.parse().unwrap()
}
