//! Why an invocation ran where it did: every candidate with its terms.
//!
//! Filled in by the scheduler, shown by the doors. JSON keys are the design's.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// All candidates of one placement, best first, vetoed ones last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The peer that got it, once one accepted; in a dry run the one that would.
    pub chosen: Option<String>,
    /// Everyone who was considered.
    pub candidates: Vec<Candidate>,
}

/// One candidate and how long it would take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Peer ID.
    pub peer: String,
    /// Milliseconds to the result; the sum of the terms.
    pub predicted_ms: u64,
    /// Where they come from.
    pub terms: Terms,
    /// Bytes of the input that lie there.
    pub bytes_local: u64,
    /// Bytes that it would have to fetch; what nobody knows counts as missing.
    pub bytes_missing: u64,
    /// How it came to be considered: `input`, `function`, `rendezvous`, `advert`, …
    pub sources: Vec<Cow<'static, str>>,
    /// The peer that forwards to it, where there is no direct way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// Why it may not run this, if it may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub veto: Option<String>,
}

/// The terms of a prediction, milliseconds each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Round trip of the link.
    pub rtt: u64,
    /// Waiting for a slot.
    pub queue: u64,
    /// Fetching missing code and input at the measured bandwidth.
    pub fetch: u64,
    /// Compiling.
    pub cold: u64,
    /// Run time seen so far.
    pub run: u64,
}

impl Terms {
    /// The prediction.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.rtt
            .saturating_add(self.queue)
            .saturating_add(self.fetch)
            .saturating_add(self.cold)
            .saturating_add(self.run)
    }
}
