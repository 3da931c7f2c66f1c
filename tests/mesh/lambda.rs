//! Lambda functions on real nodes: deployed by CID on one, run on another.

use std::{fs::Permissions, io::Write as _, os::unix::fs::PermissionsExt as _, path::Path};

use tempfile::TempDir;
use timerose::compute::{Failure, Finished, InvokeRequest};

use crate::{
    containers::{add_image, deploy, deploy_in, mesh_or_skip},
    support::{
        engine::{busybox, layer},
        mesh::{Mesh, invoke_over, until},
        runtimes::python_or_skip,
    },
};

const HANDLER: &str = "
import helper
def handler(event, context):
    print('heard', event)
    if 'why' in event:
        raise KeyError(event['why'])
    client = context.client_context
    return {'double': helper.double(event['n']), 'who': client.custom['who'] if client else None}
";

/// Beside it.
const HELPER: &str = "def double(n): return 2 * n\n";

const DESCRIPTION: &str = "name = \"double\"\n[runtime.lambda]\nruntime = \"python3.x\"\nhandler = \"app.handler\"\ncode = \"CODE\"";

/// Two nodes, of which the second has an image for `python3.x`.
pub(crate) async fn nodes_or_skip() -> Option<Mesh> {
    offering_or_skip("python3.x", &python_or_skip()?).await
}

/// Two nodes, of which the second has an image of these layers for `runtime`.
pub(crate) async fn offering_or_skip(runtime: &str, layers: &[Vec<u8>]) -> Option<Mesh> {
    let mut mesh = mesh_or_skip().await?;
    let image = add_image(&mesh, layers, &serde_json::json!({})).await;
    let sidecar = &mut mesh.node_mut(1).sidecar;
    let images = format!("{{\"{runtime}\"=\"{image}\"}}");
    sidecar.set_variable("TIMEROSE_LAMBDA__IMAGES", images);
    sidecar.restart().await.unwrap();
    until("the second node offers the runtime", async || {
        let nodes = mesh.client(0).nodes().await.unwrap();
        let offered = |kinds: &Vec<String>| kinds.iter().any(|kind| kind == runtime);
        let offering = nodes
            .iter()
            .filter(|node| node.runtimes.get("lambda").is_some_and(offered));
        offering.count() == 1
    })
    .await;
    Some(mesh)
}

/// Calls a function with an event.
pub(crate) async fn call(
    mesh: &Mesh,
    function: &str,
    event: &str,
    context: Option<&str>,
) -> Result<Finished, Failure> {
    let request = InvokeRequest {
        function: function.to_owned(),
        args: vec![event.to_owned()],
        client_context: context.map(str::to_owned),
        find_timeout: std::time::Duration::from_secs(10),
        fetch_timeout: std::time::Duration::from_secs(60),
        ..InvokeRequest::default()
    };
    invoke_over(&mesh.client(0), &request, None).await
}

/// A function of a folder, and the folder.
pub(crate) async fn deployed(mesh: &Mesh) -> (String, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    write_code(folder.path());
    let function = deploy_from(mesh, folder.path(), ".").await;
    (function, folder)
}

/// The handler and what it imports.
fn write_code(folder: &Path) {
    std::fs::write(folder.join("app.py"), HANDLER).unwrap();
    std::fs::write(folder.join("helper.py"), HELPER).unwrap();
}

/// Deploys what lies at `code` in a folder.
async fn deploy_from(mesh: &Mesh, folder: &Path, code: &str) -> String {
    deploy_in(mesh, folder, &DESCRIPTION.replace("CODE", code)).await
}

/// A zip of the code in a folder.
fn zipped(source: &Path, path: &Path) {
    let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    for name in ["app.py", "helper.py"] {
        zip.start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(&std::fs::read(source.join(name)).unwrap())
            .unwrap();
    }
    zip.finish().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_or_a_zip_is_deployed_by_cid_and_runs_where_its_runtime_is() {
    let Some(mesh) = nodes_or_skip().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    std::fs::create_dir(&source).unwrap();
    write_code(&source);
    zipped(&source, &folder.path().join("code.zip"));
    let mut functions = Vec::new();
    for code in ["source", "code.zip"] {
        functions.push(deploy_from(&mesh, folder.path(), code).await);
    }
    assert_eq!(
        functions[0], functions[1],
        "the same code is the same function"
    );
    let finished = call(
        &mesh,
        &functions[0],
        r#"{"n": 21}"#,
        Some(r#"{"custom": {"who": "me"}}"#),
    )
    .await
    .unwrap();
    assert_eq!(finished.executor, mesh.peer(1));
    assert_eq!(
        mesh.saved(0, &finished.invocation).await,
        r#"{"double": 42, "who": "me"}"#
    );
    let failure = call(&mesh, "double", r#"{"why": "reasons"}"#, None)
        .await
        .unwrap_err();
    let error: serde_json::Value = serde_json::from_str(&failure.message).unwrap();
    assert_eq!(
        (failure.code.as_str(), &error["errorType"]),
        ("user", &serde_json::json!("KeyError"))
    );
    let nobody = InvokeRequest {
        function: functions[0].clone(),
        executor: Some(mesh.peer(0)),
        ..InvokeRequest::default()
    };
    let refused = mesh.invoke(0, &nobody).await.unwrap_err();
    assert!(
        refused.message.contains("does not offer lambda/python3.x"),
        "{refused:?}"
    );
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_with_a_runtime_of_its_own_runs_by_its_cid() {
    let Some(layers) = python_or_skip() else {
        return;
    };
    let Some(mesh) = mesh_or_skip().await else {
        return;
    };
    let code = layer(&[(
        "var/task/app.py",
        b"def handler(event, context): return 'own ' + event",
        0o644,
    )]);
    let about = serde_json::json!({
        "Entrypoint": ["/var/runtime/bootstrap"], "Env": ["_HANDLER=unused"], "WorkingDir": "/var/task",
    });
    let layers: Vec<_> = layers.into_iter().chain([code]).collect();
    let image = add_image(&mesh, &layers, &about).await;
    let description = format!("[runtime.lambda]\nimage = \"{image}\"\nhandler = \"app.handler\"");
    let function = deploy(&mesh, &description).await;
    let finished = call(&mesh, &function, "\"image\"", None).await.unwrap();
    assert_eq!(mesh.saved(0, &finished.invocation).await, "\"own image\"");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_convention_of_docker_lambda_works_as_a_plain_container() {
    let Some(mesh) = mesh_or_skip().await else {
        return;
    };
    let script =
        "#!/bin/sh\necho START >&2\necho \"{\\\"handler\\\": \\\"$1\\\", \\\"event\\\": $2}\"\n";
    let layers = [busybox(), layer(&[("entry", script.as_bytes(), 0o755)])];
    let about = serde_json::json!({"Entrypoint": ["/entry"]});
    let image = add_image(&mesh, &layers, &about).await;
    let description = format!("[runtime.docker]\nimage = \"{image}\"\ncommand = [\"app.handler\"]");
    let function = deploy(&mesh, &description).await;
    let finished = call(&mesh, &function, r#"{"n": 1}"#, None).await.unwrap();
    assert_eq!(
        mesh.saved(0, &finished.invocation).await,
        "{\"handler\": \"app.handler\", \"event\": {\"n\": 1}}\n"
    );
    mesh.end().await;
}
