//! Meets those who may forward, and looks whether there is a direct way again.
//!
//! Asks Kubo who is on which topic and dials; whom to ask for what is the
//! state's to say.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use super::{reach::dial_all, shared::Shared};
use crate::wire::{Address, topics};

/// How often it is looked, if nothing calls for it.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The least time between two looks.
const LEAST_PAUSE: Duration = Duration::from_millis(50);
/// Peers whose topics are looked at each time.
const MAX_LOOKS: usize = 16;

/// Runs the state's errands, for ever.
pub(super) async fn meet(shared: Arc<Shared>) {
    loop {
        let _called_or_not = timeout(LOOK_INTERVAL, shared.errand.notified()).await;
        if shared.is_kubo_up() {
            meet_neighbours(&shared).await;
            meet_receivers(&shared).await;
            look_for_direct_ways(&shared).await;
        }
        sleep(LEAST_PAUSE).await;
    }
}

/// Links up with members that Kubo is connected to, where relays are wanted.
async fn meet_neighbours(shared: &Shared) {
    if !shared.state.lock().wants_relays(Instant::now()) {
        return;
    }
    let topic = topics::adverts(&shared.config.mesh);
    if let Ok(peers) = shared.kubo.topic_peers(&topic).await {
        let neighbours: Vec<Address> = peers.into_iter().map(Address::node).collect();
        shared.change(|state| state.meet(&neighbours, Instant::now()));
    }
}

/// Links up with those whom others want to reach through this node.
async fn meet_receivers(shared: &Shared) {
    let wanted = shared.state.lock().take_to_meet();
    for to in wanted {
        if shared.is_listening(&to).await.unwrap_or(false) {
            shared.change(|state| state.greet_neighbour(&to, Instant::now()));
        }
    }
}

async fn look_for_direct_ways(shared: &Shared) {
    let mut around = shared.state.lock().around();
    around.truncate(MAX_LOOKS);
    for to in around {
        if let Ok(is_there) = shared.is_listening(&to).await {
            shared.change(|state| state.on_seen(&to, is_there, Instant::now()));
        }
    }
}

/// Dials peers that are spoken to through relays, for ever.
pub(super) async fn dial(shared: Arc<Shared>) {
    loop {
        sleep(LOOK_INTERVAL).await;
        if shared.is_kubo_up() {
            let due = shared.state.lock().redials_due(Instant::now());
            dial_all(&shared.kubo, &due).await;
        }
    }
}
