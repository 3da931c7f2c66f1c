//! The blocks a node has in hand: what rode along, then what Kubo gives.
//!
//! Takes CIDs, gives verified bytes. A small memory in front of Kubo; never
//! believes bytes that it has not hashed.

use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use moka::sync::Cache;

use super::Failure;
use crate::{
    kubo,
    model::{Block, Call, Class, Manifest},
    wire::{self, Refusal, dagcbor, fan},
};

/// Bytes of small blocks kept in memory.
const MEMORY_BYTES: u64 = 16 << 20;
/// Manifests that are kept as they were read; none is larger than a block that
/// rides along.
const MAX_MANIFESTS: u64 = 256;
/// Blocks up to this size, all of one message together, ride along.
pub(crate) const RIDE_ALONG_BYTES: usize = 64 << 10;

/// Reads blocks. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    kubo: kubo::Client,
    memory: Cache<Cid, Bytes>,
    manifests: Cache<Cid, Manifest>,
}

impl Content {
    /// A memory in front of `kubo`.
    pub(crate) fn new(kubo: kubo::Client) -> Self {
        let weigh = |_: &Cid, data: &Bytes| u32::try_from(data.len() + 128).unwrap_or(u32::MAX);
        Self {
            kubo,
            memory: Cache::builder()
                .max_capacity(MEMORY_BYTES)
                .weigher(weigh)
                .build(),
            manifests: Cache::new(MAX_MANIFESTS),
        }
    }

    /// Keeps blocks that rode along, each hashed first. What is here already
    /// is not looked at.
    ///
    /// # Errors
    /// The first block whose bytes are not what its CID names.
    pub(crate) fn remember(&self, blocks: impl IntoIterator<Item = Block>) -> Result<(), Failure> {
        for block in blocks {
            if self.memory.contains_key(&block.cid) {
                continue;
            }
            wire::verify_block(&block.cid, &block.data).map_err(|error| {
                Failure::new(Class::Node, "bad_block", format!("{}: {error}", block.cid))
            })?;
            self.memory.insert(block.cid, Bytes::from(block.data));
        }
        Ok(())
    }

    /// Keeps bytes this node made itself under the CID it computed.
    pub(crate) fn insert(&self, cid: Cid, data: Bytes) {
        self.memory.insert(cid, data);
    }

    /// The block's bytes where they are in memory.
    pub(crate) fn in_memory(&self, cid: &Cid) -> Option<Bytes> {
        self.memory.get(cid)
    }

    /// The block's bytes, from memory or Kubo, waiting up to `wait`.
    ///
    /// # Errors
    /// `missing` when nobody gave it in time; `node` when Kubo failed.
    pub(crate) async fn block(&self, cid: &Cid, wait: Duration) -> Result<Bytes, Failure> {
        if let Some(data) = self.memory.get(cid) {
            return Ok(data);
        }
        let fetch = kubo::Fetch {
            timeout: wait,
            offline: false,
        };
        let data = self
            .kubo
            .block_get(cid, fetch)
            .await
            .map_err(|error| fetch_failed(cid, wait, error))?;
        if data.len() <= RIDE_ALONG_BYTES {
            self.memory.insert(*cid, data.clone());
        }
        Ok(data)
    }

    /// The manifest named by `function`.
    ///
    /// # Errors
    /// As [`Self::block`]; `user` when the block is no manifest.
    pub(crate) async fn manifest(
        &self,
        function: &Cid,
        wait: Duration,
    ) -> Result<Manifest, Failure> {
        if let Some(manifest) = self.manifests.get(function) {
            return Ok(manifest);
        }
        let data = self.block(function, wait).await?;
        let is_small = data.len() <= RIDE_ALONG_BYTES;
        let manifest = manifest_of(function, data)?;
        if is_small {
            self.manifests.insert(*function, manifest.clone());
        }
        Ok(manifest)
    }

    /// The call named by `call`.
    ///
    /// # Errors
    /// As [`Self::block`]; `user` when the block is no call.
    pub(crate) async fn call(&self, call: &Cid, wait: Duration) -> Result<Call, Failure> {
        let data = self.block(call, wait).await?;
        dagcbor::decode(&data).map_err(|error| {
            Failure::new(
                Class::User,
                "not_a_call",
                format!("{call} is no call: {error}"),
            )
        })
    }
}

/// Reads the block of a function: ours, or one of the function-addressable
/// network.
fn manifest_of(function: &Cid, data: Bytes) -> Result<Manifest, Failure> {
    let manifest: Result<Manifest, Refusal> = match fan::is_file(function) {
        true => fan::manifest(function, data),
        false => dagcbor::decode(&data),
    };
    let not_a_function = |why: &dyn std::fmt::Display| {
        let message = format!("{function} is no function: {why}");
        Failure::new(Class::User, "not_a_function", message).with_hint(
            "deploy the code first: timerose deploy FILE, and invoke the CID that it prints",
        )
    };
    let manifest = manifest.map_err(|refusal| not_a_function(&refusal))?;
    (manifest.timerose == crate::model::FUNCTION_TAG)
        .then_some(manifest)
        .ok_or_else(|| not_a_function(&"it is of an unknown version"))
}

/// What a failed fetch of `cid` means to the caller.
pub(crate) fn fetch_failed(
    cid: &dyn std::fmt::Display,
    wait: Duration,
    error: kubo::Error,
) -> Failure {
    if is_missing(&error) {
        return missing(cid, wait);
    }
    unreachable_kubo(&error, &format!("fetching {cid}"))
}

/// Nobody gave `cid` within `wait`.
pub(crate) fn missing(cid: &dyn std::fmt::Display, wait: Duration) -> Failure {
    let waited = kubo::format_go_duration(wait);
    Failure::new(Class::Missing, "missing", format!("{cid} is not to be had: nobody gave it within {waited}"))
        .with_hint("connect to a node that has it (ipfs swarm connect ADDRESS), or wait longer with --fetch-timeout")
}

/// The bytes did not come, Kubo itself being well.
pub(crate) const fn is_missing(error: &kubo::Error) -> bool {
    use kubo::Error as E;
    matches!(
        error,
        E::Timeout { .. } | E::Stalled { .. } | E::NotLocal { .. }
    )
}

/// Kubo failed while this node was `doing` something.
pub(crate) fn unreachable_kubo(error: &kubo::Error, doing: &str) -> Failure {
    let code = if matches!(
        error,
        kubo::Error::Unreachable { .. } | kubo::Error::Interrupted { .. }
    ) {
        "kubo_unreachable"
    } else {
        "kubo"
    };
    let failure = Failure::new(Class::Node, code, format!("{doing}: {error}"));
    match error.hint() {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}
