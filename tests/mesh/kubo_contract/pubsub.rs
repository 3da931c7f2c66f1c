//! Pubsub of the real Kubo.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use timerose::kubo::{Client, Error, PUBLISH_LIMIT, Subscription};
use tokio::time::{Instant, sleep, timeout};

use super::Kubos;

const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until `client` sees a subscriber of `topic`.
async fn until_subscribed(client: &Client, topic: &str) {
    let deadline = Instant::now() + PATIENCE;
    while client.topic_peers(topic).await.unwrap().is_empty() {
        assert!(Instant::now() < deadline, "nobody subscribes to {topic}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn next(subscription: &mut Subscription) -> timerose::kubo::Message {
    let message = timeout(PATIENCE, subscription.next()).await.unwrap();
    message.unwrap().unwrap()
}

#[tokio::test]
async fn messages_of_any_bytes_up_to_the_limit_arrive() {
    let kubos = Kubos::start(2).await;
    let (a, b) = (kubos.first().client(), kubos.second().client());
    let mut subscription = b.subscribe("täst/1").await.unwrap();
    assert_eq!(b.topics().await.unwrap(), ["täst/1"]);
    until_subscribed(a, "täst/1").await;
    for payload in [
        Bytes::from((0..=255).collect::<Vec<u8>>()),
        Bytes::new(),
        vec![7; PUBLISH_LIMIT].into(),
    ] {
        a.publish("täst/1", payload.clone()).await.unwrap();
        let message = next(&mut subscription).await;
        assert_eq!(message.from, a.id().await.unwrap().peer);
        assert_eq!(message.data, payload);
        assert_eq!(message.seqno.len(), 8);
        assert_eq!(message.topics, ["täst/1"]);
    }
}

#[tokio::test]
async fn concurrent_publishes_are_refused_by_type() {
    let kubos = Kubos::start(1).await;
    let client = kubos.first().client();
    let burst = (0..64).map(|_| client.publish("t", Bytes::from_static(b"x")));
    let outcomes = join_all(burst).await;
    let refused = outcomes
        .into_iter()
        .filter_map(Result::err)
        .collect::<Vec<_>>();
    assert!(
        !refused.is_empty(),
        "Kubo has learnt to publish in parallel"
    );
    for error in refused {
        assert!(matches!(error, Error::ValidationIgnored), "{error}");
    }
}

#[tokio::test]
async fn a_subscription_that_is_dropped_is_gone_at_once() {
    let kubos = Kubos::start(1).await;
    let client = kubos.first().client();
    drop(client.subscribe("t").await.unwrap());
    let deadline = Instant::now() + Duration::from_secs(2);
    while !client.topics().await.unwrap().is_empty() {
        assert!(Instant::now() < deadline, "still subscribed");
        sleep(Duration::from_millis(10)).await;
    }
}
