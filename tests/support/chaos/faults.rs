//! The faults, and the seeded chance that decides whom they meet.

use std::time::Duration;

/// What befalls messages and calls while it is set; nothing by default. Shares
/// are between 0 and 1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// The share of Kubo's messages that never arrive.
    pub drop: f64,
    /// So many more copies of each arrive.
    pub copies: usize,
    /// Messages leave in any order within so many.
    pub window: usize,
    /// Each arrives so much later.
    pub delay: Duration,
    /// The share whose JSON is wrong.
    pub garble: f64,
    /// Lines come in pieces of so many bytes, with a pause after each.
    pub slow: Option<(usize, Duration)>,
    /// The share of publishes that Kubo ignores: 500 `validation ignored`.
    pub ignored: f64,
    /// The share of publishes that fail with another 500.
    pub failed: f64,
    /// The share of publishes that are answered with 200 and never sent.
    pub unsent: f64,
    /// Commands that answer 403.
    pub forbidden: Vec<&'static str>,
}

/// What meets the subscriptions that are open at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blow {
    /// They end well.
    End,
    /// The connection breaks in the middle of a line.
    CutLine,
    /// Nothing more comes, the connection stays.
    HalfOpen,
    /// Nobody reads what Kubo sends.
    Stall,
    /// Reading goes on.
    Resume,
}

/// Draws that are the same for the same seed, as far as the order of what
/// happens is.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// Begins with `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    /// True for this share of the draws.
    pub(crate) fn hits(&mut self, share: f64) -> bool {
        share > 0.0 && (self.next() as f64) < share * (1_u64 << 53) as f64
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}
