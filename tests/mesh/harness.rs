//! The temporary nodes themselves: they start, speak, restart, and leave
//! nothing behind.

use std::time::Duration;

use bytes::Bytes;
use timerose::cli::dev::{KuboDaemon, folder, start_kubos};

use crate::support::{
    mesh::{Mesh, until},
    skip::ipfs_or_skip,
};

const TOPIC: &str = "timerose/harness";

/// How long a message may take on one machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn is_alive(pid: u32) -> bool {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::test_kill_process(pid).is_ok()
}

/// A message of `from` reaches `to` once both see each other on the topic.
async fn message_passes(from: &KuboDaemon, to: &KuboDaemon) {
    let mut inbox = to.client().subscribe(TOPIC).await.unwrap();
    let receiver = to.peer();
    until("the publisher sees the subscriber", async || {
        let peers = from.client().topic_peers(TOPIC).await.unwrap_or_default();
        peers.iter().any(|peer| peer.to_string() == receiver)
    })
    .await;
    from.client()
        .publish(TOPIC, Bytes::from_static(b"hello"))
        .await
        .unwrap();
    let message = tokio::time::timeout(PATIENCE, inbox.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(message.data.as_ref(), b"hello");
}

#[tokio::test]
async fn two_kubos_speak_and_a_drop_leaves_nothing() {
    let Some(ipfs) = ipfs_or_skip() else { return };
    let root = folder().unwrap();
    let path = root.path().to_owned();
    let kubos = start_kubos(2, root.path(), &ipfs, &[]).await.unwrap();
    message_passes(&kubos[0], &kubos[1]).await;
    let pids: Vec<u32> = kubos.iter().map(KuboDaemon::pid).collect();
    drop(kubos);
    drop(root);
    assert!(!path.exists(), "{} is left", path.display());
    until("the killed daemons are reaped", async || {
        !pids.iter().any(|pid| is_alive(*pid))
    })
    .await;
}

#[tokio::test]
async fn a_killed_kubo_comes_back_with_its_identity_and_addresses() {
    let Some(ipfs) = ipfs_or_skip() else { return };
    let root = folder().unwrap();
    let mut kubos = start_kubos(2, root.path(), &ipfs, &[]).await.unwrap();
    let before = (
        kubos[0].peer(),
        kubos[0].api().to_owned(),
        kubos[0].addresses().to_vec(),
    );
    kubos[0].kill9().await.unwrap();
    assert!(kubos[0].client().id().await.is_err());
    kubos[0].restart().await.unwrap();
    let after = (
        kubos[0].peer(),
        kubos[0].api().to_owned(),
        kubos[0].addresses().to_vec(),
    );
    assert_eq!(before, after);
    kubos[0].connect(&kubos[1]).await.unwrap();
    message_passes(&kubos[1], &kubos[0]).await;
}

#[tokio::test]
async fn a_kubo_that_cannot_start_says_why() {
    let Some(ipfs) = ipfs_or_skip() else { return };
    let root = folder().unwrap();
    let nonsense = [("Addresses.API".to_owned(), serde_json::json!("nowhere"))];
    let error = start_kubos(1, root.path(), &ipfs, &nonsense)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named_with_a_hint() {
    let root = folder().unwrap();
    let error = start_kubos(1, root.path(), "no-such-ipfs".as_ref(), &[])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no-such-ipfs"), "{error}");
    assert!(error.hint().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_nothing_wrong_with_a_temporary_node() {
    let mesh = Mesh::start(1).await;
    let doctor = mesh.timerose(0, &["doctor"]).await;
    assert!(doctor.status.success(), "{doctor:?}");
    mesh.end().await;
}
