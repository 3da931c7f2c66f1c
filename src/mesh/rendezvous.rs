//! Lets this node be found by strangers: provides the mesh's rendezvous CID of
//! each sandbox it offers, while it advertises at all.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};
use tracing::{debug, info};

use super::shared::Shared;
use crate::{
    kubo::{self, Codec},
    wire::topics,
};

/// Provider records live 48 h; Kubo's own rhythm is 22 h.
const INTERVAL: Duration = Duration::from_secs(12 * 3_600);
const RETRY: Duration = Duration::from_secs(60);

/// Provides for ever: at first, after each of Kubo's restarts, twice a day.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut presence = shared.watch.subscribe();
    let mut provided = BTreeSet::new();
    let mut due = Instant::now();
    loop {
        shared.watch.up().await;
        presence.mark_unchanged();
        let offered: BTreeSet<String> = shared.state.lock().offered().into_iter().collect();
        if due <= Instant::now() {
            provided.clear();
        }
        due = Instant::now() + INTERVAL;
        for runtime in offered.difference(&provided.clone()) {
            match provide(&shared, runtime).await {
                Ok(()) => {
                    info!(runtime, "can be found by the rendezvous CID");
                    provided.insert(runtime.clone());
                }
                Err(error) => {
                    debug!(runtime, %error, "rendezvous not provided");
                    due = Instant::now() + RETRY;
                }
            }
        }
        tokio::select! {
            _ = timeout_at(due, shared.advertised.notified()) => {}
            _ = presence.changed() => provided.clear(),
        }
    }
}

async fn provide(shared: &Shared, runtime: &str) -> Result<(), kubo::Error> {
    let block = topics::rendezvous_block(&shared.config.mesh, runtime);
    let cid = shared.kubo.block_put(&block, Codec::Raw, true).await?;
    shared.kubo.provide(&cid).await
}
