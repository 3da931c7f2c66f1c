//! Messages that are lost, doubled, reordered, unreadable.

use std::time::Duration;

use super::{Load, counters, p99};
use crate::support::{chaos::Chaos, mesh::Mesh};

/// How much slower than a clean run a lossy one may be.
const SLOWER: u32 = 10;
/// A clean run is not measured finer than this.
const FINEST: Duration = Duration::from_millis(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_third_of_all_messages_is_lost_and_no_invocation_with_them() {
    let mut mesh = Mesh::with_carrier(2, "pubsub").await;
    let chaos = mesh.behind_chaos(13).await;
    let load = Load::between(&mesh).await;
    let clean = p99(&load.run(0..200).await).max(FINEST);
    let before: Vec<_> = chaos.iter().map(Chaos::counts).collect();
    for one in &chaos {
        one.set(|faults| faults.drop = 0.3);
    }
    let lossy = p99(&load.run(200..400).await);
    println!("p99: clean {clean:?}, at 30 % loss {lossy:?}");
    for (one, before) in chaos.iter().zip(before) {
        let counts = one.counts();
        let came = counts.messages - before.messages;
        assert!((came / 5..came / 2).contains(&counts.dropped), "{counts:?}");
    }
    load.is_right();
    assert!(lossy <= clean * SLOWER, "{lossy:?} against {clean:?}");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_comes_three_times_and_nothing_runs_twice() {
    let mut mesh = Mesh::with_carrier(2, "pubsub").await;
    let chaos = mesh.behind_chaos(14).await;
    let load = Load::between(&mesh).await;
    for one in &chaos {
        one.set(|faults| faults.copies = 2);
    }
    load.run_until(|| chaos.iter().all(|one| one.counts().copied > 200))
        .await;
    for index in 0..chaos.len() {
        let refused = counters(&mesh.client(index)).await["mesh.refused.replay"];
        assert!(refused > 100, "{refused}");
    }
    load.is_right_and_ran_once().await;
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_overtake_one_another_lead_to_the_same_results() {
    let mut mesh = Mesh::with_carrier(2, "pubsub").await;
    let chaos = mesh.behind_chaos(15).await;
    let load = Load::between(&mesh).await;
    for one in &chaos {
        one.set(|faults| faults.window = 50);
    }
    load.run_until(|| chaos.iter().all(|one| one.counts().overtook > 20))
        .await;
    load.is_right_and_ran_once().await;
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_no_json_costs_a_subscription_and_no_invocation() {
    let mut mesh = Mesh::with_carrier(2, "pubsub").await;
    let chaos = mesh.behind_chaos(16).await;
    let load = Load::between(&mesh).await;
    for one in &chaos {
        one.set(|faults| faults.garble = 0.05);
    }
    load.run_until(|| chaos.iter().all(|one| one.subscribed("/inbox/") > 1))
        .await;
    load.is_right();
    mesh.end().await;
}
