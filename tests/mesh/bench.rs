//! `timerose bench` itself, on real nodes of its own.

use std::{
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::{process::Command, time::Instant};

use crate::support::{mesh::until, skip::ipfs_or_skip};

/// What `--quick` promises for a release, and as much again for a program that
/// is compiled for tests.
const QUICK: Duration = Duration::from_secs(60);

fn bench(ipfs: &Path, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_timerose"));
    command.arg("bench").args(arguments).env("IPFS_BIN", ipfs);
    command.env("TMPDIR", folder).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

fn at<'a>(json: &'a Value, key: &str) -> &'a Value {
    let pointer = format!("/{}", key.replace('.', "/"));
    json.pointer(&pointer)
        .unwrap_or_else(|| panic!("{key} is not in {json:#}"))
}

/// A sidecar listens somewhere below `folder`.
fn has_node(folder: &Path) -> bool {
    let mut roots = std::fs::read_dir(folder).unwrap().flatten();
    roots.any(|root| root.path().join("n1/home/api.sock").exists())
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quick_bench_has_every_figure_and_loses_nothing() {
    let Some(ipfs) = ipfs_or_skip() else { return };
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let mut command = bench(&ipfs, folder.path(), &["--quick", "--enc=json"]);
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().await.unwrap();
    let took = began.elapsed();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    let json: Value = serde_json::from_slice(&stdout).unwrap();
    for key in [
        "floor.pubsub_echo_p50_ms",
        "floor.stream_echo_p50_ms",
        "floor.fsync_per_s",
        "link.pubsub_rtt_ms",
        "link.stream_rtt_ms",
        "warm.pubsub_p50_ms",
        "warm.stream_p50_ms",
        "held_per_s.pubsub",
        "held_per_s.stream",
        "durable_per_s",
    ] {
        let figure = at(&json, key).as_f64();
        assert!(figure.is_some_and(|f| f > 0.0), "{key}: {json:#}");
        let runs = at(&json, &format!("runs.{key}")).as_array().unwrap();
        assert_eq!(runs.len(), 5, "{key}");
    }
    assert_eq!(at(&json, "lost"), 0);
    let echo = |carrier: &str| at(&json, &format!("floor.{carrier}_echo_p50_ms")).as_f64();
    assert!(echo("stream") < echo("pubsub"), "{json:#}");
    assert!(took < QUICK, "it took {took:?}");
    assert!(is_empty(folder.path()), "the nodes are removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bench_that_is_interrupted_leaves_no_node() {
    let Some(ipfs) = ipfs_or_skip() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut child = bench(&ipfs, folder.path(), &[]).spawn().unwrap();
    until("a node is there", async || has_node(folder.path())).await;
    let pid = rustix::process::Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let status = child.wait().await.unwrap();
    assert_eq!(status.code(), Some(125));
    assert!(is_empty(folder.path()), "the nodes are removed");
}
