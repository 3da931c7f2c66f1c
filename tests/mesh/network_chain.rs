//! Three nodes of which the outer two reach only the middle one.

use timerose::api::Reach;

use crate::{
    batch::{SLOW, slow_on},
    support::{
        mesh::{Mesh, until},
        namespaces::Network,
    },
};

/// One end, the middle, the other end.
const NEAR: usize = 0;
const MIDDLE: usize = 1;
const FAR: usize = 2;

/// Nodes in a row: nothing passes between the first and the last.
pub(crate) struct Chain {
    mesh: Mesh,
    _network: Network,
}

impl Chain {
    /// Starts it; none, said loudly, where there can be no such network.
    pub(crate) async fn start() -> Option<Self> {
        let network = Network::of(3)?;
        network.part(NEAR, FAR);
        let mesh = Mesh::of(3, |options| {
            options.places = network.places();
            options.apart = vec![(NEAR, FAR)];
        })
        .await;
        Some(Self {
            mesh,
            _network: network,
        })
    }

    /// The peers that a node is connected to, in order.
    async fn neighbours(&self, node: usize) -> Vec<String> {
        let kubo = self.mesh.node(node).kubo.client();
        let peers = kubo.swarm_peers().await.unwrap();
        let mut peers: Vec<String> = peers.iter().map(|p| p.peer.to_string()).collect();
        peers.sort();
        peers.dedup();
        peers
    }

    /// The peer IDs of some nodes, in order.
    fn peers(&self, nodes: &[usize]) -> Vec<String> {
        let mut peers: Vec<String> = nodes.iter().map(|node| self.mesh.peer(*node)).collect();
        peers.sort();
        peers
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ends_of_a_chain_see_its_middle_alone() {
    let Some(chain) = Chain::start().await else {
        return;
    };
    let mut function = String::new();
    for node in [NEAR, MIDDLE, FAR] {
        function = chain.mesh.deploy(node, SLOW.as_bytes()).await;
    }
    until("the middle knows both ends", async || {
        let nodes = chain.mesh.client(MIDDLE).nodes().await.unwrap_or_default();
        nodes.len() == 3
    })
    .await;
    assert_eq!(chain.neighbours(MIDDLE).await, chain.peers(&[NEAR, FAR]));
    for end in [NEAR, FAR] {
        let request = slow_on(&function, &chain.mesh.peer(MIDDLE), 7, 1);
        let finished = chain.mesh.invoke(end, &request).await.unwrap();
        assert_eq!(finished.executor, chain.mesh.peer(MIDDLE));
    }
    for end in [NEAR, FAR] {
        assert_eq!(chain.neighbours(end).await, chain.peers(&[MIDDLE]));
    }
    chain.mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_far_end_of_a_chain_is_listed_as_unreachable_and_said_not_to_answer() {
    let Some(chain) = Chain::start().await else {
        return;
    };
    let far = chain.mesh.peer(FAR);
    let near = chain.mesh.client(NEAR);
    until("its adverts come over the middle", async || {
        let nodes = near.nodes().await.unwrap_or_default();
        let found = nodes.iter().find(|node| node.peer == far);
        found.is_some_and(|node| node.reach == Reach::Unreachable)
    })
    .await;
    let function = chain.mesh.deploy(NEAR, SLOW.as_bytes()).await;
    let request = slow_on(&function, &far, 8, 1);
    let refused = chain.mesh.invoke(NEAR, &request).await.unwrap_err();
    assert_eq!(refused.code, "no_executor", "{refused:?}");
    let why = format!("{far}: did not answer in time");
    assert!(refused.message.contains(&why), "{refused:?}");
    chain.mesh.end().await;
}
