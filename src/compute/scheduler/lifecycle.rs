//! One invocation's life as a pure machine: `(state, event, now) → actions`.
//!
//! Takes what was heard and the time, gives what to do. Never waits, sends or
//! draws random numbers: the fresh lease of a next try is passed in. States
//! and invariants are those of a lease with heartbeats: one accepted result,
//! fences that only rise, bounded tries, an end by the deadline.
//!
//! Long because: the machine is read as a whole, states and transitions together.

use std::collections::VecDeque;

use tokio::time::Instant;

pub(crate) use super::{
    bounds::Bounds,
    steps::{Action, Event, Kept},
};
use super::{
    ends::{cancelled, out_of_time},
    gate::{Gate, Kind},
    search::Search,
};
use crate::{
    compute::Failure,
    model::{Class, LeaseId, Phase, Progress, Verdict},
};

/// One try.
#[derive(Clone, Debug)]
struct Try {
    executor: String,
    lease: LeaseId,
    is_accepted: bool,
    /// When it was heard last.
    heard: Instant,
    /// When its silence ends the lease for good.
    expires: Instant,
    /// When its silence starts another try.
    suspect_at: Instant,
    /// The link to its executor ended since it was last heard.
    is_broken: bool,
    is_open: bool,
    last: Option<Progress>,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    bounds: Bounds,
    waiting: VecDeque<String>,
    tries: Vec<Try>,
    reasons: Vec<String>,
    last_failure: Option<Failure>,
    search: Search,
    /// A further try has to wait until then.
    not_before: Instant,
    /// When something was heard last.
    seen: Instant,
    may_look: bool,
    is_over: bool,
}

impl Lifecycle {
    /// A life that waits for its candidates.
    pub(crate) const fn new(bounds: Bounds, now: Instant) -> Self {
        Self {
            bounds,
            waiting: VecDeque::new(),
            tries: Vec::new(),
            reasons: Vec::new(),
            last_failure: None,
            search: Search::new(now),
            not_before: now,
            seen: now,
            may_look: bounds.is_durable,
            is_over: false,
        }
    }

    /// Candidates that were found for an earlier call may be looked for once
    /// more, when none of them takes this one.
    pub(crate) fn doubting(self) -> Self {
        Self {
            may_look: true,
            ..self
        }
    }

    /// A life that its owner kept over a restart: what was open has a fresh
    /// ttl, and its offers are repeated, for they may never have been sent.
    pub(crate) fn resumed(bounds: Bounds, kept: Vec<Kept>, now: Instant) -> (Self, Vec<Action>) {
        let mut life = Self::new(bounds, now);
        let expires = now
            + bounds
                .unanswered()
                .max(bounds.lease_ttl + bounds.lease_ttl / 2);
        let tries = kept.into_iter().map(|kept| Try {
            executor: kept.executor,
            lease: kept.lease,
            is_accepted: false,
            heard: now,
            expires,
            suspect_at: now + bounds.suspect_after,
            is_broken: false,
            is_open: kept.is_open,
            last: None,
        });
        life.tries = tries.collect();
        let offers = (1..).zip(&life.tries).filter(|(_, held)| held.is_open);
        let offers = offers.map(|(attempt, held)| Action::Offer {
            executor: held.executor.clone(),
            lease: held.lease,
            attempt,
            fence: u64::from(attempt),
        });
        let offers = offers.collect();
        (life, offers)
    }

    /// Hears `event`; `fresh` is the lease of the next offer, if there is one
    /// and `gate` lets it pass.
    pub(crate) fn handle(
        &mut self,
        event: Event,
        now: Instant,
        fresh: LeaseId,
        gate: &mut Gate,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        self.seen = now;
        match event {
            Event::Ranked(peers) => self.ranked(peers, now),
            Event::Accepted(lease) => self.accepted(lease, now, &mut actions),
            Event::Declined(lease, why) => self.lost(lease, why, &mut actions),
            Event::Heard(lease, progress) => self.heard(lease, progress, now, &mut actions),
            Event::Result(lease, outcome) => {
                self.accepted(lease, now, &mut actions);
                self.result(lease, outcome, &mut actions);
            }
            Event::Forged(lease, why) => self.forged(lease, &why, &mut actions),
            Event::Down(peer) => self.down(&peer, now),
            Event::Cancel => self.end(Err(cancelled()), &mut actions),
            Event::Tick => {}
        }
        self.doubt(now, gate);
        self.expire(now, &mut actions);
        self.advance(now, fresh, gate, &mut actions);
        actions
    }

    /// When to call again with [`Event::Tick`], at the latest: what is to come,
    /// not what was seen already.
    pub(crate) fn next_tick(&self) -> Instant {
        let open = self.tries.iter().filter(|t| t.is_open);
        open.flat_map(|t| [t.expires, t.suspect_at])
            .filter(|at| *at > self.seen)
            .chain(self.next_search())
            .chain(self.next_offer())
            .chain([self.bounds.deadline])
            .min()
            .unwrap_or(self.bounds.deadline)
    }

    /// Those who were tried come last: they may have recovered since.
    fn ranked(&mut self, peers: Vec<String>, now: Instant) {
        let is_tried = |peer: &String| self.tries.iter().any(|t| t.executor == *peer);
        let (tried, fresh): (Vec<_>, Vec<_>) = peers.into_iter().partition(is_tried);
        self.waiting = fresh.into_iter().chain(tried).collect();
        self.search.ended(now);
    }

    /// When to look for executors again, if that is what is waited for.
    fn next_search(&self) -> Option<Instant> {
        let is_wanted = self.waiting.is_empty() && self.wants_another_try(self.seen);
        self.search
            .next()
            .filter(|_| self.may_search() && is_wanted)
    }

    /// When the next may be tried, if that is what is waited for.
    fn next_offer(&self) -> Option<Instant> {
        let waits = self.may_offer() && self.wants_another_try(self.seen);
        Some(self.not_before).filter(|_| waits)
    }

    fn may_offer(&self) -> bool {
        !self.is_over && !self.waiting.is_empty() && self.attempts() < self.bounds.max_attempts
    }

    /// Nothing is under way and nobody is left to try.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.tries.iter().all(|t| !t.is_open)
    }

    fn may_search(&self) -> bool {
        self.may_look && !self.is_over && self.attempts() < self.bounds.max_attempts
    }

    /// Tries so far.
    pub(crate) fn attempts(&self) -> u32 {
        u32::try_from(self.tries.len()).unwrap_or(u32::MAX)
    }

    fn find(&mut self, lease: LeaseId) -> Option<&mut Try> {
        self.tries.iter_mut().find(|t| t.lease == lease)
    }

    fn accepted(&mut self, lease: LeaseId, now: Instant, actions: &mut Vec<Action>) {
        let (ttl, suspect) = (self.bounds.lease_ttl, self.bounds.suspect_after);
        let attempt = self.attempts();
        let Some(held) = self.find(lease).filter(|t| t.is_open && !t.is_accepted) else {
            return;
        };
        held.is_accepted = true;
        held.heard = now;
        held.expires = now + ttl + ttl / 2;
        held.suspect_at = now + suspect;
        actions.push(Action::Placed {
            executor: held.executor.clone(),
            attempt,
        });
    }

    fn heard(
        &mut self,
        lease: LeaseId,
        progress: Progress,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        self.accepted(lease, now, actions);
        let (ttl, suspect) = (self.bounds.lease_ttl, self.bounds.suspect_after);
        let Some(held) = self.find(lease).filter(|t| t.is_open) else {
            return;
        };
        held.expires = now + ttl + ttl / 2;
        held.suspect_at = now + suspect;
        held.heard = now;
        held.is_broken = false;
        if held.last != Some(progress) {
            held.last = Some(progress);
            actions.push(Action::Report(progress));
        }
    }

    fn lost(&mut self, lease: LeaseId, why: String, actions: &mut Vec<Action>) {
        let numbered = (1..).zip(&mut self.tries);
        let Some((attempt, held)) = { numbered }.find(|(_, t)| t.lease == lease && t.is_open)
        else {
            return;
        };
        held.is_open = false;
        let executor = held.executor.clone();
        self.reasons.push(format!("{executor}: {why}"));
        actions.push(Action::Lost {
            executor,
            lease,
            attempt,
            reason: why,
        });
    }

    fn result(&mut self, lease: LeaseId, outcome: Result<(), Failure>, actions: &mut Vec<Action>) {
        let (is_pure, is_over) = (self.bounds.is_pure, self.is_over);
        let is_newest = self.tries.last().is_some_and(|t| t.lease == lease);
        let Some(held) = self.find(lease) else { return };
        let counts = !is_over && (is_pure || (held.is_open && is_newest));
        let executor = held.executor.clone();
        let verdict = if counts {
            Verdict::Accepted
        } else {
            Verdict::Late
        };
        match outcome {
            _ if !counts => {
                self.lost(lease, "a newer try is under way".to_owned(), actions);
            }
            Ok(()) => self.end(Ok(lease), actions),
            Err(failure) if failure.class.is_worth_another_executor() => {
                self.last_failure = Some(failure.clone());
                self.lost(lease, failure.message, actions);
            }
            Err(failure) => {
                self.close(lease);
                self.end(Err(failure), actions);
            }
        }
        actions.push(Action::Acknowledge {
            executor,
            lease,
            verdict,
        });
    }

    fn forged(&mut self, lease: LeaseId, why: &str, actions: &mut Vec<Action>) {
        let Some(held) = self.find(lease) else { return };
        let executor = held.executor.clone();
        actions.push(Action::Acknowledge {
            executor,
            lease,
            verdict: Verdict::Mismatch,
        });
        self.lost(
            lease,
            format!("its receipt does not verify: {why}"),
            actions,
        );
    }

    /// A broken link makes a try suspect at once; the lease itself runs on,
    /// since a repeated session may bring its result.
    fn down(&mut self, peer: &str, now: Instant) {
        let may_run_twice = self.bounds.may_run_twice();
        for held in self
            .tries
            .iter_mut()
            .filter(|t| t.is_open && t.executor == peer)
        {
            held.suspect_at = held.suspect_at.min(now);
            held.is_broken = true;
            if !held.is_accepted && may_run_twice {
                held.expires = now;
            }
        }
    }

    /// Silence that may be this node's own is not believed yet.
    fn doubt(&mut self, now: Instant, gate: &mut Gate) {
        let is_silent = |t: &&mut Try| t.is_open && now >= t.expires.min(t.suspect_at);
        for held in self.tries.iter_mut().filter(is_silent) {
            let is_mute = held.is_accepted && !held.is_broken;
            if let Some(until) = gate.hold(is_mute.then_some(held.heard), now) {
                held.expires = held.expires.max(until);
                held.suspect_at = held.suspect_at.max(until);
            }
        }
    }

    fn expire(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if !self.is_over && now >= self.bounds.deadline {
            self.end(Err(out_of_time(self.phase())), actions);
        }
        let silent: Vec<(LeaseId, bool)> = self
            .tries
            .iter()
            .filter(|t| t.is_open && now >= t.expires)
            .map(|t| (t.lease, t.is_accepted))
            .collect();
        for (lease, was_accepted) in silent {
            let why = if was_accepted {
                "fell silent"
            } else {
                "did not answer the offer"
            };
            self.lost(lease, why.to_owned(), actions);
        }
    }

    fn advance(
        &mut self,
        now: Instant,
        fresh: LeaseId,
        gate: &mut Gate,
        actions: &mut Vec<Action>,
    ) {
        if self.is_over || !self.wants_another_try(now) {
            return;
        }
        if self.may_offer() {
            return self.next(now, fresh, gate, actions);
        }
        if self.may_search() {
            return self.look(now, actions);
        }
        let is_hopeless = self.tries.iter().all(|t| !t.is_open) && !self.search.is_under_way();
        match is_hopeless && !self.tries.is_empty() {
            true => {
                let failure = self.given_up();
                self.end(Err(failure), actions);
            }
            false => self.stop_suspecting(),
        }
    }

    /// Offers to the next in line, unless that has to wait.
    fn next(&mut self, now: Instant, fresh: LeaseId, gate: &mut Gate, actions: &mut Vec<Action>) {
        if now < self.not_before {
            return;
        }
        match gate.admit(self.kind(), now) {
            Ok(()) => {
                if let Some(executor) = self.waiting.pop_front() {
                    self.offer(executor, now, fresh, actions);
                }
            }
            Err(again) => self.not_before = again,
        }
    }

    fn kind(&self) -> Kind {
        let mut open = self.tries.iter().filter(|t| t.is_open).peekable();
        match (self.tries.is_empty(), open.peek().is_some()) {
            (true, _) => Kind::First,
            (false, false) => Kind::Retry,
            (false, true) => Kind::Hedge {
                is_broken: open.all(|t| t.is_broken),
            },
        }
    }

    fn look(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.search.begin(now) {
            self.may_look = self.bounds.is_durable;
            actions.push(Action::Find);
        }
    }

    /// No try is open, or every open one is suspect and the code may run twice.
    fn wants_another_try(&self, now: Instant) -> bool {
        let mut open = self.tries.iter().filter(|t| t.is_open).peekable();
        let may_run_twice = self.bounds.may_run_twice();
        open.peek().is_none() || (may_run_twice && open.all(|t| now >= t.suspect_at))
    }

    /// Nobody is left to try: wait for the leases that are still open.
    fn stop_suspecting(&mut self) {
        for held in self.tries.iter_mut().filter(|t| t.is_open) {
            held.suspect_at = held.expires;
        }
    }

    fn offer(&mut self, executor: String, now: Instant, fresh: LeaseId, actions: &mut Vec<Action>) {
        let expires = now + self.bounds.unanswered();
        self.tries.push(Try {
            executor: executor.clone(),
            lease: fresh,
            is_accepted: false,
            heard: now,
            expires,
            suspect_at: expires,
            is_broken: false,
            is_open: true,
            last: None,
        });
        let attempt = self.attempts();
        actions.push(Action::Offer {
            executor,
            lease: fresh,
            attempt,
            fence: u64::from(attempt),
        });
    }

    fn close(&mut self, lease: LeaseId) {
        if let Some(held) = self.find(lease) {
            held.is_open = false;
        }
    }

    fn end(&mut self, end: Result<LeaseId, Failure>, actions: &mut Vec<Action>) {
        if self.is_over {
            return;
        }
        self.is_over = true;
        let winner = end.as_ref().ok().copied();
        for held in self.tries.iter_mut().filter(|t| t.is_open) {
            held.is_open = false;
            if Some(held.lease) != winner {
                actions.push(Action::Revoke {
                    executor: held.executor.clone(),
                    lease: held.lease,
                });
            }
        }
        actions.push(Action::Finish(end));
    }

    /// How far the newest try was.
    fn phase(&self) -> Option<Phase> {
        let last = self.tries.iter().rev().find_map(|t| t.last);
        last.map(|progress| progress.phase)
    }

    fn given_up(&self) -> Failure {
        let tried = self.reasons.join("; ");
        match &self.last_failure {
            Some(failure) if self.attempts() == 1 => failure.clone(),
            Some(failure) => Failure {
                message: format!("{} (tried {tried})", failure.message),
                ..failure.clone()
            },
            None => Failure::new(
                Class::Lost,
                "lost",
                format!("no executor finished it: {tried}"),
            ),
        }
    }
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
