//! The ways in which Kubo was seen to fail.

use std::time::Duration;

use libp2p_identity::PeerId;

/// How a body is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// A well-formed end and an error in the trailer, as Kubo does it.
    Trailer,
    /// A well-formed end and nothing else, as behind a proxy that drops
    /// trailers.
    Silent,
    /// The connection breaks.
    Reset,
    /// Nothing more comes, the connection stays.
    Stall,
}

/// What a stopped `pin/add` reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Held {
    #[default]
    No,
    /// The same progress for ever.
    Pin,
}

/// All off by default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// Cuts `cat`, `get`, `dag/export`, `block/get` after so many bytes.
    pub cut: Option<(usize, Cut)>,
    /// `cat` announces no length.
    pub no_length: bool,
    /// These commands answer 200 with nothing.
    pub empty: Vec<&'static str>,
    /// These commands never answer.
    pub hang: Vec<&'static str>,
    /// These commands answer 200 with a failure in the stream.
    pub fail_in_band: Vec<&'static str>,
    /// So many connections break before an answer.
    pub break_before_answer: usize,
    /// Every k-th publish is refused: `validation ignored`.
    pub ignore_every: usize,
    /// Every k-th publish is lost without a word.
    pub lose_every: usize,
    /// Every k-th publish arrives twice.
    pub duplicate_every: usize,
    /// The value that `Authorization` must have.
    pub authorization: Option<String>,
    /// Pubsub is switched off.
    pub no_pubsub: bool,
    /// How long `routing/findprovs` takes before its first answer.
    pub find_delay: Duration,
    /// How long `swarm/connect` tries one who is not there.
    pub dial_delay: Duration,
    /// Providers that do not exist.
    pub dead_providers: Vec<PeerId>,
    /// The version it says to be.
    pub version: Option<String>,
    /// The next message ends the subscription in the middle of its line.
    pub cut_subscription: bool,
    /// The next message is a line without end.
    pub long_line: bool,
    /// `block/get` gives other bytes.
    pub corrupt_blocks: bool,
    /// What `dag/import` says of each root.
    pub pin_error: String,
    /// `pin/add` makes no progress.
    pub held: Held,
}
