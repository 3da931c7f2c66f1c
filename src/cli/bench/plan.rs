//! How much is measured. Plain values.

use std::time::Duration;

/// Bytes of the input of every invocation, and of every echo.
pub(super) const INPUT_BYTES: usize = 128;

/// Callers at once where throughput is measured.
pub(super) const CALLERS: usize = 64;

/// How long each part takes; every figure is the median of its runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Runs of each part.
    pub(super) runs: usize,
    /// One run of a latency, one invocation or echo after the other.
    pub(super) latency: Duration,
    /// One run of invocations from many callers.
    pub(super) held: Duration,
    /// One run of durable invocations, roughly.
    pub(super) durable: Duration,
    /// One run of appends to a file.
    pub(super) fsync: Duration,
    /// Invocations that come before everything that counts.
    pub(super) warm_up: usize,
}

impl Plan {
    /// About two minutes.
    pub(super) const FULL: Self = Self {
        runs: 5,
        latency: Duration::from_secs(2),
        held: Duration::from_secs(4),
        durable: Duration::from_secs(4),
        fsync: Duration::from_secs(1),
        warm_up: 50,
    };

    /// Within half a minute, start and end of the nodes included.
    pub(super) const QUICK: Self = Self {
        runs: 5,
        latency: Duration::from_millis(250),
        held: Duration::from_millis(500),
        durable: Duration::from_millis(600),
        fsync: Duration::from_millis(100),
        warm_up: 20,
    };
}
