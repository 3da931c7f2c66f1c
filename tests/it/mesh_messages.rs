//! Messages between sidecars over a Kubo that loses, repeats and ignores.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use timerose::{
    mesh::{Address, DownReason, Error, Event, MAX_MESSAGE_BYTES},
    model::{Block, Delivery, LeaseId, Message},
    wire::{cid_of, topics},
};
use tokio::time::{Instant, timeout};

use crate::{
    mesh_node::{Node, PATIENCE, eventually, message, send_all},
    support::fake_kubo::{FakeKubo, FakeNet},
};

fn once_each(count: u64) -> HashMap<u64, u32> {
    (0..count).map(|number| (number, 1)).collect()
}

#[tokio::test]
async fn messages_arrive_exactly_once_through_loss_repetition_and_refusals() {
    let net = FakeNet::new();
    let (mut a, mut b) = (Node::start(&net).await, Node::start(&net).await);
    a.link(&b).await;
    for node in [&a, &b] {
        node.kubo.set(|faults| {
            (
                faults.lose_every,
                faults.duplicate_every,
                faults.ignore_every,
            ) = (4, 3, 5);
        });
    }
    let (to_a, to_b) = (a.address(), b.address());
    a.tasks
        .spawn("send", send_all(a.mesh.clone(), to_b.clone(), 2_000));
    b.tasks
        .spawn("send", send_all(b.mesh.clone(), to_a.clone(), 2_000));
    let (at_a, at_b) = tokio::join!(a.collect(&to_b, 2_000), b.collect(&to_a, 2_000));
    assert!(at_a == once_each(2_000) && at_b == once_each(2_000));
    let counters = a.mesh.health().counters;
    assert!(counters.publish_retries > 0, "{counters:?}");
}

#[tokio::test]
async fn three_nodes_talk_to_each_other_at_once() {
    let net = FakeNet::new();
    let mut nodes = [
        Node::start(&net).await,
        Node::start(&net).await,
        Node::start(&net).await,
    ];
    nodes[0].link(&nodes[1]).await;
    nodes[0].link(&nodes[2]).await;
    nodes[1].link(&nodes[2]).await;
    let addresses: Vec<Address> = nodes.iter().map(Node::address).collect();
    for node in &nodes {
        for to in addresses.iter().filter(|to| **to != node.address()) {
            node.tasks
                .spawn("send", send_all(node.mesh.clone(), to.clone(), 200));
        }
    }
    for node in &mut nodes {
        let mut got: HashMap<(Address, u64), u32> = HashMap::new();
        while got.len() < 400 {
            *got.entry(node.message().await).or_default() += 1;
        }
        assert!(got.values().all(|times| *times == 1));
    }
}

#[tokio::test]
async fn a_message_to_oneself_needs_no_kubo() {
    let mut node = Node::start(&FakeNet::new()).await;
    node.kubo.kill().await;
    let me = node.address();
    node.mesh.connect(&me, &[], PATIENCE).await.unwrap();
    node.mesh.send(&me, message(7)).await.unwrap();
    assert_eq!(node.message().await, (me, 7));
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_before_it_is_sent() {
    let net = FakeNet::new();
    let (a, mut b) = (Node::start(&net).await, Node::start(&net).await);
    a.link(&b).await;
    let delivery = |bytes: usize| {
        let data = vec![7; bytes];
        let blocks = vec![Block {
            cid: cid_of(0x55, &data),
            data,
        }];
        let lease = LeaseId::new(1, 1);
        Message::Result(Delivery {
            lease,
            receipt: Vec::new(),
            blocks,
            sources: Vec::new(),
        })
    };
    let refused = a.mesh.send(&b.address(), delivery(MAX_MESSAGE_BYTES)).await;
    assert!(
        matches!(refused, Err(Error::TooLarge { .. })),
        "{refused:?}"
    );
    a.mesh
        .send(&b.address(), delivery(MAX_MESSAGE_BYTES - 1_024))
        .await
        .unwrap();
    loop {
        if let Event::Message { message, .. } = b.event().await {
            return assert_eq!(message, delivery(MAX_MESSAGE_BYTES - 1_024));
        }
    }
}

#[tokio::test]
async fn a_peer_without_timerose_is_told_from_one_that_cannot_be_reached() {
    let net = FakeNet::new();
    let (node, bare) = (Node::start(&net).await, FakeKubo::start(&net).await);
    let connect = |kubo: &FakeKubo| {
        let (to, addresses) = (Address::node(kubo.peer()), [kubo.swarm_address()]);
        let mesh = node.mesh.clone();
        async move {
            mesh.connect(&to, &addresses, Duration::from_millis(500))
                .await
                .unwrap_err()
        }
    };
    let error = connect(&bare).await;
    assert!(matches!(error, Error::NoTimeRose { .. }), "{error}");
    let mut dead = FakeKubo::start(&net).await;
    dead.kill().await;
    let error = connect(&dead).await;
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_node_of_another_mesh_is_not_heard() {
    let net = FakeNet::new();
    let node = Node::start(&net).await;
    let other = Node::start_with(&net, |config| config.mesh = "other".to_owned()).await;
    let addresses = [other.kubo.swarm_address()];
    let wait = Duration::from_millis(500);
    let error = node
        .mesh
        .connect(&other.address(), &addresses, wait)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NoTimeRose { .. }), "{error}");
}

#[tokio::test]
async fn a_farewell_is_told_at_once() {
    let net = FakeNet::new();
    let (mut a, b) = (Node::start(&net).await, Node::start(&net).await);
    a.link(&b).await;
    eventually("b knows it too", || async { b.mesh.health().sessions == 1 }).await;
    b.mesh.shutdown().await;
    assert_eq!(a.down().await, DownReason::Left);
    let refused = b.mesh.send(&a.address(), message(1)).await;
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_told_while_something_waits_for_it() {
    let net = FakeNet::new();
    let mut a = Node::start_with(&net, |config| {
        config.silence_timeout = Duration::from_secs(1);
    })
    .await;
    let b = Node::start(&net).await;
    a.link(&b).await;
    assert!(b.tasks.shutdown(PATIENCE).await);
    a.mesh.send(&b.address(), message(1)).await.unwrap();
    assert_eq!(a.down().await, DownReason::Silent);
}

#[tokio::test]
async fn an_attached_command_has_an_inbox_of_its_own() {
    let net = FakeNet::new();
    let mut daemon = Node::start(&net).await;
    let mut command = Node::start_with(&net, |config| config.attached = true).await;
    assert!(command.address().kid.is_some());
    command.link(&daemon).await;
    command
        .mesh
        .send(&daemon.address(), message(1))
        .await
        .unwrap();
    let (from, number) = daemon.message().await;
    assert_eq!((&from, number), (&command.address(), 1));
    daemon.mesh.send(&from, message(2)).await.unwrap();
    assert_eq!(command.message().await, (daemon.address(), 2));
}

#[tokio::test]
async fn junk_in_the_inbox_is_counted_and_changes_nothing() {
    let net = FakeNet::new();
    let (mut a, mut b) = (Node::start(&net).await, Node::start(&net).await);
    a.link(&b).await;
    let inbox = topics::inbox("test", &b.address());
    let strange = FakeKubo::start(&net).await;
    let stranger = strange.client();
    stranger
        .swarm_connect(&b.kubo.swarm_address())
        .await
        .unwrap();
    for _ in 0..100 {
        stranger
            .publish(&inbox, Bytes::from_static(b"no envelope at all"))
            .await
            .unwrap();
    }
    eventually("the junk is counted", || async {
        b.mesh.health().counters.refused.get("malformed") == Some(&100)
    })
    .await;
    a.mesh.send(&b.address(), message(3)).await.unwrap();
    assert_eq!(b.message().await, (a.address(), 3));
    b.mesh.send(&a.address(), message(4)).await.unwrap();
    assert_eq!(a.message().await, (b.address(), 4));
}

#[tokio::test]
async fn a_recorded_session_played_again_changes_nothing() {
    let net = FakeNet::new();
    let (a, mut b) = (Node::start(&net).await, Node::start(&net).await);
    let inbox = topics::inbox("test", &b.address());
    let ear = b.kubo.client();
    let mut recorder = ear.subscribe(&inbox).await.unwrap();
    a.link(&b).await;
    send_all(a.mesh.clone(), b.address(), 50).await;
    assert_eq!(b.collect(&a.address(), 50).await, once_each(50));
    let mut recorded = Vec::new();
    while let Ok(Ok(Some(heard))) = timeout(Duration::from_millis(200), recorder.next()).await {
        recorded.push(heard.data);
    }
    drop(recorder);
    let before = b.mesh.health();
    let publisher = a.kubo.client();
    for envelope in &recorded {
        publisher.publish(&inbox, envelope.clone()).await.unwrap();
    }
    a.mesh.send(&b.address(), message(99)).await.unwrap();
    assert_eq!(
        b.event().await,
        Event::Message {
            from: a.address(),
            message: message(99)
        }
    );
    let after = b.mesh.health();
    assert!(after.counters.refused.get("replay") > before.counters.refused.get("replay"));
    assert_eq!((after.counters.delivered, after.sessions), (51, 1));
}

#[tokio::test]
async fn a_full_queue_holds_the_sender_back_and_loses_nothing() {
    let net = FakeNet::new();
    let (a, mut b) = (Node::start(&net).await, Node::start(&net).await);
    a.link(&b).await;
    let began = Instant::now();
    let sending = a
        .tasks
        .spawn("send", send_all(a.mesh.clone(), b.address(), 6_000));
    // Nobody takes events at b until all its room is used.
    eventually("the sender waits", || async {
        let delivered = b.mesh.health().counters.delivered;
        tokio::time::sleep(Duration::from_millis(400)).await;
        b.mesh.health().counters.delivered == delivered && delivered > 0
    })
    .await;
    assert!(
        !sending.is_finished(),
        "all went out within {:?}",
        began.elapsed()
    );
    assert_eq!(b.collect(&a.address(), 6_000).await, once_each(6_000));
}
