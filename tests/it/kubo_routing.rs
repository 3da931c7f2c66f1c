//! Provider records: hints, in order, however many are dead.

use std::time::Duration;

use futures_util::TryStreamExt;
use libp2p_identity::PeerId;
use timerose::kubo::{AddBody, Codec, Error, FindProviders, Provider};

use crate::support::fake_kubo::{FakeKubo, FakeNet};

async fn find(fake: &FakeKubo, cid: &cid::Cid, options: FindProviders) -> Vec<Provider> {
    let found = fake.client().find_providers(cid, options).await.unwrap();
    found.try_collect().await.unwrap()
}

#[tokio::test]
async fn providers_come_with_addresses_in_the_order_found() {
    let net = FakeNet::new();
    let (a, b) = (FakeKubo::start(&net).await, FakeKubo::start(&net).await);
    let body = || AddBody::bytes("shared".into());
    let cid = a
        .client()
        .add(body(), &Default::default())
        .await
        .unwrap()
        .cid;
    b.client().add(body(), &Default::default()).await.unwrap();
    let found = find(&b, &cid, FindProviders::default()).await;
    assert_eq!(
        found.iter().map(|provider| provider.id).collect::<Vec<_>>(),
        [a.peer(), b.peer()]
    );
    assert!(a.swarm_address().starts_with(&found[0].addrs[0]));
}

#[tokio::test]
async fn a_cid_without_providers_is_an_empty_answer_not_an_error() {
    let fake = FakeKubo::alone().await;
    let found = find(&fake, &Codec::Raw.cid(b"nobody"), FindProviders::default()).await;
    assert_eq!(found, []);
}

#[tokio::test]
async fn two_hundred_dead_providers_are_passed_on_up_to_the_limit() {
    let fake = FakeKubo::alone().await;
    fake.set(|faults| faults.dead_providers = (0..200).map(|_| PeerId::random()).collect());
    let options = FindProviders {
        max: 20,
        ..FindProviders::default()
    };
    let found = find(&fake, &Codec::Raw.cid(b"x"), options).await;
    assert_eq!(found.len(), 20);
    assert!(found.iter().all(|provider| provider.addrs.is_empty()));
}

#[tokio::test]
async fn a_slow_look_up_ends_at_its_limit_with_what_it_has() {
    let fake = FakeKubo::alone().await;
    fake.set(|faults| faults.find_delay = Duration::from_secs(60));
    let options = FindProviders {
        timeout: Duration::from_millis(50),
        ..Default::default()
    };
    let started = tokio::time::Instant::now();
    assert_eq!(find(&fake, &Codec::Raw.cid(b"x"), options).await, []);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn only_what_is_here_can_be_provided() {
    let fake = FakeKubo::alone().await;
    let client = fake.client();
    let cid = client.block_put(b"here", Codec::Raw, true).await.unwrap();
    client.provide(&cid).await.unwrap();
    let error = client
        .provide(&Codec::Raw.cid(b"elsewhere"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Rpc { .. }), "{error}");
}
