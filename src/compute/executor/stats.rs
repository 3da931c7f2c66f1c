//! What an executor has seen so far: run times per function, fetch speed.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use cid::Cid;
use moka::sync::Cache;

/// Functions whose run time is remembered.
const FUNCTIONS: u64 = 4_096;

/// Shared counters. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Stats {
    runs: Cache<Cid, Duration>,
    fetch_bytes_per_s: std::sync::Arc<AtomicU64>,
    begun: std::sync::Arc<AtomicU64>,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            runs: Cache::new(FUNCTIONS),
            fetch_bytes_per_s: std::sync::Arc::default(),
            begun: std::sync::Arc::default(),
        }
    }
}

impl Stats {
    /// A run begins.
    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs begun so far.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// A run of `function` took `time`; newer runs weigh a quarter.
    pub(crate) fn ran(&self, function: &Cid, time: Duration) {
        let mean = self
            .runs
            .get(function)
            .map_or(time, |mean| (mean * 3 + time) / 4);
        self.runs.insert(*function, mean);
    }

    /// The mean run time of `function` here, where it ran.
    pub(crate) fn run_time(&self, function: &Cid) -> Option<Duration> {
        self.runs.get(function)
    }

    /// Functions that ran here, at most `count`.
    pub(crate) fn warm(&self, count: usize) -> Vec<Cid> {
        self.runs
            .iter()
            .take(count)
            .map(|(function, _)| *function)
            .collect()
    }

    /// A fetch brought `bytes` in `time`; newer fetches weigh a quarter.
    pub(crate) fn fetched(&self, bytes: u64, time: Duration) {
        let Ok(micros) = u64::try_from(time.as_micros().max(1)) else {
            return;
        };
        let seen = bytes.saturating_mul(1_000_000) / micros;
        let mean = match self.fetch_bytes_per_s.load(Ordering::Relaxed) {
            0 => seen,
            mean => (mean / 4).saturating_mul(3).saturating_add(seen / 4),
        };
        self.fetch_bytes_per_s.store(mean, Ordering::Relaxed);
    }

    /// Bytes per second seen when fetching; 0 before the first fetch.
    pub(crate) fn fetch_bytes_per_s(&self) -> u64 {
        self.fetch_bytes_per_s.load(Ordering::Relaxed)
    }
}
