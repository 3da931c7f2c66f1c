//! A whole node: `timerose daemon` itself beside a fake Kubo.

use std::{path::PathBuf, time::Duration};

use tempfile::TempDir;
use timerose::{
    api::Client,
    cli::dev::{SidecarOptions, SidecarProcess},
    compute::{Code, DeployRequest, Draft, InvocationEvent, InvokeRequest},
};
use tokio::time::Instant;
use tokio_stream::StreamExt;

use crate::support::fake_kubo::{FakeKubo, FakeNet};

/// One node. Dropping it kills both daemons.
pub(crate) struct WholeNode {
    pub(crate) kubo: FakeKubo,
    pub(crate) sidecar: SidecarProcess,
    _dir: TempDir,
}

/// Where an invocation was placed, and how long that took.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) executor: String,
    pub(crate) after: Duration,
}

impl WholeNode {
    /// Starts `timerose daemon FLAGS…` beside a new Kubo of `net`.
    pub(crate) async fn start(net: &FakeNet, flags: &[&str]) -> Self {
        let (kubo, dir) = (FakeKubo::start(net).await, tempfile::tempdir().unwrap());
        let options = SidecarOptions {
            program: PathBuf::from(env!("CARGO_BIN_EXE_timerose")),
            home: dir.path().join("home"),
            ipfs_path: kubo.repo().to_owned(),
            flags: flags.iter().map(ToString::to_string).collect(),
            environment: Vec::new(),
        };
        Self {
            kubo,
            sidecar: SidecarProcess::start(options).await.unwrap(),
            _dir: dir,
        }
    }

    /// Its API.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.sidecar.home().join("api.sock")).unwrap()
    }

    /// Deploys WAT or WASM; gives the function's CID.
    pub(crate) async fn deploy(&self, code: &[u8]) -> String {
        let code = Code::Bytes(wat::parse_bytes(code).unwrap().into_owned().into());
        let draft = Draft::default();
        let request = DeployRequest { draft, code };
        self.client().deploy(request).await.unwrap().function
    }

    /// Submits `request`, waits until an executor took it and then until it
    /// went well.
    pub(crate) async fn place(&self, request: &InvokeRequest) -> Placed {
        let began = Instant::now();
        let mut placed = None;
        let mut events = self.client().invoke(request, None).await.unwrap();
        while let Some(event) = events.next().await {
            match event.unwrap() {
                InvocationEvent::Placed { executor, .. } => {
                    let after = began.elapsed();
                    placed.get_or_insert(Placed { executor, after });
                }
                InvocationEvent::Failed { error, .. } => panic!("{error:?}"),
                _ => {}
            }
        }
        placed.expect("it was placed")
    }
}
