//! Single blocks.
//!
//! Takes and gives bytes under their CIDs. Never returns bytes that do not hash
//! to the CID, never believes Kubo which CID it stored.

use bytes::Bytes;
use cid::Cid;
use multihash_codetable::{Code, MultihashDigest};
use serde::Deserialize;

use super::{Client, Error, Fetch, command, rpc::Request, upload::Upload};

/// Largest block, in bytes: bitswap carries none that is larger.
pub const BLOCK_LIMIT: usize = 2 << 20;

const IDENTITY: u64 = 0x00;
const SHA2_256: u64 = 0x12;

/// How the bytes of a block are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// As they are.
    Raw,
    /// DAG-PB, the nodes of UnixFS.
    DagPb,
    /// DAG-CBOR, canonical objects.
    DagCbor,
    /// DAG-JSON.
    DagJson,
}

impl Codec {
    /// The multicodec.
    #[must_use]
    pub fn code(self) -> u64 {
        match self {
            Self::Raw => 0x55,
            Self::DagPb => 0x70,
            Self::DagCbor => 0x71,
            Self::DagJson => 0x0129,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::DagPb => "dag-pb",
            Self::DagCbor => "dag-cbor",
            Self::DagJson => "dag-json",
        }
    }

    /// The CIDv1 of `bytes`, sha2-256.
    #[must_use]
    pub fn cid(self, bytes: &[u8]) -> Cid {
        Cid::new_v1(self.code(), Code::Sha2_256.digest(bytes))
    }
}

/// Checks that `bytes` are those that `cid` names.
///
/// # Errors
/// [`Error::HashMismatch`], or [`Error::UnsupportedHash`] for anything but
/// sha2-256 and identity.
pub fn verify_block(cid: &Cid, bytes: &[u8]) -> Result<(), Error> {
    let same = match cid.hash().code() {
        SHA2_256 => Code::Sha2_256.digest(bytes).digest() == cid.hash().digest(),
        IDENTITY => bytes == cid.hash().digest(),
        code => return Err(Error::UnsupportedHash { cid: *cid, code }),
    };
    if same {
        Ok(())
    } else {
        Err(Error::HashMismatch { cid: *cid })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    key: String,
    size: u64,
}

impl Client {
    /// The bytes of a block, verified.
    ///
    /// # Errors
    /// [`Error::NotLocal`] offline and absent, [`Error::Timeout`] if nobody
    /// gave it in time, [`Error::HashMismatch`], else any of [`Error`].
    pub async fn block_get(&self, cid: &Cid, fetch: Fetch) -> Result<Bytes, Error> {
        match cid.hash().code() {
            IDENTITY => return Ok(Bytes::copy_from_slice(cid.hash().digest())),
            SHA2_256 => {}
            code => return Err(Error::UnsupportedHash { cid: *cid, code }),
        }
        let bytes = self
            .bytes(fetch.request(&command::BLOCK_GET, cid), BLOCK_LIMIT)
            .await?;
        verify_block(cid, &bytes)?;
        Ok(bytes)
    }

    /// Stores a block, as it is, and gives its CID.
    ///
    /// # Errors
    /// [`Error::TooLarge`] over [`BLOCK_LIMIT`], [`Error::BadAnswer`] if Kubo
    /// stored something else, else any of [`Error`].
    pub async fn block_put(&self, bytes: &[u8], codec: Codec, pin: bool) -> Result<Cid, Error> {
        let path = command::BLOCK_PUT.path;
        if bytes.len() > BLOCK_LIMIT {
            let (size, limit) = (bytes.len() as u64, BLOCK_LIMIT as u64);
            return Err(Error::TooLarge {
                what: path,
                size,
                limit,
            });
        }
        let request = Request::new(&command::BLOCK_PUT)
            .flag("cid-codec", codec.name())
            .flag("mhtype", "sha2-256")
            .flag("pin", pin)
            .upload(Upload::bytes(bytes));
        let answer: Answer = self.json(request).await?;
        let cid = codec.cid(bytes);
        let stored = parse_cid(path, &answer.key)?;
        if stored.hash() == cid.hash() {
            return Ok(cid);
        }
        Err(Error::BadAnswer {
            command: path,
            reason: format!("stored {stored} instead of {cid}"),
        })
    }

    /// The size of a block in bytes, or nothing if it is not to be had: with
    /// [`Fetch::local`] the cheap test whether this node holds it.
    ///
    /// # Errors
    /// Any of [`Error`] but an absent block.
    pub async fn block_stat(&self, cid: &Cid, fetch: Fetch) -> Result<Option<u64>, Error> {
        let answer = self
            .json::<Answer>(fetch.request(&command::BLOCK_STAT, cid))
            .await;
        match answer {
            Ok(answer) => Ok(Some(answer.size)),
            Err(Error::NotLocal { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

pub(super) fn parse_cid(command: &'static str, text: &str) -> Result<Cid, Error> {
    let bad = |error| Error::BadAnswer {
        command,
        reason: format!("`{text}` is no CID: {error}"),
    };
    text.parse().map_err(bad)
}

#[cfg(test)]
mod tests {
    use multihash_codetable::Multihash;

    use super::*;

    #[test]
    fn one_flipped_bit_is_a_mismatch() {
        let cid = Codec::Raw.cid(b"block");
        verify_block(&cid, b"block").unwrap();
        assert!(matches!(
            verify_block(&cid, b"clock"),
            Err(Error::HashMismatch { .. })
        ));
    }

    #[test]
    fn an_identity_cid_is_its_own_bytes() {
        let cid = Cid::new_v1(0x55, Multihash::wrap(IDENTITY, b"tiny").unwrap());
        verify_block(&cid, b"tiny").unwrap();
        assert!(verify_block(&cid, b"tinY").is_err());
    }

    #[test]
    fn other_hashes_are_refused_by_type() {
        let cid = Cid::new_v1(0x55, Multihash::wrap(0x13, &[0; 64]).unwrap());
        assert!(matches!(
            verify_block(&cid, b"x"),
            Err(Error::UnsupportedHash { code: 0x13, .. })
        ));
    }
}
