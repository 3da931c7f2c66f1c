//! Says which leases are alive, and hears which of them still count.
//!
//! Takes the table of leases and the answers of owners; sends heartbeats, ends
//! what nobody extends. Decides nothing that the table does not.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::Executor;
use crate::{
    mesh::Address,
    model::{LeaseId, Message},
};

/// Heartbeats per lease ttl.
const HEARTBEATS_PER_TTL: u32 = 4;
/// How often expiry is looked at while no lease is shorter.
const IDLE_BEAT: Duration = Duration::from_millis(500);

impl Executor {
    pub(super) fn acknowledged(
        &self,
        from: &Address,
        number: u64,
        known: &[LeaseId],
        cancel: &[LeaseId],
    ) {
        let sent = self.inner.beats.lock().sent(number);
        let now = Instant::now();
        let settled = self.with_leases(|leases| {
            if let Some(sent) = sent {
                leases.extended(from, known, sent);
            }
            leases.cancelled(from, cancel, now)
        });
        settled.into_iter().for_each(|lease| self.settle(lease));
    }

    /// What its owner counts on: done, it goes out again; not here, it never
    /// will be.
    pub(super) fn asked(&self, from: &Address, asked: &[LeaseId]) {
        let now = Instant::now();
        let (done, unknown) = self.with_leases(|leases| leases.asked(from, asked, now));
        for delivery in done {
            self.send(from.clone(), Message::Result(delivery));
        }
        for lease in unknown {
            let reason = "its executor knows nothing of it".to_owned();
            self.send(from.clone(), Message::Decline { lease, reason });
        }
    }

    /// Sends heartbeats and ends leases that nobody extends, for ever.
    pub(super) async fn beat(&self) {
        loop {
            let ttl = self.with_leases(|leases| leases.shortest_ttl());
            let period = ttl.map_or(IDLE_BEAT, |ttl| {
                (ttl / HEARTBEATS_PER_TTL).max(Duration::from_millis(50))
            });
            tokio::time::sleep(period.min(IDLE_BEAT)).await;
            let ended = self.with_leases(|leases| leases.expire(Instant::now()));
            if !ended.is_empty() {
                warn!(
                    leases = ended.len(),
                    "leases ended: their owners fell silent"
                );
            }
            let durable = ended.into_iter().filter(|(_, is_durable)| *is_durable);
            durable.for_each(|(lease, _)| self.settle(lease));
            let is_due = self.inner.beats.lock().newest().elapsed() >= period;
            if is_due {
                self.send_heartbeats();
            }
        }
    }

    fn send_heartbeats(&self) {
        let number = self.inner.beats.lock().leave(Instant::now());
        for (owner, leases) in self.with_leases(|leases| leases.heartbeats()) {
            self.send(owner, Message::Heartbeat { number, leases });
        }
    }
}
