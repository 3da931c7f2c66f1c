//! Blocks and their names: sha2-256 CIDs, version 1.

use cid::Cid;
use multihash_codetable::{Code, MultihashDigest};

use super::Refusal;

/// The codec of raw bytes.
pub const RAW: u64 = 0x55;
/// The codec of canonical DAG-CBOR.
pub const DAG_CBOR: u64 = 0x71;
/// The codec of UnixFS nodes.
pub const DAG_PB: u64 = 0x70;

/// The name of a block.
#[must_use]
pub fn cid_of(codec: u64, bytes: &[u8]) -> Cid {
    Cid::new_v1(codec, Code::Sha2_256.digest(bytes))
}

/// Checks that a block is the one its name says. Any CID version and codec,
/// sha2-256 only.
///
/// # Errors
/// [`Refusal::Hash`], also for other hash functions.
pub fn verify_block(cid: &Cid, bytes: &[u8]) -> Result<(), Refusal> {
    if *cid.hash() == Code::Sha2_256.digest(bytes) {
        Ok(())
    } else {
        Err(Refusal::Hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_kubo_gives() {
        let cid = cid_of(RAW, b"hello");
        assert_eq!(
            cid.to_string(),
            "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"
        );
    }

    #[test]
    fn a_changed_block_does_not_match_its_name() {
        let cid = cid_of(DAG_CBOR, b"\x01");
        assert_eq!(verify_block(&cid, b"\x01"), Ok(()));
        assert_eq!(verify_block(&cid, b"\x02"), Err(Refusal::Hash));
    }
}
