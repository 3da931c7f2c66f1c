//! Brings small outputs and receipts into Kubo, many at a time.
//!
//! Takes blocks, gives Kubo one CAR per batch under one pinned root: pinning
//! each small block by itself is ten times slower (measured: 470–700 pinned
//! puts a second, 11,300 blocks a second by import). Until then, and when Kubo
//! is away, the blocks lie in the store.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use cid::Cid;
use serde::Serialize;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{Instant, sleep, timeout_at},
};
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

/// Blocks that may wait, and their bytes; more stay in the store alone.
const MAX_WAITING: usize = 131_072;
const MAX_WAITING_BYTES: usize = 64 << 20;
/// Blocks of one batch, no two the same.
const MAX_BATCH: usize = 512;
/// How long a batch gathers.
const GATHER: Duration = Duration::from_millis(300);
/// How long a batch gathers that somebody waits for: what comes while one batch
/// is stored is in the next anyway.
const HURRY: Duration = Duration::from_millis(5);
/// Kubo rests so many times as long as a batch took that nobody waits for: it
/// has invocations to carry, and they come in bursts. The less room is left for
/// what waits, the shorter it rests.
const REST: u32 = 16;
const LONGEST_REST: Duration = Duration::from_secs(5);
/// Tries before a batch is left in the store.
const TRIES: u32 = 5;
/// Pause after a failed try, growing with each.
const PAUSE: Duration = Duration::from_secs(1);

/// Accepts blocks. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    waiting: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
    awaited: mpsc::Sender<Awaited>,
}

/// A block that nobody waits for, and the room it takes meanwhile.
#[derive(Debug)]
struct Waiting {
    block: Block,
    room: OwnedSemaphorePermit,
}

/// Blocks that somebody waits for, and whom to tell that they are kept.
#[derive(Debug)]
struct Awaited {
    blocks: Vec<Block>,
    kept: oneshot::Sender<()>,
}

/// The pinned root of a batch.
#[derive(Serialize)]
struct Batch {
    timerose: &'static str,
    items: Vec<Cid>,
    at_ms: u64,
}

impl Keeper {
    /// Starts a keeper; it ends with `tasks`.
    pub(crate) fn start(kubo: kubo::Client, tasks: &Tasks) -> Self {
        let (waiting, blocks) = mpsc::channel(MAX_WAITING);
        let (awaited, asked) = mpsc::channel(MAX_BATCH);
        let room = Arc::new(Semaphore::new(MAX_WAITING_BYTES));
        tasks.spawn(
            "keeper.waiting",
            keep_waiting(kubo.clone(), blocks, Arc::clone(&room)),
        );
        tasks.spawn("keeper.awaited", keep_awaited(kubo, asked));
        Self {
            waiting,
            room,
            awaited,
        }
    }

    /// Takes blocks for a later batch.
    pub(crate) fn keep(&self, blocks: impl IntoIterator<Item = Block>) {
        for block in blocks {
            if !self.take(block) {
                warn!("too many results wait for Kubo; the newest stay in the store alone");
                return;
            }
        }
    }

    /// Takes one, where there is room.
    fn take(&self, block: Block) -> bool {
        let bytes = u32::try_from(block.data.len()).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes);
        room.is_ok_and(|room| {
            let waiting = Waiting { block, room };
            self.waiting.try_send(waiting).is_ok()
        })
    }

    /// Takes blocks and waits until Kubo has them, pinned; gives whether it
    /// has.
    pub(crate) async fn kept(&self, blocks: Vec<Block>) -> bool {
        let (kept, is_kept) = oneshot::channel();
        let awaited = Awaited { blocks, kept };
        self.awaited.send(awaited).await.is_ok() && is_kept.await.is_ok()
    }
}

/// Brings batch after batch into Kubo, with rests between them.
async fn keep_waiting(
    kubo: kubo::Client,
    mut blocks: mpsc::Receiver<Waiting>,
    room: Arc<Semaphore>,
) {
    loop {
        let mut seen = HashSet::new();
        let is_new = |waiting: &Waiting| seen.insert(waiting.block.cid);
        let batch = gathered(&mut blocks, GATHER, is_new).await;
        if batch.is_empty() {
            return;
        }
        let began = Instant::now();
        let (batch, rooms): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|waiting| (waiting.block, waiting.room))
            .unzip();
        import(&kubo, batch).await;
        drop(rooms);
        let free = free_percent(blocks.capacity(), room.available_permits());
        sleep(rest(began.elapsed(), free)).await;
    }
}

/// How much of the room for what waits is left, in places and in bytes.
fn free_percent(places: usize, bytes: usize) -> u32 {
    let scarcer = (places * 100 / MAX_WAITING).min(bytes * 100 / MAX_WAITING_BYTES);
    u32::try_from(scarcer).unwrap_or(100)
}

/// How long to rest after a batch that took so long.
fn rest(took: Duration, free_percent: u32) -> Duration {
    (took * REST * free_percent / 100).min(LONGEST_REST)
}

/// Brings what somebody waits for into Kubo at once.
async fn keep_awaited(kubo: kubo::Client, mut blocks: mpsc::Receiver<Awaited>) {
    loop {
        let batch = gathered(&mut blocks, HURRY, |_| true).await;
        if batch.is_empty() {
            return;
        }
        let (blocks, told): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|awaited| (awaited.blocks, awaited.kept))
            .unzip();
        if import(&kubo, blocks.concat()).await {
            for kept in told {
                let _gone = kept.send(());
            }
        }
    }
}

/// What comes within `time` of the first and is new; nothing once nobody sends
/// any more.
async fn gathered<T>(
    from: &mut mpsc::Receiver<T>,
    time: Duration,
    mut is_new: impl FnMut(&T) -> bool,
) -> Vec<T> {
    let mut batch = Vec::new();
    batch.extend(from.recv().await.filter(&mut is_new));
    let until = Instant::now() + time;
    while !batch.is_empty() && batch.len() < MAX_BATCH {
        match timeout_at(until, from.recv()).await {
            Ok(Some(item)) => batch.extend(is_new(&item).then_some(item)),
            Ok(None) | Err(_) => break,
        }
    }
    batch
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
            Err(_) => sleep(PAUSE * tried).await,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_same_block_again_takes_no_place_in_a_batch() {
        let (send, mut receive) = mpsc::channel(3 * MAX_BATCH);
        for number in 0..3 * MAX_BATCH {
            send.send(number / 2).await.unwrap();
        }
        let mut seen = HashSet::new();
        let batch = gathered(&mut receive, GATHER, |number| seen.insert(*number)).await;
        assert_eq!(batch, (0..MAX_BATCH).collect::<Vec<_>>());
    }

    #[test]
    fn kubo_rests_the_less_the_more_waits_for_it() {
        let rest_at = |places, bytes| rest(PAUSE / 10, free_percent(places, bytes));
        assert_eq!(rest_at(MAX_WAITING, MAX_WAITING_BYTES), PAUSE / 10 * REST);
        assert_eq!(
            rest_at(MAX_WAITING / 2, MAX_WAITING_BYTES),
            PAUSE / 20 * REST
        );
        assert_eq!(rest_at(MAX_WAITING, 0), Duration::ZERO);
        assert_eq!(rest_at(0, MAX_WAITING_BYTES), Duration::ZERO);
        assert_eq!(rest(PAUSE, 100), LONGEST_REST);
    }
}
