//! Remembered receipts: the same pure call is answered without running.
//!
//! Takes verified receipts with their small blocks, gives them back for an
//! equal call while their output is still here. Never learns a receipt that
//! was not verified, and only those of runs that went well.

use bytes::Bytes;
use cid::Cid;
use tracing::warn;

use super::{clock, content::Content, keeper::Keeper};
use crate::{
    kubo,
    model::{Block, Outcome, Receipt},
    store::{Memory, ReceiptRow, Store},
    wire::{block::DAG_CBOR, cid_of, dagcbor},
};

/// A receipt that answers a call.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Its canonical bytes.
    pub(crate) receipt: Vec<u8>,
    /// Its small blocks, the output among them where it is small.
    pub(crate) blocks: Vec<Block>,
}

/// The memory. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Memo {
    store: Store,
    kubo: kubo::Client,
    content: Content,
    keeper: Keeper,
}

impl Memo {
    /// A memory in `store`; outputs too large for it lie in `kubo`.
    pub(crate) const fn new(
        store: Store,
        kubo: kubo::Client,
        content: Content,
        keeper: Keeper,
    ) -> Self {
        Self {
            store,
            kubo,
            content,
            keeper,
        }
    }

    /// A receipt of `call` whose output is at hand.
    pub(crate) async fn recall(&self, call: &Cid) -> Option<Known> {
        let row = self.store.memo(call).ok()??;
        let receipt: Receipt = dagcbor::decode(&row.body).ok()?;
        let Outcome::Ok { output, logs, .. } = &receipt.outcome else {
            return None;
        };
        if let Some(data) = self.block(output) {
            let logs = logs.and_then(|cid| {
                Some(Block {
                    cid,
                    data: self.block(&cid)?.to_vec(),
                })
            });
            let blocks = [Block {
                cid: *output,
                data: data.to_vec(),
            }]
            .into_iter()
            .chain(logs)
            .collect();
            return Some(Known {
                receipt: row.body,
                blocks,
            });
        }
        if matches!(
            self.kubo.block_stat(output, kubo::Fetch::local()).await,
            Ok(Some(_))
        ) {
            return Some(Known {
                receipt: row.body,
                blocks: Vec::new(),
            });
        }
        self.forget(&row.cid);
        None
    }

    /// Keeps a verified receipt with its blocks; gives its CID. `is_pure`
    /// says whether it may answer later calls. What is private stays in this
    /// node's store, and answers nothing but questions for itself.
    pub(crate) fn learn(
        &self,
        bytes: &[u8],
        receipt: &Receipt,
        blocks: Vec<Block>,
        is_pure: bool,
    ) -> Cid {
        let cid = cid_of(DAG_CBOR, bytes);
        self.store
            .remember(Self::rows(bytes, receipt, &blocks, is_pure));
        self.content.insert(cid, Bytes::copy_from_slice(bytes));
        if !receipt.private {
            self.keeper.keep(blocks.into_iter().chain([Block {
                cid,
                data: bytes.to_vec(),
            }]));
        }
        cid
    }

    /// The same as rows of the store.
    pub(crate) fn rows(
        bytes: &[u8],
        receipt: &Receipt,
        blocks: &[Block],
        is_pure: bool,
    ) -> Vec<Memory> {
        let at_ms = clock::unix_ms();
        let row = ReceiptRow {
            cid: cid_of(DAG_CBOR, bytes).to_string(),
            call: receipt.call.to_string(),
            invocation: receipt.invocation.to_string(),
            is_memo: is_pure && !receipt.private && receipt.outcome.output().is_some(),
            at_ms,
            body: bytes.to_vec(),
        };
        let small = blocks.iter();
        let small = small.map(|block| Memory::Block(block.cid, block.data.clone(), at_ms));
        [Memory::Receipt(row)].into_iter().chain(small).collect()
    }

    /// Waits until Kubo has small blocks, pinned; gives whether it has.
    pub(crate) async fn kept(&self, blocks: Vec<Block>) -> bool {
        self.keeper.kept(blocks).await
    }

    /// A small block, from memory or the store.
    pub(crate) fn block(&self, cid: &Cid) -> Option<Bytes> {
        self.content
            .in_memory(cid)
            .or_else(|| self.store.block(cid).ok()?.map(Bytes::from))
    }

    fn forget(&self, receipt: &str) {
        if let Err(error) = self.store.remove_receipt(receipt) {
            warn!(receipt, %error, "a receipt without output is still remembered");
        }
    }
}
