//! `kubo-config/apply` on real daemons: what it sets is what Kubo starts with.

use std::path::Path;

use timerose::{
    cli::dev::{KuboDaemon, Process, folder, start_kubos},
    kubo::{Client, Config, Endpoint},
};

use crate::support::{
    mesh::until,
    skip::{ipfs, ipfs_or_skip},
};

async fn apply(kubo: &KuboDaemon, flags: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("kubo-config/apply");
    let output = tokio::process::Command::new(script)
        .args(flags)
        .env("IPFS_PATH", kubo.repo())
        .env("IPFS_BIN", ipfs().unwrap())
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn a_kubo_with_a_swarm_key_starts_with_the_private_settings() {
    let Some(ipfs) = ipfs_or_skip() else { return };
    let root = folder().unwrap();
    let mut kubos = start_kubos(1, root.path(), &ipfs, &[]).await.unwrap();
    let kubo = &mut kubos[0];
    kubo.stop().await.unwrap();
    let key = format!("/key/swarm/psk/1.0.0/\n/base16/\n{}\n", "5e".repeat(32));
    std::fs::write(kubo.repo().join("swarm.key"), key).unwrap();
    apply(kubo, &["--private"]).await;
    kubo.restart().await.unwrap();
    assert!(
        kubo.process().log().contains("private network"),
        "{}",
        kubo.process().log()
    );
}

/// What TimeRose calls, and what it must not be able to. Called without
/// arguments, an open command answers 400 or 500, a closed one 403.
const OPEN: [&str; 4] = ["id", "pin/ls", "get", "pubsub/ls"];
const CLOSED: [&str; 6] = [
    "config",
    "key/list",
    "shutdown",
    "files/ls",
    "repo/gc",
    "pubsub/reset",
];

#[tokio::test]
async fn the_secret_opens_the_calls_of_timerose_and_no_others() {
    let Some(ipfs) = ipfs_or_skip() else { return };
    let root = folder().unwrap();
    let mut kubos = start_kubos(1, root.path(), &ipfs, &[]).await.unwrap();
    let kubo = &mut kubos[0];
    apply(kubo, &["--auth"]).await;
    kubo.stop().await.unwrap();
    let secret = std::fs::read_to_string(kubo.repo().join("timerose-secret")).unwrap();
    let (api, repo) = (kubo.api().to_owned(), kubo.repo().to_owned());
    let _daemon = guarded_daemon(&repo, &ipfs, &api, secret.trim()).await;

    let token = secret.trim().strip_prefix("bearer:").unwrap();
    let secret = format!("Bearer {token}");
    assert_eq!(status(&api, "id", "Bearer guessed").await, 403);
    for command in OPEN {
        assert_ne!(
            status(&api, command, &secret).await,
            403,
            "{command} is closed"
        );
    }
    for command in CLOSED {
        assert_eq!(
            status(&api, command, &secret).await,
            403,
            "{command} is open"
        );
    }
}

/// A daemon whose RPC asks for a secret, once it answers.
async fn guarded_daemon(repo: &Path, ipfs: &Path, api: &str, secret: &str) -> Process {
    let mut command = tokio::process::Command::new(ipfs);
    command
        .arg("daemon")
        .env("IPFS_PATH", repo)
        .env("IPFS_TELEMETRY", "off");
    let process = Process::start("kubo", command, &repo.with_extension("log")).unwrap();
    let endpoint: Endpoint = api.parse().unwrap();
    let auth = Some(secret.parse().unwrap());
    let client = Client::new(Config {
        auth,
        ..Config::new(endpoint)
    })
    .unwrap();
    until("the guarded daemon answers", async || {
        client.id().await.is_ok()
    })
    .await;
    process
}

/// The status of a call without arguments.
async fn status(api: &str, command: &str, secret: &str) -> u16 {
    let (_, port) = api.rsplit_once('/').unwrap();
    let url = format!("http://127.0.0.1:{port}/api/v0/{command}");
    let request = reqwest::Client::new()
        .post(url)
        .header("Authorization", secret);
    request.send().await.unwrap().status().as_u16()
}
