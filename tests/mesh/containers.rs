//! Containers on real nodes: images by CID, from one node to another.

use std::{path::Path, time::Duration};

use serde_json::Value;
use timerose::compute::{Failure, Finished, InvokeRequest};

use crate::support::{
    engine::{archive, busybox, engine_or_skip, layer},
    mesh::{DOCKER, Mesh, until},
    noise,
};

const MIB: u64 = 1 << 20;

/// Two nodes with containers, if there is an engine.
pub(crate) async fn mesh_or_skip() -> Option<Mesh> {
    nodes_or_skip(2).await
}

/// So many nodes with containers, if there is an engine.
pub(crate) async fn nodes_or_skip(count: usize) -> Option<Mesh> {
    let socket = engine_or_skip()?;
    let socket = socket.to_str().unwrap();
    let settings = [(DOCKER, "true"), ("TIMEROSE_DOCKER__SOCKET", socket)];
    let mesh = Mesh::with_settings(count, &settings).await;
    for index in 0..count {
        until("containers run on every node", async || {
            let node = mesh.client(index).node().await.unwrap();
            node.lacking.is_empty()
        })
        .await;
    }
    Some(mesh)
}

/// The only words that a command says.
pub(crate) async fn printed(mesh: &Mesh, arguments: &[&str]) -> String {
    let said = mesh.timerose(0, arguments).await;
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

/// Stores an image of these layers on node 0 that says its mark.
async fn add(mesh: &Mesh, layers: &[Vec<u8>]) -> String {
    add_image(
        mesh,
        layers,
        &serde_json::json!({"Cmd": ["/bin/cat", "/mark"]}),
    )
    .await
}

/// Stores an image of these layers, run as `about` says, on node 0.
pub(crate) async fn add_image(mesh: &Mesh, layers: &[Vec<u8>], about: &Value) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), archive(layers, about)).unwrap();
    printed(mesh, &["image", "add", "-q", file.path().to_str().unwrap()]).await
}

/// A layer that no image had before.
fn mark() -> (String, Vec<u8>) {
    let text = ulid::Ulid::new().to_string();
    let layer = layer(&[("mark", text.as_bytes(), 0o644)]);
    (text, layer)
}

/// Deploys a folder with this description on node 0.
pub(crate) async fn deploy(mesh: &Mesh, description: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    deploy_in(mesh, folder.path(), description).await
}

/// Deploys what lies in a folder, as this description says, on node 0.
pub(crate) async fn deploy_in(mesh: &Mesh, folder: &Path, description: &str) -> String {
    std::fs::write(folder.join("timerose.toml"), description).unwrap();
    printed(mesh, &["deploy", "-q", folder.to_str().unwrap()]).await
}

async fn run(mesh: &Mesh, function: &str, args: &[&str]) -> Result<Finished, Failure> {
    let request = InvokeRequest {
        function: function.to_owned(),
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        executor: Some(mesh.peer(1)),
        find_timeout: Duration::from_secs(20),
        ..InvokeRequest::default()
    };
    mesh.invoke(0, &request).await
}

/// Bytes that bitswap brought to node 1 so far.
async fn received(mesh: &Mesh) -> u64 {
    let text = mesh
        .node(1)
        .kubo
        .ipfs(&["bitswap", "stat", "--enc=json"])
        .await;
    let value: serde_json::Value = serde_json::from_str(&text.unwrap()).unwrap();
    value["DataReceived"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_runs_elsewhere_by_its_cid_and_of_the_next_only_the_difference_moves() {
    let Some(mesh) = mesh_or_skip().await else {
        return;
    };
    let large = noise(100 << 20);
    let common = [busybox(), layer(&[("large", &large, 0o644)])];
    let mut moved = Vec::new();
    for _ in 0..2 {
        let (text, own) = mark();
        let [first, second] = common.clone();
        let image = add(&mesh, &[first, second, own]).await;
        let function = deploy(&mesh, &format!("[runtime.docker]\nimage = \"{image}\"")).await;
        let before = received(&mesh).await;
        let finished = run(&mesh, &function, &[]).await.unwrap();
        moved.push(received(&mesh).await - before);
        assert_eq!(finished.executor, mesh.peer(1));
        assert_eq!(mesh.saved(0, &finished.invocation).await, text);
        let receipt = printed(&mesh, &["receipt", "show", &finished.invocation]).await;
        assert!(receipt.contains("docker"), "{receipt}");
    }
    println!("bytes moved for the first image and the second: {moved:?}");
    assert!(moved[0] >= 100 * MIB && moved[1] < MIB, "{moved:?}");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_given_files_and_arguments_and_its_faults_come_back() {
    let Some(mesh) = mesh_or_skip().await else {
        return;
    };
    let image = add(&mesh, &[busybox(), mark().1]).await;
    let count = format!(
        "[runtime.docker]\nimage = \"{image}\"\ncommand = [\"/bin/sh\", \"-c\", \"wc -c < /in/a; echo $0 > /out/said; exit $1\"]"
    );
    let function = deploy(&mesh, &count).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), "12345").unwrap();
    let path = folder.path().to_str().unwrap();
    let input = mesh.ipfs(0, &["add", "-Qr", path]).await;
    let request = InvokeRequest {
        input: Some(input),
        args: vec!["word".to_owned(), "0".to_owned()],
        function: function.clone(),
        executor: Some(mesh.peer(1)),
        ..InvokeRequest::default()
    };
    let finished = mesh.invoke(0, &request).await.unwrap();
    assert!(finished.is_directory && finished.usage.run_ms > 0);
    let saved = folder.path().join("saved");
    printed(
        &mesh,
        &[
            "result",
            &finished.invocation,
            "-o",
            saved.to_str().unwrap(),
        ],
    )
    .await;
    let read = |name: &str| std::fs::read_to_string(Path::new(&saved).join(name)).unwrap();
    assert_eq!(
        (read("said"), read("stdout")),
        ("word\n".into(), "5\n".into())
    );
    let failed = InvokeRequest {
        args: vec!["word".to_owned(), "3".to_owned()],
        ..request
    };
    let failure = mesh.invoke(0, &failed).await.unwrap_err();
    assert_eq!(failure.code, "user");
    assert!(failure.message.contains("exited with code 3"), "{failure}");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_is_refused_with_what_to_do_and_a_node_without_engine_says_so() {
    let Some(mut mesh) = mesh_or_skip().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    let describe = |image: &str| {
        let text = format!("[runtime.docker]\nimage = \"{image}\"");
        std::fs::write(folder.path().join("timerose.toml"), text).unwrap();
    };
    describe("python:3.12");
    let said = mesh.timerose(0, &["deploy", &path]).await;
    let error = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_eq!(said.status.code(), Some(2), "{error}");
    assert!(
        error.contains("mutable tag") && error.contains("timerose image add python:3.12"),
        "{error}"
    );
    let image = add(&mesh, &[busybox()]).await;
    assert_eq!(
        printed(&mesh, &["image", "ls", "--enc=json"])
            .await
            .matches(&image)
            .count(),
        1
    );
    describe(&image);
    let function = printed(&mesh, &["deploy", "-q", &path]).await;
    mesh.node_mut(1)
        .sidecar
        .set_variable(DOCKER, "false".to_owned());
    mesh.node_mut(1).sidecar.restart().await.unwrap();
    let failure = run(&mesh, &function, &[]).await.unwrap_err();
    assert_eq!(failure.code, "no_executor");
    assert!(failure.message.contains("docker.enabled"), "{failure:?}");
    let doctor = mesh.timerose(1, &["doctor"]).await;
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(
        doctor.contains("no docker: it is off: docker.enabled"),
        "{doctor}"
    );
    mesh.end().await;
}
