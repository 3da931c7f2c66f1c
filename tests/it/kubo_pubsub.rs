//! Pubsub: what the client promises on top of Kubo's best effort.

use std::time::Duration;

use timerose::kubo::{Error, PUBLISH_LIMIT, Subscription};
use tokio::time::timeout;

use crate::support::{
    eventually,
    fake_kubo::{FakeKubo, FakeNet},
};

async fn next(subscription: &mut Subscription) -> Result<Option<bytes::Bytes>, Error> {
    let message = timeout(Duration::from_secs(5), subscription.next())
        .await
        .unwrap();
    Ok(message?.map(|message| message.data))
}

/// Two connected fakes.
async fn pair() -> (FakeKubo, FakeKubo) {
    let net = FakeNet::new();
    let (a, b) = (FakeKubo::start(&net).await, FakeKubo::start(&net).await);
    a.client().swarm_connect(&b.swarm_address()).await.unwrap();
    (a, b)
}

#[tokio::test]
async fn a_message_arrives_with_its_sender_and_any_bytes() {
    let (a, b) = pair().await;
    let payload = bytes::Bytes::from((0..=255).collect::<Vec<u8>>());
    let mut subscription = b.client().subscribe("täst/1").await.unwrap();
    a.client().publish("täst/1", payload.clone()).await.unwrap();
    let message = subscription.next().await.unwrap().unwrap();
    assert_eq!(message.from, a.peer());
    assert_eq!(message.data, payload);
    assert_eq!(message.seqno.len(), 8);
    assert_eq!(message.topics, ["täst/1"]);
}

#[tokio::test]
async fn subscribers_are_seen_by_topic_and_peer() {
    let (a, b) = pair().await;
    assert!(a.client().topic_peers("t").await.unwrap().is_empty());
    let _subscription = b.client().subscribe("t").await.unwrap();
    assert_eq!(a.client().topic_peers("t").await.unwrap(), [b.peer()]);
    assert_eq!(b.client().topics().await.unwrap(), ["t"]);
}

#[tokio::test]
async fn a_payload_over_the_limit_is_refused_before_sending() {
    let fake = FakeKubo::alone().await;
    let client = fake.client();
    client
        .publish("t", vec![0; PUBLISH_LIMIT].into())
        .await
        .unwrap();
    let error = client
        .publish("t", vec![0; PUBLISH_LIMIT + 1].into())
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::TooLarge {
                size: 262_145,
                limit: 262_144,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(fake.calls("pubsub/pub"), 1);
}

#[tokio::test]
async fn the_largest_message_fits_a_line() {
    let (a, b) = pair().await;
    let mut subscription = b.client().subscribe("t").await.unwrap();
    a.client()
        .publish("t", vec![7; PUBLISH_LIMIT].into())
        .await
        .unwrap();
    assert_eq!(
        next(&mut subscription).await.unwrap().unwrap().len(),
        PUBLISH_LIMIT
    );
}

#[tokio::test]
async fn validation_ignored_is_a_type_and_worth_another_try() {
    let fake = FakeKubo::alone().await;
    fake.set(|faults| faults.ignore_every = 2);
    let client = fake.client();
    client.publish("t", "1".into()).await.unwrap();
    let error = client.publish("t", "2".into()).await.unwrap_err();
    assert!(matches!(error, Error::ValidationIgnored), "{error}");
    assert!(error.retryable());
    client.publish("t", "2".into()).await.unwrap();
}

#[tokio::test]
async fn a_lost_and_a_doubled_message_look_like_success() {
    let (a, b) = pair().await;
    a.set(|faults| (faults.lose_every, faults.duplicate_every) = (2, 3));
    let mut subscription = b.client().subscribe("t").await.unwrap();
    for text in ["1", "2", "3"] {
        a.client().publish("t", text.into()).await.unwrap();
    }
    let mut seen = vec![];
    for _ in 0..3 {
        seen.push(next(&mut subscription).await.unwrap().unwrap());
    }
    assert_eq!(seen, ["1", "3", "3"]);
}

#[tokio::test]
async fn a_switched_off_pubsub_names_its_cure() {
    let fake = FakeKubo::alone().await;
    fake.set(|faults| faults.no_pubsub = true);
    let client = fake.client();
    for error in [
        client.subscribe("t").await.map(drop).unwrap_err(),
        client.publish("t", "x".into()).await.unwrap_err(),
        client.topics().await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, Error::PubsubDisabled), "{error}");
        assert!(error.hint().unwrap().contains("Pubsub.Enabled true"));
    }
}

#[tokio::test]
async fn dropping_a_subscription_closes_its_stream_at_once() {
    let fake = FakeKubo::alone().await;
    let subscription = fake.client().subscribe("t").await.unwrap();
    assert_eq!(fake.open_subscriptions(), 1);
    drop(subscription);
    eventually("the stream is closed", || fake.open_subscriptions() == 0).await;
}

#[tokio::test]
async fn a_cut_line_is_an_error_not_an_end() {
    let fake = FakeKubo::alone().await;
    let client = fake.client();
    let mut subscription = client.subscribe("t").await.unwrap();
    fake.set(|faults| faults.cut_subscription = true);
    client.publish("t", "x".into()).await.unwrap();
    let error = next(&mut subscription).await.unwrap_err();
    assert!(matches!(error, Error::Truncated { .. }), "{error}");
    assert!(error.retryable());
}

#[tokio::test]
async fn an_endless_line_is_an_error_before_it_fills_the_memory() {
    let fake = FakeKubo::alone().await;
    let client = fake.client();
    let mut subscription = client.subscribe("t").await.unwrap();
    fake.set(|faults| faults.long_line = true);
    client.publish("t", "x".into()).await.unwrap();
    let error = next(&mut subscription).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::FrameTooLong {
                limit: 2_097_152,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn the_death_of_kubo_ends_a_subscription() {
    let mut fake = FakeKubo::alone().await;
    let mut subscription = fake.client().subscribe("t").await.unwrap();
    fake.kill().await;
    assert!(!matches!(next(&mut subscription).await, Ok(Some(_))));
}
