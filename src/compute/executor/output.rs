//! Stores what an attempt left behind and names it by CID.
//!
//! Takes the sandbox's files, gives CIDs, digests and the small blocks that
//! ride along with the result. Large output is streamed into Kubo, pinned by
//! name; small output is hashed here and Kubo is not asked at all.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use cid::Cid;
use futures_util::TryStreamExt;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio_util::io::ReaderStream;

use super::{layout::Layout, stage::disk};
use crate::{
    compute::{
        Failure,
        content::{RIDE_ALONG_BYTES, unreachable_kubo},
    },
    kubo,
    model::{Block, ContentKey, Limits},
    sandbox::{self, Stdout},
    wire::{block::RAW, cid_of},
};

/// Bytes read from disk at a time.
pub(super) const PIECE_BYTES: usize = 256 << 10;

/// One stored thing.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// Its name.
    pub(crate) cid: Cid,
    /// sha2-256 of a file's bytes, or of a directory's root block; keyed, of
    /// what was sealed.
    pub(crate) digest: Vec<u8>,
    /// Its bytes, where they are few.
    pub(crate) block: Option<Block>,
    /// What was sealed is a directory.
    pub(crate) is_archive: bool,
}

/// Stores the outputs of one attempt under names with `label` in them.
pub(crate) struct Keep<'a> {
    /// Where large output goes.
    pub(crate) kubo: &'a kubo::Client,
    /// The invocation's name.
    pub(crate) label: String,
    /// Caps on what is stored.
    pub(crate) limits: Limits,
    /// How output becomes blocks.
    pub(crate) layout: Layout,
    /// Of a private invocation: everything is sealed with it.
    pub(crate) key: Option<&'a ContentKey>,
}

impl Keep<'_> {
    /// Standard output, or all of `/out` where there is something in it.
    pub(crate) async fn output(&self, output: &sandbox::Output) -> Result<Stored, Failure> {
        if let Some(key) = self.key {
            return self.sealed_output(output, key).await;
        }
        let Some(folder) = &output.out_dir else {
            return match &output.stdout {
                Stdout::Small(bytes) => Ok(self.layout.small(bytes.to_vec())),
                Stdout::File(path) => {
                    self.file(path, RIDE_ALONG_BYTES, "output", self.layout)
                        .await
                }
            };
        };
        self.place(output, folder).await?;
        self.directory(folder).await
    }

    /// Puts standard output beside the files in `/out`.
    pub(super) async fn place(
        &self,
        output: &sandbox::Output,
        folder: &Path,
    ) -> Result<(), Failure> {
        let beside = folder.join("stdout");
        let placed = match &output.stdout {
            Stdout::Small(bytes) if bytes.is_empty() => Ok(()),
            Stdout::Small(bytes) => tokio::fs::write(beside, bytes).await,
            Stdout::File(path) => tokio::fs::rename(path, beside).await,
        };
        placed.map_err(|e| disk(&e))
    }

    /// Standard error, where there is any; rides along within `room` bytes.
    pub(crate) async fn logs(&self, path: &Path, room: usize) -> Result<Option<Stored>, Failure> {
        if !path.exists() {
            return Ok(None);
        }
        match size(path).await {
            Ok(0) | Err(_) => Ok(None),
            Ok(_) => match self.key {
                Some(key) => self.sealed_logs(path, key, room).await.map(Some),
                None => self.file(path, room, "logs", Layout::Raw).await.map(Some),
            },
        }
    }

    async fn file(
        &self,
        path: &Path,
        room: usize,
        kind: &str,
        layout: Layout,
    ) -> Result<Stored, Failure> {
        if size(path).await? <= room as u64 {
            let data = tokio::fs::read(path).await.map_err(|e| disk(&e))?;
            return Ok(layout.small(data));
        }
        let file = tokio::fs::File::open(path).await.map_err(|e| disk(&e))?;
        let hash = Arc::new(Mutex::new(Sha256::new()));
        let seen = Arc::clone(&hash);
        let bytes = ReaderStream::with_capacity(file, PIECE_BYTES)
            .inspect_ok(move |piece: &Bytes| seen.lock().update(piece));
        let added = self
            .kubo
            .add(
                kubo::AddBody::stream(kind, bytes),
                &layout.add(self.named(kind)),
            )
            .await
            .map_err(|e| unreachable_kubo(&e, "storing the output"))?;
        let digest = hash.lock().clone().finalize().to_vec();
        Ok(Stored {
            cid: added.cid,
            digest,
            block: None,
            is_archive: false,
        })
    }

    async fn directory(&self, folder: &Path) -> Result<Stored, Failure> {
        let tree = kubo::Tree {
            max_bytes: self.limits.output_bytes,
            ..kubo::Tree::default()
        };
        let added = self
            .kubo
            .add_directory(folder, &tree, &self.named("output"))
            .await
            .map_err(|e| unreachable_kubo(&e, "storing the output"))?;
        Ok(Stored {
            cid: added.cid,
            digest: added.cid.hash().digest().to_vec(),
            block: None,
            is_archive: false,
        })
    }

    pub(super) fn named(&self, kind: &str) -> kubo::Add {
        kubo::Add {
            pin: true,
            pin_name: Some(format!("timerose/{kind}/{}", self.label)),
            ..kubo::Add::default()
        }
    }
}

/// Something small, named by its bytes.
pub(super) fn small(data: Vec<u8>) -> Stored {
    let cid = cid_of(RAW, &data);
    let digest = cid.hash().digest().to_vec();
    Stored {
        cid,
        digest,
        block: Some(Block { cid, data }),
        is_archive: false,
    }
}

pub(super) async fn size(path: &Path) -> Result<u64, Failure> {
    tokio::fs::metadata(path)
        .await
        .map(|m| m.len())
        .map_err(|e| disk(&e))
}
