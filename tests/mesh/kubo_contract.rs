//! What the client relies on, asked of the real Kubo.
//!
//! One promise of `tests/it/kubo_*.rs` each, where it can be provoked: these
//! tell when an upstream version changes an answer. Needs `IPFS_BIN`, or an
//! `ipfs` on PATH.

mod content;
mod life;
mod pubsub;
mod routing;

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;
use timerose::cli::dev::{KuboDaemon, folder, start_kubos};

/// Connected daemons and their folder, which goes last.
struct Kubos {
    daemons: Vec<KuboDaemon>,
    _folder: TempDir,
}

impl Kubos {
    async fn start(count: usize) -> Self {
        Self::with(count, &[]).await
    }

    async fn with(count: usize, settings: &[(String, Value)]) -> Self {
        let folder = folder().unwrap();
        let daemons = start_kubos(count, folder.path(), &ipfs(), settings).await;
        Self {
            daemons: daemons.unwrap(),
            _folder: folder,
        }
    }

    fn first(&self) -> &KuboDaemon {
        self.daemons.first().unwrap()
    }

    fn second(&self) -> &KuboDaemon {
        self.daemons.get(1).unwrap()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the scripts say in the environment which Kubo to test"
)]
fn ipfs() -> PathBuf {
    std::env::var_os("IPFS_BIN").map_or_else(|| "ipfs".into(), PathBuf::from)
}
