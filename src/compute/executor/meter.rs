//! How far one attempt is, written by the attempt, read by the heartbeat.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::model::{Phase, Progress};

/// A shared progress mark.
#[derive(Debug)]
pub(crate) struct Meter {
    phase: Mutex<Phase>,
    input_bytes: AtomicU64,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            phase: Mutex::new(Phase::Queued),
            input_bytes: AtomicU64::new(0),
        }
    }
}

impl Meter {
    /// The attempt entered `phase`.
    pub(crate) fn enter(&self, phase: Phase) {
        *self.phase.lock() = phase;
    }

    /// The guest was given this many more bytes.
    pub(crate) fn add_input(&self, bytes: usize) {
        self.input_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> Progress {
        Progress {
            phase: *self.phase.lock(),
            input_bytes: self.input_bytes.load(Ordering::Relaxed),
        }
    }
}
