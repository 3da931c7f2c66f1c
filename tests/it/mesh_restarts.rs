//! What becomes of links when Kubo or a sidecar stops and comes back.

use std::time::Duration;

use futures_util::FutureExt;
use timerose::mesh::{DownReason, Event};
use tokio::time::Instant;

use crate::{
    mesh_node::{Node, PATIENCE, eventually, message},
    support::fake_kubo::FakeNet,
};

#[tokio::test]
async fn subscriptions_are_let_go_at_once_when_kubo_begins_to_stop() {
    let node = Node::start(&FakeNet::new()).await;
    assert_eq!(node.kubo.open_subscriptions(), 2);
    let began = Instant::now();
    node.kubo.begin_shutdown();
    eventually("no stream holds kubo", || async {
        node.kubo.open_subscriptions() == 0
    })
    .await;
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_session_survives_a_kubo_that_is_killed_and_comes_back_elsewhere() {
    let net = FakeNet::new();
    let (mut a, mut b) = (Node::start(&net).await, Node::start(&net).await);
    a.link(&b).await;
    a.mesh.send(&b.address(), message(1)).await.unwrap();
    assert_eq!(b.message().await.1, 1);
    b.kubo.kill().await;
    a.mesh.send(&b.address(), message(2)).await.unwrap();
    b.mesh.send(&a.address(), message(3)).await.unwrap();
    b.kubo.restart().await;
    let began = Instant::now();
    assert_eq!(
        b.event().await,
        Event::Message {
            from: a.address(),
            message: message(2)
        }
    );
    assert_eq!(a.message().await.1, 3);
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_subscription_that_breaks_is_taken_up_again() {
    let net = FakeNet::new();
    let (a, mut b) = (Node::start(&net).await, Node::start(&net).await);
    a.link(&b).await;
    b.kubo.set(|faults| faults.cut_subscription = true);
    a.mesh.send(&b.address(), message(1)).await.unwrap();
    eventually("the stream is cut and renewed", || async {
        b.mesh.health().counters.resubscribed > 0
    })
    .await;
    b.kubo.set(|faults| faults.cut_subscription = false);
    assert_eq!(b.message().await.1, 1);
}

#[tokio::test]
async fn a_sidecar_that_restarts_voids_its_sessions_and_is_heard_again() {
    let net = FakeNet::new();
    let (mut a, mut b) = (Node::start(&net).await, Node::start(&net).await);
    a.link(&b).await;
    b.restart_sidecar().await;
    // Of the session that b knows nothing of: b says so, and both begin anew.
    a.mesh.send(&b.address(), message(1)).await.unwrap();
    assert_eq!(a.down().await, DownReason::Restarted);
    assert_eq!(a.event().await, Event::Up(b.address()));
    a.mesh.send(&b.address(), message(2)).await.unwrap();
    assert_eq!(b.message().await.1, 2);
}

#[tokio::test]
async fn time_without_a_kubo_is_no_silence() {
    let net = FakeNet::new();
    let mut a = Node::start_with(&net, |config| {
        config.silence_timeout = Duration::from_secs(1);
    })
    .await;
    let mut b = Node::start(&net).await;
    a.link(&b).await;
    a.kubo.kill().await;
    eventually("kubo is missed", || async { !a.mesh.health().is_kubo_up }).await;
    a.mesh.send(&b.address(), message(1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    a.kubo.restart().await;
    assert_eq!(b.message().await.1, 1);
    assert_eq!(a.event().await, Event::Up(b.address()));
    assert!(
        a.events.recv().now_or_never().is_none(),
        "the session went down"
    );
    assert!(a.mesh.ready(PATIENCE).await);
}
