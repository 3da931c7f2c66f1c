//! How soon a pure call goes on elsewhere once the whole node that ran it is
//! dead, and how soon an owner that died is back amid much work.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use timerose::{
    api::Events,
    compute::{InvocationEvent, InvokeRequest, Record},
};
use tokio::time::{Instant, timeout};

use crate::{
    batch::{Batch, SLOW, TENTH, slow, slow_on},
    process::anonymous_bytes,
    support::mesh::{Mesh, until, until_within},
};

/// Longer than any test here.
const LONG: u64 = 300 * TENTH;

/// After the end of the stream to its executor, a pure call is elsewhere.
const AFTER_ITS_STREAM: Duration = Duration::from_secs(2);

/// The same where nothing but heartbeats tells of the death.
const AFTER_SILENCE: Duration = Duration::from_secs(11);

/// The same with leases of two seconds.
const WITH_SHORT_LEASES: Duration = Duration::from_secs(4);

/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until an executor took the call; gives which node it is.
async fn placed(mesh: &Mesh, events: &mut Events) -> usize {
    let taken = async {
        loop {
            let event = events.next().await.expect("it has no end yet");
            if let InvocationEvent::Placed { executor, .. } = event.unwrap() {
                return executor;
            }
        }
    };
    let executor = timeout(PATIENCE, taken).await.expect("somebody takes it");
    let is_it = |node: &usize| mesh.peer(*node) == executor;
    (0..mesh.all().len()).find(is_it).unwrap()
}

/// A long call of node 0 that runs on another node; gives which.
async fn runs_away(mesh: &Mesh, function: &str) -> (Events, usize) {
    for number in 0..100 {
        let request = InvokeRequest {
            placement: false,
            cache: false,
            ..slow(function, number, LONG)
        };
        let mut events = mesh.client(0).invoke(&request, None).await.unwrap();
        let node = placed(mesh, &mut events).await;
        if node != 0 {
            return (events, node);
        }
    }
    panic!("all of them ran on their own node");
}

/// Kills the sidecar and the Kubo of the node that runs a call; gives how long
/// it took until another node ran it.
async fn goes_on_elsewhere(mesh: &mut Mesh, function: &str) -> Duration {
    let (mut events, victim) = runs_away(mesh, function).await;
    let killed = Instant::now();
    let node = mesh.node_mut(victim);
    node.sidecar.kill9().await.unwrap();
    node.kubo.kill9().await.unwrap();
    let next = placed(mesh, &mut events).await;
    let took = killed.elapsed();
    assert_ne!(next, victim);
    drop(events);
    let client = mesh.client(0);
    until("nothing is open", async || {
        client.records(false).await.unwrap().is_empty()
    })
    .await;
    took
}

/// Waits until node 0 speaks to all others over this carrier.
async fn speaks_over(mesh: &Mesh, carrier: &str) {
    until("all sessions are on their carrier", async || {
        let nodes = mesh.client(0).nodes().await.unwrap_or_default();
        let all = nodes.iter().filter(|node| node.peer != mesh.peer(0));
        let on_it = all.filter(|node| node.carrier.as_deref() == Some(carrier));
        on_it.count() + 1 == mesh.all().len()
    })
    .await;
}

/// What [`goes_on_elsewhere`] takes in a mesh, once all know the function.
async fn recovery(mut mesh: Mesh, carrier: &str) -> Duration {
    let function = mesh.deploy(0, SLOW.as_bytes()).await;
    for node in 0..mesh.all().len() {
        let request = slow_on(&function, &mesh.peer(node), 0, 1);
        mesh.invoke(0, &request).await.unwrap();
    }
    speaks_over(&mesh, carrier).await;
    let took = goes_on_elsewhere(&mut mesh, &function).await;
    mesh.end().await;
    println!("it runs elsewhere {took:?} after its executor and Kubo were killed");
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pure_call_is_elsewhere_within_two_seconds_of_the_end_of_its_stream() {
    let took = recovery(Mesh::start(3).await, "stream").await;
    assert!(took < AFTER_ITS_STREAM, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pure_call_is_elsewhere_within_eleven_seconds_where_only_pubsub_carries() {
    let took = recovery(Mesh::with_carrier(3, "pubsub").await, "pubsub").await;
    assert!(took < AFTER_SILENCE, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pure_call_with_a_short_lease_is_elsewhere_within_four_seconds_over_any_carrier() {
    for carrier in ["stream", "pubsub"] {
        let settings = [
            ("TIMEROSE_SCHEDULER__LEASE_TTL", "2s"),
            ("TIMEROSE_MESH__CARRIER", carrier),
        ];
        let took = recovery(Mesh::with_settings(3, &settings).await, carrier).await;
        assert!(took < WITH_SHORT_LEASES, "{carrier}: {took:?}");
    }
}

/// Invocations that are open when their owner dies, and cannot run now.
const OPEN: u64 = 9_900;

/// Every invocation has its first turn after those that came before it.
const FIRST_TURNS: Duration = Duration::from_secs(120);

/// Beside them, those that another node works at.
const IN_FLIGHT: u64 = 60;

/// From the start of a killed owner to its readiness. A program that was not
/// optimised may take as long again.
const READY: Duration = Duration::from_secs(if cfg!(debug_assertions) { 4 } else { 2 });

/// What a sidecar may take of memory with nothing to do, and with so much open.
const MAX_IDLE: u64 = 40 << 20;
const MAX_MEMORY: u64 = 200 << 20;

/// Submits what only a node can run that there is not.
async fn fill(mesh: &Mesh, function: &str) {
    let (client, nobody) = (mesh.client(0), timerose::model::PeerId::random());
    let submitted = stream::iter(0..OPEN).map(async |number| {
        let request = InvokeRequest {
            timeout: Duration::from_secs(3_600),
            ..slow_on(function, &nobody.to_string(), number, 1)
        };
        client.submit(&request, None).await.unwrap();
    });
    submitted.buffer_unordered(64).collect::<Vec<()>>().await;
}

/// Cancels whatever is open.
async fn cancel_all(mesh: &Mesh) {
    let client = mesh.client(0);
    let open = client.records(false).await.unwrap();
    let ended = stream::iter(open).map(async |record: Record| {
        client.cancel(&record.invocation).await.unwrap();
    });
    ended.buffer_unordered(64).collect::<Vec<()>>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_killed_amid_ten_thousand_is_back_in_seconds_and_uses_what_was_done_meanwhile() {
    let mut mesh = Mesh::start(2).await;
    let pid = mesh.node(0).sidecar.process().pid();
    let idle = anonymous_bytes(pid);
    let function = mesh.deploy(0, SLOW.as_bytes()).await;
    fill(&mesh, &function).await;
    let memory = anonymous_bytes(pid);
    let executor = mesh.peer(1);
    let request = |number| slow_on(&function, &executor, number, TENTH);
    let batch = Batch::submit(mesh.client(0), 0..IN_FLIGHT, request).await;
    until_within(FIRST_TURNS, "some of it is done", async || {
        let records = batch.records().await;
        records.iter().filter(|r| r.result.is_some()).count() > 5
    })
    .await;
    let leased = batch.records().await;
    let leased = leased
        .iter()
        .filter(|r| r.result.is_none() && r.attempts > 0);
    let leased: Vec<String> = leased.map(|r| r.invocation.clone()).collect();
    let sidecar = &mut mesh.node_mut(0).sidecar;
    sidecar.kill9().await.unwrap();
    let killed = Instant::now();
    sidecar.restart().await.unwrap();
    let ready = killed.elapsed();
    let records = batch.all_right().await;
    let again = records.iter().filter(|r| leased.contains(&r.invocation));
    let again = again.filter(|r| r.attempts > 1).count();
    println!(
        "{} MiB idle, {} MiB with {OPEN} open; ready {ready:?} after the kill; {again} of {} in flight ran again",
        idle >> 20,
        memory >> 20,
        leased.len()
    );
    assert!(idle < MAX_IDLE && memory < MAX_MEMORY, "{idle}, {memory}");
    assert!(ready < READY, "{ready:?}");
    assert!(leased.len() > 20 && again * 20 <= leased.len(), "{again}");
    cancel_all(&mesh).await;
    mesh.end().await;
}
