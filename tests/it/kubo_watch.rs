//! Is Kubo up? Told at once, never guessed.

use std::time::Duration;

use timerose::{
    kubo::watch::{self, Presence},
    task::Tasks,
};
use tokio::{
    sync::watch::Receiver,
    time::{Instant, timeout},
};

use crate::support::fake_kubo::FakeKubo;

async fn until(
    presence: &mut Receiver<Presence>,
    wanted: impl FnMut(&Presence) -> bool,
) -> Presence {
    let found = timeout(Duration::from_secs(10), presence.wait_for(wanted)).await;
    found.unwrap().unwrap().clone()
}

fn is_up(presence: &Presence) -> bool {
    matches!(presence, Presence::Up { .. })
}

fn is_down(presence: &Presence) -> bool {
    *presence == Presence::Down
}

#[tokio::test]
async fn a_vanished_api_file_is_down_at_once_although_kubo_still_answers() {
    let (fake, tasks) = (FakeKubo::alone().await, Tasks::new());
    let watch = watch::spawn(fake.client(), &tasks);
    let mut presence = watch.subscribe();
    until(&mut presence, is_up).await;
    fake.begin_shutdown();
    let started = Instant::now();
    until(&mut presence, is_down).await;
    assert!(started.elapsed() < Duration::from_millis(1000));
    assert!(
        timeout(Duration::from_millis(500), watch.up())
            .await
            .is_err(),
        "it stays down"
    );
    assert!(tasks.shutdown(Duration::from_secs(1)).await);
}

#[tokio::test]
async fn a_subscription_dropped_on_down_lets_kubo_stop() {
    let (fake, tasks) = (FakeKubo::alone().await, Tasks::new());
    let mut presence = watch::spawn(fake.client(), &tasks).subscribe();
    until(&mut presence, is_up).await;
    let subscription = fake.client().subscribe("t").await.unwrap();
    fake.begin_shutdown();
    until(&mut presence, is_down).await;
    drop(subscription);
    crate::support::eventually("no stream is open", || fake.open_subscriptions() == 0).await;
}

#[tokio::test]
async fn a_killed_kubo_is_down_in_spite_of_its_file_and_up_in_a_new_era() {
    let (mut fake, tasks) = (FakeKubo::alone().await, Tasks::new());
    let watch = watch::spawn(fake.client(), &tasks);
    let mut presence = watch.subscribe();
    let first = until(&mut presence, is_up).await;
    fake.kill().await;
    watch.nudge();
    until(&mut presence, is_down).await;
    fake.restart().await;
    let second = until(&mut presence, is_up).await;
    let (Presence::Up { era: a, node: old }, Presence::Up { era: b, node: new }) = (first, second)
    else {
        panic!("both are up")
    };
    assert!(b > a, "era {b} is not after {a}");
    assert_eq!(old.peer, new.peer);
    assert_ne!(old.addresses, new.addresses, "the addresses are read anew");
}

#[tokio::test]
async fn a_restart_between_two_looks_is_a_new_era() {
    let (mut fake, tasks) = (FakeKubo::alone().await, Tasks::new());
    let mut presence = watch::spawn(fake.client(), &tasks).subscribe();
    until(&mut presence, is_up).await;
    fake.kill().await;
    fake.restart().await;
    until(&mut presence, |now| {
        matches!(now, Presence::Up { era: 2, .. })
    })
    .await;
}

#[tokio::test]
async fn a_kubo_that_starts_later_is_found() {
    let (mut fake, tasks) = (FakeKubo::alone().await, Tasks::new());
    fake.kill().await;
    fake.begin_shutdown();
    let watch = watch::spawn(fake.client(), &tasks);
    assert_eq!(watch.presence(), Presence::Down);
    fake.restart().await;
    let node = timeout(Duration::from_secs(5), watch.up()).await.unwrap();
    assert_eq!(node.peer, fake.peer());
}
