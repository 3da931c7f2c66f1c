//! Packets that are lost, and links that carry little: calls take longer, none
//! is lost, and no lease ends for it.

use std::{path::Path, time::Duration};

use timerose::{cli::dev::Process, compute::InvokeRequest};
use tokio::time::Instant;

use crate::{
    batch::{Batch, SLOW, TENTH, oracle, slow_on},
    support::{
        mesh::{Mesh, invoke},
        namespaces::{Network, delay},
        skip::skip,
    },
};

/// Calls for each measure.
const CALLS: u64 = 100;

/// Callers at once.
const CALLERS: u64 = 4;

/// How long an executor may be silent before a caller gives it up.
const PATIENCE: Duration = Duration::from_secs(20);

/// The least time after which Linux sends a lost packet again, where nothing
/// that arrived later told of the loss; each further pause is twice as long.
const TCP_TRIES_AGAIN: Duration = Duration::from_millis(200);

/// What a packet takes that is lost so often in a row.
fn lost_in_a_row(times: u32) -> Duration {
    TCP_TRIES_AGAIN * ((1 << times) - 1)
}

/// Calls the second node from the first, each once; gives how long the slowest
/// of a hundred took.
async fn slowest_of_a_hundred(mesh: &Mesh, function: &str, first: u64) -> Duration {
    let callers = (0..CALLERS).map(|caller| {
        let (client, function, executor) = (mesh.client(0), function.to_owned(), mesh.peer(1));
        tokio::spawn(async move {
            let mut took = Vec::new();
            for number in (first + caller..first + CALLS).step_by(CALLERS as usize) {
                let began = Instant::now();
                let request = InvokeRequest {
                    find_timeout: PATIENCE,
                    ..slow_on(&function, &executor, number, 1)
                };
                let finished = invoke(&client, &request).await;
                let output = finished.unwrap().output.parse().unwrap();
                assert_eq!(
                    timerose::wire::cid_of(0x55, oracle(number).as_bytes()),
                    output
                );
                took.push(began.elapsed());
            }
            took
        })
    });
    let mut took = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        took.extend(caller.await.unwrap());
    }
    took.sort();
    took[took.len() * 99 / 100 - 1]
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_packets_make_calls_slower_and_lose_none() {
    let Some(network) = Network::of(2) else {
        return;
    };
    let mesh = Mesh::of(2, |options| options.places = network.places()).await;
    mesh.is_whole().await;
    let function = mesh.deploy(0, SLOW.as_bytes()).await;
    let clean = slowest_of_a_hundred(&mesh, &function, 0).await;
    for (share, percent, in_a_row, times) in [(1, 5, 3, 3), (2, 20, 6, 10)] {
        network.lose(percent);
        let lossy = slowest_of_a_hundred(&mesh, &function, share * CALLS).await;
        network.heal_all();
        println!("99 of 100 within {clean:?}, at a loss of {percent} % within {lossy:?}");
        let bound = (clean * times).max(lost_in_a_row(in_a_row));
        assert!(lossy < bound, "{lossy:?} at {percent} %, {clean:?} at none");
    }
    mesh.end().await;
}

/// How long a packet waits each way, and how much more or less.
const WAITS: Duration = Duration::from_millis(100);
const MORE_OR_LESS: Duration = Duration::from_millis(25);

#[test]
#[ignore = "no test: the process that delays the packets of a namespace"]
fn packets_wait() {
    if std::env::var_os(delay::LEAVE).is_some() {
        delay::delay(WAITS, MORE_OR_LESS);
    }
}

/// Slow links between the nodes; says why there can be none.
async fn slow_links(network: &Network, log: &Path) -> Result<Process, String> {
    network.slow_down("1mbit")?;
    network.delay(1, "network_loss::packets_wait", log).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_link_loses_no_lease() {
    let Some(network) = Network::of(2) else {
        return;
    };
    let mesh = Mesh::within(&network, 2).await;
    let function = mesh.deploy(0, SLOW.as_bytes()).await;
    let room = tempfile::tempdir().unwrap();
    let slow = slow_links(&network, &room.path().join("log")).await;
    if let Err(why) = slow {
        mesh.end().await;
        return skip(&format!("links cannot be made slow: {why}"));
    }
    let executor = mesh.peer(1);
    let began = Instant::now();
    mesh.invoke(0, &slow_on(&function, &executor, 0, 1))
        .await
        .unwrap();
    let took = began.elapsed();
    assert!(took > WAITS * 2, "the link is not slow: {took:?}");
    let request = |number| slow_on(&function, &executor, number, 2 * TENTH);
    let batch = Batch::submit(mesh.client(0), 1..40, request).await;
    let records = batch.all_right().await;
    println!("one call took {took:?}, 39 {:?}", began.elapsed());
    assert!(records.iter().all(|r| r.attempts == 1), "{records:#?}");
    mesh.end().await;
}
