//! Three nodes of which the outer two reach only the middle one: it passes on
//! what they say to each other.

use std::time::Duration;

use timerose::{
    api::{NodeView, Reach},
    compute::{Explanation, InvokeRequest},
};
use tokio::time::Instant;

use crate::{
    batch::{Batch, SLOW, slow_on},
    support::{
        mesh::{Mesh, until},
        namespaces::Network,
    },
};

/// One end, the middle, the other end.
const NEAR: usize = 0;
const MIDDLE: usize = 1;
const FAR: usize = 2;

/// How many invocations go each way.
const MANY: u64 = 50;

/// How long a busy machine may take to find a way.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nodes in a row: nothing passes between the first and the last.
pub(crate) struct Chain {
    mesh: Mesh,
    network: Network,
    function: String,
}

impl Chain {
    /// Starts it, with one function on all nodes; none, said loudly, where
    /// there can be no such network.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Option<Self> {
        let network = Network::of(3)?;
        network.part(NEAR, FAR);
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mesh = Mesh::of(3, |options| {
            options.places = network.places();
            options.apart = vec![(NEAR, FAR)];
            options.environment = settings.iter().map(owned).collect();
        })
        .await;
        let mut function = String::new();
        for node in [NEAR, MIDDLE, FAR] {
            function = mesh.deploy(node, SLOW.as_bytes()).await;
        }
        mesh.is_whole().await;
        Some(Self {
            mesh,
            network,
            function,
        })
    }

    async fn end(self) {
        self.mesh.end().await;
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

    /// What a node sees of another.
    async fn view(&self, from: usize, of: usize) -> NodeView {
        let peer = self.mesh.peer(of);
        let nodes = self.mesh.client(from).nodes().await.unwrap();
        nodes.into_iter().find(|node| node.peer == peer).unwrap()
    }

    /// A call of one end that only the other may run.
    fn across(&self, from: usize, number: u64) -> InvokeRequest {
        let executor = self.mesh.peer(opposite(from));
        slow_on(&self.function, &executor, number, 1)
    }

    /// One call across, until it succeeds.
    async fn finds_a_way(&self, from: usize) {
        let began = Instant::now();
        loop {
            match self.mesh.invoke(from, &self.across(from, 7)).await {
                Ok(finished) => {
                    return assert_eq!(finished.executor, self.mesh.peer(opposite(from)));
                }
                Err(failure) => {
                    assert!(failure.retryable, "{failure:?}");
                    assert!(began.elapsed() < PATIENCE, "{failure:?}");
                }
            }
        }
    }

    /// Many held calls across, one after the other, of which none may fail.
    async fn held_arrive(&self, from: usize) {
        let executor = self.mesh.peer(opposite(from));
        for number in 0..MANY {
            let finished = self.mesh.invoke(from, &self.across(from, number)).await;
            let finished = finished.unwrap_or_else(|f| panic!("call {number}: {f:?}"));
            assert_eq!(finished.executor, executor);
        }
    }

    /// Many durable calls across; each gives its right result once.
    async fn durable_arrive(&self, from: usize) {
        let client = self.mesh.client(from);
        let batch = Batch::submit(client, 0..MANY, |number| self.across(from, number)).await;
        let executor = Some(self.mesh.peer(opposite(from)));
        let records = batch.all_right().await;
        assert_eq!(records.len() as u64, MANY);
        assert!(records.iter().all(|record| record.executor == executor));
    }

    /// Why a call across ran where it did.
    async fn explained(&self, from: usize) -> Explanation {
        let request = self.across(from, 9);
        let finished = self.mesh.invoke(from, &request).await.unwrap();
        let client = self.mesh.client(from);
        client.explain(&finished.invocation).await.unwrap()
    }

    async fn counter(&self, node: usize, name: &str) -> u64 {
        let node = self.mesh.client(node).node().await.unwrap();
        node.counters.get(name).copied().unwrap_or_default()
    }
}

const fn opposite(end: usize) -> usize {
    NEAR + FAR - end
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ends_of_a_chain_see_its_middle_alone() {
    let Some(chain) = Chain::start(&[]).await else {
        return;
    };
    assert_eq!(chain.neighbours(MIDDLE).await, chain.peers(&[NEAR, FAR]));
    for end in [NEAR, FAR] {
        let request = slow_on(&chain.function, &chain.mesh.peer(MIDDLE), 7, 1);
        let finished = chain.mesh.invoke(end, &request).await.unwrap();
        assert_eq!(finished.executor, chain.mesh.peer(MIDDLE));
    }
    for end in [NEAR, FAR] {
        assert_eq!(chain.neighbours(end).await, chain.peers(&[MIDDLE]));
    }
    chain.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invocations_of_each_end_of_a_chain_arrive_at_the_other_through_its_middle() {
    let Some(chain) = Chain::start(&[]).await else {
        return;
    };
    for end in [NEAR, FAR] {
        chain.finds_a_way(end).await;
        chain.held_arrive(end).await;
        chain.durable_arrive(end).await;
    }
    let middle = chain.mesh.peer(MIDDLE);
    for end in [NEAR, FAR] {
        let seen = chain.view(end, opposite(end)).await;
        assert_eq!(seen.reach, Reach::Forwarded, "{seen:?}");
        assert_eq!(seen.via.as_ref(), Some(&middle), "{seen:?}");
        assert_eq!(seen.carrier, None, "{seen:?}");
        let explained = chain.explained(end).await;
        let far = chain.mesh.peer(opposite(end));
        let candidate = explained.candidates.iter().find(|c| c.peer == far);
        let candidate = candidate.unwrap_or_else(|| panic!("{explained:?}"));
        assert_eq!(candidate.via.as_ref(), Some(&middle), "{explained:?}");
        assert_eq!(candidate.veto, None, "{explained:?}");
        assert_eq!(chain.neighbours(end).await, chain.peers(&[MIDDLE]));
    }
    assert!(chain.counter(MIDDLE, "mesh.forwarded").await >= 4 * MANY);
    let tail = &middle[middle.len() - 8..];
    let listed = chain.mesh.timerose(NEAR, &["node", "ls"]).await;
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(
        listed.contains(&format!("forwarded via …{tail}")),
        "{listed}"
    );
    let checked = chain.mesh.timerose(NEAR, &["doctor"]).await;
    let checked = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.contains(&format!("via …{tail}")), "{checked}");
    chain.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_call_to_the_far_end_of_a_chain_needs_no_second() {
    let Some(chain) = Chain::start(&[]).await else {
        return;
    };
    let began = Instant::now();
    let finished = chain.mesh.invoke(NEAR, &chain.across(NEAR, 3)).await;
    eprintln!("the first call took {:?}", began.elapsed());
    assert_eq!(finished.unwrap().executor, chain.mesh.peer(FAR));
    chain.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invocations_go_on_after_the_middle_of_a_chain_was_killed_and_started_again() {
    let Some(mut chain) = Chain::start(&[]).await else {
        return;
    };
    for end in [NEAR, FAR] {
        chain.finds_a_way(end).await;
    }
    let client = chain.mesh.client(NEAR);
    chain.mesh.node_mut(MIDDLE).sidecar.kill9().await.unwrap();
    let batch = Batch::submit(client, 0..10, |number| chain.across(NEAR, number)).await;
    chain.mesh.node_mut(MIDDLE).sidecar.restart().await.unwrap();
    batch.all_right().await;
    for end in [NEAR, FAR] {
        chain.finds_a_way(end).await;
        chain.held_arrive(end).await;
    }
    chain.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_goes_directly_once_the_ends_of_a_chain_can_meet() {
    let Some(chain) = Chain::start(&[]).await else {
        return;
    };
    chain.finds_a_way(NEAR).await;
    assert_eq!(chain.view(NEAR, FAR).await.reach, Reach::Forwarded);
    let client = chain.mesh.client(NEAR);
    chain.network.heal_all();
    let batch = Batch::submit(client, 0..MANY, |number| chain.across(NEAR, number)).await;
    batch.all_right().await;
    for end in [NEAR, FAR] {
        until("its traffic goes directly", async || {
            chain.view(end, opposite(end)).await.reach == Reach::Direct
        })
        .await;
    }
    let before = chain.counter(MIDDLE, "mesh.forwarded").await;
    chain.held_arrive(NEAR).await;
    chain.held_arrive(FAR).await;
    let after = chain.counter(MIDDLE, "mesh.forwarded").await;
    assert!(after - before < MANY, "{before} then {after}");
    chain.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_lies_at_one_end_of_a_chain_is_missing_at_the_other_with_the_reason() {
    let Some(chain) = Chain::start(&[]).await else {
        return;
    };
    chain.finds_a_way(NEAR).await;
    // Code that lies at one end alone cannot come to the other.
    let code = SLOW.replace("\"slow\"", "\"slower\"");
    let function = chain.mesh.deploy(NEAR, code.as_bytes()).await;
    let far = chain.mesh.peer(FAR);
    let request = InvokeRequest {
        fetch_timeout: Duration::from_secs(1),
        ..slow_on(&function, &far, 2, 1)
    };
    let failed = chain.mesh.invoke(NEAR, &request).await.unwrap_err();
    assert_eq!(failed.code, "missing", "{failed:?}");
    let middle = chain.mesh.peer(MIDDLE);
    let hint = failed.hint.unwrap();
    assert!(
        hint.contains(&format!("{middle} forwards messages")),
        "{hint}"
    );
    chain.mesh.deploy(MIDDLE, code.as_bytes()).await;
    let finished = chain.mesh.invoke(NEAR, &request).await.unwrap();
    assert_eq!(finished.executor, far);
    chain.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_middle_of_a_chain_forwards_nothing_its_ends_are_told_so() {
    let Some(chain) = Chain::start(&[("TIMEROSE_MESH__FORWARD", "false")]).await else {
        return;
    };
    let far = chain.mesh.peer(FAR);
    let middle = chain.mesh.peer(MIDDLE);
    let refused = chain.mesh.invoke(NEAR, &chain.across(NEAR, 8)).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code, "no_executor", "{refused:?}");
    let why = format!("{middle} forwards nothing (mesh.forward is off there)");
    assert!(refused.message.contains(&why), "{refused:?}");
    assert!(refused.message.contains(&far), "{refused:?}");
    assert_eq!(chain.view(NEAR, FAR).await.reach, Reach::Unreachable);
    assert_eq!(chain.counter(MIDDLE, "mesh.forwarded").await, 0);
    assert!(chain.counter(MIDDLE, "mesh.forward_refused.off").await > 0);
    chain.end().await;
}
