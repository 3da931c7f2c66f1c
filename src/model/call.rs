//! The call: a pure value whose CID is the key of memoization.

use cid::Cid;
use ipld_core::ipld::Ipld;
use serde::{Deserialize, Serialize};

/// A function applied to arguments and an input. Equal calls have equal CIDs;
/// wall time, memory and the like belong to the invocation instead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The manifest's CID.
    pub function: Cid,
    /// The export to call, where it is not the manifest's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// Strings for `wasi`, numbers for `scalar`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Ipld>,
    /// A UnixFS file or directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Cid>,
    /// Instructions the guest may spend; a count is kept only where this is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Makes the call of an impure function, and every private one, unlike any
    /// other; absent for all else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}
