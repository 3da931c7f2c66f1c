//! The two carriers on real Kubos: sessions take the fast one, leave it when
//! it breaks, come back; and nobody on the way reads what they carry.

use std::time::Duration;

use timerose::{
    compute::InvokeRequest,
    wire::{Address, topics},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    faults::fib,
    support::mesh::{Mesh, invoke, until},
};

const FIB: &[u8] = include_bytes!("fib.wat");
/// Gives back its standard input.
const ECHO: &[u8] = include_bytes!("echo.wat");

/// How node 0 speaks to node 1.
async fn carrier(mesh: &Mesh) -> Option<String> {
    let nodes = mesh.client(0).nodes().await.unwrap_or_default();
    let other = nodes.into_iter().find(|node| node.peer == mesh.peer(1));
    other.and_then(|node| node.carrier)
}

async fn counter(mesh: &Mesh, index: usize, name: &str) -> u64 {
    let node = mesh.client(index).node().await.unwrap();
    node.counters.get(name).copied().unwrap_or_default()
}

async fn on_a_stream(mesh: &Mesh) {
    until("the session is on a stream", async || {
        carrier(mesh).await.as_deref() == Some("stream")
    })
    .await;
}

/// Node 0 has node 1 compute a number and gets it.
async fn works(mesh: &Mesh, function: &str) {
    let request = fib(function, &mesh.peer(1), 10);
    invoke(&mesh.client(0), &request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_moves_to_a_stream_by_itself_and_leaves_pubsub_alone() {
    let mesh = Mesh::start(2).await;
    let function = mesh.deploy(0, FIB).await;
    works(&mesh, &function).await;
    on_a_stream(&mesh).await;
    let before = counter(&mesh, 0, "mesh.published").await;
    let streamed = counter(&mesh, 0, "mesh.streamed").await;
    for _ in 0..100 {
        works(&mesh, &function).await;
    }
    assert!(counter(&mesh, 0, "mesh.streamed").await >= streamed + 100);
    let published = counter(&mesh, 0, "mesh.published").await - before;
    assert!(published < 50, "{published} envelopes over pubsub as well");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_cut_again_and_again_lose_nothing() {
    let mesh = Mesh::start(2).await;
    let function = mesh.deploy(0, FIB).await;
    works(&mesh, &function).await;
    let (client, executor) = (mesh.client(0), mesh.peer(1));
    let running = tokio::spawn(async move {
        for n in 0..200 {
            invoke(&client, &fib(&function, &executor, n % 20)).await?;
        }
        Ok::<(), timerose::compute::Failure>(())
    });
    for _ in 0..3 {
        on_a_stream(&mesh).await;
        let cut = ["p2p", "stream", "close", "--all"];
        mesh.node(0).kubo.ipfs(&cut).await.unwrap();
        until("the stream is gone", async || {
            carrier(&mesh).await.as_deref() != Some("stream")
        })
        .await;
    }
    running.await.unwrap().unwrap();
    on_a_stream(&mesh).await;
    assert!(counter(&mesh, 0, "mesh.streams_broken").await >= 3);
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_come_back_after_a_kubo_was_killed() {
    let mut mesh = Mesh::start(2).await;
    let function = mesh.deploy(0, FIB).await;
    works(&mesh, &function).await;
    on_a_stream(&mesh).await;
    for index in [1, 0] {
        mesh.node_mut(index).kubo.kill9().await.unwrap();
        mesh.node_mut(index).kubo.restart().await.unwrap();
        until("it works again", async || {
            let request = fib(&function, &mesh.peer(1), 10);
            invoke(&mesh.client(0), &request).await.is_ok()
        })
        .await;
        on_a_stream(&mesh).await;
    }
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_can_be_forced() {
    for forced in ["pubsub", "stream"] {
        let mesh = Mesh::with_carrier(2, forced).await;
        let function = mesh.deploy(0, FIB).await;
        for _ in 0..20 {
            works(&mesh, &function).await;
        }
        assert_eq!(carrier(&mesh).await.as_deref(), Some(forced));
        mesh.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_write_into_a_stream_is_refused_and_counted() {
    let mesh = Mesh::start(2).await;
    let function = mesh.deploy(0, FIB).await;
    works(&mesh, &function).await;
    on_a_stream(&mesh).await;
    let listed = mesh.node(1).kubo.ipfs(&["p2p", "ls"]).await.unwrap();
    // Of a listener the last word is where it leads to, of a forward a peer.
    let targets = listed
        .lines()
        .filter_map(|line| line.split_whitespace().last());
    let port = targets
        .filter_map(|target| target.strip_prefix("/ip4/127.0.0.1/tcp/"))
        .find_map(|port| port.parse::<u16>().ok())
        .unwrap();
    for junk in [
        &[0, 0, 0, 3, 1, 2, 3][..],
        &[0xff; 64],
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        socket.write_all(junk).await.unwrap();
        let mut answer = Vec::new();
        let closed = socket.read_to_end(&mut answer);
        let closed = tokio::time::timeout(Duration::from_secs(10), closed).await;
        assert!(closed.is_ok() && answer.is_empty(), "{junk:?}");
    }
    assert!(counter(&mesh, 1, "mesh.refused.malformed").await >= 1);
    works(&mesh, &function).await;
    assert_eq!(carrier(&mesh).await.as_deref(), Some("stream"));
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_listens_on_an_inbox_topic_reads_what_is_said() {
    let mesh = Mesh::with_carrier(3, "pubsub").await;
    let function = mesh.deploy(0, ECHO).await;
    let ear = mesh.node(2).kubo.client();
    let inbox = |index: usize| {
        let owner = Address::node(mesh.peer(index).parse().unwrap());
        topics::inbox("public", &owner)
    };
    let mut heard = [
        ear.subscribe(&inbox(0)).await.unwrap(),
        ear.subscribe(&inbox(1)).await.unwrap(),
    ];
    let marker = "a marker that nobody else may read";
    for _ in 0..10 {
        let request = InvokeRequest {
            function: function.clone(),
            input: Some("-".to_owned()),
            executor: Some(mesh.peer(1)),
            cache: false,
            ..InvokeRequest::default()
        };
        let input = tokio_stream::once(Ok(bytes::Bytes::from_static(marker.as_bytes())));
        let mut events = mesh
            .client(0)
            .invoke(&request, Some(Box::pin(input)))
            .await
            .unwrap();
        while tokio_stream::StreamExt::next(&mut events).await.is_some() {}
    }
    for subscription in &mut heard {
        let mut envelopes = 0;
        while let Ok(message) =
            tokio::time::timeout(Duration::from_secs(1), subscription.next()).await
        {
            let data = message.unwrap().unwrap().data;
            let is_there = data
                .windows(marker.len())
                .any(|part| part == marker.as_bytes());
            assert!(!is_there, "an envelope shows the marker");
            envelopes += 1;
        }
        assert!(envelopes > 5, "only {envelopes} envelopes were overheard");
    }
    mesh.end().await;
}
