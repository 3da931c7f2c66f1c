//! Many calls at once over a pubsub that loses messages.

use std::collections::HashSet;

use futures_util::StreamExt as _;
use timerose::compute::InvokeRequest;

use crate::support::mesh::{Mesh, invoke};

const FIB: &[u8] = include_bytes!("fib.wat");
const CALLS: u32 = 1_000;
const CALLERS: u32 = 8;

fn fib(n: u32) -> u64 {
    (0..n)
        .fold((0_u64, 1_u64), |(a, b), _| (b, a.wrapping_add(b)))
        .0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_calls_give_a_thousand_right_results_beside_another_publisher() {
    let mesh = Mesh::start(2).await;
    let function = mesh.deploy(0, FIB).await;
    let kubo = mesh.node(0).kubo.client().clone();
    let noise = tokio::spawn(async move {
        let mut beat = tokio::time::interval(std::time::Duration::from_millis(50));
        loop {
            beat.tick().await;
            let _dropped_by_kubo = kubo.publish("somebody-elses-topic", "noise".into()).await;
        }
    });
    let callers = (0..CALLERS).map(|caller| {
        let (client, function, executor) = (mesh.client(0), function.clone(), mesh.peer(1));
        tokio::spawn(async move {
            let mut results = Vec::new();
            for n in (caller..CALLS).step_by(CALLERS as usize) {
                let request = InvokeRequest {
                    function: function.clone(),
                    entry: Some("fib".to_owned()),
                    args: vec![(n % 90).to_string()],
                    executor: Some(executor.clone()),
                    cache: false,
                    ..InvokeRequest::default()
                };
                let finished = invoke(&client, &request).await.unwrap();
                let output = finished.output.parse().unwrap();
                let expected = fib(n % 90).to_string();
                assert_eq!(timerose::wire::cid_of(0x55, expected.as_bytes()), output);
                results.push(finished);
            }
            results
        })
    });
    let mut receipts = HashSet::new();
    for caller in callers.collect::<Vec<_>>() {
        receipts.extend(caller.await.unwrap().into_iter().map(|f| f.receipt));
    }
    noise.abort();
    assert_eq!(
        receipts.len(),
        CALLS as usize,
        "each run has one receipt of its own"
    );
    mesh.end().await;
}

/// Gives its argument back.
const SAME: &str = r#"(module (func (export "same") (param i64) (result i64) local.get 0))"#;
/// Detached invocations of the run that is timed.
const DETACHED: usize = 2_000;
/// Of them a second, submit to end, on a busy machine with two processors.
const LEAST: f64 = 60.0;

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_detached_invocations_pass_two_nodes_quickly() {
    let mesh = Mesh::start(2).await;
    let function = mesh.deploy(0, SAME.as_bytes()).await;
    let client = mesh.client(0);
    let began = tokio::time::Instant::now();
    let submitted = futures_util::stream::iter(0..DETACHED).map(|number| {
        let request = InvokeRequest {
            function: function.clone(),
            args: vec![number.to_string()],
            timeout: std::time::Duration::from_secs(600),
            ..InvokeRequest::default()
        };
        let client = client.clone();
        async move { client.submit(&request, None).await.unwrap().invocation }
    });
    let submitted: Vec<String> = submitted.buffer_unordered(32).collect().await;
    let accepted = began.elapsed();
    for invocation in &submitted {
        let record = client.wait(invocation, std::time::Duration::from_secs(120));
        let record = record.await.unwrap();
        assert_eq!(record.state, "succeeded", "{record:?}");
    }
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let rate = |took: std::time::Duration| DETACHED as f64 / took.as_secs_f64();
    let (accepted, ended) = (rate(accepted), rate(began.elapsed()));
    eprintln!("{accepted:.0} accepted a second, {ended:.0} ended a second");
    assert!(ended > LEAST, "{ended:.0} a second");
    mesh.end().await;
}
