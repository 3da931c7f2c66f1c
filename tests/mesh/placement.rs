//! The call goes to the data, not the data to the call.

use std::path::Path;

use timerose::compute::InvokeRequest;

use crate::support::mesh::{Mesh, until};

const NODES: usize = 4;
const FILES: usize = 200;
const FILE_BYTES: usize = 256 << 10;
const RUNS: u32 = 20;
const SLACK_BYTES: u64 = 2 << 20;

/// 50 MB in 200 files, none like another, of five thousand words.
fn make_input(folder: &Path) {
    let mut x = 88_172_645_463_325_252_u64;
    for file in 0..FILES {
        let mut bytes = Vec::with_capacity(FILE_BYTES);
        while bytes.len() < FILE_BYTES {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            bytes.extend_from_slice(format!("word{} ", x % 5_000).as_bytes());
        }
        bytes.truncate(FILE_BYTES);
        std::fs::write(folder.join(format!("{file:03}.txt")), bytes).unwrap();
    }
}

/// Bytes that Kubo's bitswap received and sent so far.
async fn bitswap(mesh: &Mesh, index: usize) -> (u64, u64) {
    let stat = mesh
        .node(index)
        .kubo
        .ipfs(&["bitswap", "stat", "--enc=json"])
        .await;
    let stat: serde_json::Value = serde_json::from_str(&stat.unwrap()).unwrap();
    let bytes = |key: &str| stat[key].as_u64().unwrap();
    (bytes("DataReceived"), bytes("DataSent"))
}

/// What the others received and the holder sent.
async fn moved(mesh: &Mesh, holder: usize) -> u64 {
    let mut sum = bitswap(mesh, holder).await.1;
    for index in (0..NODES).filter(|index| *index != holder) {
        sum += bitswap(mesh, index).await.0;
    }
    sum
}

/// Puts the input on `holder`; `decoy` reads its root and three files.
async fn spread(mesh: &Mesh, holder: usize, decoy: usize) -> String {
    let folder = tempfile::tempdir().unwrap();
    make_input(folder.path());
    let path = folder.path().to_str().unwrap();
    let add = ["add", "--recursive", "--quieter", "--cid-version=1", path];
    let input = mesh.ipfs(holder, &add).await;
    let decoy = &mesh.node(decoy).kubo;
    decoy.ipfs(&["ls", &input]).await.unwrap();
    for file in ["000", "001", "002"] {
        decoy
            .ipfs(&["cat", &format!("{input}/{file}.txt")])
            .await
            .unwrap();
    }
    input
}

fn request(function: &str, input: &str) -> InvokeRequest {
    InvokeRequest {
        function: function.to_owned(),
        input: Some(input.to_owned()),
        cache: false,
        ..InvokeRequest::default()
    }
}

/// Waits until the mesh is quiet enough for the holder to be found.
async fn is_found(mesh: &Mesh, request: &InvokeRequest, holder: usize) {
    until("the holder is found", async || {
        let found = mesh.client(0).schedule(request, None).await;
        found.is_ok_and(|f| f.chosen == Some(mesh.peer(holder)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_invocation_runs_where_the_data_lies_and_the_data_stays_there() {
    let mesh = Mesh::start(NODES).await;
    let drawn = usize::from(std::process::id() as u8);
    let (holder, decoy) = (1 + drawn % 3, 1 + (drawn + 1) % 3);
    let input = spread(&mesh, holder, decoy).await;
    let wordcount = include_bytes!("../../examples/wordcount/wordcount.wasm");
    let function = mesh.deploy(0, wordcount).await;
    let request = request(&function, &input);
    is_found(&mesh, &request, holder).await;
    mesh.invoke(0, &request).await.unwrap();
    let before = moved(&mesh, holder).await;
    for run in 0..RUNS {
        let finished = mesh.invoke(0, &request).await.unwrap();
        let why = mesh.client(0).explain(&finished.invocation).await.unwrap();
        assert_eq!(finished.executor, mesh.peer(holder), "run {run}: {why:#?}");
    }
    let near = moved(&mesh, holder).await - before;
    assert!(near < SLACK_BYTES, "{near} bytes moved");
    let anywhere = InvokeRequest {
        placement: false,
        ..request
    };
    until("without placement the data moves", async || {
        mesh.invoke(0, &anywhere).await.unwrap();
        moved(&mesh, holder).await - before > SLACK_BYTES
    })
    .await;
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn local_only_wants_proof_and_says_what_nobody_holds() {
    let mesh = Mesh::start(2).await;
    let folder = tempfile::tempdir().unwrap();
    make_input(folder.path());
    let path = folder.path().to_str().unwrap();
    let add = [
        "add",
        "--recursive",
        "--quieter",
        "--pin=false",
        "--cid-version=1",
        path,
    ];
    let input = mesh.ipfs(1, &add).await;
    let wordcount = include_bytes!("../../examples/wordcount/wordcount.wasm");
    let function = mesh.deploy(0, wordcount).await;
    let local = InvokeRequest {
        local_only: true,
        ..request(&function, &input)
    };
    is_found(&mesh, &local, 1).await;
    let finished = mesh.invoke(0, &local).await.unwrap();
    assert_eq!(finished.executor, mesh.peer(1), "a whole walk is proof too");
    let file = format!("{input}/000.txt");
    let gone = mesh.ipfs(1, &["resolve", &file]).await;
    let gone = gone.trim_start_matches("/ipfs/");
    mesh.node(1)
        .kubo
        .ipfs(&["block", "rm", gone])
        .await
        .unwrap();
    until("the missing file is noticed", async || {
        let failed = mesh.invoke(0, &local).await;
        failed.is_err_and(|f| f.code == "not_local" && f.message.contains("missing"))
    })
    .await;
    mesh.end().await;
}
