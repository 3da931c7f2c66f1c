//! The sidecar's key, bound by the node key of a Kubo.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use timerose::{
    mesh::{Identity, identity::Error},
    model::{InvocationId, LeaseId, Outcome, Receipt, Usage},
    wire::{Refusal, binding, cid_of, receipt},
};

use crate::support::fake_kubo::FakeKubo;

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

fn run_of(identity: &Identity, started: Duration) -> Receipt {
    let cid = cid_of(0x55, b"something");
    Receipt {
        timerose: "receipt/1".to_owned(),
        call: cid,
        invocation: InvocationId::new(1, 1),
        replica: 0,
        attempt: 1,
        lease: LeaseId::new(1, 1),
        fence: 1,
        executor: identity.peer().to_string(),
        private: false,
        outcome: Outcome::Ok {
            output: cid,
            digest: vec![7; 32],
            archive: false,
            logs: None,
            exit: 0,
        },
        usage: Usage::default(),
        runtime: "wasm/wasi".to_owned(),
        started: u64::try_from(started.as_millis()).unwrap(),
        elapsed_ms: 1,
        binding: identity.binding(),
        sig: Vec::new(),
    }
}

#[tokio::test]
async fn the_node_key_binds_the_sidecar_key_and_serials_rise() {
    let (kubo, home) = (FakeKubo::alone().await, tempfile::tempdir().unwrap());
    let (key, client) = (home.path().join("key"), kubo.client());
    let first = Identity::open(&key, &client).await.unwrap();
    let bound = binding::verify(&first.binding(), now().as_secs()).unwrap();
    assert_eq!((bound.peer, bound.kid), (kubo.peer(), first.kid()));
    first.renew(&client).await.unwrap();
    assert!(first.binding().body.serial > bound.serial);
    let again = Identity::open(&key, &client).await.unwrap();
    assert_eq!(again.kid(), first.kid());
    assert_ne!(again.boot(), first.boot());
    assert!(again.binding().body.serial > first.binding().body.serial);
}

#[tokio::test]
async fn a_receipt_verifies_offline_and_not_outside_every_binding() {
    let (kubo, home) = (FakeKubo::alone().await, tempfile::tempdir().unwrap());
    let identity = Identity::open(&home.path().join("key"), &kubo.client())
        .await
        .unwrap();
    let signed = identity.sign_receipt(run_of(&identity, now())).unwrap();
    let (_, verified) = receipt::open(&signed).unwrap();
    assert_eq!(verified.executor, kubo.peer());
    let long_ago = now() - Duration::from_secs(2 * 86_400);
    let signed = identity.sign_receipt(run_of(&identity, long_ago)).unwrap();
    assert_eq!(receipt::open(&signed).unwrap_err(), Refusal::Expired);
}

#[tokio::test]
async fn without_a_kubo_there_is_no_identity_and_trying_again_may_help() {
    let (mut kubo, home) = (FakeKubo::alone().await, tempfile::tempdir().unwrap());
    let client = kubo.client();
    kubo.kill().await;
    let error = Identity::open(&home.path().join("key"), &client)
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Kubo(_)) && error.retryable(),
        "{error}"
    );
}
