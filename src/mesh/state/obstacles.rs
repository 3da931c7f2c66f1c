//! What Kubo refuses to do for the mesh, for whoever asks why it is not ready.

use super::State;
use crate::{kubo, mesh::health::Duty};

impl State {
    /// Kubo took an envelope.
    pub(crate) fn on_published(&mut self) {
        self.counters.published += 1;
        self.on_done(Duty::Publish);
    }

    /// Kubo does again what it is there for.
    pub(crate) fn on_done(&mut self, duty: Duty) {
        self.obstacles.remove(&duty);
    }

    /// Kubo does not do what it is there for; told until it does, unless it may
    /// do it a little later by itself.
    pub(crate) fn on_refused(&mut self, duty: Duty, error: &kubo::Error) {
        if !error.retryable() {
            let cure = error.hint().unwrap_or("see its log");
            self.obstacles.insert(duty, format!("{error}: {cure}"));
        }
    }
}
