//! What dies comes back, or somebody else finishes it.

use std::time::Duration;

use timerose::compute::{InvocationEvent, InvokeRequest};
use tokio::time::Instant;
use tokio_stream::StreamExt;

use crate::support::mesh::{Mesh, invoke, until};

const FIB: &[u8] = include_bytes!("fib.wat");
/// Computes for a few seconds.
const SPIN: &[u8] = include_bytes!("../../examples/spin/spin.wat");
/// From Kubo's answer to a sidecar that is whole again.
const WHOLE_AGAIN: Duration = Duration::from_secs(5);

/// A call of `fib` that runs on `executor`, whatever is remembered.
pub(crate) fn fib(function: &str, executor: &str, n: u32) -> InvokeRequest {
    InvokeRequest {
        function: function.to_owned(),
        entry: Some("fib".to_owned()),
        args: vec![n.to_string()],
        executor: Some(executor.to_owned()),
        cache: false,
        ..InvokeRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_survives_the_death_of_its_executor() {
    let mut mesh = Mesh::with_short_leases(3).await;
    let function = mesh.deploy(0, SPIN).await;
    // An input that lies on both other nodes, so that neither run is the caller's own.
    let text = "x".repeat(1 << 20);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text");
    std::fs::write(&file, text).unwrap();
    let mut input = String::new();
    for index in [1, 2] {
        let add = [
            "add",
            "--quieter",
            "--cid-version=1",
            file.to_str().unwrap(),
        ];
        input = mesh.ipfs(index, &add).await;
    }
    let request = InvokeRequest {
        function,
        input: Some(input),
        ..InvokeRequest::default()
    };
    let client = mesh.client(0);
    let mut events = client.invoke(&request, None).await.unwrap();
    let mut victim = None;
    let finished = loop {
        match events.next().await.expect("an end").unwrap() {
            InvocationEvent::Progress { phase, .. }
                if phase == timerose::model::Phase::Running && victim.is_none() =>
            {
                let record = client.records(false).await.unwrap().remove(0);
                let executor = record.executor.unwrap();
                let index = (1..3).find(|index| mesh.peer(*index) == executor).unwrap();
                mesh.node_mut(index).sidecar.kill9().await.unwrap();
                victim = Some(executor);
            }
            InvocationEvent::Done(finished) => break *finished,
            InvocationEvent::Failed { error, .. } => panic!("{error}"),
            _ => {}
        }
    };
    assert_ne!(Some(finished.executor), victim);
    let record = client.record(&finished.invocation).await.unwrap();
    assert_eq!(record.state, "succeeded");
    assert_eq!(record.attempts, 2);
    mesh.end().await;
}

/// Kills and restarts the Kubo of one node; the link between both works again
/// soon after its RPC answers, and nothing submitted afterwards is lost.
async fn kubo_restarts(of: usize) {
    let mut mesh = Mesh::start(2).await;
    let function = mesh.deploy(0, FIB).await;
    let executor = mesh.peer(1);
    mesh.invoke(0, &fib(&function, &executor, 5)).await.unwrap();
    mesh.node_mut(of).kubo.kill9().await.unwrap();
    mesh.node_mut(of).kubo.restart().await.unwrap();
    let answered = Instant::now();
    let client = mesh.client(of);
    until("the sidecar is whole again", async || {
        client.node().await.is_ok_and(|node| node.health.ready)
    })
    .await;
    let took = answered.elapsed();
    println!("whole again {took:?} after Kubo's answer");
    assert!(took < WHOLE_AGAIN, "whole again after {took:?}");
    let client = mesh.client(0);
    for n in 0..20 {
        let finished = invoke(&client, &fib(&function, &executor, n)).await;
        assert_eq!(finished.unwrap().executor, executor, "invocation {n}");
    }
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_is_whole_again_soon_after_its_kubo_came_back() {
    kubo_restarts(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_is_whole_again_soon_after_its_kubo_came_back() {
    kubo_restarts(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubo_stops_at_once_although_the_sidecar_listens() {
    let mut mesh = Mesh::start(1).await;
    let stopped = mesh.node_mut(0).kubo.stop().await.unwrap();
    assert!(
        stopped.gracefully && stopped.after < Duration::from_secs(8),
        "{stopped:?}"
    );
    mesh.end().await;
}
