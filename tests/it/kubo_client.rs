//! The client and one Kubo: address, access, time, failures.

use std::time::Duration;

use timerose::kubo::{
    AddBody, Client, Codec, Config, Endpoint, Error, Fetch, Version, option_keys, verify_signature,
};

use crate::support::fake_kubo::{FakeKubo, FakeNet};

#[tokio::test]
async fn the_api_file_leads_to_kubo() {
    let fake = FakeKubo::alone().await;
    let node = fake.client().id().await.unwrap();
    assert_eq!(node.peer, fake.peer());
    assert_eq!(node.addresses, [fake.swarm_address()]);
}

#[tokio::test]
async fn a_unix_socket_is_as_good_as_a_port() {
    let fake = FakeKubo::alone().await;
    let endpoint: Endpoint = format!("/unix{}", fake.socket().display()).parse().unwrap();
    let client = Client::new(Config::new(endpoint)).unwrap();
    assert_eq!(client.id().await.unwrap().peer, fake.peer());
}

#[tokio::test]
async fn a_stale_api_file_is_unreachable_and_says_what_to_do() {
    let mut fake = FakeKubo::alone().await;
    let client = fake.client();
    fake.kill().await;
    let error = client.id().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.retryable());
    assert!(error.hint().unwrap().contains("ipfs daemon"));
}

#[tokio::test]
async fn a_missing_socket_or_api_file_is_unreachable() {
    let dir = tempfile::tempdir().unwrap();
    let socket: Endpoint = format!("/unix{}/none", dir.path().display())
        .parse()
        .unwrap();
    let absent = Endpoint::discover(None, Some(dir.path()), None).unwrap();
    for endpoint in [socket, absent] {
        let error = Client::new(Config::new(endpoint))
            .unwrap()
            .id()
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_restart_on_another_port_is_followed_by_the_next_call() {
    let mut fake = FakeKubo::alone().await;
    let client = fake.client();
    client.id().await.unwrap();
    let before = client.endpoint();
    fake.kill().await;
    fake.restart().await;
    assert_eq!(client.id().await.unwrap().peer, fake.peer());
    assert_ne!(client.endpoint(), before);
}

#[tokio::test]
async fn a_secret_is_sent_and_its_absence_is_forbidden() {
    let fake = FakeKubo::alone().await;
    fake.set(|faults| faults.authorization = Some("Bearer rose".to_owned()));
    let error = fake.client().id().await.unwrap_err();
    assert!(
        matches!(error, Error::Forbidden { command: "id" }),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("API.Authorizations"));
    let client = fake.client_with(|config| config.auth = Some("bearer:rose".parse().unwrap()));
    client.id().await.unwrap();
}

#[tokio::test]
async fn a_kubo_under_the_floor_is_refused_unless_allowed() {
    let fake = FakeKubo::alone().await;
    fake.set(|faults| faults.version = Some("0.42.1".to_owned()));
    let client = fake.client();
    let error = client.require_floor(false).await.unwrap_err();
    assert!(matches!(error, Error::OldKubo { .. }), "{error}");
    assert!(error.to_string().contains("0.43.0"));
    assert!(client.require_floor(true).await.unwrap() < Version::FLOOR);
    fake.set(|faults| faults.version = Some("0.44.0-dev".to_owned()));
    client.require_floor(false).await.unwrap();
}

#[tokio::test]
async fn an_empty_200_is_never_an_object() {
    let fake = FakeKubo::alone().await;
    fake.set(|faults| faults.empty = EVERYTHING.to_vec());
    let client = fake.client();
    let cid = Codec::Raw.cid(b"x");
    let empty = |error: Error| matches!(error, Error::EmptyAnswer { .. });
    assert!(empty(client.id().await.unwrap_err()));
    assert!(empty(client.publish("t", "x".into()).await.unwrap_err()));
    assert!(empty(
        client.pin_add(&cid, &Default::default()).await.unwrap_err()
    ));
    let body = AddBody::bytes("x".into());
    assert!(empty(
        client.add(body, &Default::default()).await.unwrap_err()
    ));
    assert!(empty(
        client
            .block_get(&cid, Default::default())
            .await
            .unwrap_err()
    ));
    assert!(empty(
        client
            .cat(&cid.to_string(), &Default::default())
            .await
            .unwrap_err()
    ));
    assert!(empty(
        client.archive(&cid, &Default::default()).await.unwrap_err()
    ));
    assert!(empty(
        client
            .dag_export(&cid, &Default::default())
            .await
            .unwrap_err()
    ));
    assert!(empty(
        client
            .ls(&cid.to_string(), Default::default())
            .await
            .unwrap_err()
    ));
    assert!(empty(client.pin_ls(None).await.unwrap_err()));
    assert!(empty(client.subscribe("t").await.unwrap_err()));
    assert!(empty(
        client
            .find_providers(&cid, Default::default())
            .await
            .err()
            .unwrap()
    ));
}

const EVERYTHING: [&str; 12] = [
    "id",
    "pubsub/pub",
    "pubsub/sub",
    "pin/add",
    "pin/ls",
    "add",
    "block/get",
    "cat",
    "get",
    "dag/export",
    "ls",
    "routing/findprovs",
];

#[tokio::test]
async fn a_failure_in_the_stream_is_a_failure() {
    let fake = FakeKubo::alone().await;
    fake.set(|faults| faults.fail_in_band = vec!["id", "pubsub/pub", "ls"]);
    let client = fake.client();
    let cid = Codec::Raw.cid(b"x").to_string();
    let told = |error: Error| error.to_string().contains("in the stream");
    assert!(told(client.id().await.unwrap_err()));
    assert!(told(client.publish("t", "x".into()).await.unwrap_err()));
    assert!(told(client.ls(&cid, Default::default()).await.unwrap_err()));
}

#[tokio::test]
async fn a_kubo_that_hangs_costs_no_more_than_the_limit() {
    let fake = FakeKubo::alone().await;
    fake.set(|faults| faults.hang = vec!["id", "pubsub/sub"]);
    let client = fake.client_with(|config| config.timeout = Duration::from_millis(50));
    let started = tokio::time::Instant::now();
    let error = client.id().await.unwrap_err();
    assert!(
        matches!(error, Error::Timeout { command: "id", .. }),
        "{error}"
    );
    assert!(client.subscribe("t").await.is_err());
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn kubos_own_timeout_is_a_timeout() {
    let fake = FakeKubo::alone().await;
    let cid = Codec::Raw.cid(b"nobody has it");
    let fetch = Fetch {
        timeout: Duration::from_millis(50),
        offline: false,
    };
    let error = fake.client().block_get(&cid, fetch).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn a_broken_pooled_connection_is_tried_once_more_if_harmless() {
    let fake = FakeKubo::alone().await;
    let client = fake.client();
    client.id().await.unwrap();
    fake.set(|faults| faults.break_before_answer = 1);
    client.id().await.unwrap();
    fake.set(|faults| faults.break_before_answer = 1);
    let error = client.publish("t", "x".into()).await.unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }), "{error}");
    assert_eq!(
        fake.calls("pubsub/pub"),
        1,
        "a publish is the caller's to repeat"
    );
    fake.set(|faults| faults.break_before_answer = 2);
    let error = client.id().await.unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }), "{error}");
}

#[tokio::test]
async fn neighbours_are_listed_after_connecting() {
    let net = FakeNet::new();
    let (a, b) = (FakeKubo::start(&net).await, FakeKubo::start(&net).await);
    let client = a.client();
    client.swarm_connect(&b.swarm_address()).await.unwrap();
    client.peering_add(&b.swarm_address()).await.unwrap();
    let peers = client.swarm_peers().await.unwrap();
    assert_eq!(peers.len(), 1);
    assert_eq!(peers[0].peer, b.peer());
    assert_eq!(peers[0].latency, Some(Duration::from_micros(1500)));
    assert!(
        client
            .swarm_connect("/ip4/127.0.0.1/tcp/1/p2p/x")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn the_node_tells_of_its_health() {
    let fake = FakeKubo::alone().await;
    let client = fake.client();
    client.healthy().await.unwrap();
    assert_eq!(client.repo_stat().await.unwrap().max_bytes, 10_000_000_000);
    assert_eq!(
        client.config_show().await.unwrap()["Pubsub"]["Enabled"],
        true
    );
}

#[tokio::test]
async fn the_node_key_signs_and_the_peer_id_verifies() {
    let fake = FakeKubo::alone().await;
    let signature = fake.client().sign(b"binding").await.unwrap();
    verify_signature(&fake.peer(), b"binding", &signature).unwrap();
    assert!(verify_signature(&fake.peer(), b"bindinG", &signature).is_err());
}

#[test]
fn every_command_is_listed_with_the_global_keys() {
    let listed: Vec<_> = option_keys().collect();
    assert!(
        listed
            .iter()
            .any(|(command, keys)| *command == "cat" && keys.contains(&"length"))
    );
    assert!(listed.iter().all(|(_, keys)| keys.contains(&"timeout")));
}
