//! A whole node: `timerose daemon` itself beside a fake Kubo.

use std::{path::PathBuf, time::Duration};

use tempfile::TempDir;
use timerose::{
    api::Client,
    cli::dev::{SidecarOptions, SidecarProcess},
    compute::{Code, DeployRequest, Draft, Failure, InvocationEvent, InvokeRequest},
};
use tokio::time::Instant;
use tokio_stream::StreamExt;

use crate::support::{
    fake_kubo::{FakeKubo, FakeNet},
    mesh::without_engine,
};

/// One node. Dropping it kills both daemons.
pub(crate) struct WholeNode {
    pub(crate) kubo: FakeKubo,
    pub(crate) sidecar: SidecarProcess,
    _dir: TempDir,
}

/// The first word after `key` in the status of a process.
fn field<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    let line = status.lines().find(|line| line.starts_with(key))?;
    line[key.len()..].split_whitespace().next()
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
        let flags = flags.iter().map(ToString::to_string).collect();
        Self::start_with(net, |options| options.flags = flags).await
    }

    /// The same with other options.
    pub(crate) async fn start_with(
        net: &FakeNet,
        change: impl FnOnce(&mut SidecarOptions),
    ) -> Self {
        let (kubo, dir) = (FakeKubo::start(net).await, tempfile::tempdir().unwrap());
        let mut options = SidecarOptions {
            program: PathBuf::from(env!("CARGO_BIN_EXE_timerose")),
            home: dir.path().join("home"),
            ipfs_path: kubo.repo().to_owned(),
            flags: Vec::new(),
            environment: Vec::new(),
            place: None,
        };
        change(&mut options);
        without_engine(&mut options.environment);
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
        self.try_deploy(code).await.unwrap()
    }

    /// The same where it may be refused.
    pub(crate) async fn try_deploy(&self, code: &[u8]) -> Result<String, Failure> {
        let code = Code::Bytes(wat::parse_bytes(code).unwrap().into_owned().into());
        let draft = Draft::default();
        let request = DeployRequest { draft, code };
        Ok(self.client().deploy(request).await?.function)
    }

    /// Resident memory that no file backs, of the daemon and its children.
    pub(crate) fn anonymous_bytes(&self) -> u64 {
        let daemon = self.sidecar.process().pid().to_string();
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        // A process may end while it is looked at.
        let status =
            processes.filter_map(|p| std::fs::read_to_string(p.path().join("status")).ok());
        let own = status.filter(|status| {
            let is = |key| field(status, key) == Some(&daemon);
            is("Pid:") || is("PPid:")
        });
        let kib = own.filter_map(|status| field(&status, "RssAnon:")?.parse::<u64>().ok());
        kib.sum::<u64>() << 10
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
