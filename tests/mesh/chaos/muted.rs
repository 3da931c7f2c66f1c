//! A publisher whose messages a receiver ignores, since it once saw a higher
//! sequence number of it.

use std::time::Duration;

use tokio::time::Instant;

use super::Load;
use crate::support::mesh::Mesh;

/// From the first message that is ignored to the alarm.
const NOTICED: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_muted_publisher_is_named_with_its_cure_and_cured_by_it() {
    let mut mesh = Mesh::with_carrier(2, "pubsub").await;
    let load = Load::between(&mesh).await;
    load.run(0..10).await;
    let (publisher, receiver) = (mesh.peer(0), mesh.peer(1));
    mute(&mut mesh, &publisher).await;

    let began = Instant::now();
    let request = load.request("77");
    let unheard = load.client.invoke(&request, None).await.unwrap();
    let alarm = loop {
        let unmet = load.client.node().await.unwrap().health.unmet;
        if let Some(alarm) = unmet.into_iter().find(|text| text.contains(&receiver)) {
            break alarm;
        }
        assert!(began.elapsed() < NOTICED, "never noticed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    println!("noticed after {:?}: {alarm}", began.elapsed());
    drop(unheard);
    let cure = ["pubsub", "reset", "--peer", &publisher];
    assert!(alarm.contains(&cure.join(" ")), "{alarm}");
    let doctor = mesh.timerose(0, &["doctor", "--enc=json"]).await;
    let said = String::from_utf8(doctor.stdout).unwrap();
    assert_eq!(doctor.status.code(), Some(1), "{said}");
    assert!(said.contains(&alarm), "{said}");

    mesh.node(1).kubo.ipfs(&cure).await.unwrap();
    load.run(10..60).await;
    load.is_right();
    let unmet = load.client.node().await.unwrap().health.unmet;
    assert!(unmet.is_empty(), "{unmet:?}");
    mesh.end().await;
}

/// Has the second node's Kubo believe that it saw the last message of
/// `publisher` already, and those to come.
async fn mute(mesh: &mut Mesh, publisher: &str) {
    let key = format!("/pubsub/seqno/{publisher}");
    let kubo = &mut mesh.node_mut(1).kubo;
    kubo.stop().await.unwrap();
    let put = ["diag", "datastore", "put", &key, "zzzzzzzz"];
    kubo.ipfs(&put).await.unwrap();
    kubo.restart().await.unwrap();
}
