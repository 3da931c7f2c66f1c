//! Time, chance and the network of a simulated mesh.
//!
//! Takes what nodes send, delivers it later, perhaps never; breaks sessions
//! and nodes while faults last. Whatever happens is a line of the story.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{Bug, executor::Executor, owner::Owner};
use crate::model::{Delivery, Lease, LeaseId, PeerId};

/// Executors of a mesh.
pub(super) const EXECUTORS: usize = 4;
/// Invocations of a run.
const INVOCATIONS: u64 = 6;
/// Faults happen before this.
const FAULTS_END: Duration = Duration::from_secs(60);
/// How often an owner asks for its leases, as the program does.
const RECONCILE: Duration = Duration::from_secs(10);
/// Everything has an end before this.
const END: Duration = Duration::from_secs(400);
/// The test profile's lease.
pub(super) const TTL: Duration = Duration::from_secs(2);

/// What an owner and an executor say to each other.
#[derive(Clone, Debug)]
pub(super) enum Word {
    Offer {
        lease: LeaseId,
        is_durable: bool,
    },
    Accept(LeaseId),
    Decline(LeaseId),
    Heartbeat(Vec<Lease>, Duration),
    HeartbeatAck {
        known: Vec<LeaseId>,
        cancel: Vec<LeaseId>,
        sent: Duration,
    },
    Asked(Vec<LeaseId>),
    Result(Delivery),
    ResultAck(LeaseId),
    Cancel(LeaseId),
}

/// What is going to happen.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Submit(u64),
    Tick(u64),
    Found(u64),
    ToOwner(usize, Word, u64),
    ToExecutor(usize, Word, u64),
    RunEnds(usize, LeaseId),
    Beat(usize),
    OwnerStarts,
    ExecutorStarts(usize),
    BreakSession(usize),
    Cut(usize),
    Heal(usize),
    CutAll,
    HealAll,
    /// The owner notices that nothing came over a link since then.
    Silence(usize, Duration),
    Reconcile,
    KillOwner,
    KillExecutor(usize),
}

/// The mesh.
pub(super) struct World {
    pub(super) bug: Option<Bug>,
    /// Nothing goes wrong by chance.
    pub(super) is_quiet: bool,
    pub(super) now: Duration,
    base: Instant,
    random: u64,
    queue: BTreeMap<(Duration, u64), Happening>,
    count: u64,
    /// Rises when the session with an executor breaks: what is under way is lost.
    sessions: [u64; EXECUTORS],
    /// Executors that nothing passes to or from.
    is_cut: [bool; EXECUTORS],
    pub(super) owner: Owner,
    pub(super) executors: Vec<Executor>,
    pub(super) story: Vec<String>,
    /// Runs under way, of all executors: lease and its invocation's number.
    pub(super) running: BTreeSet<(u64, LeaseId, u64)>,
    /// Invocations of code with effects of which two runs were seen at once.
    pub(super) overlaps: BTreeSet<u64>,
}

impl World {
    pub(super) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut world = Self::empty(seed, bug, false);
        world.plan();
        world
    }

    /// One in which nothing goes wrong but a short cut of all links while all
    /// invocations run.
    pub(super) fn quiet(seed: u64, bug: Option<Bug>) -> Self {
        let mut world = Self::empty(seed, bug, true);
        for id in 0..INVOCATIONS {
            let at = world.below(200);
            world.at(Duration::from_millis(at), Happening::Submit(id));
        }
        for which in 0..EXECUTORS {
            let at = world.below(500);
            world.at(Duration::from_millis(at), Happening::Beat(which));
        }
        world.at(Duration::from_secs(1), Happening::CutAll);
        world
    }

    fn empty(seed: u64, bug: Option<Bug>, is_quiet: bool) -> Self {
        Self {
            bug,
            is_quiet,
            now: Duration::ZERO,
            base: Instant::now(),
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d,
            queue: BTreeMap::new(),
            count: 0,
            sessions: [0; EXECUTORS],
            is_cut: [false; EXECUTORS],
            owner: Owner::new(),
            executors: (0..EXECUTORS).map(|_| Executor::new()).collect(),
            story: Vec::new(),
            running: BTreeSet::new(),
            overlaps: BTreeSet::new(),
        }
    }

    /// Submissions and faults, all from the seed.
    fn plan(&mut self) {
        for id in 0..INVOCATIONS {
            let at = self.below(20_000);
            self.at(Duration::from_millis(at), Happening::Submit(id));
        }
        self.at(RECONCILE, Happening::Reconcile);
        for which in 0..EXECUTORS {
            let at = self.below(500);
            self.at(Duration::from_millis(at), Happening::Beat(which));
            let skew = self.below(12_000);
            self.executors[which].skew = Duration::from_millis(skew);
        }
        for _ in 0..self.below(12) {
            let at = Duration::from_millis(self.below(FAULTS_END.as_millis() as u64));
            let which = self.below(EXECUTORS as u64) as usize;
            let fault = match self.below(6) {
                5 => Happening::CutAll,
                0 => Happening::KillOwner,
                1 => Happening::KillExecutor(which),
                2 | 3 => Happening::Cut(which),
                _ => Happening::BreakSession(which),
            };
            self.at(at, fault);
        }
    }

    /// Lets everything happen.
    pub(super) fn run(&mut self) {
        while let Some(((at, _), happening)) = self.queue.pop_first() {
            if at > END {
                break;
            }
            self.now = at;
            self.happen(happening);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Submit(id) => self.submit(id),
            Happening::Tick(id) => self.tick(id),
            Happening::Found(id) => self.found(id),
            Happening::ToOwner(from, word, session) => {
                if session == self.sessions[from] && !self.is_cut[from] {
                    self.owner_hears(from, word);
                }
            }
            Happening::ToExecutor(to, word, session) => {
                if session == self.sessions[to] && !self.is_cut[to] {
                    self.executor_hears(to, word);
                }
            }
            Happening::RunEnds(which, lease) => self.run_ends(which, lease),
            Happening::Beat(which) => self.beat(which),
            Happening::OwnerStarts => self.owner_starts(),
            Happening::ExecutorStarts(which) => self.executor_starts(which),
            Happening::BreakSession(which) => self.break_session(which),
            Happening::Cut(which) => self.cut(which),
            Happening::Heal(which) => self.heal(which),
            Happening::CutAll => self.cut_all(),
            Happening::HealAll => (0..EXECUTORS).for_each(|which| self.heal(which)),
            Happening::Silence(which, since) => {
                if self.is_cut[which] {
                    self.owner_doubts(which, since);
                }
            }
            Happening::Reconcile => self.reconcile(),
            Happening::KillOwner => self.kill_owner(),
            Happening::KillExecutor(which) => self.kill_executor(which),
        }
    }

    /// What is under way between the owner and an executor is lost; both hear
    /// of it and greet each other again.
    pub(super) fn break_session(&mut self, which: usize) {
        self.tell(format!("session {which} breaks"));
        self.sessions[which] += 1;
        self.owner_unlinked(which);
        self.executor_linked(which);
        self.owner_linked(which);
    }

    /// The owner asks every executor for what it counts on.
    fn reconcile(&mut self) {
        self.after(RECONCILE, Happening::Reconcile);
        if let Some(before) = self.now.checked_sub(RECONCILE) {
            for which in 0..EXECUTORS {
                self.owner_asks(which, |leased| leased.since < before);
            }
        }
    }

    fn cut(&mut self, which: usize) {
        self.tell(format!("{which} is cut off"));
        self.is_cut[which] = true;
        self.silence(which);
        let lasts = Duration::from_millis(500 + self.below(15_000));
        self.after(lasts, Happening::Heal(which));
    }

    /// Streams are found silent one by one.
    fn silence(&mut self, which: usize) {
        let after = Duration::from_millis(200 + self.below(1_000));
        self.after(after, Happening::Silence(which, self.now));
    }

    /// The owner is cut off from all.
    fn cut_all(&mut self) {
        self.tell("all are cut off".to_owned());
        self.is_cut = [true; EXECUTORS];
        (0..EXECUTORS).for_each(|which| self.silence(which));
        let lasts = match self.is_quiet {
            true => 800 + self.below(150),
            false => 500 + self.below(4_000),
        };
        let lasts = Duration::from_millis(lasts);
        self.after(lasts, Happening::HealAll);
    }

    fn heal(&mut self, which: usize) {
        self.is_cut[which] = false;
        self.break_session(which);
    }

    pub(super) fn tell_owner(&mut self, from: usize, word: Word) {
        let (delay, session) = (self.delay(), self.sessions[from]);
        self.after(delay, Happening::ToOwner(from, word, session));
    }

    pub(super) fn tell_executor(&mut self, to: usize, word: Word) {
        let (delay, session) = (self.delay(), self.sessions[to]);
        if matches!(word, Word::Offer { .. }) && self.below(10) == 0 {
            let again = self.delay();
            self.after(again, Happening::ToExecutor(to, word.clone(), session));
        }
        self.after(delay, Happening::ToExecutor(to, word, session));
    }

    /// Mostly quick; sometimes as slow as a few retransmissions.
    fn delay(&mut self) -> Duration {
        let is_slow = self.below(10) == 0 && !self.is_quiet;
        let most = if is_slow { 3_000 } else { 30 };
        Duration::from_millis(1 + self.below(most))
    }

    pub(super) fn after(&mut self, delay: Duration, happening: Happening) {
        self.at(self.now + delay, happening);
    }

    pub(super) fn at(&mut self, at: Duration, happening: Happening) {
        self.count += 1;
        self.queue.insert((at, self.count), happening);
    }

    /// The machines' clock.
    pub(super) fn instant(&self) -> Instant {
        self.base + self.now
    }

    pub(super) fn at_instant(&self, at: Duration) -> Instant {
        self.base + at
    }

    pub(super) fn since_base(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.base)
    }

    /// A number below `bound` (xorshift64*).
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound.max(1)
    }

    /// Whether a driver's mailbox is full right now, so that a word in a living
    /// session is lost.
    pub(super) fn is_full(&mut self) -> bool {
        self.now < FAULTS_END && !self.is_quiet && self.below(40) == 0
    }

    /// Whether a node dies right here: once in a while, beside a commit.
    pub(super) fn dies_here(&mut self) -> bool {
        self.now < FAULTS_END && !self.is_quiet && self.below(60) == 0
    }

    pub(super) fn peer(&self, which: usize) -> PeerId {
        self.executors[which].peer()
    }

    pub(super) fn fresh_lease(&mut self) -> LeaseId {
        self.count += 1;
        LeaseId::new(self.count, u128::from(self.count))
    }

    pub(super) fn tell(&mut self, line: String) {
        let at = self.now.as_millis();
        self.story.push(format!("{at} {line}"));
    }
}
