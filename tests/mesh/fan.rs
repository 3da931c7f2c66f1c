//! Functions of the function-addressable network on real nodes: what IPFS-FAN
//! wrote is found and run, and results have the names that they have there.

use std::path::Path;

use timerose::compute::{Finished, InvokeRequest};

use crate::support::mesh::Mesh;

/// How IPFS-FAN stores everything.
const RECIPE: [&str; 7] = [
    "add",
    "--quieter",
    "--cid-version=1",
    "--raw-leaves=false",
    "--chunker=size-262144",
    "--max-file-links=174",
    "--trickle=false",
];

fn module(name: &str) -> String {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/fan");
    examples.join(name).to_str().unwrap().to_owned()
}

/// Adds bytes to a node as IPFS-FAN does; gives their CID.
async fn add(mesh: &Mesh, node: usize, bytes: &[u8], options: &[&str]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let path = [file.path().to_str().unwrap()];
    let command = [&RECIPE[..], options, &path].concat();
    mesh.ipfs(node, &command).await
}

/// Deploys an example as a function of IPFS-FAN: bytecode, then manifest.
async fn original(mesh: &Mesh, node: usize, name: &str, exports: &str) -> String {
    let bytecode = std::fs::read(module(name)).unwrap();
    let bytecode = add(mesh, node, &bytecode, &[]).await;
    let manifest = format!(
        r#"{{"Fxs":[{exports}],"Bytecode":{{"/":"{bytecode}"}},"Args":[{{"Name":"string","Codec":null}}]}}"#
    );
    add(mesh, node, manifest.as_bytes(), &[]).await
}

async fn call(mesh: &Mesh, function: &str, entry: &str, args: &[&str]) -> Finished {
    let request = InvokeRequest {
        function: function.to_owned(),
        entry: Some(entry.to_owned()),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        executor: Some(mesh.peer(1)),
        ..InvokeRequest::default()
    };
    mesh.invoke(0, &request).await.unwrap()
}

async fn printed(mesh: &Mesh, arguments: &[&str]) -> String {
    let said = mesh.timerose(0, arguments).await;
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_ipfs_fan_deployed_run_elsewhere_and_name_their_results_alike() {
    let mesh = Mesh::start(2).await;
    let words = original(&mesh, 0, "wordcount.wasm", r#""map","reduce""#).await;
    let (mut maps, mut expected) = (Vec::new(), Vec::new());
    for (text, counts) in [
        ("a rose is a rose", r#"{"x":{"a":2,"is":1,"rose":2}}"#),
        ("a time", r#"{"x":{"a":1,"time":1}}"#),
    ] {
        let argument = add(&mesh, 0, text.as_bytes(), &[]).await;
        let map = call(&mesh, &words, "map", &[&format!("/ipfs/{argument}")]).await;
        assert_eq!(map.executor, mesh.peer(1));
        expected.push(add(&mesh, 0, counts.as_bytes(), &["--only-hash"]).await);
        maps.push(map.output);
    }
    assert_eq!(maps, expected);
    let [first, second] = [0, 1].map(|at| format!("ipfs://{}", maps[at]));
    let sum = call(&mesh, &words, "reduce", &[&first, &second]).await;
    let counts = br#"{"x":{"a":3,"is":1,"rose":2,"time":1}}"#;
    assert_eq!(sum.output, add(&mesh, 0, counts, &["--only-hash"]).await);
    assert_eq!(mesh.saved(0, &sum.invocation).await.as_bytes(), counts);
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn small_and_large_results_have_the_names_of_ipfs_fan() {
    let mesh = Mesh::start(2).await;
    let tagger = original(&mesh, 0, "tagger.wasm", r#""fx""#).await;
    for bytes in [0, 5, 60 << 10, 300 << 10, 1_900_000] {
        let text = "Rosen ".repeat(bytes / 6);
        let argument = add(&mesh, 0, text.as_bytes(), &[]).await;
        let tagged = call(&mesh, &tagger, "fx", &[&format!("/ipfs/{argument}")]).await;
        let expected = format!("{text} (tagged by TimeRose)");
        let cid = add(&mesh, 0, expected.as_bytes(), &["--only-hash"]).await;
        assert_eq!(tagged.output, cid, "{bytes} bytes");
        let output = mesh.saved(0, &tagged.invocation).await;
        assert!(output == expected, "{bytes} bytes");
    }
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_deploys_and_calls_such_functions() {
    let mesh = Mesh::start(1).await;
    let deploy = |name| ["deploy", "-q", name, "--abi", "fan"].map(str::to_owned);
    let cid = |printed: String| printed.trim().to_owned();
    let fibonacci = deploy(&module("fibonacci.wasm"));
    let fibonacci = cid(printed(&mesh, &fibonacci.each_ref().map(String::as_str)).await);
    assert_eq!(
        printed(&mesh, &["invoke", &fibonacci, "--", "90"]).await,
        "2880067194370816120"
    );
    let tagger = original(&mesh, 0, "tagger.wasm", r#""fx""#).await;
    assert_eq!(
        cid(printed(&mesh, &["deploy", "-q", &tagger]).await),
        tagger
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "input").unwrap();
    let path = file.path().to_str().unwrap();
    let tagged = printed(&mesh, &["invoke", &tagger, path]).await;
    assert_eq!(tagged, "input (tagged by TimeRose)");
    let wrong = mesh
        .timerose(0, &["invoke", &tagger, "--entry", "alloc"])
        .await;
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(
        said.contains("the function offers no `alloc`; it offers: fx"),
        "{said}"
    );
    let two = mesh.timerose(0, &["invoke", &tagger, "--", "a", "b"]).await;
    let said = String::from_utf8(two.stderr).unwrap();
    assert!(
        said.contains("`fx` takes 1 byte strings, 2 were given"),
        "{said}"
    );
    assert_eq!(two.status.code(), Some(3));
    mesh.end().await;
}
