//! Kubo refuses to publish, another program publishes beside, too much is to be
//! published.

use std::time::Duration;

use bytes::Bytes;
use timerose::kubo::{Client, Config, Endpoint, Error, PUBLISH_LIMIT};
use tokio::time::{interval, timeout};

use super::{Load, counters};
use crate::support::{
    chaos::Chaos,
    mesh::{Mesh, until},
    noise,
};

/// Publishes that Kubo refused and that were offered again, of each node.
const ENOUGH: u64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn publishes_that_kubo_ignores_or_fails_are_offered_again() {
    let mut mesh = Mesh::with_carrier(2, "pubsub").await;
    let chaos = mesh.behind_chaos(17).await;
    let load = Load::between(&mesh).await;
    for one in &chaos {
        one.set(|faults| (faults.ignored, faults.failed) = (0.3, 0.1));
    }
    // How much rides together, and so is published at once, is the machine's.
    let mut batches = (0..20).map(|n| n * 100..(n + 1) * 100);
    for index in 0..chaos.len() {
        let client = mesh.client(index);
        while counters(&client).await["mesh.publish_retries"] < ENOUGH {
            let batch = batches.next().expect("hardly anything was offered again");
            load.run(batch).await;
        }
    }
    load.is_right_and_ran_once().await;
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubo_that_forbids_pubsub_is_named_by_readiness_and_doctor() {
    let mut mesh = Mesh::with_carrier(2, "pubsub").await;
    let chaos = mesh.behind_chaos(18).await;
    let load = Load::between(&mesh).await;
    let client = mesh.client(0);
    let is_named = async |command: &str| {
        let unmet = client.node().await.unwrap().health.unmet;
        unmet
            .iter()
            .any(|text| text.contains(command) && text.contains("AllowedPaths"))
    };
    for command in ["pubsub/pub", "pubsub/sub"] {
        chaos[0].set(|faults| faults.forbidden = vec![command]);
        chaos[0].strike(crate::support::chaos::Blow::End);
        until("readiness names it", async || is_named(command).await).await;
        let doctor = mesh.timerose(0, &["doctor", "--enc=json"]).await;
        let said = String::from_utf8(doctor.stdout).unwrap();
        assert_eq!(doctor.status.code(), Some(1), "{said}");
        assert!(
            said.contains(command) && said.contains("AllowedPaths"),
            "{said}"
        );
        chaos[0].calm();
        until("it is ready again", async || {
            client.node().await.unwrap().health.ready
        })
        .await;
    }
    load.run(0..20).await;
    load.is_right();
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_publisher_on_the_same_kubo_costs_retries_and_no_invocation() {
    const BATCH: u64 = 50;
    let mesh = Mesh::with_carrier(2, "pubsub").await;
    let load = Load::between(&mesh).await;
    let kubo = mesh.node(0).kubo.client().clone();
    let beside = tokio::spawn(async move {
        let mut beat = interval(Duration::from_millis(10));
        loop {
            beat.tick().await;
            let _ignored_by_kubo = kubo.publish("somebody-elses-topic", "noise".into()).await;
        }
    });
    let client = mesh.client(0);
    let mut batches = 0..40;
    while counters(&client).await["mesh.publish_retries"] == 0 || batches.start < 4 {
        let batch = batches.next().expect("the two publishers never met");
        load.run(batch * BATCH..(batch + 1) * BATCH).await;
    }
    beside.abort();
    load.is_right_and_ran_once().await;
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_to_publish_is_refused_before_anything_is_sent() {
    let mesh = Mesh::start(1).await;
    let chaos = Chaos::before(mesh.node(0).kubo.api(), 20).await;
    let endpoint: Endpoint = chaos.api().parse().unwrap();
    let client = Client::new(Config::new(endpoint)).unwrap();
    let mut subscription = client.subscribe("t").await.unwrap();
    for size in [PUBLISH_LIMIT + 1, (1 << 20) + 1, 3 << 20] {
        let refused = client.publish("t", noise(size)).await.unwrap_err();
        assert!(matches!(refused, Error::TooLarge { .. }), "{refused}");
        assert!(!refused.retryable());
    }
    assert_eq!(chaos.counts().published, 0);
    let largest: Bytes = noise(PUBLISH_LIMIT);
    client.publish("t", largest.clone()).await.unwrap();
    let came = timeout(Duration::from_secs(5), subscription.next()).await;
    assert_eq!(came.unwrap().unwrap().unwrap().data, largest);
    mesh.end().await;
}
