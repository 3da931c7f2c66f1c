//! Provider records and connections of the real Kubo.

use std::time::Duration;

use futures_util::TryStreamExt;
use timerose::kubo::{Add, AddBody, Codec, Error, FindProviders, Provider};
use tokio::time::{Instant, sleep};

use super::Kubos;

#[tokio::test]
async fn who_added_it_is_found_with_addresses() {
    let kubos = Kubos::start(3).await;
    let (a, b) = (kubos.first().client(), kubos.second().client());
    let body = AddBody::bytes("here".into());
    let cid = a.add(body, &Add::default()).await.unwrap().cid;
    a.provide(&cid).await.unwrap();
    let here = a.id().await.unwrap().peer;
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let found = b.find_providers(&cid, FindProviders::default()).await;
        let found: Vec<Provider> = found.unwrap().try_collect().await.unwrap();
        if found
            .iter()
            .any(|provider| provider.id == here && !provider.addrs.is_empty())
        {
            break;
        }
        assert!(Instant::now() < deadline, "not found: {found:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_cid_without_providers_is_an_empty_answer_not_an_error() {
    let kubos = Kubos::start(2).await;
    let (a, nobody) = (kubos.first().client(), Codec::Raw.cid(b"nobody"));
    let options = FindProviders {
        timeout: Duration::from_secs(2),
        ..FindProviders::default()
    };
    let found = a.find_providers(&nobody, options).await.unwrap();
    assert_eq!(found.try_collect::<Vec<_>>().await.unwrap(), []);
    let error = a.provide(&nobody).await.unwrap_err();
    assert!(matches!(error, Error::Rpc { .. }), "{error}");
}

#[tokio::test]
async fn connected_peers_are_listed_and_a_dead_address_is_an_error() {
    let kubos = Kubos::start(2).await;
    let (a, b) = (kubos.first().client(), kubos.second().client());
    let other = b.id().await.unwrap();
    a.peering_add(other.addresses.first().unwrap())
        .await
        .unwrap();
    let peers = a.swarm_peers().await.unwrap();
    assert_eq!(
        peers.iter().map(|peer| peer.peer).collect::<Vec<_>>(),
        [other.peer]
    );
    let nobody = format!(
        "/ip4/127.0.0.1/tcp/1/p2p/{}",
        libp2p_identity::PeerId::random()
    );
    assert!(a.swarm_connect(&nobody).await.is_err());
}
