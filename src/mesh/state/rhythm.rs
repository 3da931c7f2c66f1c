//! When a node advertises, so that a mesh of any size hears about ten adverts
//! a second, also when all of it starts at once.
//!
//! Takes what is heard of others and the time, gives when to speak. Everybody
//! waits a ninth of a second for each node it knows, and a little more that
//! differs each time, so that nodes do not come to speak together. Who knows
//! few yet listens to how often others say that they speak. Pure; draws come
//! from a seed.

use std::time::Duration;

use tokio::time::Instant;

/// What a node that wants to speak knows of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crowd {
    /// Nodes listed.
    pub(crate) nodes: usize,
    /// Where adverts come as fast as they may: the time that most senders take
    /// between two of theirs.
    pub(crate) stated: Option<Duration>,
    /// Adverts come faster than they should.
    pub(crate) is_loud: bool,
}

/// The time that belongs to each node: nine adverts a second, all together.
const SHARE: Duration = Duration::from_millis(110);
/// The least time between two adverts.
const GAP: Duration = Duration::from_secs(2);
/// The first advert comes within this; many nodes may start together, and others
/// are listened to meanwhile.
const FIRST: Duration = Duration::from_secs(1);
/// The longest that somebody who hears too many waits before it tries again.
const LONGEST: Duration = Duration::from_secs(1_100);
/// Up to so much longer than the period, in per cent, is waited.
const SLACK: u64 = 30;
/// The same after the first advert: many may have come at once.
const FIRST_SLACK: u64 = 100;

/// The state of one node's speaking.
#[derive(Clone, Debug)]
pub(crate) struct Rhythm {
    interval: Duration,
    draws: u64,
    said: Option<Instant>,
    slack: u64,
    /// While the first advert since a subscription is due: when, and within
    /// what time it was drawn.
    first: Option<(Instant, Duration)>,
    /// A newcomer should not wait a period.
    is_wanted: bool,
}

impl Rhythm {
    /// Speaks at most every `interval`; `seed` differs from node to node.
    pub(crate) const fn new(interval: Duration, seed: u64) -> Self {
        Self {
            interval,
            draws: seed,
            said: None,
            slack: 0,
            first: None,
            is_wanted: false,
        }
    }

    /// Others can be heard from now on: it speaks soon.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.first = Some((now + self.draw(FIRST), FIRST));
    }

    /// Somebody new is there: it speaks as soon as its share allows.
    pub(crate) fn want(&mut self) {
        self.is_wanted = true;
    }

    /// The time between two adverts.
    pub(crate) fn period(&self, crowd: Crowd) -> Duration {
        share(crowd)
            .max(crowd.stated.unwrap_or_default())
            .max(self.interval)
    }

    /// When to speak, as far as is known now.
    pub(crate) fn due(&self, crowd: Crowd) -> Option<Instant> {
        let Some(said) = self.said else {
            return self.first.map(|(due, _)| due);
        };
        let period = self.period(crowd);
        let regular = said + period + period / 100 * u32::try_from(self.slack).unwrap_or_default();
        let soon = said + share(crowd).max(crowd.stated.unwrap_or_default()).max(GAP);
        let again = self.first.map(|(due, _)| due.max(soon));
        let wanted = self.is_wanted.then_some(soon);
        [again, wanted, Some(regular)].into_iter().flatten().min()
    }

    /// Whether to speak now; if so, that was it. Where too many speak, the
    /// first advert is put off.
    pub(crate) fn depart(&mut self, crowd: Crowd, now: Instant) -> bool {
        if self.due(crowd).is_none_or(|due| due > now) {
            return false;
        }
        let is_first = self.said.is_none();
        if let Some((_, within)) = self.first.filter(|_| is_first && crowd.is_loud) {
            let within = (within * 2).min(LONGEST);
            self.first = Some((now + self.draw(within), within));
            return false;
        }
        (self.said, self.first, self.is_wanted) = (Some(now), None, false);
        self.slack = self.next() % (if is_first { FIRST_SLACK } else { SLACK } + 1);
        true
    }

    fn draw(&mut self, within: Duration) -> Duration {
        let parts = u32::try_from(self.next() % 1_000).unwrap_or_default();
        within * parts / 1_000
    }

    /// Splitmix64.
    fn next(&mut self) -> u64 {
        self.draws = self.draws.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut drawn = self.draws;
        drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        drawn ^ (drawn >> 31)
    }
}

/// What each of so many may have, so that all together stay within bounds.
fn share(crowd: Crowd) -> Duration {
    SHARE * u32::try_from(crowd.nodes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    const fn crowd(nodes: usize) -> Crowd {
        Crowd {
            nodes,
            stated: None,
            is_loud: false,
        }
    }

    /// The time at which it speaks next, looking every tenth of a second.
    fn next(rhythm: &mut Rhythm, crowd: Crowd, mut now: Instant) -> Instant {
        while !rhythm.depart(crowd, now) {
            now += Duration::from_millis(100);
        }
        now
    }

    #[test]
    fn the_first_advert_comes_soon_and_the_others_in_their_period() {
        let (mut rhythm, began) = (Rhythm::new(INTERVAL, 1), Instant::now());
        rhythm.begin(began);
        let first = next(&mut rhythm, crowd(3), began);
        assert!(first - began <= Duration::from_millis(1_100));
        let second = next(&mut rhythm, crowd(3), first) - first;
        assert!(
            (INTERVAL..INTERVAL * 14 / 10).contains(&second),
            "{second:?}"
        );
        let third = next(&mut rhythm, crowd(1_000), first + second) - first - second;
        assert!(third >= Duration::from_secs(100), "{third:?}");
    }

    #[test]
    fn a_newcomer_is_answered_within_what_the_mesh_can_bear() {
        for (nodes, soon) in [(3, 2), (100, 11), (10_000, 1_100)] {
            let (mut rhythm, began) = (Rhythm::new(INTERVAL, 1), Instant::now());
            rhythm.begin(began);
            let first = next(&mut rhythm, crowd(nodes), began);
            rhythm.want();
            let next = next(&mut rhythm, crowd(nodes), first) - first;
            let soon = Duration::from_secs(soon);
            assert!((soon..soon * 11 / 10).contains(&next), "{nodes}: {next:?}");
        }
    }

    #[test]
    fn whoever_hears_too_many_puts_its_first_advert_off_further_and_further() {
        let (mut rhythm, began) = (Rhythm::new(INTERVAL, 1), Instant::now());
        rhythm.begin(began);
        let loud = Crowd {
            is_loud: true,
            ..crowd(100)
        };
        for second in 0..600 {
            assert!(!rhythm.depart(loud, began + Duration::from_secs(second)));
        }
        assert!(rhythm.due(loud) > Some(began + Duration::from_secs(600)));
        next(&mut rhythm, crowd(100), began + Duration::from_secs(600));
    }

    #[test]
    fn who_knows_few_speaks_as_seldom_as_the_others_say() {
        let rhythm = Rhythm::new(INTERVAL, 1);
        let stated = Some(Duration::from_secs(1_000));
        let crowd = Crowd { stated, ..crowd(3) };
        assert_eq!(rhythm.period(crowd), Duration::from_secs(1_000));
    }
}
