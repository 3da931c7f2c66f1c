//! How output becomes blocks: the CID recipe of a runtime.
//!
//! Takes bytes or options of an add, gives a small file's block or the options
//! that name a large one alike. Stores nothing.

use sha2::{Digest, Sha256};

use super::output::{Stored, small};
use crate::{
    kubo,
    model::{Abi, Block, Runtime},
    wire::{block::DAG_PB, cid_of, unixfs},
};

/// How a file becomes blocks, and so gets its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Raw leaves, as TimeRose writes files.
    Raw,
    /// As the function-addressable network does, so that equal results have
    /// equal names there and here.
    Fan,
}

impl Layout {
    /// That of the results of `runtime`.
    pub(crate) const fn of(runtime: &Runtime) -> Self {
        match runtime {
            Runtime::Wasm { abi: Abi::Fan, .. } => Self::Fan,
            _ => Self::Raw,
        }
    }

    /// A file that is one block.
    pub(super) fn small(self, data: Vec<u8>) -> Stored {
        match self {
            Self::Raw => small(data),
            Self::Fan => {
                let digest = Sha256::digest(&data).to_vec();
                let data = unixfs::file(&data);
                let cid = cid_of(DAG_PB, &data);
                Stored {
                    cid,
                    digest,
                    block: Some(Block { cid, data }),
                    is_archive: false,
                }
            }
        }
    }

    /// The options by which Kubo gives larger files such names.
    pub(super) fn add(self, options: kubo::Add) -> kubo::Add {
        match self {
            Self::Raw => options,
            Self::Fan => kubo::Add {
                raw_leaves: false,
                ..options
            },
        }
    }
}
