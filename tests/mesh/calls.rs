//! Deploy, invoke, receipt: on real nodes, over the command line.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tempfile::TempDir;
use timerose::compute::{ByteStream, InvokeRequest};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as ADAPTER_NAME,
    WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER as ADAPTER,
};
use wit_component::ComponentEncoder;

use crate::support::mesh::{Mesh, invoke_over};

const FIB: &[u8] = include_bytes!("fib.wat");

fn fib(function: &str, n: u32) -> InvokeRequest {
    InvokeRequest {
        function: function.to_owned(),
        entry: Some("fib".to_owned()),
        args: vec![n.to_string()],
        ..InvokeRequest::default()
    }
}

/// A receipt in a file of its own.
pub(crate) struct Exported(TempDir);

impl Exported {
    /// Has node 0 export it.
    pub(crate) async fn from(mesh: &Mesh, receipt: &str) -> Self {
        let exported = Self(tempfile::tempdir().unwrap());
        let file = exported.file();
        let command = ["receipt", "export", receipt, file.to_str().unwrap()];
        let said = mesh.timerose(0, &command).await;
        assert!(said.status.success(), "{said:?}");
        exported
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.path().join("receipt.car")
    }

    /// Verifies it without Kubo, in an empty environment.
    pub(crate) fn verify(&self) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_timerose"));
        command.env_clear().env("TIMEROSE_PATH", self.0.path());
        command.args(["receipt", "verify"]).arg(self.file());
        command.output().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_call_is_answered_by_the_same_receipt_without_running() {
    let mesh = Mesh::start(1).await;
    let function = mesh.deploy(0, FIB).await;
    let first = mesh.invoke(0, &fib(&function, 50)).await.unwrap();
    let again = mesh.invoke(0, &fib(&function, 50)).await.unwrap();
    assert!(!first.cached && again.cached);
    assert_eq!(first.receipt, again.receipt);
    let fresh = InvokeRequest {
        cache: false,
        ..fib(&function, 50)
    };
    let fresh = mesh.invoke(0, &fresh).await.unwrap();
    assert!(!fresh.cached);
    assert_ne!(fresh.receipt, first.receipt);
    assert_eq!(fresh.output, first.output);
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_is_what_ipfs_add_names_it_and_can_be_read_with_ipfs() {
    let mesh = Mesh::start(1).await;
    let function = mesh.deploy(0, FIB).await;
    let finished = mesh.invoke(0, &fib(&function, 10)).await.unwrap();
    let kubo = &mesh.node(0).kubo;
    crate::support::mesh::until("the output is in Kubo", async || {
        let stat = ["block", "stat", "--offline", &finished.output];
        kubo.ipfs(&stat).await.is_ok()
    })
    .await;
    assert_eq!(kubo.ipfs(&["cat", &finished.output]).await.unwrap(), "55");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_verifies_without_kubo_and_not_with_one_bit_changed() {
    let mesh = Mesh::start(1).await;
    let function = mesh.deploy(0, FIB).await;
    let finished = mesh.invoke(0, &fib(&function, 20)).await.unwrap();
    let exported = Exported::from(&mesh, &finished.receipt).await;
    let file = exported.file();
    let receipt = mesh.client(0).receipt(&finished.receipt).await.unwrap();
    mesh.end().await;
    assert!(exported.verify().status.success());
    let whole = std::fs::read(&file).unwrap();
    let found = whole
        .windows(receipt.len())
        .position(|part| part == receipt);
    let start = found.unwrap();
    for at in (0..receipt.len()).step_by(7) {
        let mut changed = whole.clone();
        changed[start + at] ^= 1 << (at % 8);
        std::fs::write(&file, &changed).unwrap();
        assert_ne!(exported.verify().status.code(), Some(0), "byte {at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_runs_code_where_they_were_not_let_in() {
    let mut mesh = Mesh::start(2).await;
    let function = mesh.deploy(0, FIB).await;
    mesh.node_mut(1).sidecar.set_flags(Vec::new());
    mesh.node_mut(1).sidecar.restart().await.unwrap();
    let elsewhere = InvokeRequest {
        executor: Some(mesh.peer(1)),
        ..fib(&function, 5)
    };
    let refused = mesh.invoke(0, &elsewhere).await.unwrap_err();
    assert_eq!(refused.code, "no_executor");
    let line = format!("timerose allow add {}", mesh.peer(0));
    assert!(refused.hint.unwrap().ends_with(&line));
    let allowed = mesh
        .timerose(1, &["allow", "add", &mesh.peer(0), "--for", "7d"])
        .await;
    assert!(allowed.status.success(), "{allowed:?}");
    let finished = mesh.invoke(0, &elsewhere).await.unwrap();
    assert_eq!(finished.executor, mesh.peer(1));
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cid_that_nobody_has_is_named_in_time() {
    let mesh = Mesh::start(2).await;
    let function = mesh.deploy(0, FIB).await;
    let absent = "bafkreieq5jui4j25lacwomsqgjeswwl3y5zcdrresptwgmfylxo2depppq";
    let request = InvokeRequest {
        input: Some(absent.to_owned()),
        ..fib(&function, 5)
    };
    let began = tokio::time::Instant::now();
    let failure = mesh.invoke(0, &request).await.unwrap_err();
    assert_eq!(failure.class.as_str(), "missing", "{failure}");
    assert!(failure.message.contains(absent));
    assert!(began.elapsed().as_secs() < 12, "{:?}", began.elapsed());
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_is_deployed_and_called_like_a_module() {
    let mesh = Mesh::start(2).await;
    let module = wat::parse_str(include_str!("echo.wat")).unwrap();
    let encoder = ComponentEncoder::default().module(&module).unwrap();
    let adapted = encoder.adapter(ADAPTER_NAME, ADAPTER).unwrap().encode();
    let function = mesh.deploy(0, &adapted.unwrap()).await;
    let functions = mesh.client(0).functions().await.unwrap();
    assert_eq!(functions[0].runtime, "wasm/component");
    let request = InvokeRequest {
        function,
        input: Some("-".to_owned()),
        executor: Some(mesh.peer(1)),
        ..InvokeRequest::default()
    };
    let rose: ByteStream = stream::iter([Ok(Bytes::from("a rose"))]).boxed();
    let finished = invoke_over(&mesh.client(0), &request, Some(rose)).await;
    let invocation = finished.unwrap().invocation;
    assert_eq!(mesh.saved(0, &invocation).await, "a rose");
    mesh.end().await;
}
