//! `logs -f` of what runs on another node.

use std::time::Duration;

use timerose::compute::InvokeRequest;
use tokio_stream::StreamExt as _;

use crate::support::mesh::Mesh;

/// Writes 60,000 bytes to its standard error in 30 pieces, with a pause of
/// computing after each.
const TALKER: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 64) "one line\n")
  (func (export "_start") (local $i i32) (local $n i32)
    (i32.store (i32.const 0) (i32.const 64))
    (i32.store (i32.const 4) (i32.const 2000))
    (loop $more
      (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
      (local.set $n (i32.const 60000000))
      (loop $think
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br_if $think (local.get $n)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $i) (i32.const 30))))))"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_logs_of_another_node_are_followed_live_and_complete() {
    let mesh = Mesh::start(2).await;
    let function = mesh.deploy(0, TALKER.as_bytes()).await;
    for private in [false, true] {
        follow(&mesh, &function, private).await;
    }
    mesh.end().await;
}

async fn follow(mesh: &Mesh, function: &str, private: bool) {
    let request = InvokeRequest {
        function: function.to_owned(),
        executor: Some(mesh.peer(1)),
        private,
        ..InvokeRequest::default()
    };
    let client = mesh.client(0);
    let record = client.submit(&request, None).await.unwrap();
    let mut followed = client.logs(&record.invocation, true).await.unwrap();
    let first = tokio::time::timeout(Duration::from_secs(30), followed.next()).await;
    let first = first.unwrap().unwrap().unwrap();
    assert!(first.len() < 60_000 && first.starts_with(b"one line\n"));
    let state = client.record(&record.invocation).await.unwrap().state;
    assert_eq!(state, "active", "it was seen while it ran");
    drop(followed);
    let live = mesh.timerose(0, &["logs", "-f", &record.invocation]).await;
    let afterwards = mesh.timerose(0, &["logs", &record.invocation]).await;
    assert!(live.status.success() && afterwards.status.success());
    assert_eq!(afterwards.stdout.len(), 60_000);
    assert!(live.stdout == afterwards.stdout);
}
