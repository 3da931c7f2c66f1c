//! Hostile code on a whole node: each guest ends in time with its class, and
//! afterwards the node is as light as before.

use std::time::Duration;

use timerose::{
    compute::{Failure, InvocationEvent, InvokeRequest},
    model::{Class, Limits},
};
use tokio::time::Instant;
use tokio_stream::StreamExt;

use crate::{
    node_whole::WholeNode,
    sandbox_room::{GRACE, command, for_ever, write},
    support::{eventually, fake_kubo::FakeNet},
};

const WALL: Duration = Duration::from_secs(1);
/// What the node may weigh more afterwards, ten seconds later at most.
const SLACK_BYTES: u64 = 16 << 20;

struct Hostile {
    wat: String,
    class: Class,
    says: &'static str,
}

fn hostile(wat: String, class: Class, says: &'static str) -> Hostile {
    Hostile { wat, class, says }
}

fn corpus() -> Vec<Hostile> {
    let random = "(drop (call $random_get (i32.const 1024) (i32.const 100000)))";
    let grow = "(local.set $n (memory.grow (i32.const 256)))
        (memory.fill (i32.mul (local.get $n) (i32.const 65536)) (i32.const 1) (i32.const 16777216))";
    let flood = |fd| {
        let piece = write(fd, "(i32.const 0)", "(i32.const 131072)");
        command(&["fd_write"], &for_ever(&piece))
    };
    let recursion = "(module (func $f (export \"_start\") (call $f) (call $f)))";
    let tables = "(module (table $t 1 funcref) (func (export \"_start\")
        (loop $again (drop (table.grow $t (ref.null func) (i32.const 100))) (br $again))))";
    vec![
        hostile(command(&[], &for_ever("")), Class::Deadline, "1s"),
        hostile(
            command(&["random_get"], &for_ever(random)),
            Class::Deadline,
            "1s",
        ),
        hostile(flood("(i32.const 2)"), Class::Deadline, "1s"),
        hostile(command(&[], &for_ever(grow)), Class::User, "memory"),
        hostile(flood("(i32.const 1)"), Class::User, "output"),
        hostile(recursion.to_owned(), Class::User, "stack"),
        hostile(tables.to_owned(), Class::User, "table"),
    ]
}

/// How it failed, and how long that took once an executor had taken it.
async fn failure(node: &WholeNode, request: &InvokeRequest) -> (Failure, Duration) {
    let mut placed = None;
    let mut events = node.client().invoke(request, None).await.unwrap();
    while let Some(event) = events.next().await {
        match event.unwrap() {
            InvocationEvent::Placed { .. } => placed = Some(Instant::now()),
            InvocationEvent::Failed { error, .. } => return (error, placed.unwrap().elapsed()),
            InvocationEvent::Done(finished) => panic!("it went well: {finished:?}"),
            _ => {}
        }
    }
    panic!("the events ended without an end");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_code_ends_in_time_and_leaves_the_node_as_light_as_before() {
    let node = WholeNode::start(&FakeNet::new(), &[]).await;
    let harmless = InvokeRequest {
        function: node.deploy(command(&[], "").as_bytes()).await,
        cache: false,
        ..InvokeRequest::default()
    };
    node.place(&harmless).await;
    let before = node.anonymous_bytes();
    assert!(before > 1 << 20, "that is no daemon: {before} bytes");
    for Hostile { wat, class, says } in corpus() {
        let request = InvokeRequest {
            function: node.deploy(wat.as_bytes()).await,
            limits: Some(Limits {
                wall_ms: 1_000,
                output_bytes: 32 << 20,
                ..Limits::default()
            }),
            cache: false,
            ..InvokeRequest::default()
        };
        let (error, took) = failure(&node, &request).await;
        assert_eq!(error.class, class, "{error:?} of {wat}");
        assert!(error.message.contains(says), "{error:?}: {says} of {wat}");
        assert!(took < WALL + GRACE, "ended after {took:?}: {wat}");
        node.place(&harmless).await;
    }
    eventually("the node is as light as before", || {
        node.anonymous_bytes() < before + SLACK_BYTES
    })
    .await;
    assert!(
        node.left_by_attempts().is_empty(),
        "{:?}",
        node.left_by_attempts()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_no_sandbox_offers_is_refused_before_anything_is_stored() {
    let node = WholeNode::start(&FakeNet::new(), &[]).await;
    let wat = "(module (import \"env\" \"system\" (func)) (func (export \"_start\")))";
    let blocks = node.kubo.blocks();
    let error = node.try_deploy(wat.as_bytes()).await.unwrap_err();
    assert_eq!(error.class, Class::User, "{error:?}");
    assert!(error.message.contains("env.system"), "{error:?}");
    assert_eq!(node.kubo.blocks(), blocks);
}
