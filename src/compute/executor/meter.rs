//! How far one attempt is and where its log lies: written by the attempt, read
//! by heartbeats and by who follows.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;

use crate::model::{Phase, Progress};

/// A shared progress mark.
#[derive(Debug)]
pub(crate) struct Meter {
    phase: Mutex<Phase>,
    input_bytes: AtomicU64,
    log: Mutex<Option<PathBuf>>,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            phase: Mutex::new(Phase::Queued),
            input_bytes: AtomicU64::new(0),
            log: Mutex::default(),
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

    /// Its standard error goes there.
    pub(crate) fn logs_to(&self, path: PathBuf) {
        *self.log.lock() = Some(path);
    }

    /// Where its standard error goes, once it runs.
    pub(crate) fn log(&self) -> Option<PathBuf> {
        self.log.lock().clone()
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> Progress {
        Progress {
            phase: *self.phase.lock(),
            input_bytes: self.input_bytes.load(Ordering::Relaxed),
        }
    }
}
