//! What attempts could leave on a machine: weight, containers, processes, mounts,
//! files.

use std::path::{Path, PathBuf};

use crate::{
    process::anonymous_bytes,
    support::{
        engine,
        mesh::{Mesh, until_within},
    },
};

/// Within what the last of it is gone; disks take long for so many folders.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// What the daemon may weigh more.
const SLACK_BYTES: u64 = 16 << 20;

/// What is there now, of a mesh of one node.
#[derive(Debug)]
pub(super) struct Left {
    memory: u64,
    containers: usize,
    processes: usize,
    mounts: usize,
    files: Vec<PathBuf>,
}

impl Left {
    pub(super) async fn on(mesh: &Mesh) -> Self {
        let sidecar = &mesh.node(0).sidecar;
        let home = sidecar.home();
        Self {
            memory: anonymous_bytes(sidecar.process().pid()),
            containers: containers(&mesh.peer(0), home).await,
            processes: children(sidecar.process().pid()),
            mounts: mounts(),
            files: files(&home.join("work")),
        }
    }

    /// Waits until no more is there than this; names what is if that takes long.
    pub(super) async fn is_all_that_is_left(&self, mesh: &Mesh) {
        let now = Self::on(mesh).await;
        if now.is_within(self) {
            return;
        }
        let what = format!("no more than {self:?}, there were {now:?}");
        until_within(PATIENCE, &what, async || {
            Self::on(mesh).await.is_within(self)
        })
        .await;
    }

    fn is_within(&self, before: &Self) -> bool {
        let counts = |left: &Self| [left.containers, left.processes, left.mounts];
        let pairs = counts(self).into_iter().zip(counts(before));
        self.files == before.files
            && self.memory < before.memory + SLACK_BYTES
            && pairs.into_iter().all(|(now, then)| now <= then)
    }
}

/// Containers of a node, whatever became of them.
async fn containers(peer: &str, home: &Path) -> usize {
    let Some(socket) = engine::socket() else {
        return 0;
    };
    let label = format!("timerose.home={peer} {}", home.join("work").display());
    engine::containers(&socket, &label).await
}

/// Processes below a daemon: those in which modules run, when nothing does.
fn children(daemon: u32) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    // A process may end while it is looked at.
    let stats = processes.filter_map(|p| std::fs::read_to_string(p.path().join("stat")).ok());
    let parent = |stat: &String| {
        stat.rsplit(')')
            .next()?
            .split_whitespace()
            .nth(1)?
            .parse()
            .ok()
    };
    stats.filter(|stat| parent(stat) == Some(daemon)).count()
}

fn mounts() -> usize {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.lines().count()
}

/// Whatever is below a folder that is no folder itself.
fn files(folder: &Path) -> Vec<PathBuf> {
    // What goes meanwhile is not left.
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let below = paths.map(|path| match path.is_dir() && !path.is_symlink() {
        true => files(&path),
        false => vec![path],
    });
    let mut below: Vec<_> = below.flatten().collect();
    below.sort();
    below
}
