//! More than a node can do: it says so, stays small, and drops nothing that it
//! took.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use timerose::{
    api::Client,
    cli::dev::Node,
    compute::{Failure, Record},
};
use tokio::time::{Instant, sleep};

use crate::{
    batch::{Batch, SLOW, TENTH, slow, spread},
    process::anonymous_bytes,
    support::{
        mesh::{Mesh, until},
        state::journalled,
    },
};

/// What everybody submits together.
const SUBMISSIONS: u64 = 4_000;

/// What the node keeps open; more is refused.
const MAX_OPEN: usize = 2_000;

/// Requests under way at once.
const AT_ONCE: usize = 64;

/// What the overloaded sidecar may take of memory.
const MAX_MEMORY: u64 = 512 << 20;

/// Invocations of the storm of cancels.
const CANCELS: u64 = 1_000;

/// From a wish for the end to the end; the node commits a thousand of them to
/// disk meanwhile.
const FINAL: Duration = Duration::from_secs(if cfg!(debug_assertions) { 4 } else { 2 });

/// The most memory that the sidecar took until it is told to stop looking.
async fn most_memory(node: &Node, is_over: &AtomicBool) -> u64 {
    let (pid, mut most) = (node.sidecar.process().pid(), 0);
    while !is_over.load(Ordering::Relaxed) {
        most = most.max(anonymous_bytes(pid));
        sleep(Duration::from_millis(50)).await;
    }
    most
}

/// Ends invocations at once; gives the record of each and how long it took.
async fn cancelled(client: &Client, names: &[String]) -> Vec<(Record, Duration)> {
    let ended = stream::iter(names).map(async |name| {
        let began = Instant::now();
        let record = client.cancel(name).await.unwrap();
        (record, began.elapsed())
    });
    ended.buffer_unordered(AT_ONCE).collect().await
}

/// How many records there are in each state.
fn states(records: &[Record]) -> BTreeMap<&str, usize> {
    let mut states = BTreeMap::new();
    for record in records {
        *states.entry(record.state.as_str()).or_default() += 1;
    }
    states
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overloaded_node_says_that_it_is_busy_and_drops_nothing_it_took() {
    let mesh = Mesh::of(2, |options| {
        let key = "TIMEROSE_SCHEDULER__MAX_OPEN".to_owned();
        options.environment = vec![(key, MAX_OPEN.to_string())];
    })
    .await;
    mesh.is_whole().await;
    let function = mesh.deploy(0, SLOW.as_bytes()).await;
    let (client, is_over) = (mesh.client(0), AtomicBool::new(false));
    let flood = async {
        let began = Instant::now();
        let answers = stream::iter(0..SUBMISSIONS).map(async |number| {
            let answer = client.submit(&slow(&function, number, TENTH), None).await;
            (number, answer)
        });
        let answers: Vec<(u64, Result<Record, Failure>)> =
            answers.buffer_unordered(AT_ONCE).collect().await;
        println!("{SUBMISSIONS} were answered in {:?}", began.elapsed());
        let (taken, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, a)| a.is_ok());
        assert!(
            refused
                .iter()
                .all(|(_, a)| a.as_ref().unwrap_err().code == "busy")
        );
        let names = taken.into_iter().map(|(n, a)| (n, a.unwrap().invocation));
        let names: Vec<(u64, String)> = names.collect();
        println!("{} were taken, {} refused", names.len(), refused.len());
        assert!(names.len() >= MAX_OPEN && !refused.is_empty());
        let began = Instant::now();
        let wished: Vec<String> = names.iter().map(|(_, name)| name.clone()).collect();
        cancelled(&client, &wished).await;
        println!("{} were ended in {:?}", names.len(), began.elapsed());
        is_over.store(true, Ordering::Relaxed);
        names
    };
    let (names, memory) = tokio::join!(flood, most_memory(mesh.node(0), &is_over));
    println!("{} MiB at most", memory >> 20);
    assert!(memory < MAX_MEMORY, "{memory} bytes");
    let batch = Batch::of(client.clone(), names);
    let records = batch.ended_right().await;
    let states = states(&records);
    println!("{states:?}");
    assert!(
        states
            .keys()
            .all(|state| ["cancelled", "succeeded"].contains(state))
    );
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_cancels_ends_all_and_none_of_them_succeeds_later() {
    let mesh = Mesh::start(3).await;
    let function = mesh.deploy(0, SLOW.as_bytes()).await;
    let client = mesh.client(0);
    let batch = spread(&mesh, &function, CANCELS, 2 * TENTH).await;
    until("all nodes run some", async || {
        let open = client.records(false).await.unwrap();
        let runs = |peer: &String| open.iter().any(|r| r.executor.as_ref() == Some(peer));
        (0..3).all(|node| runs(&mesh.peer(node)))
    })
    .await;
    let names: Vec<String> = batch.names().map(str::to_owned).collect();
    let ended = cancelled(&client, &names).await;
    let mut took: Vec<Duration> = ended.iter().map(|(_, took)| *took).collect();
    took.sort();
    let (middle, slowest) = (took[took.len() / 2], took[took.len() - 1]);
    let stormed = Instant::now();
    for node in 0..3 {
        let home = mesh.node(node).sidecar.home();
        until("no executor holds a lease", async || journalled(home) == 0).await;
    }
    println!(
        "one of two final within {middle:?}, all within {slowest:?}, executors free {:?} later",
        stormed.elapsed()
    );
    assert!(stormed.elapsed() < FINAL, "{:?}", stormed.elapsed());
    assert!(slowest < FINAL, "{slowest:?}");
    let records = batch.ended_right().await;
    println!("{:?}", states(&records));
    let is_final = |r: &Record| ["cancelled", "succeeded"].contains(&r.state.as_str());
    assert!(records.iter().all(is_final));
    let at_once: BTreeMap<_, _> = ended
        .iter()
        .map(|(r, _)| (&r.invocation, &r.state))
        .collect();
    assert!(records.iter().all(|r| at_once[&r.invocation] == &r.state));
    let cancelled = records.iter().filter(|r| r.state == "cancelled").count() as u64;
    assert!(cancelled > CANCELS / 2, "only {cancelled} were cancelled");
    mesh.end().await;
}
