//! Detached invocations outlive their caller and their node.

use std::time::Duration;

use futures_util::StreamExt as _;
use timerose::{
    api::Client,
    compute::{InvokeRequest, Record},
};
use tokio::time::Instant;

use crate::{
    node_disk::with_a_small_disk,
    node_whole::WholeNode,
    sandbox_room::{command, for_ever, write},
    support::{fake_kubo::FakeNet, skip::skip},
};

/// Computes for a while and gives its argument back.
const SLOW: &str = "(module (func (export \"slow\") (param i64) (result i64) (local $n i64)
    (local.set $n (i64.const 200000000))
    (loop $again
      (local.set $n (i64.sub (local.get $n) (i64.const 1)))
      (br_if $again (i64.ne (local.get $n) (i64.const 0))))
    (i64.add (local.get 0) (local.get $n))))";

fn request(function: &str, number: u32) -> InvokeRequest {
    InvokeRequest {
        function: function.to_owned(),
        args: vec![number.to_string()],
        ..InvokeRequest::default()
    }
}

async fn ended(client: &Client, invocation: &str) -> Record {
    client
        .wait(invocation, Duration::from_secs(60))
        .await
        .unwrap()
}

async fn output(client: &Client, record: &Record) -> String {
    use futures_util::TryStreamExt;
    let bytes = client.output(&record.invocation).await.unwrap().bytes;
    let bytes: Vec<_> = bytes.try_collect().await.unwrap();
    String::from_utf8(bytes.concat()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_submitted_survives_the_death_of_its_node() {
    let mut node = WholeNode::start(&FakeNet::new(), &[]).await;
    let function = node.deploy(SLOW.as_bytes()).await;
    let mut submitted = Vec::new();
    for number in 0..12 {
        let record = node
            .client()
            .submit(&request(&function, number), None)
            .await;
        submitted.push((number, record.unwrap().invocation));
    }
    node.sidecar.kill9().await.unwrap();
    node.sidecar.restart().await.unwrap();
    let client = node.client();
    for (number, invocation) in submitted {
        let record = ended(&client, &invocation).await;
        assert_eq!(record.state, "succeeded", "{record:?}");
        assert_eq!(output(&client, &record).await, number.to_string());
    }
    assert_eq!(client.records(false).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_is_the_same_invocation_also_after_a_restart() {
    let mut node = WholeNode::start(&FakeNet::new(), &[]).await;
    let function = node.deploy(SLOW.as_bytes()).await;
    let keyed = |number| InvokeRequest {
        key: Some("monday".to_owned()),
        ..request(&function, number)
    };
    let first = node.client().submit(&keyed(1), None).await.unwrap();
    let again = node.client().submit(&keyed(1), None).await.unwrap();
    assert_eq!(first.invocation, again.invocation);
    node.sidecar.kill9().await.unwrap();
    node.sidecar.restart().await.unwrap();
    let later = node.client().submit(&keyed(1), None).await.unwrap();
    assert_eq!(first.invocation, later.invocation);
    let other = node.client().submit(&keyed(2), None).await.unwrap_err();
    assert_eq!(other.code, "conflict");
    let streamed = InvokeRequest {
        input: Some("-".to_owned()),
        ..keyed(1)
    };
    let bytes = futures_util::stream::iter([Ok("other input".into())]).boxed();
    let other = node
        .client()
        .submit(&streamed, Some(bytes))
        .await
        .unwrap_err();
    assert_eq!(other.code, "conflict");
    ended(&node.client(), &first.invocation).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_one_stays_cancelled_over_a_restart() {
    let mut node = WholeNode::start(&FakeNet::new(), &[]).await;
    let function = node.deploy(command(&[], &for_ever("")).as_bytes()).await;
    let endless = InvokeRequest {
        function,
        ..InvokeRequest::default()
    };
    let record = node.client().submit(&endless, None).await.unwrap();
    let cancelled = node.client().cancel(&record.invocation).await.unwrap();
    assert_eq!(cancelled.state, "cancelled");
    node.sidecar.kill9().await.unwrap();
    node.sidecar.restart().await.unwrap();
    let record = node.client().record(&record.invocation).await.unwrap();
    assert_eq!(record.state, "cancelled");
    assert_eq!(node.client().records(false).await.unwrap(), []);
}

/// More than are driven at once.
const LINE: u32 = 136;

#[tokio::test(flavor = "multi_thread")]
async fn one_that_waits_in_line_is_cancelled_without_waiting_for_its_turn() {
    let node = WholeNode::start(&FakeNet::new(), &[]).await;
    let endless = InvokeRequest {
        function: node.deploy(command(&[], &for_ever("")).as_bytes()).await,
        cache: false,
        ..InvokeRequest::default()
    };
    let client = node.client();
    let mut line = Vec::new();
    for _ in 0..LINE {
        line.push(client.submit(&endless, None).await.unwrap().invocation);
    }
    while let Some(last) = line.pop() {
        let began = Instant::now();
        let cancelled = client.cancel(&last).await.unwrap();
        assert_eq!(cancelled.state, "cancelled");
        assert!(began.elapsed() < Duration::from_secs(2));
    }
    assert_eq!(client.records(false).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_every_try_fails_at_is_set_aside_and_can_be_retried_or_dropped() {
    let Some((node, _dir)) = with_a_small_disk().await else {
        return skip("no file system can be mounted here");
    };
    let flood = for_ever(&write(
        "(i32.const 1)",
        "(i32.const 0)",
        "(i32.const 65536)",
    ));
    let request = InvokeRequest {
        function: node.deploy(command(&["fd_write"], &flood).as_bytes()).await,
        ..InvokeRequest::default()
    };
    let client = node.client();
    let submitted = client.submit(&request, None).await.unwrap();
    let dead = ended(&client, &submitted.invocation).await;
    assert_eq!(
        (dead.state.as_str(), dead.attempts),
        ("dead", 5),
        "{dead:?}"
    );
    assert_eq!(client.dead().await.unwrap(), std::slice::from_ref(&dead));
    let again = client.dead_retry(&dead.invocation).await.unwrap();
    assert_eq!(again.invocation, dead.invocation);
    let dead = ended(&client, &dead.invocation).await;
    assert_eq!(dead.state, "dead", "{dead:?}");
    client.dead_drop(&dead.invocation).await.unwrap();
    assert_eq!(client.dead().await.unwrap(), []);
    assert_eq!(
        client.dead_retry(&dead.invocation).await.unwrap_err().code,
        "not_found"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_node_says_when_to_come_again() {
    let one = ("TIMEROSE_SCHEDULER__MAX_OPEN", "1");
    let net = FakeNet::new();
    let node = WholeNode::start_with(&net, |options| {
        options.environment = vec![(one.0.to_owned(), one.1.to_owned())];
    })
    .await;
    let endless = InvokeRequest {
        function: node.deploy(command(&[], &for_ever("")).as_bytes()).await,
        ..InvokeRequest::default()
    };
    let client = node.client();
    let first = client.submit(&endless, None).await.unwrap();
    let busy = client.submit(&endless, None).await.unwrap_err();
    assert_eq!((busy.code.as_str(), busy.retryable), ("busy", true));
    assert!(
        busy.retry_after_ms
            .is_some_and(|wait| (250..=60_000).contains(&wait))
    );
    client.cancel(&first.invocation).await.unwrap();
    let next = client.submit(&endless, None).await.unwrap();
    client.cancel(&next.invocation).await.unwrap();
}

/// Invocations that are open when their owner dies.
const MANY: u32 = 2_000;
/// What one that waits may weigh: ten thousand stay under 200 MiB.
const EACH_BYTES: u64 = 20 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_open_invocations_are_light_and_taken_up_quickly() {
    let mut node = WholeNode::start(&FakeNet::new(), &[]).await;
    let before = node.anonymous_bytes();
    let function = node.deploy(SLOW.as_bytes()).await;
    let nobody = libp2p_identity::PeerId::random().to_string();
    let client = node.client();
    let submitted = futures_util::stream::iter(0..MANY).map(|number| {
        let request = InvokeRequest {
            executor: Some(nobody.clone()),
            timeout: Duration::from_secs(3_600),
            ..request(&function, number)
        };
        let client = client.clone();
        async move { client.submit(&request, None).await.unwrap() }
    });
    let submitted: Vec<Record> = submitted.buffer_unordered(64).collect().await;
    let weight = node.anonymous_bytes() - before;
    node.sidecar.kill9().await.unwrap();
    let began = Instant::now();
    node.sidecar.restart().await.unwrap();
    let ready = began.elapsed();
    let open = node.client().records(false).await.unwrap().len();
    assert_eq!((submitted.len(), open), (MANY as usize, MANY as usize));
    assert!(weight < u64::from(MANY) * EACH_BYTES, "{weight} bytes");
    assert!(ready < Duration::from_secs(2), "{ready:?}");
}
