//! Asks executors for what this owner counts on, so that no lost message
//! leaves work stuck.
//!
//! Heartbeats name what an executor holds; this names what it should hold. A
//! result that did not arrive comes again, a lease that is not there any more
//! is declined. Takes the table of leases, gives questions; decides nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::Scheduler;
use crate::{
    mesh::Address,
    model::{LeaseId, Message},
};

/// How often executors are asked; what is younger is not asked for.
const PERIOD: Duration = Duration::from_secs(10);
/// Leases asked for in one message, far below what a message may weigh.
const MAX_ASKED: usize = 1_000;

impl Scheduler {
    /// Asks for what is older than a period, for ever.
    pub(super) async fn reconcile(&self) {
        loop {
            tokio::time::sleep(PERIOD).await;
            for (peer, leases) in self.open.leased_before(Instant::now() - PERIOD) {
                self.ask(&Address::from(peer), &leases);
            }
        }
    }

    /// A link came up: what was offered over an earlier one, or was spoken of,
    /// is asked for at once. All else may still be under way.
    pub(crate) fn linked(&self, peer: &Address) {
        self.ask(peer, &self.open.arrived_at(peer));
    }

    fn ask(&self, peer: &Address, leases: &[LeaseId]) {
        for asked in leases.chunks(MAX_ASKED) {
            let ask = Message::HeartbeatAck {
                number: 0,
                known: Vec::new(),
                cancel: Vec::new(),
                asked: asked.to_vec(),
            };
            self.send(peer.clone(), ask);
        }
    }
}
