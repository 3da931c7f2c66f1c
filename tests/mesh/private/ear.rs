//! A node that was not chosen, and all that it can get hold of.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use timerose::{
    kubo::Fetch,
    model::Cid,
    task::Tasks,
    wire::{Address, topics},
};

use crate::support::mesh::Mesh;

/// How long a block that nobody has may be asked for.
const PATIENCE: Duration = Duration::from_secs(3);

/// The ear of node 2.
pub(super) struct Ear {
    heard: Arc<Mutex<Vec<u8>>>,
    tasks: Tasks,
}

impl Ear {
    /// Hears every topic of the mesh from now on.
    pub(super) async fn of(mesh: &Mesh) -> Self {
        let (heard, tasks) = (Arc::<Mutex<Vec<u8>>>::default(), Tasks::new());
        let inbox =
            |index| topics::inbox("public", &Address::node(mesh.peer(index).parse().unwrap()));
        let all = [inbox(0), inbox(1), inbox(2), topics::adverts("public")];
        for topic in all {
            let subscribed = mesh.node(2).kubo.client().subscribe(&topic).await;
            let (mut subscription, heard) = (subscribed.unwrap(), Arc::clone(&heard));
            tasks.spawn("ear", async move {
                while let Ok(Some(message)) = subscription.next().await {
                    heard.lock().unwrap().extend(message.data);
                }
            });
        }
        Self { heard, tasks }
    }

    /// All that was heard, and every block that the nodes 0 and 1 have or that
    /// is called one of `names`, as far as they give it away.
    pub(super) async fn everything(self, mesh: &Mesh, names: &[String]) -> Vec<u8> {
        let mut cids: BTreeSet<String> = names.iter().cloned().collect();
        for index in [0, 1] {
            let listed = mesh
                .node(index)
                .kubo
                .ipfs(&["refs", "local"])
                .await
                .unwrap();
            cids.extend(listed.lines().map(str::to_owned));
        }
        self.tasks.cancel();
        let mut all = self.heard.lock().unwrap().clone();
        assert!(
            all.len() > 10_000,
            "only {} bytes were overheard",
            all.len()
        );
        for cid in &cids {
            all.extend(fetched(mesh, cid).await.unwrap_or_default());
        }
        all
    }
}

/// A block as node 2 gets it from the others.
pub(super) async fn fetched(mesh: &Mesh, cid: &str) -> Option<Vec<u8>> {
    let cid: Cid = cid.parse().unwrap();
    let fetch = Fetch {
        timeout: PATIENCE,
        offline: false,
    };
    let block = mesh.node(2).kubo.client().block_get(&cid, fetch).await;
    block.ok().map(|bytes| bytes.to_vec())
}

/// All bytes of all files in a folder.
pub(super) fn files(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            all.extend(files(&entry.path()));
        } else if kind.is_file() {
            all.extend(std::fs::read(entry.path()).unwrap_or_default());
        }
    }
    all
}

/// Which of `markers` are in there.
pub(super) fn found<'a>(markers: &'a [String], bytes: &[u8]) -> Vec<&'a str> {
    let text = String::from_utf8_lossy(bytes);
    let found = markers
        .iter()
        .filter(|marker| text.contains(marker.as_str()));
    found.map(String::as_str).collect()
}
