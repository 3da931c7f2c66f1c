//! Links that are cut, lose packets or are slow: every invocation ends with
//! its one right result.

use std::{ops::Range, path::Path, time::Duration};

use timerose::compute::Record;
use tokio::time::{Instant, sleep};

use crate::{
    batch::{SLOW, TENTH, slow_on, spread},
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

/// Waits until all these executors hold leases of the owner, node 0.
async fn hold_leases(mesh: &Mesh, executors: Range<usize>) {
    let (client, peers) = (mesh.client(0), executors.map(|node| mesh.peer(node)));
    let peers: Vec<String> = peers.collect();
    until("the executors run some", async || {
        let open = client.records(false).await.unwrap();
        assert!(!open.is_empty(), "all ended before they ran any");
        let runs = |peer| open.iter().any(|r| r.executor.as_ref() == Some(peer));
        peers.iter().all(runs)
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

/// The executor that is cut off.
const VICTIM: usize = 1;

/// Cuts an executor off while it works until all is done; once it is healed, it
/// learns what became of its results, and nothing changes by it. Gives the
/// records.
async fn cut_off_amid_work(cut: impl Fn(&Network), mesh: &Mesh, network: &Network) -> Vec<Record> {
    let function = mesh.deploy(0, SLOW.as_bytes()).await;
    let batch = spread(mesh, &function, 30, 2 * TENTH).await;
    hold_leases(mesh, VICTIM..VICTIM + 1).await;
    cut(network);
    let cut_at = Instant::now();
    let records = batch.all_right().await;
    eprintln!("all ended {:?} after the cut", cut_at.elapsed());
    let home = mesh.node(VICTIM).sidecar.home();
    until("what it did waits in its journal", async || {
        undelivered(home) > 0 && undelivered(home) == journalled(home)
    })
    .await;
    tokio::time::sleep_until(cut_at + CUT).await;
    let late = undelivered(home);
    network.heal(VICTIM);
    let learnt = learns(home).await;
    eprintln!("{late} results were answered {learnt:?} after the heal");
    assert!(learnt < TCP_SPEAKS + HEARD, "{learnt:?} after the heal");
    for (before, after) in records.iter().zip(batch.records().await) {
        assert_eq!(before.result, after.result, "a late result changed it");
    }
    let request = slow_on(&function, &mesh.peer(VICTIM), 0, 1);
    mesh.invoke(0, &request).await.unwrap();
    records
}

/// Others did what the victim had begun and could not deliver.
fn others_finished(mesh: &Mesh, records: &[Record]) {
    let again: Vec<_> = records.iter().filter(|r| r.attempts > 1).collect();
    assert!(!again.is_empty(), "the executor was cut off without work");
    let victim = Some(mesh.peer(VICTIM));
    assert!(again.iter().all(|r| r.executor != victim), "{again:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn others_finish_what_an_executor_began_before_it_was_cut_off() {
    let Some(network) = Network::of(3) else {
        return;
    };
    let mesh = Mesh::within(&network, 3).await;
    let cut = |network: &Network| network.cut(VICTIM);
    let records = cut_off_amid_work(cut, &mesh, &network).await;
    others_finished(&mesh, &records);
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_finish_what_a_mute_executor_began() {
    let Some(network) = Network::of(3) else {
        return;
    };
    let mesh = Mesh::within(&network, 3).await;
    let mute = |network: &Network| network.cut_one_way(VICTIM, Way::Out);
    let records = cut_off_amid_work(mute, &mesh, &network).await;
    others_finished(&mesh, &records);
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deaf_executor_did_counts_once_and_it_learns_so_when_it_hears() {
    let Some(network) = Network::of(3) else {
        return;
    };
    let mesh = Mesh::within(&network, 3).await;
    let deaf = |network: &Network| network.cut_one_way(VICTIM, Way::In);
    cut_off_amid_work(deaf, &mesh, &network).await;
    mesh.end().await;
}

/// How long an owner is cut from all. The pauses between TCP's tries double, so
/// it may stay silent for as long again: no lease is over by then where it runs.
const ALONE: Duration = Duration::from_secs(5);

/// Cuts an owner off from all who work for it. Hardly anything is tried again.
async fn alone_amid_work(lease: &str) {
    let Some(network) = Network::of(4) else {
        return;
    };
    let mesh = Mesh::with_leases_within(&network, 4, lease).await;
    let function = mesh.deploy(0, SLOW.as_bytes()).await;
    let batch = spread(&mesh, &function, 200, 2 * TENTH).await;
    hold_leases(&mesh, 1..4).await;
    network.cut(0);
    let own = mesh.peer(0);
    let away = |record: &&Record| {
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

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_is_cut_from_all_has_little_done_again() {
    // Leases are suspect before anybody speaks again.
    alone_amid_work("15s").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_whose_streams_fall_silent_one_by_one_has_little_done_again() {
    // Streams fall silent before a heartbeat is missing.
    alone_amid_work("20s").await;
}

#[test]
fn a_network_leaves_nothing_behind_although_its_test_fails() {
    let Some(network) = Network::of(2) else {
        return;
    };
    let name = network.name().to_owned();
    assert_eq!(Network::left_of(&name).len(), 3);
    let fails = std::thread::spawn(move || {
        let _network = network;
        panic!("as a test does that fails");
    });
    assert!(fails.join().is_err());
    assert!(Network::left_of(&name).is_empty());
}
