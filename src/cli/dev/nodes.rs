//! Several temporary nodes that know one another.
//!
//! Takes a number and the programs; gives nodes in a folder of their own,
//! which goes with them.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::future::{join_all, try_join_all};
use serde_json::Value;
use tempfile::TempDir;

use super::{Error, KuboDaemon, KuboOptions, Place, SidecarOptions, SidecarProcess};

/// How long what a sidecar started may outlive it.
const ORPHANS: Duration = Duration::from_secs(2);

/// What each node is made of.
#[derive(Clone, Debug, Default)]
pub struct NodesOptions {
    /// Kubo's program.
    pub ipfs: PathBuf,
    /// TimeRose's program.
    pub timerose: PathBuf,
    /// Further settings of each Kubo, keys with dots.
    pub settings: Vec<(String, Value)>,
    /// Flags of each sidecar, beside `--allow` for every other node.
    pub flags: Vec<String>,
    /// Further environment of each sidecar and of its commands.
    pub environment: Vec<(String, String)>,
    /// A network namespace for each node; those beyond the last share ours.
    pub places: Vec<Place>,
    /// Pairs of nodes that cannot reach each other, so that nobody tries.
    pub apart: Vec<(usize, usize)>,
}

/// A Kubo with its sidecar. Fields are dropped in order: the sidecar first.
#[derive(Debug)]
pub struct Node {
    /// The sidecar.
    pub sidecar: SidecarProcess,
    /// Its Kubo.
    pub kubo: KuboDaemon,
}

/// Nodes, and last the folder that holds them.
#[derive(Debug)]
pub struct Nodes {
    nodes: Vec<Node>,
    root: TempDir,
}

impl Nodes {
    /// Starts `count` nodes, each connected to and allowing all others.
    ///
    /// # Errors
    /// Any of [`Error`]; nothing is left then.
    pub async fn start(count: usize, options: &NodesOptions) -> Result<Self, Error> {
        let root = folder()?;
        let kubos = start_kubos_at(count, root.path(), options).await?;
        let peers: Vec<String> = kubos.iter().map(KuboDaemon::peer).collect();
        let sidecars = kubos.iter().enumerate().map(|(index, kubo)| {
            SidecarProcess::start(SidecarOptions {
                program: options.timerose.clone(),
                home: node_folder(root.path(), index).join("home"),
                ipfs_path: kubo.repo().to_owned(),
                flags: flags(options, &peers, index),
                environment: options.environment.clone(),
                place: options.places.get(index).cloned(),
            })
        });
        let sidecars = try_join_all(sidecars).await?;
        let nodes = sidecars.into_iter().zip(kubos);
        let nodes = nodes
            .map(|(sidecar, kubo)| Node { sidecar, kubo })
            .collect();
        Ok(Self { nodes, root })
    }

    /// The folder that holds everything.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The nodes.
    #[must_use]
    pub fn all(&self) -> &[Node] {
        &self.nodes
    }

    /// The nodes, to stop and start.
    pub fn all_mut(&mut self) -> &mut [Node] {
        &mut self.nodes
    }

    /// Stops all sidecars, then all Kubos, and removes the folder.
    ///
    /// # Errors
    /// The first of [`Error`]; the rest is stopped all the same.
    pub async fn stop(self) -> Result<(), Error> {
        let Self { mut nodes, root } = self;
        let ended = join_all(nodes.iter_mut().map(|node| node.sidecar.stop())).await;
        ended.into_iter().collect::<Result<Vec<_>, _>>()?;
        nobody_left(&nodes).await?;
        let ended = join_all(nodes.iter_mut().map(|node| node.kubo.stop())).await;
        ended.into_iter().collect::<Result<Vec<_>, _>>()?;
        drop(nodes);
        let path = root.path().to_owned();
        root.close().map_err(Error::file(path))
    }
}

/// A folder of its own for temporary nodes. Its path is short, because that of
/// a unix socket may not be long.
///
/// # Errors
/// [`Error::File`].
pub fn folder() -> Result<TempDir, Error> {
    let made = tempfile::Builder::new().prefix("timerose-").tempdir();
    made.map_err(Error::file(std::env::temp_dir()))
}

/// Starts `count` Kubos below `root`, all at once, and connects each ordered
/// pair, one after the other.
///
/// # Errors
/// Any of [`Error`]; nothing is left running then.
pub async fn start_kubos(
    count: usize,
    root: &Path,
    ipfs: &Path,
    settings: &[(String, Value)],
) -> Result<Vec<KuboDaemon>, Error> {
    let options = NodesOptions {
        ipfs: ipfs.to_owned(),
        settings: settings.to_vec(),
        ..NodesOptions::default()
    };
    start_kubos_at(count, root, &options).await
}

async fn start_kubos_at(
    count: usize,
    root: &Path,
    options: &NodesOptions,
) -> Result<Vec<KuboDaemon>, Error> {
    let kubos = (0..count).map(|index| {
        KuboDaemon::start(KuboOptions {
            program: options.ipfs.clone(),
            dir: node_folder(root, index),
            settings: options.settings.clone(),
            place: options.places.get(index).cloned(),
        })
    });
    let kubos = try_join_all(kubos).await?;
    for (one, kubo) in kubos.iter().enumerate() {
        for (other, to) in kubos.iter().enumerate() {
            let is_apart = |pair: &(usize, usize)| [(one, other), (other, one)].contains(pair);
            if one != other && !options.apart.iter().any(is_apart) {
                kubo.connect(to).await?;
            }
        }
    }
    Ok(kubos)
}

/// The processes of guests notice by themselves that their sidecar is gone.
async fn nobody_left(nodes: &[Node]) -> Result<(), Error> {
    for node in nodes {
        let process = node.sidecar.process();
        if !process.group_ends_within(ORPHANS).await {
            return Err(Error::LeftBehind { pid: process.pid() });
        }
    }
    Ok(())
}

fn node_folder(root: &Path, index: usize) -> PathBuf {
    root.join(format!("n{}", index + 1))
}

/// The given flags, and the others' leave to run code here.
fn flags(options: &NodesOptions, peers: &[String], index: usize) -> Vec<String> {
    let others = peers
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != index);
    let allow = others.flat_map(|(_, peer)| ["--allow".to_owned(), peer.clone()]);
    options.flags.iter().cloned().chain(allow).collect()
}
