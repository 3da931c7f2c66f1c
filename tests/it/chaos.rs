//! The proxy of the fault tests does what it says, and nothing unasked.

use std::time::Duration;

use bytes::Bytes;
use timerose::kubo::{Add, AddBody, Cat, Client, Config, Endpoint, Error, Subscription};
use tokio::time::timeout;

use crate::support::{
    chaos::{Blow, Chaos},
    fake_kubo::{Cut, FakeKubo},
    noise,
};

const SOON: Duration = Duration::from_secs(5);
/// Nothing came meanwhile.
const QUIET: Duration = Duration::from_millis(150);

/// A fake Kubo, the proxy before it, and a client that speaks through it.
async fn behind() -> (FakeKubo, Chaos, Client) {
    let fake = FakeKubo::alone().await;
    let api = std::fs::read_to_string(fake.repo().join("api")).unwrap();
    let chaos = Chaos::before(&api, 7).await;
    let endpoint = Endpoint::discover(Some(&chaos.api()), None, None).unwrap();
    let client = Client::new(Config::new(endpoint)).unwrap();
    (fake, chaos, client)
}

/// Numbers published one after the other.
async fn publish(client: &Client, numbers: std::ops::Range<u8>) {
    for number in numbers {
        let said = client.publish("t", Bytes::from(vec![number])).await;
        said.unwrap();
    }
}

async fn next(subscription: &mut Subscription) -> Option<u8> {
    let next = timeout(SOON, subscription.next()).await.unwrap();
    next.unwrap().map(|message| message.data[0])
}

async fn heard(subscription: &mut Subscription, count: usize) -> Vec<u8> {
    let mut heard = Vec::new();
    for _ in 0..count {
        heard.push(next(subscription).await.unwrap());
    }
    assert!(
        timeout(QUIET, subscription.next()).await.is_err(),
        "and more"
    );
    heard
}

#[tokio::test]
async fn content_passes_unchanged_and_so_does_an_error_in_the_trailer() {
    let (fake, _chaos, client) = behind().await;
    let bytes = noise(3 << 20);
    let body = AddBody::bytes(bytes.clone());
    let added = client.add(body, &Add::default()).await.unwrap();
    let path = format!("/ipfs/{}", added.cid);
    let read = async || client.cat(&path, &Cat::default()).await.unwrap();
    assert_eq!(read().await.collect(4 << 20).await.unwrap(), bytes);
    fake.set(|faults| faults.cut = Some((1 << 20, Cut::Trailer)));
    let cut = read().await.collect(4 << 20).await.unwrap_err();
    assert!(matches!(cut, Error::Trailer { .. }), "{cut:?}");
}

#[tokio::test]
async fn without_a_fault_messages_pass_unchanged() {
    let (_fake, chaos, client) = behind().await;
    let mut subscription = client.subscribe("t").await.unwrap();
    publish(&client, 0..20).await;
    let all: Vec<u8> = (0..20).collect();
    assert_eq!(heard(&mut subscription, 20).await, all);
    let counts = chaos.counts();
    assert_eq!((counts.messages, counts.published), (20, 20));
    assert_eq!((counts.dropped, counts.refused), (0, 0));
    assert_eq!(chaos.subscribed("t"), 1);
}

#[tokio::test]
async fn messages_are_dropped_copied_reordered_delayed_and_slowed() {
    let (_fake, chaos, client) = behind().await;
    let mut subscription = client.subscribe("t").await.unwrap();
    chaos.set(|faults| faults.drop = 0.5);
    publish(&client, 0..30).await;
    let dropped = async || chaos.counts().messages == 30;
    crate::support::mesh::until("all came to the proxy", dropped).await;
    let dropped = usize::try_from(chaos.counts().dropped).unwrap();
    assert!((5..25).contains(&dropped), "{dropped}");
    heard(&mut subscription, 30 - dropped).await;

    chaos.set(|faults| (faults.drop, faults.copies) = (0.0, 2));
    publish(&client, 0..1).await;
    assert_eq!(heard(&mut subscription, 3).await, [0, 0, 0]);

    chaos.set(|faults| (faults.copies, faults.window) = (0, 50));
    publish(&client, 0..30).await;
    let mut shuffled = heard(&mut subscription, 30).await;
    assert!(!shuffled.is_sorted());
    shuffled.sort_unstable();
    assert!(shuffled.into_iter().eq(0..30));

    chaos.set(|faults| (faults.window, faults.delay) = (0, 2 * QUIET));
    publish(&client, 0..1).await;
    assert!(timeout(QUIET, subscription.next()).await.is_err());
    assert_eq!(next(&mut subscription).await, Some(0));

    chaos.calm();
    chaos.set(|faults| faults.slow = Some((16, Duration::from_millis(20))));
    let began = tokio::time::Instant::now();
    publish(&client, 0..1).await;
    assert_eq!(next(&mut subscription).await, Some(0));
    assert!(began.elapsed() > Duration::from_millis(60));
}

#[tokio::test]
async fn a_blow_meets_open_subscriptions_and_no_later_one() {
    let (_fake, chaos, client) = behind().await;
    let mut ended = client.subscribe("t").await.unwrap();
    chaos.strike(Blow::End);
    assert_eq!(next(&mut ended).await, None);

    let mut cut = client.subscribe("t").await.unwrap();
    chaos.strike(Blow::CutLine);
    let broken = timeout(SOON, cut.next()).await.unwrap();
    assert!(matches!(broken, Err(Error::Truncated { .. })), "{broken:?}");

    let mut silent = client.subscribe("t").await.unwrap();
    chaos.strike(Blow::HalfOpen);
    let mut later = client.subscribe("t").await.unwrap();
    publish(&client, 0..1).await;
    assert_eq!(next(&mut later).await, Some(0));
    assert!(timeout(QUIET, silent.next()).await.is_err());

    chaos.strike(Blow::Stall);
    publish(&client, 1..2).await;
    assert!(timeout(QUIET, later.next()).await.is_err());
    chaos.strike(Blow::Resume);
    assert_eq!(next(&mut later).await, Some(1));
}

#[tokio::test]
async fn publishes_are_ignored_failed_forbidden_and_not_sent() {
    let (fake, chaos, client) = behind().await;
    let mut subscription = client.subscribe("t").await.unwrap();
    let publish = async || client.publish("t", Bytes::from_static(b"x")).await;
    chaos.set(|faults| faults.ignored = 1.0);
    assert!(matches!(publish().await, Err(Error::ValidationIgnored)));
    chaos.set(|faults| (faults.ignored, faults.failed) = (0.0, 1.0));
    assert!(matches!(publish().await, Err(Error::Rpc { .. })));
    chaos.set(|faults| (faults.failed, faults.unsent) = (0.0, 1.0));
    publish().await.unwrap();
    chaos.calm();
    chaos.set(|faults| faults.forbidden = vec!["pubsub/pub"]);
    assert!(matches!(publish().await, Err(Error::Forbidden { .. })));
    assert_eq!(fake.calls("pubsub/pub"), 0);
    assert_eq!(chaos.counts().refused, 3);
    chaos.calm();
    publish().await.unwrap();
    assert_eq!(heard(&mut subscription, 1).await, [b'x']);
}

#[tokio::test]
async fn wrong_json_is_an_error_of_the_subscription() {
    let (_fake, chaos, client) = behind().await;
    let mut subscription = client.subscribe("t").await.unwrap();
    chaos.set(|faults| faults.garble = 1.0);
    publish(&client, 0..1).await;
    let broken = timeout(SOON, subscription.next()).await.unwrap();
    assert!(matches!(broken, Err(Error::BadAnswer { .. })), "{broken:?}");
}
