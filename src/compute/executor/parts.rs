//! What an executor is made of, and its settings. Plain values; does nothing.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use cid::Cid;
use moka::sync::Cache;

use super::{Journal, folders::Folders, stats::Stats};
use crate::{
    compute::{content::Content, image::Images, memo::Memo},
    kubo,
    mesh::{Identity, Mesh},
    model::Presence,
    sandbox::Sandboxes,
};

/// How long a proof that an input lies here whole stays good.
const PRESENCE_TTL: Duration = Duration::from_secs(10);

/// Settings of an executor.
#[derive(Clone, Debug)]
pub struct Config {
    /// Attempts that run at once.
    pub slots: u32,
    /// Attempts that may wait for a slot; more are declined.
    pub max_queued: u32,
    /// Bytes of memory that running attempts may ask for together.
    pub max_memory_bytes: u64,
    /// Bytes of the largest directory that is unpacked.
    pub max_unpacked_bytes: u64,
    /// Folder for attempts, each in a folder of its own while it runs.
    pub work_dir: PathBuf,
    /// Folder for code.
    pub cache_dir: PathBuf,
    /// Images of the runtimes of Lambda functions.
    pub lambda_images: BTreeMap<String, Cid>,
    /// The operator's labels.
    pub labels: BTreeMap<String, String>,
}

/// What an executor is made of.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) kubo: kubo::Client,
    pub(crate) mesh: Mesh,
    pub(crate) identity: Identity,
    pub(crate) sandboxes: Sandboxes,
    pub(crate) images: Images,
    pub(crate) content: Content,
    pub(crate) memo: Memo,
    pub(crate) stats: Stats,
    pub(crate) presences: Cache<Cid, Presence>,
    pub(crate) journal: Option<Journal>,
    pub(crate) folders: Folders,
}

impl Parts {
    /// Parts with empty memories.
    pub(crate) fn new(
        config: Config,
        kubo: kubo::Client,
        mesh: Mesh,
        identity: Identity,
        (sandboxes, images): (Sandboxes, Images),
        content: Content,
        memo: Memo,
    ) -> Self {
        let presences = Cache::builder()
            .max_capacity(1_024)
            .time_to_live(PRESENCE_TTL)
            .build();
        let folders = Folders::new(config.work_dir.clone());
        Self {
            config,
            kubo,
            mesh,
            identity,
            sandboxes,
            images,
            content,
            memo,
            stats: Stats::default(),
            presences,
            journal: None,
            folders,
        }
    }

    /// The same with a journal: without one, durable leases are declined.
    pub(crate) fn with_journal(self, journal: Option<Journal>) -> Self {
        Self { journal, ..self }
    }
}
