//! The mass-failure brake: whether silence is theirs or ours.
//!
//! Takes who holds leases, who spoke and whose link broke, with the time; gives
//! until when a lost lease is not believed. One silent executor is believed as
//! soon as another one spoke meanwhile; most of them within one ttl are more
//! likely this node's own doing.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::model::PeerId;

/// Fewer lost executors never are a mass failure.
const FEWEST: usize = 3;

/// An answer that did not come within this was not only late.
const ANSWER: Duration = Duration::from_millis(500);

/// What the silence of a link is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// The executor's own: others spoke meanwhile, or there are no others.
    Theirs,
    /// Nothing any more: it spoke, or holds nothing, or so long that its
    /// leases are suspect by themselves.
    Settled,
    /// Perhaps this node's: look again then.
    Unclear(Instant),
}

/// An executor that holds leases.
#[derive(Clone, Copy, Debug)]
struct Holder {
    leases: usize,
    heard: Instant,
    broke: Option<Instant>,
    /// The brake was pulled for its silence already.
    is_spent: bool,
}

/// The brake of one owner.
#[derive(Debug)]
pub(super) struct Brake {
    ttl: Duration,
    holders: HashMap<PeerId, Holder>,
    held_until: Option<Instant>,
    is_deaf: bool,
    was_deaf: bool,
}

impl Brake {
    /// A brake that nothing pulled yet.
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            holders: HashMap::new(),
            held_until: None,
            is_deaf: false,
            was_deaf: false,
        }
    }

    /// `peer` holds one lease more.
    pub(super) fn leased(&mut self, peer: PeerId, now: Instant) {
        let holder = self.holders.entry(peer).or_insert(Holder {
            leases: 0,
            heard: now,
            broke: None,
            is_spent: false,
        });
        holder.leases += 1;
    }

    /// `peer` holds one lease less.
    pub(super) fn freed(&mut self, peer: &PeerId) {
        let Some(holder) = self.holders.get_mut(peer) else {
            return;
        };
        holder.leases = holder.leases.saturating_sub(1);
        if holder.leases == 0 {
            self.holders.remove(peer);
        }
    }

    /// `peer` spoke. If all were missing until now, the others may follow one
    /// by one: TCP speaks up to as long again after a cut.
    pub(super) fn heard(&mut self, peer: &PeerId, now: Instant) {
        if self.is_overdue(peer, now) {
            self.pull(now);
        }
        if let Some(holder) = self.holders.get_mut(peer) {
            (holder.heard, holder.broke, holder.is_spent) = (now, None, false);
        }
    }

    /// The link to `peer` broke.
    pub(super) fn broke(&mut self, peer: &PeerId, now: Instant) {
        if let Some(holder) = self.holders.get_mut(peer) {
            holder.broke.get_or_insert(now);
        }
    }

    /// Whether this node's own message came back.
    pub(super) const fn probed(&mut self, is_back: bool) {
        self.is_deaf = !is_back;
    }

    /// What it means that a link to `peer` is silent since then.
    pub(super) fn silence(&self, peer: &PeerId, since: Instant, now: Instant) -> Silence {
        let Some(holder) = self.holders.get(peer).filter(|h| h.heard <= since) else {
            return Silence::Settled;
        };
        if self.holders.len() == 1 || self.spoke_after(since + ANSWER) {
            return Silence::Theirs;
        }
        let suspect_at = holder.heard + self.ttl / 2 + self.ttl / 20;
        match now < suspect_at {
            true => Silence::Unclear(suspect_at.min(now + self.ttl / 20)),
            false => Silence::Settled,
        }
    }

    /// Whether a heartbeat of `peer` is missing.
    pub(super) fn is_overdue(&self, peer: &PeerId, now: Instant) -> bool {
        let holder = self.holders.get(peer);
        holder.is_some_and(|holder| holder.heard + self.beat() <= now)
    }

    /// A lease fell silent, of which nothing was heard `since`: until when that
    /// is not believed, if it is not. Where the link itself ended (none), it
    /// does not matter whether others spoke.
    pub(super) fn hold(&mut self, since: Option<Instant>, now: Instant) -> Option<Instant> {
        let held = self.pull(now);
        held.or_else(|| since.and_then(|since| self.wait_for_others(since, now)))
    }

    /// When one executor alone missed two heartbeats, most others spoke after
    /// its first was due. Where they did not, all may be cut off, and then all
    /// count as lost a moment later.
    fn wait_for_others(&self, since: Instant, now: Instant) -> Option<Instant> {
        let due = since + self.ttl / 4 + self.ttl / 50;
        let settled = since + self.ttl / 2 + self.beat();
        let spoke = self.holders.values().filter(|h| h.heard > due).count();
        let may_be_mass = self.holders.len() >= FEWEST && spoke * 2 < self.holders.len();
        (may_be_mass && now < settled).then(|| settled.min(now + self.ttl / 20))
    }

    /// Whether anyone that holds leases spoke after that.
    fn spoke_after(&self, at: Instant) -> bool {
        self.holders.values().any(|holder| holder.heard > at)
    }

    /// The time between two heartbeats, and how late one may be.
    fn beat(&self) -> Duration {
        self.ttl / 4 + self.ttl / 20
    }

    /// Pulls the brake, if this is a mass failure; gives until when it is
    /// pulled.
    fn pull(&mut self, now: Instant) -> Option<Instant> {
        let is_newly_deaf = self.is_deaf && !self.was_deaf;
        self.was_deaf = self.is_deaf;
        if self.is_pulled(now) {
            return self.held_until;
        }
        let lost = self.lost(now);
        let is_mass = lost.len() >= FEWEST && lost.len() * 2 > self.holders.len();
        if !is_mass && !is_newly_deaf {
            return None;
        }
        for peer in lost {
            if let Some(holder) = self.holders.get_mut(&peer) {
                holder.is_spent = true;
            }
        }
        self.held_until = Some(now + self.ttl);
        self.held_until
    }

    /// Whether this node suspects itself to be cut off.
    pub(super) fn is_pulled(&self, now: Instant) -> bool {
        self.held_until.is_some_and(|until| now < until)
    }

    /// Those lost within one ttl of the newest loss.
    fn lost(&self, now: Instant) -> Vec<PeerId> {
        let fresh = self.holders.iter().filter(|(_, holder)| !holder.is_spent);
        let lost: Vec<_> = fresh
            .filter_map(|(peer, holder)| Some((*peer, self.lost_at(holder, now)?)))
            .collect();
        let newest = lost.iter().map(|(_, at)| *at).max();
        lost.into_iter()
            .filter(|(_, at)| newest.is_some_and(|newest| *at + self.ttl >= newest))
            .map(|(peer, _)| peer)
            .collect()
    }

    /// Since when it counts as lost: since its link broke, or since a
    /// heartbeat of it is overdue. Where one has missed two, all others that
    /// are cut off have missed one.
    fn lost_at(&self, holder: &Holder, now: Instant) -> Option<Instant> {
        let overdue = holder.heard + self.beat();
        holder.broke.or_else(|| (overdue <= now).then_some(overdue))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(20);

    /// A brake over `count` executors that were all heard `now`.
    fn over(count: usize, now: Instant) -> (Brake, Vec<PeerId>) {
        let mut brake = Brake::new(TTL);
        let peers: Vec<PeerId> = (0..count).map(|_| PeerId::random()).collect();
        peers.iter().for_each(|peer| brake.leased(*peer, now));
        (brake, peers)
    }

    #[tokio::test(start_paused = true)]
    async fn the_death_of_one_executor_of_many_or_of_few_is_believed() {
        let now = Instant::now();
        for count in [1, 2, 10] {
            let (mut brake, peers) = over(count, now);
            brake.broke(&peers[0], now);
            assert_eq!(brake.hold(None, now), None, "of {count}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn three_of_five_lost_within_a_ttl_are_held_for_one_ttl_and_then_believed() {
        let now = Instant::now();
        let (mut brake, peers) = over(5, now);
        brake.broke(&peers[0], now);
        brake.broke(&peers[1], now);
        assert_eq!(brake.hold(None, now), None);
        brake.broke(&peers[2], now);
        assert_eq!(brake.hold(None, now), Some(now + TTL));
        assert!(brake.is_pulled(now + TTL / 2));
        let later = now + TTL;
        for peer in &peers[3..] {
            brake.heard(peer, later);
        }
        assert_eq!(
            brake.hold(None, later),
            None,
            "they are believed to be dead now"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn losses_that_are_further_apart_than_a_ttl_are_no_mass_failure() {
        let now = Instant::now();
        let (mut brake, peers) = over(5, now);
        let mut at = now;
        for lost in 0..3 {
            for _ in 0..8 {
                at += TTL / 4;
                peers[lost..].iter().for_each(|peer| brake.heard(peer, at));
            }
            brake.broke(&peers[lost], at);
            assert_eq!(brake.hold(None, at), None, "loss {lost}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_cut_off_from_all_holds_at_the_first_suspicion() {
        let now = Instant::now();
        let (mut brake, peers) = over(10, now);
        for (step, peer) in (0..).zip(&peers) {
            brake.heard(peer, now + TTL / 40 * step);
        }
        let suspicion = now + TTL / 2 + TTL / 20;
        assert_eq!(brake.hold(None, suspicion), Some(suspicion + TTL));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_self_probe_holds_once_until_it_came_back() {
        let now = Instant::now();
        let (mut brake, peers) = over(1, now);
        brake.broke(&peers[0], now);
        brake.probed(false);
        assert_eq!(brake.hold(None, now), Some(now + TTL));
        assert_eq!(brake.hold(None, now + TTL), None);
        brake.probed(true);
        assert_eq!(brake.hold(None, now + TTL), None);
        brake.probed(false);
        assert_eq!(brake.hold(None, now + TTL), Some(now + TTL * 2));
    }

    #[tokio::test(start_paused = true)]
    async fn who_holds_no_lease_any_more_does_not_count() {
        let now = Instant::now();
        let (mut brake, peers) = over(4, now);
        peers.iter().for_each(|peer| brake.broke(peer, now));
        peers[..2].iter().for_each(|peer| brake.freed(peer));
        assert_eq!(brake.hold(None, now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_link_is_believed_once_another_spoke_meanwhile() {
        let now = Instant::now();
        let (mut brake, peers) = over(3, now);
        let (silent, since) = (&peers[0], now + ANSWER);
        let later = since + TTL / 8;
        let unclear = brake.silence(silent, since, later);
        assert_eq!(unclear, Silence::Unclear(later + TTL / 20));
        brake.heard(&peers[1], later);
        assert_eq!(brake.silence(silent, since, later), Silence::Theirs);
        brake.heard(silent, later);
        assert_eq!(brake.silence(silent, since, later), Silence::Settled);
    }

    #[tokio::test(start_paused = true)]
    async fn links_that_fall_silent_one_by_one_make_no_lease_suspect_before_its_time() {
        let now = Instant::now();
        let (brake, peers) = over(3, now);
        let since = now + TTL / 10;
        let suspect_at = now + TTL / 2 + TTL / 20;
        for peer in &peers {
            let mut at = since;
            while let Silence::Unclear(again) = brake.silence(peer, since, at) {
                assert!(at < again && again <= suspect_at);
                at = again;
            }
            assert_eq!(at, suspect_at);
            assert_eq!(brake.silence(peer, since, at), Silence::Settled);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_silence_of_the_only_executor_is_believed_and_of_one_without_leases_ignored() {
        let now = Instant::now();
        let (brake, peers) = over(1, now);
        assert_eq!(brake.silence(&peers[0], now, now), Silence::Theirs);
        let stranger = PeerId::random();
        assert_eq!(brake.silence(&stranger, now, now), Silence::Settled);
    }

    #[tokio::test(start_paused = true)]
    async fn two_missed_heartbeats_are_believed_at_once_if_others_spoke_since_the_first() {
        let now = Instant::now();
        let (mut brake, peers) = over(4, now);
        let suspicion = now + TTL / 2 + TTL / 20;
        for peer in &peers[1..] {
            brake.heard(peer, now + TTL / 4);
        }
        brake.heard(&peers[1], suspicion - TTL / 5);
        brake.heard(&peers[2], suspicion - TTL / 10);
        assert_eq!(brake.hold(Some(now), suspicion), None);
    }

    #[tokio::test(start_paused = true)]
    async fn where_few_spoke_since_the_first_missed_heartbeat_a_moment_shows_who_is_cut_off() {
        let now = Instant::now();
        let (mut brake, peers) = over(4, now);
        let (suspicion, beat) = (now + TTL / 2 + TTL / 20, TTL / 4 + TTL / 20);
        for peer in &peers[1..] {
            brake.heard(peer, now + TTL / 4 + TTL / 100);
        }
        // Its own heartbeat was late, this one in time.
        brake.heard(&peers[1], now + beat);
        assert_eq!(brake.hold(None, suspicion), None, "a link that ended");
        let again = brake.hold(Some(now), suspicion);
        assert_eq!(again, Some(now + beat * 2));
        let held = brake.hold(Some(now), now + beat * 2);
        assert_eq!(held, Some(now + beat * 2 + TTL));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_that_speaks_after_the_silence_of_all_makes_none_of_the_others_dead() {
        let now = Instant::now();
        let (mut brake, peers) = over(3, now);
        let healed = now + TTL / 2;
        brake.heard(&peers[0], healed);
        let suspicion = now + TTL / 2 + TTL / 20;
        assert_eq!(brake.hold(Some(now), suspicion), Some(healed + TTL));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_speaks_late_while_others_do_pulls_nothing() {
        let now = Instant::now();
        let (mut brake, peers) = over(3, now);
        let late = now + TTL / 2;
        for peer in &peers[1..] {
            brake.heard(peer, now + TTL / 4);
        }
        brake.heard(&peers[0], late);
        assert!(!brake.is_pulled(late));
    }
}
