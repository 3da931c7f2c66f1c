//! Connections to other nodes.
//!
//! Takes multiaddrs that end in `/p2p/<peer>`; dials, keeps, lists.

use std::time::Duration;

use libp2p_identity::PeerId;
use serde::Deserialize;

use super::{Client, Error, command, node::parse_peer, parse_go_duration, rpc::Request};

/// A peer that Kubo is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwarmPeer {
    /// Its peer ID.
    pub peer: PeerId,
    /// The address in use; contains `/p2p-circuit` when relayed.
    pub address: String,
    /// Kubo's moving average of the round trip, once it measured one.
    pub latency: Option<Duration>,
}

#[derive(Deserialize)]
struct PeersAnswer {
    #[serde(rename = "Peers", default)]
    peers: Option<Vec<PeerAnswer>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PeerAnswer {
    addr: String,
    peer: String,
    #[serde(default)]
    latency: String,
}

#[derive(Deserialize)]
struct Answer {}

impl Client {
    /// Connects to `address` (`…/p2p/<peer>`); at once if already connected.
    ///
    /// # Errors
    /// [`Error::Rpc`] with every dial's reason if none succeeded.
    pub async fn swarm_connect(&self, address: &str) -> Result<(), Error> {
        self.json(Request::new(&command::CONNECT).arg(address))
            .await
            .map(|Answer {}| ())
    }

    /// Has Kubo keep a connection to `address`. Forgotten when Kubo restarts.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn peering_add(&self, address: &str) -> Result<(), Error> {
        self.json(Request::new(&command::PEERING_ADD).arg(address))
            .await
            .map(|Answer {}| ())
    }

    /// The peers Kubo is connected to.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn swarm_peers(&self) -> Result<Vec<SwarmPeer>, Error> {
        let answer: PeersAnswer = self
            .json(Request::new(&command::PEERS).flag("latency", true))
            .await?;
        answer
            .peers
            .unwrap_or_default()
            .into_iter()
            .map(parse_swarm_peer)
            .collect()
    }
}

fn parse_swarm_peer(answer: PeerAnswer) -> Result<SwarmPeer, Error> {
    let peer = parse_peer(command::PEERS.path, &answer.peer)?;
    // `n/a` until Kubo has measured it.
    let latency = parse_go_duration(&answer.latency).ok();
    Ok(SwarmPeer {
        peer,
        address: answer.addr,
        latency,
    })
}
