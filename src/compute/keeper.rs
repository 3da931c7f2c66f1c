//! Brings small outputs and receipts into Kubo, many at a time.
//!
//! Takes blocks, gives Kubo one CAR per batch under one pinned root: pinning
//! each small block by itself is ten times slower (measured: 470–700 pinned
//! puts a second, 11,300 blocks a second by import). Until then, and when Kubo
//! is away, the blocks lie in the store.

use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use super::clock;
use crate::{
    kubo,
    model::Block,
    task::Tasks,
    wire::{
        block::{DAG_CBOR, RAW},
        car, cid_of, dagcbor,
    },
};

/// Blocks that may wait; more stay in the store alone.
const MAX_WAITING: usize = 4_096;
/// Blocks of one batch.
const MAX_BATCH: usize = 512;
/// How long a batch gathers.
const GATHER: Duration = Duration::from_millis(300);
/// How long a batch gathers that somebody waits for: what comes while one batch
/// is stored is in the next anyway.
const HURRY: Duration = Duration::from_millis(20);
/// Tries before a batch is left in the store.
const TRIES: u32 = 5;
/// Pause after a failed try, growing with each.
const PAUSE: Duration = Duration::from_secs(1);

/// Accepts blocks. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    waiting: mpsc::Sender<Item>,
}

/// A block that waits, and whom to tell that it is kept.
#[derive(Debug)]
struct Item {
    block: Block,
    kept: Option<oneshot::Sender<()>>,
}

/// The pinned root of a batch.
#[derive(Serialize)]
struct Batch {
    timerose: &'static str,
    items: Vec<Cid>,
    at_ms: u64,
}

impl Keeper {
    /// Starts a keeper; it ends with `tasks`, its last batch first.
    pub(crate) fn start(kubo: kubo::Client, tasks: &Tasks) -> Self {
        let (waiting, blocks) = mpsc::channel(MAX_WAITING);
        tasks.spawn("keeper", gather(kubo, blocks));
        Self { waiting }
    }

    /// Takes blocks for a later batch.
    pub(crate) fn keep(&self, blocks: impl IntoIterator<Item = Block>) {
        for block in blocks {
            if self.waiting.try_send(Item { block, kept: None }).is_err() {
                warn!("too many results wait for Kubo; the newest stay in the store alone");
                return;
            }
        }
    }
}

impl Keeper {
    /// Takes blocks and waits until Kubo has them, pinned; gives whether it
    /// has.
    pub(crate) async fn kept(&self, blocks: Vec<Block>) -> bool {
        let mut told = Vec::with_capacity(blocks.len());
        for block in blocks {
            let (kept, is_kept) = oneshot::channel();
            told.push(is_kept);
            let item = Item {
                block,
                kept: Some(kept),
            };
            if self.waiting.send(item).await.is_err() {
                return false;
            }
        }
        futures_util::future::try_join_all(told).await.is_ok()
    }
}

async fn gather(kubo: kubo::Client, mut blocks: mpsc::Receiver<Item>) {
    while let Some(first) = blocks.recv().await {
        let mut is_awaited = first.kept.is_some();
        let mut batch = vec![first];
        let began = tokio::time::Instant::now();
        while batch.len() < MAX_BATCH {
            let until = began + if is_awaited { HURRY } else { GATHER };
            match tokio::time::timeout_at(until, blocks.recv()).await {
                Ok(Some(item)) => {
                    is_awaited |= item.kept.is_some();
                    batch.push(item);
                }
                Ok(None) | Err(_) => break,
            }
        }
        let (batch, told): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|item| (item.block, item.kept))
            .unzip();
        if import(&kubo, batch).await {
            for kept in told.into_iter().flatten() {
                let _gone = kept.send(());
            }
        }
    }
}

/// The same bytes as a leaf: a recursive pin of the batch keeps the block and
/// does not follow a receipt to its call and on to the whole input.
fn as_leaf(cid: &Cid) -> Cid {
    Cid::new_v1(RAW, *cid.hash())
}

/// Brings a batch into Kubo; gives whether it is there.
async fn import(kubo: &kubo::Client, mut batch: Vec<Block>) -> bool {
    batch.sort_by_key(|block| block.cid);
    batch.dedup_by_key(|block| block.cid);
    let items = batch.iter().map(|block| as_leaf(&block.cid)).collect();
    let root = Batch {
        timerose: "batch/1",
        items,
        at_ms: clock::unix_ms(),
    };
    let Ok(data) = dagcbor::encode(&root) else {
        return false;
    };
    let root = cid_of(DAG_CBOR, &data);
    batch.push(Block { cid: root, data });
    let Ok(archive) = car::write(&[root], batch.iter().map(|b| (&b.cid, b.data.as_slice()))) else {
        return false;
    };
    let archive = Bytes::from(archive);
    for tried in 1..=TRIES {
        match store(kubo, &root, &archive, batch.len()).await {
            Ok(()) => return true,
            Err(error) if tried == TRIES => {
                warn!(%error, "a batch of results stays in the store alone");
            }
            Err(_) => tokio::time::sleep(PAUSE * tried).await,
        }
    }
    false
}

async fn store(
    kubo: &kubo::Client,
    root: &Cid,
    archive: &Bytes,
    blocks: usize,
) -> Result<(), kubo::Error> {
    let body = futures_util::stream::iter([Ok(archive.clone())]);
    kubo.dag_import(body, false, &kubo::Cat::default()).await?;
    let name = format!("timerose/batch/{}-{blocks}", clock::unix_ms());
    kubo.pin_add(
        root,
        &kubo::PinAdd {
            name: Some(name),
            ..kubo::PinAdd::default()
        },
    )
    .await
}
