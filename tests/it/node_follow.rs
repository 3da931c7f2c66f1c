//! Standard error is followed while a guest writes it.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use timerose::{
    api::Client,
    compute::{ByteStream, InvokeRequest, Record},
};
use tokio::time::timeout;

use crate::{
    node_whole::WholeNode,
    sandbox_room::{command, sleep, write},
    support::fake_kubo::FakeNet,
};

const PATIENCE: Duration = Duration::from_secs(30);
/// Long enough for what was said to be seen, on a busy machine too.
const THOUGHT: Duration = Duration::from_secs(3);

/// Says hello, thinks, says more than one piece can hold.
fn talker() -> String {
    let hello = write("(i32.const 2)", "(i32.const 64)", "(i32.const 13)");
    let flood = write("(i32.const 2)", "(i32.const 64)", "(i32.const 60000)");
    let think = sleep(THOUGHT);
    command(
        &["fd_write", "poll_oneoff"],
        &format!("{hello} {think} {flood} {think}"),
    )
}

async fn start(node: &WholeNode) -> (Client, Record) {
    let request = InvokeRequest {
        function: node.deploy(talker().as_bytes()).await,
        ..InvokeRequest::default()
    };
    let client = node.client();
    let record = client.submit(&request, None).await.unwrap();
    (client, record)
}

async fn first(bytes: &mut ByteStream) -> Vec<u8> {
    let first = timeout(PATIENCE, bytes.next()).await.unwrap();
    first.unwrap().unwrap().to_vec()
}

async fn whole(bytes: ByteStream) -> Vec<u8> {
    let pieces: Vec<_> = bytes.try_collect().await.unwrap();
    pieces.concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_writes_is_seen_before_it_ends_and_is_the_same_afterwards() {
    let node = WholeNode::start(&FakeNet::new(), &[]).await;
    let (client, record) = start(&node).await;
    let mut followed = client.logs(&record.invocation, true).await.unwrap();
    let mut seen = first(&mut followed).await;
    assert_eq!(seen, b"hello, world\n");
    let state = client.record(&record.invocation).await.unwrap().state;
    assert_eq!(state, "active", "it was seen while it ran");
    seen.extend(timeout(PATIENCE, whole(followed)).await.unwrap());
    let afterwards = whole(client.logs(&record.invocation, false).await.unwrap()).await;
    assert_eq!((seen.len(), afterwards.len()), (60_013, 60_013));
    assert!(seen == afterwards);
    let again = whole(client.logs(&record.invocation, true).await.unwrap()).await;
    assert!(again == afterwards, "one that ended is followed to its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_following_does_not_stop_the_invocation() {
    let node = WholeNode::start(&FakeNet::new(), &[]).await;
    let (client, record) = start(&node).await;
    let mut followed = client.logs(&record.invocation, true).await.unwrap();
    first(&mut followed).await;
    drop(followed);
    let ended = client.wait(&record.invocation, PATIENCE).await.unwrap();
    assert_eq!(ended.state, "succeeded", "{ended:?}");
}
