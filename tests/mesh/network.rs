//! Links that are cut, lose packets or are slow: every invocation ends with
//! its one right result.

use std::{path::Path, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    batch::{Batch, SLOW, TENTH, slow, slow_on},
    support::{
        mesh::{Mesh, until},
        namespaces::{Network, Way},
        state::{journalled, undelivered},
    },
};

/// How long a link is cut: three times the ttl of these tests' leases.
const CUT: Duration = Duration::from_secs(6);

/// From the moment that packets pass again until a sidecar has heard what
/// waited for it.
const HEARD: Duration = Duration::from_secs(2);

/// The pauses between TCP's tries double, so after a cut it may stay silent for
/// as long again.
const TCP_SPEAKS: Duration = CUT;

/// Waits until the executor of that number holds a lease of the owner, node 0.
async fn holds_a_lease(mesh: &Mesh, executor: usize) {
    let (client, peer) = (mesh.client(0), mesh.peer(executor));
    until("the executor runs one", async || {
        let open = client.records(false).await.unwrap();
        assert!(!open.is_empty(), "all ended before it ran one");
        open.iter().any(|r| r.executor.as_ref() == Some(&peer))
    })
    .await;
}

/// Waits until nothing lies in an executor's journal; gives how long it took.
async fn learns(home: &Path) -> Duration {
    let healed = Instant::now();
    until("the executor learns what became of its work", async || {
        journalled(home) == 0
    })
    .await;
    healed.elapsed()
}

/// Cuts an executor off while it works, and heals it after its work was done
/// by others.
async fn others_finish(cut: impl Fn(&Network, usize), mesh: &Mesh, network: &Network, first: u64) {
    const VICTIM: usize = 1;
    let function = mesh.deploy(0, SLOW.as_bytes()).await;
    let request = |number| slow(&function, number, 2 * TENTH);
    let batch = Batch::submit(mesh.client(0), first..first + 30, request).await;
    holds_a_lease(mesh, VICTIM).await;
    cut(network, VICTIM);
    let cut_at = Instant::now();
    let records = batch.all_right().await;
    println!("all ended {:?} after the cut", cut_at.elapsed());
    let again: Vec<_> = records.iter().filter(|r| r.attempts > 1).collect();
    assert!(!again.is_empty(), "the executor was cut off without work");
    let victim = Some(mesh.peer(VICTIM));
    assert!(again.iter().all(|r| r.executor != victim), "{again:#?}");
    let home = mesh.node(VICTIM).sidecar.home();
    until("what it did alone waits in its journal", async || {
        undelivered(home) > 0 && undelivered(home) == journalled(home)
    })
    .await;
    tokio::time::sleep_until(cut_at + CUT).await;
    let late = undelivered(home);
    network.heal(VICTIM);
    let learnt = learns(home).await;
    println!("{late} late results were answered {learnt:?} after the heal");
    assert!(learnt < TCP_SPEAKS + HEARD, "{learnt:?} after the heal");
    for (before, after) in records.iter().zip(batch.records().await) {
        assert_eq!(before.result, after.result, "a late result changed it");
    }
    let request = slow_on(&function, &mesh.peer(VICTIM), first, 1);
    mesh.invoke(0, &request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn others_finish_what_an_executor_began_before_it_was_cut_off() {
    let Some(network) = Network::of(3) else {
        return;
    };
    let mesh = Mesh::within(&network, 3).await;
    others_finish(Network::cut, &mesh, &network, 0).await;
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_finish_what_a_mute_executor_began() {
    let Some(network) = Network::of(3) else {
        return;
    };
    let mesh = Mesh::within(&network, 3).await;
    let mute = |network: &Network, node| network.cut_one_way(node, Way::Out);
    others_finish(mute, &mesh, &network, 0).await;
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_finish_what_a_deaf_executor_began() {
    let Some(network) = Network::of(3) else {
        return;
    };
    let mesh = Mesh::within(&network, 3).await;
    let deaf = |network: &Network, node| network.cut_one_way(node, Way::In);
    others_finish(deaf, &mesh, &network, 0).await;
    mesh.end().await;
}

/// How long an owner is cut from all: its leases would be over, were it not
/// to doubt itself first.
const ALONE: Duration = Duration::from_millis(2_500);

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_is_cut_from_all_has_little_done_again() {
    let Some(network) = Network::of(4) else {
        return;
    };
    let mesh = Mesh::within(&network, 4).await;
    let function = mesh.deploy(0, SLOW.as_bytes()).await;
    let request = |number| slow(&function, number, 2 * TENTH);
    let batch = Batch::submit(mesh.client(0), 0..60, request).await;
    for executor in 1..4 {
        holds_a_lease(&mesh, executor).await;
    }
    network.cut(0);
    let own = mesh.peer(0);
    let away = |record: &&timerose::compute::Record| {
        let executor = record.executor.as_ref();
        record.result.is_none() && executor.is_some_and(|executor| *executor != own)
    };
    let before = batch.records().await;
    let leased: Vec<_> = before.iter().filter(away).map(|r| &r.invocation).collect();
    sleep(ALONE).await;
    network.heal(0);
    let records = batch.all_right().await;
    let again = records
        .iter()
        .filter(|r| r.attempts > 1 && leased.contains(&&r.invocation));
    let again = again.count();
    println!("{again} of {} leases were run again", leased.len());
    assert!(again * 10 <= leased.len(), "{again} of {}", leased.len());
    mesh.end().await;
}
