//! How long a whole node looks for an executor when the DHT is of little help.

use std::time::Duration;

use libp2p_identity::PeerId;
use timerose::{
    compute::InvokeRequest,
    kubo::{Add, AddBody},
};

use crate::{
    node_whole::WholeNode,
    support::{
        fake_kubo::{FakeKubo, FakeNet},
        noise,
    },
};

/// How long a look-up takes.
const SLOW: Duration = Duration::from_secs(3);
/// What an invocation may take to start beyond `--find-timeout`.
const SLACK: Duration = Duration::from_secs(1);

/// Adds a file too large to ride along; everyone's look-ups are slow then, and
/// as many providers of it are dead as are alive.
async fn spread(holders: &[&WholeNode], caller: &FakeKubo) -> String {
    let mut input = None;
    for holder in holders {
        let client = holder.kubo.client();
        let body = AddBody::bytes(noise(200_000));
        let added = client.add(body, &Add::default()).await.unwrap();
        holder.kubo.pretend_to_provide(&added.cid);
        input = Some(added.cid);
    }
    let dead: Vec<PeerId> = holders.iter().map(|_| PeerId::random()).collect();
    caller.set(|faults| {
        faults.find_delay = SLOW;
        faults.dial_delay = Duration::from_secs(30);
        faults.dead_providers = dead;
    });
    input.unwrap().to_string()
}

const COUNT: &[u8] = include_bytes!("../../examples/wordcount/wordcount.wasm");

#[tokio::test(flavor = "multi_thread")]
async fn with_slow_look_ups_it_starts_on_whom_the_mesh_knows() {
    let net = FakeNet::new();
    let holder = WholeNode::start(&net, &["--allow", "any"]).await;
    let address = holder.kubo.swarm_address();
    let caller = WholeNode::start(&net, &["--peer", &address]).await;
    let input = spread(&[&holder], &caller.kubo).await;
    let request = InvokeRequest {
        function: caller.deploy(COUNT).await,
        input: Some(input),
        ..InvokeRequest::default()
    };
    let placed = caller.place(&request).await;
    assert_eq!(placed.executor, holder.kubo.peer().to_string());
    assert!(placed.after < request.find_timeout, "{placed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_slow_look_ups_and_dead_providers_it_starts_on_one_that_lives() {
    let net = FakeNet::new();
    let holders = [
        &WholeNode::start(&net, &["--allow", "any"]).await,
        &WholeNode::start(&net, &["--allow", "any"]).await,
    ];
    let caller = WholeNode::start(&net, &[]).await;
    let input = spread(&holders, &caller.kubo).await;
    let request = InvokeRequest {
        function: caller.deploy(COUNT).await,
        input: Some(input),
        find_timeout: SLOW + Duration::from_millis(500),
        ..InvokeRequest::default()
    };
    let placed = caller.place(&request).await;
    let living = holders.map(|holder| holder.kubo.peer().to_string());
    assert!(living.contains(&placed.executor), "{placed:?}");
    assert!(placed.after < request.find_timeout + SLACK, "{placed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_look_ups_that_give_nothing_in_time_it_starts_all_the_same() {
    let net = FakeNet::new();
    let holder = WholeNode::start(&net, &["--allow", "any"]).await;
    let caller = WholeNode::start(&net, &[]).await;
    let input = spread(&[&holder], &caller.kubo).await;
    let request = InvokeRequest {
        function: caller.deploy(COUNT).await,
        input: Some(input),
        ..InvokeRequest::default()
    };
    let placed = caller.place(&request).await;
    assert_eq!(placed.executor, caller.kubo.peer().to_string());
    assert!(placed.after < request.find_timeout + SLACK, "{placed:?}");
}
