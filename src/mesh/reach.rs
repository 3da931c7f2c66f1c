//! Keeps Kubo connected: to the configured peers, and to whoever a session
//! waits for. Dials only; what is listened to is the inbox's business.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use super::shared::Shared;
use crate::{kubo, kubo::watch::Presence, wire::Address};

/// Silence after which a peer is dialled again.
const UNHEARD: Duration = Duration::from_millis(1_500);
const CHECK_INTERVAL: Duration = Duration::from_millis(1_000);
const DIAL_TIMEOUT: Duration = Duration::from_secs(4);
/// Peers and addresses dialled at once.
const MAX_DIALS: usize = 32;

/// Follows Kubo's restarts: learns its addresses, connects it again.
pub(super) async fn follow(shared: Arc<Shared>) {
    let mut presence = shared.watch.subscribe();
    loop {
        let now_up = match &*presence.borrow_and_update() {
            Presence::Up { node, .. } => Some(node.addresses.clone()),
            Presence::Down => None,
        };
        if let Some(addresses) = now_up {
            shared.change(|state| state.addresses = addresses);
            tokio::select! {
                () = connect_all(&shared) => {}
                _ = presence.changed() => continue,
            }
        }
        if presence.changed().await.is_err() {
            return;
        }
    }
}

/// Configured peers are peered with, linked ones dialled.
async fn connect_all(shared: &Shared) {
    if !shared.config.attached {
        for address in &shared.config.peers {
            if let Err(error) = shared.kubo.peering_add(address).await {
                debug!(address, %error, "not peered");
            }
        }
    }
    let linked = {
        let state = shared.state.lock();
        state
            .linked()
            .iter()
            .flat_map(|peer| state.addresses_of(peer))
            .collect::<Vec<_>>()
    };
    dial_all(&shared.kubo, shared.config.peers.iter().chain(&linked)).await;
}

/// Dials whoever a session waits for in vain.
pub(super) async fn redial(shared: Arc<Shared>) {
    loop {
        sleep(CHECK_INTERVAL).await;
        if !shared.is_kubo_up() {
            continue;
        }
        let unheard = {
            let state = shared.state.lock();
            let before = Instant::now().checked_sub(UNHEARD);
            let unheard = before
                .map(|before| state.unheard_since(before))
                .unwrap_or_default();
            unheard
                .iter()
                .flat_map(|peer| state.addresses_of(peer))
                .collect::<Vec<_>>()
        };
        dial_all(&shared.kubo, &unheard).await;
    }
}

pub(super) async fn dial_all<'a>(
    kubo: &kubo::Client,
    addresses: impl IntoIterator<Item = &'a String>,
) {
    let dials: FuturesUnordered<_> = addresses
        .into_iter()
        .take(MAX_DIALS)
        .map(|address| dial(kubo, address))
        .collect();
    dials.for_each(|_| std::future::ready(())).await;
}

/// Dials one address; gives what went wrong.
async fn dial(kubo: &kubo::Client, address: &str) -> Result<(), String> {
    match timeout(DIAL_TIMEOUT, kubo.swarm_connect(address)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer from {address} within {DIAL_TIMEOUT:?}")),
    }
}

/// Dials a peer on every known address at once; returns with the first success
/// or the last failure.
pub(super) async fn dial_peer(
    kubo: &kubo::Client,
    to: &Address,
    addresses: &[String],
) -> Result<(), String> {
    let bare = format!("/p2p/{}", to.peer);
    let known: Vec<&str> = addresses
        .iter()
        .map(String::as_str)
        .take(MAX_DIALS)
        .collect();
    let targets = if known.is_empty() {
        vec![bare.as_str()]
    } else {
        known
    };
    let mut dials: FuturesUnordered<_> = targets
        .into_iter()
        .map(|address| dial(kubo, address))
        .collect();
    let mut last = Err("no address is known".to_owned());
    while let Some(dialled) = dials.next().await {
        last = dialled;
        if last.is_ok() {
            break;
        }
    }
    last
}
