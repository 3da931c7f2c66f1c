//! What was received: each message once, each frame once.
//!
//! Remembers what lies above a gap only, so it is bounded by the window. Pure.

use std::collections::BTreeSet;

use crate::wire::body::{Ack, MAX_RANGES};

/// How far above the first gap a message may lie.
const SPAN: u64 = 4_096;
/// How many frames below the newest are told apart.
const FRAMES: u64 = 128;

/// Message numbers received, for de-duplication and acknowledgement.
#[derive(Clone, Debug, Default)]
pub(super) struct Received {
    upto: u64,
    above: BTreeSet<u64>,
}

impl Received {
    /// Whether `number` was received before, or lies too far ahead to be kept.
    pub(super) fn refuses(&self, number: u64) -> bool {
        number <= self.upto || number > self.upto + SPAN || self.above.contains(&number)
    }

    /// Marks `number` as received.
    pub(super) fn insert(&mut self, number: u64) {
        self.above.insert(number);
        while self.above.remove(&(self.upto + 1)) {
            self.upto += 1;
        }
    }

    /// Everything received, as far as it fits; the rest is told when gaps close.
    pub(super) fn ack(&self) -> Ack {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for number in &self.above {
            let is_full = ranges.len() == MAX_RANGES;
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == *number => *last = *number,
                _ if is_full => break,
                _ => ranges.push((*number, *number)),
            }
        }
        Ack {
            upto: self.upto,
            ranges,
            echo: 0,
            held_us: 0,
        }
    }

    /// Forgets all, as a receiver without de-duplication would.
    #[cfg(test)]
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// Frame numbers seen, against replay within a session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Frames {
    newest: u64,
    /// Bit n stands for the frame n below the newest.
    seen: u128,
}

impl Frames {
    /// The highest number seen; 0 before the first.
    pub(super) const fn newest(self) -> u64 {
        self.newest
    }

    /// Takes a number in; false where it was seen, or is too old to tell.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        if number == 0 {
            return false;
        }
        if number > self.newest {
            let shift = u32::try_from(number - self.newest).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(shift).unwrap_or(0) | 1;
            self.newest = number;
            return true;
        }
        let below = self.newest - number;
        if below >= FRAMES || self.seen >> below & 1 == 1 {
            return false;
        }
        self.seen |= 1 << below;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_number_is_taken_once_and_acknowledged(
            numbers in proptest::collection::vec(1..200_u64, 1..400),
        ) {
            let (mut received, mut taken) = (Received::default(), HashSet::new());
            for number in numbers {
                let is_new = !received.refuses(number);
                prop_assert_eq!(is_new, taken.insert(number));
                received.insert(number);
            }
            let ack = received.ack();
            let covers = |number: &u64| {
                *number <= ack.upto || ack.ranges.iter().any(|(a, z)| (a..=z).contains(&number))
            };
            prop_assert!((1..200).all(|number| !covers(&number) || taken.contains(&number)));
            if ack.ranges.len() < MAX_RANGES {
                prop_assert!(taken.iter().all(covers));
            }
        }

        #[test]
        fn every_frame_is_taken_at_most_once(numbers in proptest::collection::vec(0..300_u64, 1..400)) {
            let (mut frames, mut taken) = (Frames::default(), HashSet::new());
            for number in numbers {
                if frames.insert(number) {
                    prop_assert!(taken.insert(number));
                }
            }
        }
    }

    #[test]
    fn a_frame_out_of_order_is_taken_and_its_copy_is_not() {
        let mut frames = Frames::default();
        assert!(frames.insert(5) && frames.insert(3));
        assert!(!frames.insert(3) && !frames.insert(5));
        assert!(frames.insert(500) && !frames.insert(5));
    }

    #[test]
    fn a_number_far_ahead_is_refused_rather_than_kept() {
        assert!(Received::default().refuses(SPAN + 1));
        assert!(!Received::default().refuses(SPAN));
    }
}
