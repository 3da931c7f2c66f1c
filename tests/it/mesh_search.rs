//! Who is there: adverts, provider records, hints.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use futures_util::StreamExt;
use timerose::{
    mesh::{Hint, Query, Source},
    model::{Advert, BootId, PeerId, Roles},
    wire::{cid_of, topics},
};
use tokio::time::Instant;

use crate::{
    mesh_node::{Node, eventually},
    support::fake_kubo::{FakeKubo, FakeNet},
};

/// What an executor of WebAssembly says; the mesh fills in the rest. The boot
/// is the identity's, so that it is not told by hand.
fn advert(boot: BootId) -> Advert {
    Advert {
        boot,
        roles: Roles {
            executor: true,
            scheduler: true,
        },
        runtimes: BTreeMap::from([("wasm".to_owned(), vec!["wasi".to_owned()])]),
        slots: 2,
        free: 2,
        warm: Vec::new(),
        labels: BTreeMap::new(),
        addresses: Vec::new(),
        agent: "timerose/test".to_owned(),
        period_ms: 0,
    }
}

fn query(timeout: Duration) -> Query {
    let (input, function) = (
        Some(cid_of(0x55, b"input")),
        Some(cid_of(0x55, b"function")),
    );
    Query {
        input,
        function,
        runtime: "wasm".to_owned(),
        timeout,
    }
}

async fn found(node: &Node, timeout: Duration) -> HashSet<(PeerId, Source)> {
    let hints = node.mesh.find(query(timeout)).collect::<Vec<Hint>>().await;
    hints
        .into_iter()
        .map(|hint| (hint.peer, hint.source))
        .collect()
}

#[tokio::test]
async fn an_advert_is_heard_with_address_and_period_filled_in() {
    let net = FakeNet::new();
    let (a, b) = (Node::start(&net).await, Node::start(&net).await);
    a.link(&b).await;
    b.mesh.set_advert(Some(advert(b.boot)));
    eventually("the advert is listed", || async {
        a.mesh.directory().len() == 1
    })
    .await;
    let known = a.mesh.directory().remove(0);
    assert_eq!(known.advert.addresses, [b.kubo.swarm_address()]);
    assert_eq!(
        (known.peer, known.advert.period_ms),
        (b.kubo.peer(), 30_000)
    );
    assert!(known.is_linked && !known.is_suspect);
}

#[tokio::test]
async fn who_offers_nothing_is_neither_heard_nor_found() {
    let net = FakeNet::new();
    let (a, b) = (Node::start(&net).await, Node::start(&net).await);
    a.link(&b).await;
    b.mesh.set_advert(Some(advert(b.boot)));
    let rendezvous = (b.kubo.peer(), Source::Rendezvous);
    let second = Duration::from_secs(1);
    eventually("b is found", || async {
        found(&a, second).await.contains(&rendezvous)
    })
    .await;
    assert!(
        !found(&a, second)
            .await
            .contains(&(a.kubo.peer(), Source::Rendezvous))
    );
    assert_eq!(a.kubo.calls("routing/provide"), 0);
    assert_eq!(b.mesh.directory(), []);
}

#[tokio::test]
async fn every_source_gives_its_hints() {
    let net = FakeNet::new();
    let friend = FakeKubo::start(&net).await;
    let configured = friend.swarm_address();
    let a = Node::start_with(&net, |config| config.peers = vec![configured]).await;
    let b = Node::start(&net).await;
    a.link(&b).await;
    b.mesh.set_advert(Some(advert(b.boot)));
    eventually("the advert is listed", || async {
        a.mesh.directory().len() == 1
    })
    .await;
    eventually("b is provided", || async {
        b.kubo.calls("routing/provide") == 1
    })
    .await;
    let query = query(Duration::from_secs(2));
    b.kubo.pretend_to_provide(&query.input.unwrap());
    friend.pretend_to_provide(&query.function.unwrap());
    a.mesh.remember(&b.kubo.peer());
    let (own, b, friend) = (a.kubo.peer(), b.kubo.peer(), friend.peer());
    let expected = [
        (own, Source::Own),
        (b, Source::Input),
        (friend, Source::Function),
        (b, Source::Rendezvous),
        (b, Source::Advert),
        (b, Source::Neighbour),
        (friend, Source::Configured),
        (b, Source::Remembered),
    ];
    assert_eq!(
        found(&a, Duration::from_secs(2)).await,
        HashSet::from(expected)
    );
}

#[tokio::test]
async fn a_slow_router_and_dead_providers_hold_nobody_up() {
    let net = FakeNet::new();
    let a = Node::start(&net).await;
    let dead: Vec<PeerId> = (0..20).map(|_| PeerId::random()).collect();
    a.kubo.set(|faults| {
        (faults.find_delay, faults.dead_providers) = (Duration::from_secs(3), dead.clone());
    });
    let began = Instant::now();
    let mut hints = a.mesh.find(query(Duration::from_millis(500)));
    assert_eq!(
        hints.next().await.map(|hint| hint.source),
        Some(Source::Own)
    );
    assert!(
        began.elapsed() < Duration::from_millis(200),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(hints.count().await, 0);
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn the_rendezvous_is_provided_again_after_kubo_restarted() {
    let net = FakeNet::new();
    let mut node = Node::start(&net).await;
    node.mesh.set_advert(Some(advert(node.boot)));
    eventually("provided", || async {
        node.kubo.calls("routing/provide") == 1
    })
    .await;
    node.kubo.kill().await;
    node.kubo.restart().await;
    eventually("provided again", || async {
        node.kubo.calls("routing/provide") == 2
    })
    .await;
    assert_eq!(node.kubo.blocks(), 1);
    assert_eq!(
        topics::rendezvous_block("test", "wasm"),
        b"timerose/1/test/executor/wasm"
    );
}

#[tokio::test]
async fn good_executors_are_remembered_across_a_restart() {
    let net = FakeNet::new();
    let (mut a, b) = (Node::start(&net).await, Node::start(&net).await);
    a.link(&b).await;
    a.mesh.remember(&b.kubo.peer());
    let stored = a.mesh.remembered();
    a.restart_sidecar().await;
    a.mesh.restore(stored.clone());
    assert_eq!(a.mesh.remembered(), stored);
    assert_eq!(stored[0].addresses, [b.kubo.swarm_address()]);
    a.mesh
        .connect(&b.address(), &[], crate::mesh_node::PATIENCE)
        .await
        .unwrap();
}
