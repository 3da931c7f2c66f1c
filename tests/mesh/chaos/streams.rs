//! Subscriptions that end, fall silent, or are not read.

use std::time::Duration;

use tokio::time::{Instant, interval};

use super::Load;
use crate::support::{
    chaos::{Blow, Chaos},
    mesh::{Mesh, until},
    noise,
};

/// From a clean cut to a new subscription.
const AFTER_CUT: Duration = Duration::from_secs(5);
/// From silence: the longest wait for a self-probe and for its answer, and a
/// second for a busy machine.
const AFTER_SILENCE: Duration = Duration::from_secs(16);

/// How long nobody reads, and what is published meanwhile.
const STALLED: Duration = Duration::from_secs(10);
const PER_SECOND: u32 = 200;
/// Larger than what the kernel holds between Kubo and proxy, all together.
const NOISE: usize = 8 << 10;
/// From reading again to the last result.
const GAP_CLOSED: Duration = Duration::from_secs(10);

const PUBSUB: (&str, &str) = ("TIMEROSE_MESH__CARRIER", "pubsub");
/// How often a node advertises; three that do not come back are noticed.
const ADVERT_INTERVAL: (&str, &str) = ("TIMEROSE_MESH__ADVERT_INTERVAL", "4s");

/// Strikes; gives how long it took until inbox and adverts were subscribed to
/// anew.
async fn renewed(chaos: &Chaos, blow: Blow) -> Duration {
    let topics = ["/inbox/", "/adverts"];
    let before = topics.map(|topic| chaos.subscribed(topic));
    let began = Instant::now();
    chaos.strike(blow);
    until("all is subscribed to anew", async || {
        let now = topics.map(|topic| chaos.subscribed(topic));
        now.iter().zip(before).all(|(now, before)| *now > before)
    })
    .await;
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_subscription_is_taken_up_again_within_five_seconds() {
    let mut mesh = Mesh::with_carrier(2, "pubsub").await;
    let chaos = mesh.behind_chaos(12).await;
    let load = Load::between(&mesh).await;
    for (number, blow) in (0..).zip([Blow::End, Blow::CutLine]) {
        for (side, one) in (0..).zip(&chaos) {
            let first = 100 * (2 * number + side);
            let (took, _) = tokio::join!(renewed(one, blow), load.run(first..first + 50));
            assert!(took <= AFTER_CUT, "{blow:?}: {took:?}");
        }
    }
    load.is_right();
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_without_a_word_is_replaced_within_fifteen_seconds() {
    let mut mesh = Mesh::with_settings(2, &[PUBSUB, ADVERT_INTERVAL]).await;
    let chaos = mesh.behind_chaos(120).await;
    let load = Load::between(&mesh).await;
    let (stalled, silent, _) = tokio::join!(
        renewed(&chaos[0], Blow::Stall),
        renewed(&chaos[1], Blow::HalfOpen),
        load.run(0..50)
    );
    println!("subscribed anew: stalled {stalled:?}, half-open {silent:?}");
    assert!(stalled.max(silent) <= AFTER_SILENCE);
    load.run(50..100).await;
    load.is_right();
    mesh.end().await;
}

/// Publishes to the inbox of a node through its own Kubo while nobody reads;
/// gives how many messages Kubo took.
async fn flood(mesh: &Mesh, index: usize) -> u64 {
    let kubo = mesh.node(index).kubo.client();
    let topic = format!("timerose/1/public/inbox/{}", mesh.peer(index));
    let mut beat = interval(Duration::from_secs(1) / PER_SECOND);
    let until = Instant::now() + STALLED;
    let mut taken = 0;
    while Instant::now() < until {
        beat.tick().await;
        taken += u64::from(kubo.publish(&topic, noise(NOISE)).await.is_ok());
    }
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reader_who_stopped_missed_is_made_good_soon_after() {
    let mut mesh = Mesh::with_carrier(2, "pubsub").await;
    let chaos = mesh.behind_chaos(19).await;
    let load = Load::between(&mesh).await;
    let before = chaos[1].counts().messages;
    chaos[1].strike(Blow::Stall);
    let stalled = async {
        let taken = flood(&mesh, 1).await;
        chaos[1].strike(Blow::Resume);
        (taken, Instant::now())
    };
    let ((taken, resumed), _) = tokio::join!(stalled, load.run(0..100));
    let closed = resumed.elapsed();
    let came = chaos[1].counts().messages - before;
    println!("{taken} published, {came} came; gap closed after {closed:?}");
    assert!(taken > 1_000, "{taken}");
    assert!(came < taken, "Kubo dropped nothing");
    assert!(closed < GAP_CLOSED, "{closed:?}");
    load.run(100..150).await;
    load.is_right();
    mesh.end().await;
}
