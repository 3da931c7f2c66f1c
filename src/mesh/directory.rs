//! Who said what of itself: unexpired adverts, and executors that proved good.
//!
//! Takes adverts that [`crate::wire`] checked, gives snapshots. Bounded; pure,
//! the time is an argument; never dials, never persists: the caller stores
//! what [`Directory::remembered`] gives and hands it back after a restart.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use libp2p_identity::PeerId;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::state::Crowd;
use crate::{
    model::{Advert, BootId},
    wire::Refusal,
};

/// Nodes listed at most.
const MAX_ENTRIES: usize = 10_000;
/// Good executors remembered at most.
const MAX_REMEMBERED: usize = 256;
/// How many of its periods an advert is believed.
const PERIODS: u32 = 3;
/// How long what expired is remembered and counted: a node that knew few when it
/// spoke may not speak again for as long in a mesh of many. It is also longer
/// than an old advert can be said again.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(2_200);
/// Between two looks for what can be forgotten.
const TIDY_INTERVAL: Duration = Duration::from_secs(60);
/// Adverts within this time that are as many as may be, and too many.
const WHILE: Duration = Duration::from_millis(800);
const BUSY: usize = 4;
const LOUD: usize = 16;
/// The longest period that is learnt from others: that of a full list.
const LONGEST_STATED: Duration = Duration::from_secs(1_100);
/// How long two sidecars under one peer ID stay suspect after both spoke.
const SUSPECT_TTL: Duration = Duration::from_secs(600);

/// An advert with what was checked about its sender.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) peer: PeerId,
    pub(crate) advert: Advert,
    /// Of the sender's binding; never falls.
    pub(crate) serial: u64,
    /// Unix seconds at which it was said.
    pub(crate) said: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    advert: Advert,
    serial: u64,
    said: u64,
    heard: Instant,
    expires: Instant,
    boot_before: Option<BootId>,
    suspect_until: Option<Instant>,
}

/// A node as its advert describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Which.
    pub peer: PeerId,
    /// What it says.
    pub advert: Advert,
    /// How long ago it said so.
    pub heard_ago: Duration,
    /// Two sidecars speak under its peer ID: neither is to be trusted.
    pub is_suspect: bool,
    /// A session with it lives.
    pub is_linked: bool,
}

/// An executor that once accepted and delivered; worth a try after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Its peer ID.
    pub peer: PeerId,
    /// Where it was, each with `/p2p/…`.
    pub addresses: Vec<String>,
}

/// The list itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    entries: HashMap<PeerId, Entry>,
    /// The newest last.
    remembered: Vec<Remembered>,
    /// When the latest adverts came and what periods they stated, the newest
    /// last.
    latest: VecDeque<(Instant, Duration)>,
    tidied: Option<Instant>,
}

impl Directory {
    /// Takes an advert in.
    ///
    /// # Errors
    /// [`Refusal::Replay`] for what is not newer than what is known.
    pub(crate) fn hear(&mut self, said: Statement, now: Instant) -> Result<(), Refusal> {
        let mut entry = Entry::of(&said, now);
        if let Some(known) = self.entries.get_mut(&said.peer) {
            known.note_clone(&entry, now);
            let is_same = (entry.serial, entry.said) == (known.serial, known.said);
            if is_same || entry.serial < known.serial || entry.said < known.said {
                return Err(Refusal::Replay);
            }
            entry.suspect_until = known.suspect_until;
            let is_restart = entry.advert.boot != known.advert.boot;
            entry.boot_before = if is_restart {
                Some(known.advert.boot)
            } else {
                known.boot_before
            };
        }
        self.tidy(now);
        self.make_room(&said.peer, now);
        self.entries.insert(said.peer, entry);
        let stated = Duration::from_millis(said.advert.period_ms);
        self.latest.push_back((now, stated));
        if self.latest.len() > LOUD {
            self.latest.pop_front();
        }
        Ok(())
    }

    /// Forgets nodes that said nothing for long.
    fn tidy(&mut self, now: Instant) {
        let is_due = |last| now.saturating_duration_since(last) >= TIDY_INTERVAL;
        if self.tidied.is_none_or(is_due) {
            self.tidied = Some(now);
            self.entries
                .retain(|_, entry| entry.expires + FORGOTTEN_AFTER > now);
        }
    }

    /// How many others there are, and how much they say.
    pub(crate) fn crowd(&self, now: Instant) -> Crowd {
        let is_fresh = |(heard, _): &&(_, _)| now.saturating_duration_since(*heard) <= WHILE;
        let fresh = self.latest.iter().rev().take_while(is_fresh);
        let mut stated = [Duration::ZERO; BUSY];
        let mut count = 0;
        for (at, (_, period)) in fresh.enumerate() {
            count = at + 1;
            if let Some(place) = stated.get_mut(at) {
                *place = (*period).min(LONGEST_STATED);
            }
        }
        // Of four the second: two liars lengthen nothing.
        stated.sort_unstable();
        let stated = stated.get(BUSY / 2 - 1).copied();
        Crowd {
            nodes: self.len(),
            stated: stated.filter(|_| count >= BUSY),
            is_loud: count >= LOUD,
        }
    }

    fn make_room(&mut self, newcomer: &PeerId, now: Instant) {
        if self.entries.len() < MAX_ENTRIES || self.entries.contains_key(newcomer) {
            return;
        }
        self.entries.retain(|_, entry| entry.expires > now);
        if self.entries.len() >= MAX_ENTRIES {
            let first = self.entries.iter().min_by_key(|(_, entry)| entry.expires);
            if let Some(peer) = first.map(|(peer, _)| *peer) {
                self.entries.remove(&peer);
            }
        }
    }

    /// How many nodes are listed, expired ones included: it sets the pace of
    /// adverts, not their truth.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Every node whose advert holds; `is_linked` knows the sessions.
    pub(crate) fn snapshot(&self, is_linked: impl Fn(&PeerId) -> bool, now: Instant) -> Vec<Known> {
        let living = self.entries.iter().filter(|(_, entry)| entry.expires > now);
        living
            .map(|(peer, entry)| Known {
                peer: *peer,
                advert: entry.advert.clone(),
                heard_ago: now.saturating_duration_since(entry.heard),
                is_suspect: entry.is_suspect(now),
                is_linked: is_linked(peer),
            })
            .collect()
    }

    /// Where a node says it can be dialled.
    pub(crate) fn addresses(&self, peer: &PeerId) -> Vec<String> {
        let advertised = self
            .entries
            .get(peer)
            .map(|entry| entry.advert.addresses.clone());
        let remembered = || {
            let known = self.remembered.iter().find(|known| known.peer == *peer);
            known.map(|known| known.addresses.clone())
        };
        advertised
            .filter(|addresses| !addresses.is_empty())
            .or_else(remembered)
            .unwrap_or_default()
    }

    /// Remembers a good executor; the oldest is forgotten.
    pub(crate) fn remember(&mut self, good: Remembered) {
        self.remembered.retain(|known| known.peer != good.peer);
        if self.remembered.len() >= MAX_REMEMBERED {
            self.remembered.remove(0);
        }
        self.remembered.push(good);
    }

    /// Every remembered executor, the newest last.
    pub(crate) fn remembered(&self) -> &[Remembered] {
        &self.remembered
    }
}

impl Entry {
    fn of(said: &Statement, now: Instant) -> Self {
        let period = Duration::from_millis(said.advert.period_ms);
        Self {
            advert: said.advert.clone(),
            serial: said.serial,
            said: said.said,
            heard: now,
            expires: now + period * PERIODS,
            boot_before: None,
            suspect_until: None,
        }
    }

    fn is_suspect(&self, now: Instant) -> bool {
        self.suspect_until.is_some_and(|until| until > now)
    }

    /// A boot that was replaced speaks again, later: both run.
    fn note_clone(&mut self, next: &Self, now: Instant) {
        let is_back = self.boot_before == Some(next.advert.boot) && next.said > self.said;
        if is_back {
            self.suspect_until = Some(now + SUSPECT_TTL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::Roles;

    fn peer(number: u16) -> PeerId {
        let mut seed = [0; 32];
        seed[..2].copy_from_slice(&number.to_be_bytes());
        libp2p_identity::Keypair::ed25519_from_bytes(seed)
            .unwrap()
            .public()
            .to_peer_id()
    }

    fn statement(boot: u64, serial: u64, said: u64) -> Statement {
        let advert = Advert {
            boot: BootId::new(boot, 0),
            roles: Roles {
                executor: true,
                scheduler: true,
            },
            runtimes: BTreeMap::new(),
            slots: 1,
            free: 1,
            warm: Vec::new(),
            labels: BTreeMap::new(),
            addresses: vec!["/ip4/192.0.2.1/tcp/4001".to_owned()],
            agent: String::new(),
            period_ms: 1_000,
        };
        Statement {
            peer: peer(1),
            advert,
            serial,
            said,
        }
    }

    fn listed(directory: &Directory, now: Instant) -> Vec<Known> {
        directory.snapshot(|_| false, now)
    }

    #[test]
    fn an_advert_lives_three_of_its_periods() {
        let (mut directory, now) = (Directory::default(), Instant::now());
        directory.hear(statement(1, 1, 100), now).unwrap();
        assert_eq!(
            listed(&directory, now + Duration::from_millis(2_999)).len(),
            1
        );
        assert_eq!(
            listed(&directory, now + Duration::from_millis(3_000)).len(),
            0
        );
    }

    #[test]
    fn a_falling_serial_and_an_older_word_are_refused() {
        let (mut directory, now) = (Directory::default(), Instant::now());
        directory.hear(statement(1, 5, 100), now).unwrap();
        assert_eq!(
            directory.hear(statement(1, 4, 101), now),
            Err(Refusal::Replay)
        );
        assert_eq!(
            directory.hear(statement(1, 5, 99), now),
            Err(Refusal::Replay)
        );
        assert_eq!(directory.hear(statement(2, 6, 101), now), Ok(()));
    }

    #[test]
    fn two_boots_that_alternate_are_suspect_and_one_restart_is_not() {
        let (mut directory, now) = (Directory::default(), Instant::now());
        directory.hear(statement(1, 1, 100), now).unwrap();
        directory.hear(statement(2, 2, 101), now).unwrap();
        assert!(!listed(&directory, now)[0].is_suspect);
        assert_eq!(
            directory.hear(statement(1, 1, 102), now),
            Err(Refusal::Replay)
        );
        assert!(listed(&directory, now)[0].is_suspect);
    }

    #[test]
    fn a_replayed_advert_of_an_earlier_boot_makes_nobody_suspect() {
        let (mut directory, now) = (Directory::default(), Instant::now());
        directory.hear(statement(1, 1, 100), now).unwrap();
        directory.hear(statement(2, 2, 101), now).unwrap();
        assert!(directory.hear(statement(1, 1, 100), now).is_err());
        assert!(!listed(&directory, now)[0].is_suspect);
    }

    #[test]
    fn good_executors_are_remembered_up_to_a_bound() {
        let mut directory = Directory::default();
        for number in 0..300 {
            directory.remember(Remembered {
                peer: peer(number),
                addresses: Vec::new(),
            });
        }
        directory.remember(Remembered {
            peer: peer(299),
            addresses: vec!["/x".to_owned()],
        });
        assert_eq!(directory.remembered().len(), MAX_REMEMBERED);
        assert_eq!(directory.addresses(&peer(299)), ["/x"]);
    }
}
